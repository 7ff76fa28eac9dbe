"""Ambivalence and hesitancy: present or not, in a video or in each of its frames."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.split_files import read_ambivalence
from abaw.errors import InputError
from abaw.tasks import TASKS
from abaw.tasks.base import MIN_PROBABILITY, Block, PredictionPair, ResampledScores, Task
from abaw.tasks.classes import balanced_weights, class_counts, class_scores
from abaw.tasks.clip_level import one_step

if TYPE_CHECKING:
    from torch import Tensor

Level = Literal["clip", "frame"]
PROBABILITY = re.compile(r"0(\.\d*)?|1(\.0*)?|\.\d+", re.ASCII)


@TASKS.register
def ah(*, level: Level = "clip", class_balance: float = 0.5, class_weights: Sequence[float] | None = None) -> Task:
    """Ambivalence or hesitancy per video (10th, 11th edition) or per frame (8th), ranked by macro-F1 of yes and no."""
    return Ambivalence(level, class_balance, class_weights)


@dataclass(frozen=True, eq=False)
class Ambivalence(Task):
    """Loss: binary cross-entropy over the scored steps, or videos, weighted by class (0: no, 1: yes).

    ``class_weights`` are used where given; else ``fitted`` sets them to (1 / frequency) ** ``class_balance`` in the
    training split, mean 1 (0: all equal; the weight of a class that does not occur is 0). The score is the mean F1 of
    both classes, the "macro F1" of the data set's authors; the 8th edition's "average F1" is assumed to be the same. A
    row of a submission holds both probabilities, which add up to exactly 1, and the class (``level`` "clip"), or the
    class alone ("frame"). Labels: ``train.txt``, ``val.txt`` and ``test.txt``, whose first line shows the level.
    """

    level: Level
    class_balance: float
    class_weights: Sequence[float] | None

    name = "ah"
    columns = ("p_AH",)
    out_dim = 1
    column_ranges = ((0.0, 1.0),)
    header = ""
    folders = ()
    test_lists = ()

    def __post_init__(self) -> None:
        if not 0 <= self.class_balance < float("inf"):
            raise InputError(f"ah: class_balance is {self.class_balance}, expected 0 or more")
        weights = self.class_weights
        if weights is not None and (len(weights) != 2 or not all(0 <= w < float("inf") for w in weights)):
            raise InputError(f"ah: class_weights are {weights}, expected 2 numbers of 0 or more")
        if weights is not None and not any(weights):
            raise InputError("ah: class_weights are both 0: nothing would be learned")

    @property
    def resolution(self) -> Level:  # type: ignore[override]
        return self.level

    @property
    def listing_kind(self) -> str:  # type: ignore[override]
        return f"ah_{self.level}"

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        return dataset.listed_clips(self.listing_kind, split)

    def wanted(self, split: str) -> str:
        row = "<video>.mp4,<0 or 1>" if self.level == "clip" else "<video>.mp4/frame-0.jpg,<0 or 1>"
        return f"a file {'val' if split == 'validation' else split}.txt with lines {row}"

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        found = dataset.listing(self.listing_kind, split)
        return read_ambivalence(found.path, self.listing_kind) if found else {}

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        return (("units", 1),) if self.level == "frame" else ()

    def strata(self, labels: Labels) -> np.ndarray:
        return np.where(labels.scored, labels.values[:, 0].astype(int), -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        if self.class_weights is not None:
            return self
        return replace(self, class_weights=balanced_weights(labels, 2, self.class_balance))

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        from torch.nn.functional import binary_cross_entropy_with_logits

        if self.level == "clip":
            raw, target, scored = one_step(raw, target, scored)
        if not bool(scored.any()):
            return raw[:0].sum()  # 0 with a gradient of 0, whatever the outputs
        raw, truth = raw[scored][:, 0].float(), target[scored][:, 0].float()
        weights = raw.new_tensor(self.class_weights or [1.0, 1.0])[truth.long()]
        losses = binary_cross_entropy_with_logits(raw, truth, weight=weights, reduction="sum")
        return losses / weights.sum().clamp(min=1e-8)

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        from scipy.special import expit

        return expit(raw).astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        from scipy.special import logit

        return logit(np.clip(table.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY))

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        """The class; for ``level`` "clip" followed by the probability of yes, which a submission also has."""
        if self.level == "frame":
            return (table > 0.5).astype(np.float32)
        table = self.pooled(table)
        return np.concatenate([table > 0.5, table], axis=1).astype(np.float32)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        counts = class_counts(by_clip, 2)
        scores = class_scores(counts[None], ("no", "yes"))
        return {**{name: float(values[0]) for name, values in scores.items()}, "n": int(counts[2].sum())}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        statistics = np.stack([class_counts(group, 2) for group in groups])
        return lambda counts: class_scores(np.tensordot(counts, statistics, 1), ("no", "yes"))

    def row(self, prediction: np.ndarray) -> str:
        if self.level == "frame":
            return str(int(prediction[0]))
        yes = f"{prediction[1]:.6f}"
        return f"{1 - float(yes):.6f},{yes},{int(prediction[0])}"  # with six decimals the two always add up to 1.0

    def parse_row(self, text: str) -> np.ndarray:
        cells = text.split(",")
        if cells[-1] not in ("0", "1"):
            raise InputError(f"{text!r} does not end with the class, 0 or 1")
        if self.level == "frame" or len(cells) == 1:
            if len(cells) != 1:
                raise InputError(f"{text!r} has {len(cells)} values, expected the class alone, 0 or 1")
            return np.array([float(text)] * (1 if self.level == "frame" else 2))
        if len(cells) != 3 or not all(map(PROBABILITY.fullmatch, cells[:2])):
            raise InputError(f"{text!r} is not two probabilities and the class, nor the class alone")
        if float(cells[0]) + float(cells[1]) != 1.0:  # the organisers check this
            raise InputError(f"{text!r}: the probabilities add up to {float(cells[0]) + float(cells[1])!r}, not to 1")
        return np.array([float(cells[2]), float(cells[1])])

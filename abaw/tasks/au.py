"""Action units: for each frame, which of twelve are active."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.annotations import Labels, read_action_units
from abaw.dataset.layout import Dataset
from abaw.dataset.names import ACTION_UNITS, AU_HEADER
from abaw.errors import InputError
from abaw.metrics import count_units, f1
from abaw.tasks import TASKS
from abaw.tasks.base import MIN_PROBABILITY, Block, PredictionPair, ResampledScores, Task, concatenated

if TYPE_CHECKING:
    from torch import Tensor

# By the organisers' counts (Kollias 2022, arXiv 2202.10659; the ends are verified, the middle is not). Fixed, so that a
# frame's stratum does not depend on other clips.
RAREST_FIRST = ("AU24", "AU15", "AU23", "AU2", "AU26", "AU1", "AU4", "AU12", "AU6", "AU10", "AU7", "AU25")
ROW = re.compile("[01](,[01]){11}")


@TASKS.register
def au(
    *,
    balance: float = 0.5,
    pos_weights: Sequence[float] | None = None,
    label_smoothing: float = 0.0,
    focal_gamma: float = 0.0,
    r_drop_weight: float = 0.0,
) -> Task:
    """Twelve action units, ranked by the mean of their F1."""
    return ActionUnits(balance, pos_weights, label_smoothing, focal_gamma, r_drop_weight)


@dataclass(frozen=True, eq=False)
class ActionUnits(Task):
    """Loss: binary cross-entropy, mean over scored steps and units; ``pos_weights`` weigh a unit's active frames.
    A unit whose target is NaN, as in pseudo-labels, does not count.

    Where these are not given, ``fitted`` sets them to (inactive / active) ** ``balance`` in the training split (0: all
    equal; 1 for a unit that is always or never active). ``label_smoothing`` moves labels towards 0.5 and changes no
    weight: the loss of a unit is smallest at its smoothed label. ``focal_gamma`` multiplies each loss by (1 - p of the
    truth)^gamma (Lin et al. 2017, arXiv 1708.02002), which is 0 at p = 1: labels are then smoothed in vain. With
    ``r_drop_weight`` the training step adds the ``disagreement`` of two passes, so weighted (Liang et al. 2021, arXiv
    2106.14448). A unit is active above 0.5; other thresholds are biases of the post-processing.
    """

    balance: float
    pos_weights: Sequence[float] | None
    label_smoothing: float
    focal_gamma: float
    r_drop_weight: float

    name = "au"
    columns = tuple(f"p_{name}" for name in ACTION_UNITS)
    out_dim = len(ACTION_UNITS)
    resolution = "frame"
    header = AU_HEADER
    folders = ("AU_Detection_Challenge",)
    test_lists = ("Action_Unit_Detection_Challenge", "AU_")

    def __post_init__(self) -> None:
        for key in ("balance", "focal_gamma", "r_drop_weight"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise InputError(f"au: {key} is {getattr(self, key)}, expected 0 or more")
        if not 0 <= self.label_smoothing < 1:
            raise InputError(f"au: label_smoothing is {self.label_smoothing}, expected 0 up to 1")
        weights = self.pos_weights
        if weights is not None and (len(weights) != self.out_dim or not all(0 < w < float("inf") for w in weights)):
            raise InputError(f"au: pos_weights are {weights}, expected {self.out_dim} numbers above 0")

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        files = dataset.annotation_files(self.folders, split)
        return {clip_id: read_action_units(path) for clip_id, path in files.items()}

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        return (("units", self.out_dim),)

    def strata(self, labels: Labels) -> np.ndarray:
        """0 where no unit is active; else the position, from 1, of the rarest active unit in ``RAREST_FIRST``."""
        active = labels.values[:, [ACTION_UNITS.index(name) for name in RAREST_FIRST]] > 0.5
        rarest = np.where(active.any(axis=1), active.argmax(axis=1) + 1, 0)
        return np.where(labels.scored, rarest, -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        if self.pos_weights is not None:
            return self
        none = np.zeros((0, self.out_dim))
        active = np.concatenate([none, *(clip.values[clip.scored] for clip in labels.values())]) > 0.5
        yes, no = active.sum(axis=0), (~active).sum(axis=0)
        weights = np.where((yes > 0) & (no > 0), np.maximum(no, 1) / np.maximum(yes, 1), 1.0) ** self.balance
        return replace(self, pos_weights=[round(float(w), 6) for w in weights])

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        from torch.nn.functional import binary_cross_entropy_with_logits, logsigmoid

        if not bool(scored.any()):
            return raw[scored].sum()
        raw, truth = raw[scored].float(), target[scored].float()
        has_label = ~truth.isnan()
        truth = truth.where(has_label, truth.new_zeros(()))
        pos_weights = raw.new_tensor(self.pos_weights or [1.0] * self.out_dim)
        # weighed by the label, not by the smoothed one as torch's pos_weight would: with a weight of 20 and a smoothing
        # of 0.1, the optimum for an inactive unit would be 0.51
        weights = truth * pos_weights + (1 - truth)
        smooth = truth * (1 - self.label_smoothing) + self.label_smoothing / 2
        losses = binary_cross_entropy_with_logits(raw, smooth, weight=weights, reduction="none")
        if self.focal_gamma:
            p = logsigmoid((2 * truth - 1) * raw).exp()
            losses = losses * (1 - p).clamp(min=1e-8) ** self.focal_gamma
        return losses.mean() if bool(has_label.all()) else losses[has_label].mean()

    def disagreement(self, raw: Tensor, other: Tensor, scored: Tensor) -> Tensor:
        """Half of KL(p, q) + KL(q, p) of each unit, mean over scored steps and units; 0 without a scored step."""
        if not bool(scored.any()):
            return raw[scored].sum() + other[scored].sum()
        raw, other = raw[scored].float(), other[scored].float()
        # for two outcomes the two KL divergences sum to this
        return ((raw.sigmoid() - other.sigmoid()) * (raw - other)).mean() / 2

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        from scipy.special import expit

        return expit(raw).astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        from scipy.special import logit

        return logit(np.clip(table.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY))

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        return (table > 0.5).astype(np.float32)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        prediction, truth = concatenated(by_clip)
        scores = _scores(count_units(prediction > 0.5, truth > 0.5)[None])
        return {**{name: float(values[0]) for name, values in scores.items()}, "n": len(truth)}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        pairs = [concatenated(group) for group in groups]
        statistics = np.stack([count_units(prediction > 0.5, truth > 0.5) for prediction, truth in pairs])
        return lambda counts: _scores(np.tensordot(counts, statistics, 1))

    def row(self, prediction: np.ndarray) -> str:
        return ",".join(str(int(value)) for value in prediction)

    def rows(self, prediction: np.ndarray) -> list[str]:
        codes = (prediction > 0.5) @ (1 << np.arange(self.out_dim))  # each frame's units as one number; few occur
        _, first, which = np.unique(codes, return_index=True, return_inverse=True)
        return np.array([self.row(prediction[i]) for i in first], object)[which].tolist()

    def parse_row(self, text: str) -> np.ndarray:
        if not ROW.fullmatch(text):
            num = len(text.split(","))
            raise InputError(f"{text!r} is not {self.out_dim} times 0 or 1 (it has {num} values), expected AU1 .. AU26")
        return np.array([float(cell) for cell in text.split(",")])


def _scores(counts: np.ndarray) -> dict[str, np.ndarray]:
    """The mean F1 of all units and the F1 of each, from counts (draws 3 units)."""
    by_unit = f1(counts)
    return {"F1": by_unit.mean(axis=1), **{f"F1_{name}": by_unit[:, i] for i, name in enumerate(ACTION_UNITS)}}

"""Emotional mimicry intensity: how strongly each of six emotions is mimicked, per video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.names import EMI_HEADER, EMOTIONS
from abaw.dataset.split_files import read_mimicry
from abaw.errors import InputError
from abaw.metrics import Moments, pearson
from abaw.tasks import TASKS
from abaw.tasks.base import MIN_PROBABILITY, PredictionPair, ResampledScores, Task, concatenated
from abaw.tasks.clip_level import one_step
from abaw.tasks.ranges import parse_values, values_row

if TYPE_CHECKING:
    from torch import Tensor


@TASKS.register
def emi(*, mse_weight: float = 1.0, pearson_weight: float = 0.0) -> Task:
    """Intensities of six emotions per video, ranked by the mean of their Pearson correlations."""
    return MimicryIntensity(mse_weight, pearson_weight)


@dataclass(frozen=True, eq=False)
class MimicryIntensity(Task):
    """Loss: ``mse_weight`` times the squared error plus ``pearson_weight`` times 1 - Pearson, mean over the emotions.

    Outputs pass through a sigmoid: intensities are 0 to 1. The correlation is taken over the sequences of a batch; of
    two sequences it is 1 or -1 and teaches nothing, and for a single one the loss is the squared error. Labels:
    ``train_split.csv`` and ``valid_split.csv``, one row per video; ``test_split.csv`` names the test videos.
    """

    mse_weight: float
    pearson_weight: float

    name = "emi"
    columns = tuple(EMOTIONS)
    out_dim = len(EMOTIONS)
    column_ranges = ((0.0, 1.0),) * out_dim
    resolution = "clip"
    header = EMI_HEADER
    folders = ()
    test_lists = ()
    listing_kind = "emi"

    def __post_init__(self) -> None:
        for key, value in self.settings().items():
            if not 0 <= value < float("inf"):
                raise InputError(f"emi: {key} is {value}, expected 0 or more")
        if not self.mse_weight + self.pearson_weight:
            raise InputError("emi: mse_weight and pearson_weight are both 0: nothing would be learned")

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        return dataset.listed_clips("emi", split)

    def wanted(self, split: str) -> str:
        return f"a file {'valid' if split == 'validation' else split}_split.csv that begins with Filename"

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        found = dataset.listing("emi", split)
        return read_mimicry(found.path) if found else {}

    def strata(self, labels: Labels) -> np.ndarray:
        """The index of the strongest emotion."""
        return np.where(labels.scored, labels.values.argmax(axis=1), -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        return self

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        raw, target, scored = one_step(raw, target, scored)
        if not bool(scored.any()):
            return raw.sum() * 0
        p, t = raw[scored].sigmoid(), target[scored].float()
        squared = (p - t).square().mean()
        if not self.pearson_weight or len(p) < 2:
            return squared * (self.mse_weight or 1.0)
        off_p, off_t = p - p.mean(0), t - t.mean(0)
        # the small number avoids 0 / 0 where an emotion is constant
        spread = (off_p.square().sum(0) * off_t.square().sum(0) + 1e-12).sqrt()
        return self.mse_weight * squared + self.pearson_weight * (1 - (off_p * off_t).sum(0) / spread).mean()

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        from scipy.special import expit

        return expit(raw).astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        from scipy.special import logit

        return logit(np.clip(table.astype(np.float64), MIN_PROBABILITY, 1 - MIN_PROBABILITY))

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        return self.pooled(table)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        prediction, truth = concatenated(by_clip)
        each = {f"Pearson_{name}": pearson(prediction[:, i], truth[:, i]) for i, name in enumerate(EMOTIONS)}
        return {"Pearson": float(np.mean(list(each.values()))), **each, "n": len(truth)}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        moments = Moments.of([concatenated(group) for group in groups])

        def scores(counts: np.ndarray) -> dict[str, np.ndarray]:
            found = moments.pooled(counts).correlation()
            by_emotion = {f"Pearson_{name}": found[:, i] for i, name in enumerate(EMOTIONS)}
            return {"Pearson": found.mean(axis=1), **by_emotion}

        return scores

    def row(self, prediction: np.ndarray) -> str:
        return values_row(prediction)

    def parse_row(self, text: str) -> np.ndarray:
        return parse_values(text, self.columns, np.array(self.column_ranges), exponents=False)

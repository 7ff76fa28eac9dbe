"""Valence and arousal: two values in [-1, 1] a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.annotations import Labels, read_valence_arousal
from abaw.clips import Dataset
from abaw.metrics import concordance
from abaw.tasks import TASKS
from abaw.tasks.base import Scored, Task, concatenated

if TYPE_CHECKING:
    from torch import Tensor

NUM_BINS = 4  # of valence, and of arousal: a stratum is one of their squares


@TASKS.register
def va(*, mse_weight: float = 0.0) -> Task:
    """Valence and arousal, ranked by the mean of their concordances (CCC)."""
    return ValenceArousal(mse_weight)


class ValenceArousal(Task):
    """Loss: mean of 1 - CCC of both over the scored steps of the batch, plus ``mse_weight`` times the squared error.

    A batch's CCC needs two scored steps; with fewer the squared error alone serves.
    """

    name = "va"
    columns = ("valence", "arousal")
    out_dim = 2
    resolution = "frame"
    header = "image_location,valence,arousal"
    folders = ("VA_Estimation_Challenge",)
    test_lists = ("Valence_Arousal_Estimation_Challenge", "VA_Estimation_Challenge")

    def __init__(self, mse_weight: float) -> None:
        if not 0 <= mse_weight < float("inf"):
            raise ValueError(f"va: mse_weight is {mse_weight}, expected 0 or more")
        self._mse_weight = mse_weight

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        files = dataset.annotation_files(self.folders, split)
        return {clip_id: read_valence_arousal(path) for clip_id, path in files.items()}

    def strata(self, labels: Labels) -> np.ndarray:
        bins = np.clip(((labels.values + 1) / 2 * NUM_BINS).astype(int), 0, NUM_BINS - 1)
        return np.where(labels.scored, bins[:, 0] * NUM_BINS + bins[:, 1], -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        return self

    def settings(self) -> dict[str, Any]:
        return {"mse_weight": self._mse_weight}

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        p, t = raw[scored].float(), target[scored].float()
        if not len(p):
            return raw.nan_to_num().sum() * 0  # a gradient for every parameter, so that a step without labels is legal
        squared = (p - t).square().mean()
        if len(p) < 2:
            return squared
        covariance = ((p - p.mean(0)) * (t - t.mean(0))).mean(0)
        spread = p.var(0, unbiased=False) + t.var(0, unbiased=False) + (p.mean(0) - t.mean(0)).square()
        # the small number keeps a batch finite in which prediction and label are the same constant
        return (1 - 2 * covariance / (spread + 1e-8)).mean() + self._mse_weight * squared

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        return raw.astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        return table.astype(np.float64)

    def decode(self, table: np.ndarray) -> np.ndarray:
        return np.clip(table, -1, 1)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {}

    def score(self, by_clip: Mapping[str, Scored]) -> dict[str, float]:
        prediction, truth = concatenated(by_clip)
        valence, arousal = (concordance(prediction[:, i], truth[:, i]) for i in (0, 1))
        return {"CCC": (valence + arousal) / 2, "CCC_valence": valence, "CCC_arousal": arousal, "n": len(truth)}

    def row(self, decoded: np.ndarray) -> str:
        return f"{decoded[0]:.6f},{decoded[1]:.6f}"

    def parse_row(self, text: str) -> np.ndarray:
        cells = text.split(",")
        if len(cells) != 2:
            raise ValueError(f"{text!r} has {len(cells)} value(s), expected valence,arousal")
        try:
            values = [float(cell.replace("_", "?")) for cell in cells]  # float() would take 0_1 for 1
        except ValueError:
            raise ValueError(f"{text!r} is not two numbers, expected valence,arousal") from None
        if not all(-1 <= value <= 1 for value in values):  # a template has a million rows: numpy is slow on two numbers
            raise ValueError(f"{text!r} is outside [-1, 1]")
        return np.array(values)

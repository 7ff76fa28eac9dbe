"""Valence and arousal: two values in [-1, 1] per frame."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from abaw.dataset.annotations import Labels, read_valence_arousal
from abaw.dataset.layout import Dataset
from abaw.dataset.names import VA_HEADER
from abaw.errors import InputError
from abaw.metrics import Moments, concordance
from abaw.numbers import NUMBER
from abaw.tasks import TASKS
from abaw.tasks.base import Block, PredictionPair, ResampledScores, Task, concatenated

if TYPE_CHECKING:
    from torch import Tensor

NUM_BINS = 4  # of valence, and of arousal: a stratum is a cell of this grid

CccOver = Literal["batch", "sequence"]


@TASKS.register
def va(*, ccc_over: CccOver = "batch", mse_weight: float = 0.0, mae_weight: float = 0.0) -> Task:
    """Valence and arousal, ranked by the mean of their concordances (CCC)."""
    return ValenceArousal(ccc_over, mse_weight, mae_weight)


@dataclass(frozen=True, eq=False)
class ValenceArousal(Task):
    """Loss: mean of 1 - CCC of both, plus ``mse_weight`` times the squared and ``mae_weight`` times the absolute error.

    ``ccc_over`` "batch": one CCC over all scored steps of the batch, as the score is taken over all frames. "sequence":
    the mean of the CCC of each window with at least 2 scored steps. Where there is no CCC, the loss is the squared
    error. "batch" depends on which windows are together: two batches of 16, as with ``accumulate_grad_batches: 2`` or
    two processes, have the mean of two CCCs, which is not that of one batch of 32. The mean over windows is the same.
    """

    ccc_over: CccOver
    mse_weight: float
    mae_weight: float

    name = "va"
    columns = linear_columns = ("valence", "arousal")
    out_dim = 2
    # The head is linear: raw values exceed [-1, 1], to 1.3 where training converged, and are clipped when they are
    # scored or submitted. Beyond 4 they are of another scale (1 to 9, percent, the -5 of label files), or diverged.
    column_ranges = ((-4.0, 4.0),) * out_dim
    resolution = "frame"
    header = VA_HEADER
    folders = ("VA_Estimation_Challenge",)
    test_lists = ("Valence_Arousal_Estimation_Challenge", "VA_Estimation_Challenge")

    def __post_init__(self) -> None:
        for key in ("mse_weight", "mae_weight"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise InputError(f"va: {key} is {getattr(self, key)}, expected 0 or more")

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        files = dataset.annotation_files(self.folders, split)
        return {clip_id: read_valence_arousal(path) for clip_id, path in files.items()}

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        return (("values", self.out_dim),)

    def strata(self, labels: Labels) -> np.ndarray:
        bins = np.clip(((labels.values + 1) / 2 * NUM_BINS).astype(int), 0, NUM_BINS - 1)
        return np.where(labels.scored, bins[:, 0] * NUM_BINS + bins[:, 1], -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        return self

    def settings(self) -> dict[str, Any]:
        return asdict(self)

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        return concordance_loss(raw, target, scored, self.ccc_over, self.mse_weight, self.mae_weight)

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        return raw.astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        return table.astype(np.float64)

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        return np.clip(table, -1, 1)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        prediction, truth = concatenated(by_clip)
        valence, arousal = (concordance(prediction[:, i], truth[:, i]) for i in (0, 1))
        return {"CCC": (valence + arousal) / 2, "CCC_valence": valence, "CCC_arousal": arousal, "n": len(truth)}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        moments = Moments.of([concatenated(group) for group in groups])

        def scores(counts: np.ndarray) -> dict[str, np.ndarray]:
            valence, arousal = moments.pooled(counts).concordance().T
            return {"CCC": (valence + arousal) / 2, "CCC_valence": valence, "CCC_arousal": arousal}

        return scores

    def row(self, prediction: np.ndarray) -> str:
        return f"{prediction[0]:.6f},{prediction[1]:.6f}"

    def rows(self, prediction: np.ndarray) -> list[str]:
        return (
            "%.6f,%.6f\n" * len(prediction) % tuple(prediction.ravel().tolist())
        ).splitlines()  # one format string is 3 times as fast

    def parse_row(self, text: str) -> np.ndarray:
        cells = text.split(",")
        if len(cells) != 2:
            raise InputError(f"{text!r} has {len(cells)} value(s), expected valence,arousal")
        if not all(map(NUMBER.fullmatch, cells)):
            raise InputError(f"{text!r} is not two numbers, expected valence,arousal")
        values = [float(cell) for cell in cells]
        if not all(-1 <= value <= 1 for value in values):  # a million times: numpy is slow on two numbers
            raise InputError(f"{text!r} is outside [-1, 1]")
        return np.array(values)


def concordance_loss(
    raw: Tensor, target: Tensor, scored: Tensor, over: CccOver, mse_weight: float, mae_weight: float
) -> Tensor:
    """Mean of 1 - CCC of raw (batch time goal) and target, and the weighted errors; see ``ValenceArousal``."""
    p, t = raw[scored].float(), target[scored].float()
    if not len(p):
        return p.sum()  # 0 with a gradient for every parameter: a batch without labels is allowed
    squared = (p - t).square().mean()
    pieces = (raw.float(), target.float(), scored)
    if over == "batch":
        pieces = (p[None], t[None], scored[scored][None])
    enough = pieces[2].sum(1) >= 2
    if not bool(enough.any()):
        return squared
    loss = (1 - _concordances(*(piece[enough] for piece in pieces))).mean()
    return loss + mse_weight * squared + mae_weight * (p - t).abs().mean()


def _concordances(p: Tensor, t: Tensor, scored: Tensor) -> Tensor:
    """CCC (batch goal) of outputs and truths (batch time goal) over the scored steps of each row, which has some."""
    keep = scored[..., None]
    num = keep.sum(1)
    # masked_fill, not a product: 0 * nan is nan, and so would be its gradient
    p, t = p.masked_fill(~keep, 0), t.masked_fill(~keep, 0)
    mean_p, mean_t = p.sum(1) / num, t.sum(1) / num
    off_p, off_t = (p - mean_p[:, None]) * keep, (t - mean_t[:, None]) * keep
    spread = (off_p.square().sum(1) + off_t.square().sum(1)) / num + (mean_p - mean_t).square()
    # the small number avoids 0 / 0 where prediction and label are the same constant
    return 2 * (off_p * off_t).sum(1) / num / (spread + 1e-8)

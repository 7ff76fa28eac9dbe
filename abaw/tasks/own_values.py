"""Values of any labelled data set, such as arousal from 1 to 9: names and range come from its data set file."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.manifests.labels import read_manifest_labels
from abaw.errors import InputError
from abaw.metrics import Moments
from abaw.tasks import TASKS
from abaw.tasks.base import Block, PredictionPair, ResampledScores, Task, concatenated
from abaw.tasks.clip_level import one_step
from abaw.tasks.own_classes import Level, TaskOfDataset, check_level, check_names
from abaw.tasks.ranges import deviation_name, parse_values, range_words, spread_name, values_row
from abaw.tasks.va import NUM_BINS, CccOver, concordance_loss

MOSTLY = 0.5  # share of predictions at a limit from which a score is remarked on

if TYPE_CHECKING:
    from torch import Tensor

Range = tuple[float, float]
MARGIN = 4.0  # half ranges around the middle: raw values beyond them are of another scale, or training diverged
TAKEN = (  # columns of tables, and of those of an analysis
    *("frame", "time_s", "observed", "clip", "clip_id", "video", "video_id", "class", "person", "other_persons"),
    *("face_seen", "voice_heard", "face_x_px", "face_y_px", "face_width_px", "face_height_px"),
)
MAX_BINNED = 3  # values that strata distinguish


@TASKS.register
def values(
    *,
    value_names: Sequence[str] = (),
    ranges: Sequence[Sequence[float]] = (),
    level: Level | None = None,
    ccc_over: CccOver = "batch",
    mse_weight: float = 0.0,
    mae_weight: float = 0.0,
) -> Task:
    """The values of a data set with a manifest, per clip or per frame, ranked by the mean of their concordances."""
    return OwnValues(tuple(value_names), tuple(map(_pair, ranges)), level, ccc_over, mse_weight, mae_weight)


@dataclass(frozen=True, eq=False)
class OwnValues(TaskOfDataset):
    """``value_names``, ``ranges`` (lowest and highest of each) and ``level`` are those of the data set
    (``for_dataset``); before that there is no column.

    The head's raw outputs are -1 to 1 where a table holds the lowest to the highest value. Loss: mean of 1 - CCC, plus
    ``mse_weight`` times the squared and ``mae_weight`` times the absolute error, on that scale. ``ccc_over`` as for
    ``va``; a clip-level task has one CCC over the clips of a batch; for a single clip the loss is the squared error.
    """

    value_names: tuple[str, ...]
    ranges: tuple[Range, ...]
    level: Level | None
    ccc_over: CccOver
    mse_weight: float
    mae_weight: float

    name = "values"

    def __post_init__(self) -> None:
        check_names("values: value_names", self.value_names)
        for key in ("mse_weight", "mae_weight"):
            if not 0 <= getattr(self, key) < float("inf"):
                raise InputError(f"values: {key} is {getattr(self, key)}, expected 0 or more")
        if taken := set(TAKEN) & set(self.value_names):
            raise InputError(f"values: {min(taken)!r} is a column of every table: rename the column of the labels")
        more = {make(name) for name in self.value_names for make in (deviation_name, spread_name)}
        if taken := more & set(self.value_names):
            raise InputError(f"values: {min(taken)!r} is the column of a standard deviation: rename that of the labels")
        if len(self.ranges) not in (0, self.out_dim):
            raise InputError(f"values: ranges has {len(self.ranges)} entries, expected {self.out_dim}")
        if self.level == "clip" and self.ccc_over == "sequence":
            raise InputError("values: ccc_over is 'sequence', but a clip has a single label: set it to batch")

    @property
    def columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.value_names

    @property
    def linear_columns(self) -> tuple[str, ...]:  # type: ignore[override]
        return self.value_names

    @property
    def out_dim(self) -> int:  # type: ignore[override]
        return len(self.value_names)

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        return (("values", self.out_dim),)

    @property
    def column_ranges(self) -> tuple[tuple[float, float], ...]:  # type: ignore[override]
        """As wide as the head, which is linear, can plausibly reach."""
        middle, half = self._scale()
        return tuple(zip((middle - MARGIN * half).tolist(), (middle + MARGIN * half).tolist(), strict=True))

    def for_dataset(self, dataset: Dataset) -> Task:
        found = dataset.manifest.values if dataset.manifest else None
        if dataset.manifest is None or found is None:
            return self
        file = dataset.manifest.file
        names = self.value_names or found.columns
        lacking = [name for name in names if name not in found.columns]
        if lacking:
            raise InputError(f"{file} has the values {', '.join(found.columns)}, but no {lacking[0]!r}: name it there")
        there = dict(zip(found.columns, map(_pair, found.ranges), strict=True))
        ranges = tuple(there[name] for name in names)
        for name, own, other in zip(names, self.ranges or ranges, ranges, strict=True):
            if own != other:
                raise InputError(
                    f"{file}: {name!r} is {range_words(other)}, but the task's is {range_words(own)}: rescale one"
                )
        check_level("values", self.level, found.level, file)
        return replace(self, value_names=names, ranges=ranges, level=found.level)

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        declared = dataset.manifest.values if dataset.manifest else None
        if dataset.manifest is None or declared is None:
            return {}
        columns = [declared.columns.index(name) for name in self.value_names]
        labels = read_manifest_labels(dataset.manifest, "values", split)
        return {clip_id: replace(each, values=each.values[:, columns]) for clip_id, each in labels.items()}

    def strata(self, labels: Labels) -> np.ndarray:
        """The cell of a grid over the first values: four bins of each of one or two, two bins of each of three."""
        num = min(MAX_BINNED, self.out_dim)
        size = NUM_BINS if num < MAX_BINNED else 2
        middle, half = self._scale()
        standardised = (labels.values[:, :num] - middle[:num]) / half[:num]
        bins = np.clip(np.floor((standardised + 1) * size / 2), 0, size - 1).astype(int)
        return np.where(labels.scored, bins @ size ** np.arange(num), -1)

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        return self

    def settings(self) -> dict[str, Any]:
        names, ranges = list(self.value_names), [list(pair) for pair in self.ranges]
        return {**asdict(self), "value_names": names, "ranges": ranges}

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        middle, half = self._scale()
        if self.resolution == "clip":
            raw, target, scored = one_step(raw, target, scored)
            raw, target, scored = raw.transpose(0, 1), target.transpose(0, 1), scored.transpose(0, 1)
        goal = (target.float() - target.new_tensor(middle)) / target.new_tensor(half)
        return concordance_loss(raw, goal, scored, self.ccc_over, self.mse_weight, self.mae_weight)

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        middle, half = self._scale()
        return (middle + half * raw).astype(np.float32)

    def logits(self, table: np.ndarray) -> np.ndarray:
        middle, half = self._scale()
        return (table.astype(np.float64) - middle) / half

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        rows = table if self.resolution == "frame" else self.pooled(table)
        return np.clip(rows, *self.limits().astype(np.float32).T)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        return {}

    def remarks(self, by_clip: Mapping[str, PredictionPair]) -> tuple[str, ...]:
        """The values whose predictions are mostly at a limit of the range where their labels are not: CCC suffers."""
        rows = np.concatenate([each.prediction[each.labels.scored] for each in by_clip.values()])
        labels = np.concatenate([each.labels.values[each.labels.scored] for each in by_clip.values()])
        low, high = self.limits().astype(np.float32).T
        left = ((rows <= low) | (rows >= high)) & (rows != labels)
        shares = left.sum(axis=0) / max(1, len(rows))
        return tuple(
            f"{share:.0%} of the predictions of {name} left its range, {range_words((low, high))}: they count as "
            "its limit"
            for name, share, (low, high) in zip(self.value_names, shares, self.limits().tolist(), strict=True)
            if share >= MOSTLY
        )

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        found = self.resampled_scores([by_clip])(np.ones((1, 1), int))
        num = sum(int(each.labels.scored.sum()) for each in by_clip.values())
        return {**{name: float(values[0]) for name, values in found.items()}, "n": num}

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        pairs = [concatenated(group) for group in groups]
        moments = Moments.of(pairs)
        squared = np.stack([np.square(p.astype(np.float64) - t).sum(axis=0) for p, t in pairs])
        num = np.array([len(truth) for _, truth in pairs])

        def scores(counts: np.ndarray) -> dict[str, np.ndarray]:
            pooled = moments.pooled(counts)
            found = {
                "CCC": pooled.concordance(),
                "RMSE": np.sqrt(counts @ squared / np.maximum(counts @ num, 1)[:, None]),
                "Pearson": pooled.correlation(),
            }
            means = {name: each.mean(axis=1) for name, each in found.items()}
            names = list(enumerate(self.value_names))
            return {**means, **{f"{score}_{name}": of[:, i] for score, of in found.items() for i, name in names}}

        return scores

    def row(self, prediction: np.ndarray) -> str:
        return values_row(prediction)

    def parse_row(self, text: str) -> np.ndarray:
        return parse_values(text, self.value_names, self.limits())

    def limits(self) -> np.ndarray:
        """The lowest and the highest of each value (goal 2)."""
        return np.array(self.ranges or ((-1.0, 1.0),) * self.out_dim).reshape(-1, 2)

    def _scale(self) -> tuple[np.ndarray, np.ndarray]:
        """The middle and half of each range."""
        low, high = self.limits().T
        return (low + high) / 2, (high - low) / 2


def _pair(given: Sequence[float]) -> Range:
    """A range as two numbers. Raises InputError where it is none."""
    if len(given) != 2 or not all(map(math.isfinite, given)) or not given[0] < given[1]:
        raise InputError(f"values: the range {list(given)} is not a lowest and a higher number")
    return float(given[0]), float(given[1])

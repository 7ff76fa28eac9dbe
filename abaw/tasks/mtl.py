"""Multi-task learning: valence and arousal, expression and action units of an image, any of which may be unlabelled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.names import MTL_HEADER
from abaw.dataset.split_files import read_multitask
from abaw.errors import InputError
from abaw.registry import nearest
from abaw.tasks import TASKS
from abaw.tasks.base import Block, PredictionPair, ResampledScores, Task, concatenated
from abaw.tasks.ranges import column_ranges

if TYPE_CHECKING:
    from torch import Tensor

PARTS = ("va", "expr", "au")
STRATUM_ORDER = ("expr", "va", "au")  # the first of these that has a label gives a frame its stratum


@TASKS.register
def mtl(
    *,
    va: Mapping[str, Any] | None = None,
    expr: Mapping[str, Any] | None = None,
    au: Mapping[str, Any] | None = None,
    weights: Mapping[str, float] | None = None,
    average_repeats: bool = False,
) -> Task:
    """Valence-arousal, expression and action units together, ranked by the sum of their three scores."""
    settings = {"va": va, "expr": expr, "au": au}
    return MultiTask(
        {name: TASKS.build(name, **(settings[name] or {})) for name in PARTS}, weights or {}, average_repeats
    )


class MultiTask(Task):
    """The three parts side by side: their columns, raw outputs and labels are concatenated.

    A part without a label is NaN in a row of labels; a frame is scored where any part has a label. Loss and score of a
    part use only the frames with its label. The loss is the sum of the parts' by ``weights`` (default 1), the ``score``
    the sum of mean CCC, macro-F1 and mean F1 of the units (11th edition); a part without any label adds nothing.
    ``average_repeats``: what becomes of repeated rows of an image that contradict, see ``read_multitask``.
    """

    name = "mtl"
    resolution = "frame"
    header = MTL_HEADER
    folders = ()
    test_lists = ("MTL_Challenge", "Multi_Task_Learning_Challenge")
    listing_kind = "mtl"

    def __init__(self, parts: Mapping[str, Task], weights: Mapping[str, float], average_repeats: bool = False) -> None:
        for key, weight in weights.items():
            if key not in PARTS:
                raise InputError(f"mtl: no part {key!r}{nearest(key, PARTS)} weights are for {', '.join(PARTS)}")
            if not 0 <= weight < float("inf"):
                raise InputError(f"mtl: the weight of {key} is {weight}, expected 0 or more")
        self._average_repeats = average_repeats
        self._parts, self._weights = dict(parts), {name: float(weights.get(name, 1.0)) for name in PARTS}
        if not any(self._weights.values()):
            raise InputError("mtl: all weights are 0: nothing would be learned")
        self.columns = tuple(column for part in parts.values() for column in part.columns)
        self.linear_columns = tuple(column for part in parts.values() for column in part.linear_columns)
        self.column_ranges = tuple(each for part in parts.values() for each in column_ranges(part))
        self.out_dim = sum(part.out_dim for part in parts.values())
        self._outs = _slices({name: part.out_dim for name, part in parts.items()})
        self._cells = _slices({name: len(part.columns) for name, part in parts.items()})
        self._goals = _slices({name: len(part.goals) for name, part in parts.items()})
        self.max_score = sum(part.max_score for part in parts.values())
        self.r_drop_weight = max(part.r_drop_weight for part in parts.values())

    @property
    def goals(self) -> tuple[str, ...]:
        return tuple(goal for part in self._parts.values() for goal in part.goals)

    @property
    def blocks(self) -> tuple[tuple[Block, int], ...]:
        return tuple(block for part in self._parts.values() for block in part.blocks)

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        return dataset.listed_clips("mtl", split)

    def wanted(self, split: str) -> str:
        if split == "test":
            return "a list MTL_Challenge_test_set_release.txt"
        return f"a file {'training' if split == 'train' else split}_set_annotations.txt"

    def read_labels(self, dataset: Dataset, split: str) -> dict[str, Labels]:
        found = dataset.listing("mtl", split)
        return read_multitask(found.path, average_repeats=self._average_repeats) if found else {}

    def strata(self, labels: Labels) -> np.ndarray:
        """The stratum of the expression; without its label that of valence and arousal, or else of the units."""
        strata = np.full(len(labels), -1)
        for place, name in enumerate(STRATUM_ORDER):
            own = self._parts[name].strata(self._of(labels, name))
            strata = np.where((strata < 0) & (own >= 0), own * len(PARTS) + place, strata)
        return strata

    def fitted(self, labels: Mapping[str, Labels]) -> Task:
        of_part = {name: {clip: self._of(each, name) for clip, each in labels.items()} for name in PARTS}
        fitted = {name: part.fitted(of_part[name]) for name, part in self._parts.items()}
        return MultiTask(fitted, self._weights, self._average_repeats)

    def settings(self) -> dict[str, Any]:
        parts = {name: part.settings() for name, part in self._parts.items()}
        return {**parts, "weights": dict(self._weights), "average_repeats": self._average_repeats}

    def loss(self, raw: Tensor, target: Tensor, scored: Tensor) -> Tensor:
        losses = []
        for name, part in self._parts.items():
            own = target[..., self._goals[name]]
            lacks = own.isnan()
            # pseudo-labels may have some of the units
            there = scored & ~(lacks.all(-1) if name == "au" else lacks.any(-1))
            losses.append(self._weights[name] * part.loss(raw[..., self._outs[name]], own, there))
        return sum(losses[1:], start=losses[0])

    def disagreement(self, raw: Tensor, other: Tensor, scored: Tensor) -> Tensor:
        """The sum of that of expression and units by ``weights``, over all scored frames, as it needs no labels.

        ``r_drop_weight`` is the larger one of the parts; the other part is scaled down accordingly.
        """
        parts = []
        for name in ("expr", "au"):
            part, own = self._parts[name], self._outs[name]
            share = part.r_drop_weight / self.r_drop_weight if self.r_drop_weight else 1.0
            parts.append(self._weights[name] * share * part.disagreement(raw[..., own], other[..., own], scored))
        return parts[0] + parts[1]

    def probabilities(self, raw: np.ndarray) -> np.ndarray:
        return self._joined("probabilities", raw, self._outs)

    def logits(self, table: np.ndarray) -> np.ndarray:
        return self._joined("logits", table, self._cells)

    def to_labels(self, table: np.ndarray) -> np.ndarray:
        return self._joined("to_labels", table, self._cells)

    def names(self, table: np.ndarray) -> dict[str, list[str]]:
        parts = [part.names(table[:, self._cells[name]]) for name, part in self._parts.items()]
        return {goal: words for part in parts for goal, words in part.items()}

    def score(self, by_clip: Mapping[str, PredictionPair]) -> dict[str, float]:
        num = len(concatenated(by_clip)[1])
        total = 0.0
        metrics: dict[str, float] = {}
        for name, part in self._parts.items():
            own = self._of_part(by_clip, name)
            if _any_scored(own):
                found = part.score(own)
                total += next(iter(found.values()))
                metrics |= {f"{name}/{key}": value for key, value in found.items()}
            else:
                metrics[f"{name}/n"] = 0
        return {"score": total, **metrics, "n": num}

    def score_range(self, name: str) -> tuple[float, float]:
        """That of the sum: from the lowest of its parts, -1 of a CCC, to ``max_score``."""
        return (-1.0, self.max_score) if name == "score" else super().score_range(name)

    def resampled_scores(self, groups: Sequence[Mapping[str, PredictionPair]]) -> ResampledScores:
        scorers: dict[str, tuple[list[int], ResampledScores]] = {}
        for name, part in self._parts.items():
            own = [self._of_part(group, name) for group in groups]
            there = [i for i, group in enumerate(own) if _any_scored(group)]
            if there:
                scorers[name] = there, part.resampled_scores([own[i] for i in there])

        def scores(counts: np.ndarray) -> dict[str, np.ndarray]:
            total = np.zeros(len(counts))
            named: dict[str, np.ndarray] = {}
            for name, (there, of_part) in scorers.items():
                if counts[:, there].any():
                    found = of_part(counts[:, there])
                    total = total + next(iter(found.values()))
                    named |= {f"{name}/{key}": values for key, values in found.items()}
            return {"score": total, **named}

        return scores

    def rows(self, prediction: np.ndarray) -> list[str]:
        parts = [part.rows(prediction[:, self._goals[name]]) for name, part in self._parts.items()]
        return [",".join(texts) for texts in zip(*parts, strict=True)]

    def row(self, prediction: np.ndarray) -> str:
        return ",".join(part.row(prediction[self._goals[name]]) for name, part in self._parts.items())

    def parse_row(self, text: str) -> np.ndarray:
        cells = text.split(",")
        num = len(self.goals)
        if len(cells) != num:
            raise InputError(
                f"{text!r} has {len(cells)} value(s), expected {num} (valence,arousal,expression,12 units)"
            )
        try:
            return np.concatenate(
                [part.parse_row(",".join(cells[self._goals[name]])) for name, part in self._parts.items()]
            )
        except ValueError as error:
            raise InputError(f"{text!r}: {error}") from error

    def _joined(self, what: str, values: np.ndarray, own: Mapping[str, slice]) -> np.ndarray:
        return np.concatenate([getattr(part, what)(values[:, own[name]]) for name, part in self._parts.items()], axis=1)

    def _of_part(self, by_clip: Mapping[str, PredictionPair], name: str) -> dict[str, PredictionPair]:
        """One part's predictions and labels."""
        return {
            clip_id: PredictionPair(each.prediction[:, self._goals[name]], self._of(each.labels, name))
            for clip_id, each in by_clip.items()
        }

    def _of(self, labels: Labels, name: str) -> Labels:
        """One part's labels."""
        values = labels.values[:, self._goals[name]]
        there = labels.scored & ~np.isnan(values).any(axis=1)
        return Labels(np.where(there[:, None], values, 0), there)


def _any_scored(by_clip: Mapping[str, PredictionPair]) -> bool:
    return any(each.labels.scored.any() for each in by_clip.values())


def _slices(widths: Mapping[str, int]) -> dict[str, slice]:
    """The place of each part when all are concatenated."""
    stops = np.cumsum(list(widths.values())).tolist()
    return {name: slice(stop - widths[name], stop) for name, stop in zip(widths, stops, strict=True)}

"""How strong the members of an ensemble are, and how alike: their scores, and how their outputs and errors correlate.

A mean of members scores higher than they do by as much as their errors differ (Krogh and Vedelsby 1995; Ueda and Nakano
1996, https://doi.org/10.1109/ICNN.1996.548872): a strong member whose errors correlate with those of another adds
little. An error is the table minus the truth, which is 0 or 1 in columns of probabilities.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from abaw.calibration.gains import Gain
from abaw.dataset.annotations import Labels
from abaw.ensembling.selection import Members, combined
from abaw.ensembling.weights import mean
from abaw.evaluation.intervals import Interval, group_by_video, intervals, unit_drawn
from abaw.evaluation.wording import with_interval
from abaw.numbers import format_count
from abaw.results.predictions import Table
from abaw.results.selection import to_ending
from abaw.tasks.base import Task

MAX_PAIRS = 10  # printed; --json has all
CONSTANT = 1e-10  # of the mean: a column whose values differ by less is constant but for rounding


@dataclass(frozen=True)
class MemberStrength:
    """The ranking score of one member's raw tables on the clips with labels, with its 95 % interval.

    None where there are no labels; no interval for a single video. ``selection`` says where the epoch of one of its
    runs was chosen on these clips. ``gain_without``: how much higher the ensemble scores without this member alone;
    None unless useless members are to be dropped. ``is_dropped``: whether it was dropped.
    """

    member: str
    score: float | None = None
    interval: Interval | None = None
    selection: str = ""
    gain_without: Gain | None = None
    is_dropped: bool = False


@dataclass(frozen=True)
class Correlation:
    """Pearson's correlation of the outputs of two members over all rows, and of their errors over rows with labels.

    Both are the mean over the columns of the tables: values, or probabilities of classes or units. A clip-level task
    has a row for each clip. None where no column varies, and for errors without labels.
    """

    first: str
    second: str
    outputs: float | None
    errors: float | None


@dataclass(frozen=True)
class Strength:
    """The members' scores by ``metric`` (None: not scored) on ``num_videos`` videos or groups (``unit``), and how alike
    every two of them are. ``remarks``: why they are not scored, or what makes these scores doubtful."""

    members: tuple[MemberStrength, ...]
    correlations: tuple[Correlation, ...]
    metric: str | None = None
    num_videos: int = 0
    unit: str = "video"
    remarks: tuple[str, ...] = ()

    def lines(self) -> Iterator[str]:
        """A line for each member and each pair; of more than ten pairs the ten most alike."""
        for each in self.members:
            if self.metric is not None and each.score is not None:
                of = format_count(self.num_videos, self.unit)
                found = None if each.interval is None else {self.metric: each.interval}
                score = with_interval(self.metric, {self.metric: each.score}, found, of)
                yield f"{each.member} {self.metric} {score}{to_ending(each.selection)}"
        pairs = sorted(self.correlations, key=_likeness, reverse=True)
        if len(pairs) > MAX_PAIRS:
            yield f"{MAX_PAIRS} of {len(pairs)} pairs of members, the most alike (--json prints all):"
        for pair in pairs[:MAX_PAIRS]:
            errors = "" if self.metric is None else f", of errors {_number(pair.errors)}"
            yield f"correlation of outputs {_number(pair.outputs)}{errors}: {pair.first} and {pair.second}"
        yield from self.remarks

    def document(self) -> dict[str, Any]:
        """As predictions.json records it."""
        return {
            "metric": self.metric,
            "num_videos": self.num_videos,
            "unit": self.unit,
            "members": [_member_document(each) for each in self.members],
            "correlations": [vars(each) for each in self.correlations],
            "remarks": list(self.remarks),
        }


class Comoments:
    """How several members' values vary together, column by column, over rows that are added clip by clip.

    Means and products of deviations are merged (Chan, Golub and LeVeque 1983), so that a narrow distribution far from 0
    keeps its digits.
    """

    def __init__(self) -> None:
        self._columns: dict[int, tuple[int, np.ndarray, np.ndarray]] = {}  # number of rows, means, products

    def add(self, values: np.ndarray) -> None:
        """Add rows (members rows columns). NaN is a row to leave out of a column, in all members."""
        for column in range(values.shape[2]):
            found = values[:, :, column].astype(np.float64)
            found = found[:, ~np.isnan(found).any(axis=0)]
            if num := found.shape[1]:
                means = found.mean(axis=1)
                apart = found - means[:, None]
                self._merge(column, num, means, apart @ apart.T)

    def correlations(self) -> list[float | None]:
        """Of every two members, in the order of ``combinations``: the mean over the columns in which both vary."""
        num = max((len(means) for _, means, _ in self._columns.values()), default=0)
        return [self._correlation(*pair) for pair in combinations(range(num), 2)]

    def _merge(self, column: int, num: int, means: np.ndarray, products: np.ndarray) -> None:
        before, old, sums = self._columns.get(column, (0, np.zeros_like(means), np.zeros_like(products)))
        apart = means - old
        total = before + num
        sums = sums + products + np.outer(apart, apart) * (before * num / total)
        self._columns[column] = total, old + apart * (num / total), sums

    def _correlation(self, first: int, second: int) -> float | None:
        found = []
        for num, means, products in self._columns.values():
            squares = [products[i, i] for i in (first, second)]
            if all(squares[k] > num * (CONSTANT * means[i]) ** 2 for k, i in enumerate((first, second))):
                found.append(products[first, second] / np.sqrt(squares[0] * squares[1]))
        return float(np.mean(found)) if found else None


def add_outputs(found: Comoments, task: Task, tables: Sequence[Table]) -> None:
    """Add the outputs of all members for one clip."""
    found.add(np.stack([_rows(task, table.values) for table in tables]))


def measure(
    task: Task,
    wheres: Sequence[Path],
    outputs: Comoments,
    labelled: Members | None,
    words: Sequence[str] = (),
    remarks: Sequence[str] = (),
) -> Strength:
    """The strength of members from the correlations of their outputs and, where there are some, their labelled clips.

    ``words``: for each member where its epoch was chosen on these clips. ``remarks`` are passed on.
    """
    names, alike = [str(where) for where in wheres], outputs.correlations()
    pairs = list(combinations(names, 2))
    if labelled is None:
        members = tuple(map(MemberStrength, names))
        found = (Correlation(*pair, each, None) for pair, each in zip(pairs, alike, strict=True))
        return Strength(members, tuple(found), remarks=tuple(remarks))
    errors, strengths = _errors(task, labelled), []
    for name, member, chosen in zip(names, labelled, words, strict=True):
        predicted = combined(task, [member], mean(1))
        metric, score = next(iter(task.score(predicted).items()))
        strengths.append(MemberStrength(name, score, (intervals(task, predicted) or {}).get(metric), chosen))
    apart = errors.correlations() or [None] * len(pairs)
    correlations = (Correlation(*pair, *both) for pair, both in zip(pairs, zip(alike, apart, strict=True), strict=True))
    num, unit = len(group_by_video(predicted)), unit_drawn(predicted)
    return Strength(tuple(strengths), tuple(correlations), metric, num, unit, tuple(remarks))


def _errors(task: Task, members: Members) -> Comoments:
    """The members' tables minus the truth, on the rows with labels."""
    found = Comoments()
    for clip_id, first in members[0].items():
        rows = np.flatnonzero(first.labels.scored)
        truth = _truth(task, first.labels, first.values.shape[1])
        if truth is not None:
            tables = [_rows(task, each[clip_id].values)[rows] for each in members]
            found.add(np.stack(tables) - truth[rows])
    return found


def _rows(task: Task, values: np.ndarray) -> np.ndarray:
    return values if task.resolution == "frame" else task.pooled(values)


def _truth(task: Task, labels: Labels, num_columns: int) -> np.ndarray | None:
    """The labels as the table of perfect predictions, NaN where a part has no label.

    None for a task without blocks whose labels have other columns than its tables.
    """
    values = labels.values.astype(np.float64)
    if not task.blocks:
        return values if values.shape[1] == num_columns else None
    columns, goal = [], 0
    for kind, width in task.blocks:
        if kind == "classes":
            number = values[:, goal : goal + 1]
            columns.append(np.where(np.isnan(number), np.nan, number == np.arange(width)))
            goal += 1
        else:
            columns.append(values[:, goal : goal + width])
            goal += width
    return np.concatenate(columns, axis=1)


def _likeness(pair: Correlation) -> float:
    return next((each for each in (pair.errors, pair.outputs) if each is not None), -2.0)


def _number(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.3f}"


def _member_document(member: MemberStrength) -> dict[str, Any]:
    gain = member.gain_without
    error = None if gain is None or not np.isfinite(gain.error) else gain.error  # JSON has no infinity
    return {**vars(member), "gain_without": gain and {"value": gain.value, "error": error}}

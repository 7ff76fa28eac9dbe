"""What a task's split holds: clips, rows, and statistics of its labels."""

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.numbers import format_count
from abaw.tasks.base import Task

MAX_LINE_LENGTH = 160
NUMPY_FUNCTIONS = {"mean": "mean", "sd": "std", "min": "min", "max": "max"}


@dataclass(frozen=True)
class SplitFacts:
    """One split of one task. Rows and ``statistics`` are None for a test list, which has no labels.

    ``statistics``, over scored rows: the number of rows of every class, the share of rows in which a unit is active, or
    mean, sd, min and max of a value. ``num_groups``: speakers, sessions or subjects; None where that is not known.
    """

    task: str
    split: str
    num_clips: int
    num_rows: int | None = None
    num_scored: int | None = None
    statistics: dict[str, Any] | None = None
    num_groups: int | None = None

    def lines(self) -> Iterator[str]:
        """The split on one line, and on more where its statistics do not fit on one."""
        line = f"  {self.task:<5} {self.split:<10} {self.num_clips:>4} clips"
        line += "" if self.num_groups is None else f" of {format_count(self.num_groups, 'group')}"
        if self.num_rows is None:
            yield line
            return
        line += f" {self.num_rows:>8} rows {self.num_scored:>8} scored"
        cells = [f"{name} {_text(value)}".replace(" ", "\0") for name, value in (self.statistics or {}).items()]
        first, *others = textwrap.wrap(", ".join(cells), MAX_LINE_LENGTH - len(line)) or [""]  # not within a cell
        yield f"{line}  {first}".replace("\0", " ")
        yield from (" " * (len(line) + 2) + other.replace("\0", " ") for other in others)


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return f"{value['mean']:+.2f} ± {value['sd']:.2f}"
    return str(value) if isinstance(value, int) else f"{value:.3f}"


def split_facts(task: Task, split: str, num_clips: int, labels: list[Labels]) -> SplitFacts:
    """The facts of a split of ``num_clips`` clips, of which these labels could be read."""
    scored = [each.values[each.scored] for each in labels]
    values = np.concatenate(scored) if scored else np.zeros((0, 1))
    statistics = _statistics(task, values) if len(values) else {}
    return SplitFacts(task.name, split, num_clips, sum(map(len, labels)), len(values), statistics)


def _statistics(task: Task, values: np.ndarray) -> dict[str, Any]:
    """Statistics of the scored rows (row, goal), each goal over the rows that have it."""
    # row i of the identity is a prediction of class i: the names of its rows are those of all classes, in order; row by
    # row, for to a clip-level task a table is one clip
    rows = [task.names(row[None]) for row in np.eye(len(task.columns), dtype=np.float32)]
    names = {goal: [each[goal][0] for each in rows] for goal in rows[0]}
    statistics: dict[str, Any] = {}
    for goal, column in zip(task.goals, values.T, strict=False):
        labelled = column[~np.isnan(column)]
        if goal in names:
            classes = list(dict.fromkeys(names[goal]))
            counts = np.bincount(labelled.astype(int), minlength=len(classes))
            statistics |= dict(zip(classes, counts.tolist(), strict=True))
        elif f"p_{goal}" in task.columns:
            statistics[goal] = float(labelled.mean()) if len(labelled) else 0.0
        elif len(labelled):
            statistics[goal] = {key: float(getattr(np, name)(labelled)) for key, name in NUMPY_FUNCTIONS.items()}
    return statistics

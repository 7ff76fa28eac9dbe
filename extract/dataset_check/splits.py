"""What a task's split holds: clips, rows, and what its labels are."""

import textwrap
from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.tasks.base import Task

WIDTH = 160  # of a line
MOMENTS = {"mean": "mean", "sd": "std", "min": "min", "max": "max"}


@dataclass(frozen=True)
class SplitFacts:
    """One split of one task. Rows and ``statistics`` (of scored rows) are None for a test list, which has no labels.

    ``statistics``: of each goal the rows of every class, the share of active rows, or moments and range.
    """

    task: str
    split: str
    num_clips: int
    num_rows: int | None = None
    num_scored: int | None = None
    statistics: dict[str, Any] | None = None


def split_line(split: SplitFacts) -> str:
    """For a terminal; statistics go on below where they are long."""
    line = f"  {split.task:<5} {split.split:<10} {split.num_clips:>4} clips"
    if split.num_rows is None:
        return line
    line += f" {split.num_rows:>8} rows {split.num_scored:>8} scored"
    cells = []
    for name, value in (split.statistics or {}).items():
        words = f"{value['mean']:+.2f} ± {value['sd']:.2f}" if isinstance(value, dict) else f"{value:.3f}"
        if isinstance(value, int):
            words = str(value)
        cells.append(f"{name} {words}".replace(" ", "\0"))  # not to be broken within
    first, *others = textwrap.wrap(", ".join(cells), WIDTH - len(line)) or [""]
    lines = [f"{line}  {first}", *(" " * (len(line) + 2) + more for more in others)]
    return "\n".join(lines).replace("\0", " ")


def split_facts(task: Task, split: str, num_clips: int, labels: list[Labels]) -> SplitFacts:
    """Of the labels that could be read."""
    scored = [each.values[each.scored] for each in labels]
    values = np.concatenate(scored) if scored else np.zeros((0, 1))
    statistics = _statistics(task, values) if len(values) else {}
    return SplitFacts(task.name, split, num_clips, sum(map(len, labels)), len(values), statistics)


def _statistics(task: Task, values: np.ndarray) -> dict[str, Any]:
    """By goal, over the rows that have it: rows of every class by its name, share of active rows, or moments."""
    # of a table in which every column in turn is the only one, the words are all names, class 0 first
    names = task.names(np.eye(len(task.columns), dtype=np.float32))
    statistics: dict[str, Any] = {}
    for goal, column in zip(task.goals, values.T, strict=False):
        there = column[~np.isnan(column)]
        if goal in names:
            classes = list(dict.fromkeys(names[goal]))
            counts = np.bincount(there.astype(int), minlength=len(classes))
            statistics |= dict(zip(classes, counts.tolist(), strict=True))
        elif f"p_{goal}" in task.columns:
            statistics[goal] = float(there.mean()) if len(there) else 0.0
        elif len(there):
            statistics[goal] = {key: float(getattr(np, of)(there)) for key, of in MOMENTS.items()}
    return statistics

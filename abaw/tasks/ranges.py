"""Which values the columns of a prediction table can have."""

import math
from itertools import accumulate

from abaw.tasks.base import Task


def column_ranges(task: Task) -> tuple[tuple[float, float], ...]:
    """The lowest and the highest plausible value of each column: the task's own ranges, else those of its ``blocks``.

    Probabilities are 0 to 1; other values have no limits.
    """
    if task.column_ranges is not None:
        return task.column_ranges
    free = (-math.inf, math.inf)
    found = [free if kind == "values" else (0.0, 1.0) for kind, num in task.blocks for _ in range(num)]
    return tuple(found) if len(found) == len(task.columns) else (free,) * len(task.columns)


def distributions(task: Task) -> tuple[slice, ...]:
    """The columns that are the probabilities of one choice, and sum to 1."""
    stops = list(accumulate(num for _, num in task.blocks))
    if not stops or stops[-1] != len(task.columns):
        return ()
    return tuple(
        slice(stop - num, stop) for (kind, num), stop in zip(task.blocks, stops, strict=True) if kind == "classes"
    )

"""Whether the values of a prediction table can be predictions of its task."""

import numpy as np

from abaw.errors import InputError
from abaw.tasks.base import Task
from abaw.tasks.ranges import column_ranges, distributions

ROUNDING = 1e-5  # of float32 means of probabilities
SUM_TOLERANCE = 0.05  # tables of other programs may have 16 bits or two decimals


def check_plausible(values: np.ndarray, task: Task) -> None:
    """Raises InputError, with frame, column and value, where one of (time columns) is outside the range of its column.

    The ranges are the task's (``column_ranges``); probabilities of classes must sum to 1.
    """
    low, high = np.array(column_ranges(task), np.float64).T
    row, column = _first((values < low - ROUNDING) | (values > high + ROUNDING))
    if row >= 0:
        is_probability = (low[column], high[column]) == (0, 1)
        hint = "a probability, not a logit" if is_probability else "is it another scale, or a training that diverged?"
        raise InputError(
            f"row {row + 1}, column {task.columns[column]!r} is {values[row, column]:g}, "
            f"expected {low[column]:g} to {high[column]:g} ({hint})"
        )
    for block in distributions(task):
        sums = values[:, block].sum(axis=1, dtype=np.float64)
        row, _ = _first(abs(sums - 1)[:, None] > SUM_TOLERANCE)
        if row >= 0:
            raise InputError(
                f"row {row + 1}: {', '.join(task.columns[block])} sum to {sums[row]:g}, "
                "expected probabilities that sum to 1"
            )


def _first(wrong: np.ndarray) -> tuple[int, int]:
    """Row and column of the first True; (-1, -1) where there is none."""
    if not wrong.any():
        return -1, -1
    row = int(wrong.any(axis=1).argmax())
    return row, int(wrong[row].argmax())

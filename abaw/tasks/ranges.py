"""Which values the columns of a prediction table can have, and values as the text of a row."""

import math
from collections.abc import Sequence
from itertools import accumulate

import numpy as np
from jaxtyping import Float

from abaw.errors import InputError
from abaw.numbers import parse_number
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


def label_ranges(task: Task) -> Sequence[tuple[float, float]]:
    """The lowest and the highest label of each column that is a value: the data set's own, or -1 and 1.

    Of a task without blocks (EMI), those of its columns.
    """
    own = tuple(getattr(task, "ranges", ())) or (() if task.blocks else task.column_ranges)
    return own or ((-1.0, 1.0),) * len(task.columns)


def deviation_name(column: str) -> str:
    """The column of a prediction table with the standard deviation of another column.

    >>> deviation_name("valence")
    'valence_sd'
    """
    return f"{column}_sd"


def spread_name(column: str) -> str:
    """The column of an analysis with the standard deviation of another column over the members of an ensemble.

    >>> spread_name("p_Fear")
    'p_Fear_spread'
    """
    return f"{column}_spread"


def distributions(task: Task) -> tuple[slice, ...]:
    """The columns that are the probabilities of one choice, and sum to 1."""
    stops = list(accumulate(num for _, num in task.blocks))
    if not stops or stops[-1] != len(task.columns):
        return ()
    return tuple(
        slice(stop - num, stop) for (kind, num), stop in zip(task.blocks, stops, strict=True) if kind == "classes"
    )


def values_row(values: Float[np.ndarray, " goal"]) -> str:
    """Values as the text of a submission's line: six decimals, separated by commas."""
    return ",".join(f"{value:.6f}" for value in values)


def parse_values(
    text: str, names: Sequence[str], limits: Float[np.ndarray, "goal 2"], *, exponents: bool = True
) -> Float[np.ndarray, " goal"]:
    """The inverse of ``values_row``; numbers such as 1e-3 only with ``exponents``.

    Raises InputError for another number of values, or one beyond its limits.
    """
    cells = text.split(",")
    if len(cells) != len(names):
        raise InputError(f"{text!r} has {len(cells)} value(s), expected {len(names)}: {','.join(names)}")
    if not exponents and "e" in text.lower():
        raise InputError(f"{text!r} has a number with an exponent: write it as 0.001")
    try:
        found = np.array([parse_number(cell) for cell in cells])
    except InputError as error:
        raise InputError(f"{text!r}: {error}") from error
    for name, value, (low, high) in zip(names, found.tolist(), limits.tolist(), strict=True):
        if not low <= value <= high:
            raise InputError(f"{text!r}: {name} is {value!r}, expected {range_words((low, high))}")
    return found


def range_words(pair: tuple[float, float]) -> str:
    """A range as messages print it."""
    return f"{pair[0]:g} to {pair[1]:g}"

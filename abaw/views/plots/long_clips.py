"""Clips with more frames than a figure has dots: what is drawn keeps every extreme and every short stretch."""

from collections.abc import Sequence

import numpy as np

from abaw.views.segments import Segment

MAX_COLUMNS = 1500  # of a figure of 7 inches: more than 200 an inch


def thinned(values: np.ndarray) -> np.ndarray:
    """The positions of the values to draw as a line: all or, of many, the lowest and the highest of each column.

    A column in which all values are NaN keeps its first one, so that a gap stays a gap.
    """
    num = len(values)
    if num <= 2 * MAX_COLUMNS:
        return np.arange(num)
    starts = column_starts(num)
    found = []
    for start, stop in zip(starts, np.append(starts[1:], num), strict=True):
        part = values[start:stop]
        if np.isnan(part).all():
            found += [start]
        else:
            found += sorted({start + int(np.nanargmin(part)), start + int(np.nanargmax(part))})
    return np.array(found)


def column_starts(num: int) -> np.ndarray:
    """The first row of each of at most ``MAX_COLUMNS`` columns."""
    return np.unique(np.linspace(0, num, MAX_COLUMNS, endpoint=False).astype(int))


def by_column(values: np.ndarray, reduce: np.ufunc) -> np.ndarray:
    """Rows reduced to columns by ``np.fmin`` or ``np.fmax``; as they are where there are few."""
    if len(values) <= 2 * MAX_COLUMNS:
        return values
    found: np.ndarray = reduce.reduceat(values, column_starts(len(values)), axis=0)
    return found


def rows_by_column(num: int) -> np.ndarray:
    """The first row of each column of ``by_column``."""
    return np.arange(num) if num <= 2 * MAX_COLUMNS else column_starts(num)


def drawn_stretches(segments: Sequence[Segment], length_s: float) -> list[tuple[float, float]]:
    """Start and length of the bars to draw: those closer than a dot are one, and none is thinner than a dot."""
    dot_s = length_s / MAX_COLUMNS
    merged: list[list[float]] = []
    for each in segments:
        stop_s = max(each.stop_s, each.start_s + dot_s)
        if merged and each.start_s - merged[-1][1] < dot_s and len(segments) > MAX_COLUMNS:
            merged[-1][1] = max(merged[-1][1], stop_s)
        else:
            merged.append([each.start_s, stop_s])
    return [(start, stop - start) for start, stop in merged]

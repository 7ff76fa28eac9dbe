"""How a track becomes 8-bit rows: with its columns as they are or standardised, by the error; refused above a bound.

The error of a row alone says little: where columns differ in size, as loudness and pitch do, a row's error is small
beside the row's deviation and still destroys the small columns. So the error of every column is measured too, beside
the column's own deviation over the track, which is what a model sees once its input is normalised.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from abaw.errors import InputError
from extract.store.eight_bit.codes import Columns, quantise, restore

MAX_ERROR = 0.02  # of a row's and of a column's deviation: above it nothing is written
GOOD_ERROR = 0.01  # up to it columns are left as they are
MIN_ROWS = 16  # fewer say nothing of a column; its mean and deviation cost 8 bytes, half a byte for each of 16 rows
HALF_STEP = 2.0**-11  # of float16, relative: where a deviation is less, float16 does not keep it either

Blocks = Callable[[], Iterator[np.ndarray]]


@dataclass(frozen=True)
class Int8Error:
    """What 8-bit rows differ by from the rows that they were made of.

    ``rows``: root mean square, over the rows, of each row's error beside the deviation of its values. ``columns``: the
    largest, over the columns, of each column's root mean square error beside its deviation; None for a track of fewer
    than ``MIN_ROWS`` rows. Both are at most 1: nothing is kept. ``min_cosine``: the smallest cosine similarity of a row
    and what is restored of it, rows of zeros left out. ``max_difference``: the largest of any value.
    """

    rows: float
    columns: float | None
    min_cosine: float
    max_difference: float

    @property
    def largest(self) -> float:
        """What must not exceed ``MAX_ERROR``."""
        return max(self.rows, self.columns or 0.0)

    def __str__(self) -> str:
        of_columns = "" if self.columns is None else f" and {self.columns:.2g} of a column's"
        return f"{self.rows:.2g} of the rows' deviation{of_columns}"

    def to_text(self) -> str:
        """For a file's metadata."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> "Int8Error":
        """Raises InputError where this is not what ``to_text`` wrote."""
        try:
            found: dict[str, Any] = json.loads(text)
            error = cls(**found)
            if not all(isinstance(each, float) for each in (error.rows, error.min_cosine, error.max_difference)):
                raise TypeError("a value is no number")
            if not isinstance(error.columns, float | None):
                raise TypeError("columns is no number")
        except (ValueError, TypeError) as problem:
            raise InputError(f"the error of its 8-bit rows cannot be read ({problem})") from problem
        return error


@dataclass(frozen=True)
class Fit:
    """How the rows of one track are quantised, and the scale and middle of each."""

    columns: Columns | None
    error: Int8Error
    scale: np.ndarray
    middle: np.ndarray

    def check(self, what: str, advice: str) -> None:
        """Raises InputError, ending with ``advice``, where the error of ``what`` is above the bound."""
        if not self.error.largest <= MAX_ERROR:
            raise InputError(
                f"{what} would lose too much in int8: its error is {self.error}, expected at most {MAX_ERROR:g}: "
                f"{advice}"
            )


def fit(blocks: Blocks, dim: int) -> Fit:
    """How to quantise the observed rows of a track, which every call of ``blocks`` gives anew, as (row, dim).

    Columns are standardised where the error is above ``GOOD_ERROR`` and that makes it less; never with fewer than
    ``MIN_ROWS`` rows.
    """
    moments = _Moments(dim)
    for block in blocks():
        moments.add(block)
    found = _measure(blocks, dim, None, moments)
    if found.error.largest <= GOOD_ERROR or moments.num < MIN_ROWS:
        return found
    columns = Columns(moments.mean.astype(np.float32), np.sqrt(moments.variance).astype(np.float32))
    other = _measure(blocks, dim, columns, moments)
    return other if other.error.largest < found.error.largest else found


class _Moments:
    """Number, mean, variance and largest absolute value of every column, over blocks of rows."""

    def __init__(self, dim: int) -> None:
        self.num = 0
        self.peak = np.zeros(dim)
        self._origin, self._sum, self._squares = np.zeros(dim), np.zeros(dim), np.zeros(dim)

    def add(self, rows: np.ndarray) -> None:
        """Add a block of rows."""
        if not len(rows):
            return
        if not self.num:
            self._origin = rows[0].astype(np.float64)  # what is constant stays exactly so
        shifted = rows - self._origin
        self.num += len(rows)
        self._sum += shifted.sum(axis=0)
        self._squares += np.square(shifted).sum(axis=0)
        np.maximum(self.peak, np.abs(rows).max(axis=0), out=self.peak)

    @property
    def mean(self) -> np.ndarray:
        return self._origin + self._sum / max(1, self.num)

    @property
    def variance(self) -> np.ndarray:
        num = max(1, self.num)
        return (self._squares / num - np.square(self._sum / num)).clip(0)


def _measure(blocks: Blocks, dim: int, columns: Columns | None, moments: _Moments) -> Fit:
    """Quantise all rows, and compare what is restored with them."""
    scales, middles, of_rows = [np.zeros(0, np.float32)], [np.zeros(0, np.float32)], [np.zeros(0)]
    squares, min_cosine, max_difference = np.zeros(dim), 1.0, 0.0
    for block in blocks():
        if not block.size:
            continue
        rows, codes = block.astype(np.float64), quantise(block, columns)
        restored = restore(codes, columns).astype(np.float64)
        squared = np.square(restored - rows)
        scales.append(codes.scale)
        middles.append(codes.middle)
        of_rows.append(_share(squared.mean(axis=1), rows.var(axis=1), np.abs(rows).max(axis=1)))
        squares += squared.sum(axis=0)
        min_cosine = min(min_cosine, _min_cosine(rows, restored))
        max_difference = max(max_difference, float(np.sqrt(squared.max())))
    of_columns = None
    if moments.num >= MIN_ROWS:
        shares = _share(squares / moments.num, moments.variance, moments.peak)
        of_columns = float(np.sqrt(shares.max(initial=0.0)))
    rows_error = float(np.sqrt(np.concatenate(of_rows).mean())) if moments.num else 0.0
    error = Int8Error(rows_error, of_columns, min_cosine, max_difference)
    return Fit(columns, error, np.concatenate(scales), np.concatenate(middles))


def _share(squared: np.ndarray, variance: np.ndarray, peak: np.ndarray) -> np.ndarray:
    """Which share of the variance a mean squared error is, at most 1; the least that float16 keeps counts as variance.

    A value that is not finite, because float32 overflowed, counts as 1.
    """
    kept = variance + np.square(HALF_STEP * peak)
    share = np.divide(squared, kept, out=np.where(squared > 0, 1.0, 0.0), where=kept > 0)
    return np.nan_to_num(share, nan=1.0).clip(0, 1)


def _min_cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The smallest cosine similarity of the rows of ``a`` that are not zero."""
    a_norms, b_norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    norms = a_norms * b_norms
    cosines = np.divide((a * b).sum(axis=1), norms, out=np.zeros(len(a)), where=norms > 0)
    return float(cosines[a_norms > 0].min(initial=1.0))

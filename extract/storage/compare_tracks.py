"""Two tracks of one clip: how far their times, flags and values are apart."""

from dataclasses import dataclass

import numpy as np

from extract.storage.holdings import TrackFile

BLOCK_ROWS = 4096


@dataclass(frozen=True)
class ClipDifference:
    """One clip in both stores. ``largest`` and ``largest_steps`` (of float16) are over the rows both observed.

    Rows are matched by place where there are as many, else by time. ``place`` is row and column of the largest
    difference; the cosines are None where no row is observed in both.
    """

    clip: str
    rows: tuple[int, int]
    compared: int
    largest: float
    largest_steps: int
    place: tuple[int, int] | None
    cosine_least: float | None
    cosine_sum: float
    times_s: float
    observed: int
    filled: int
    dim: tuple[int, int]

    @property
    def is_none(self) -> bool:
        return (
            self.rows[0] == self.rows[1]
            and self.dim[0] == self.dim[1]
            and not any((self.largest, self.times_s, self.observed, self.filled))
        )


def float16_steps(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """How many float16 numbers lie between two, both rounded to float16: 0 for the same, 1 for neighbours."""
    places = []
    for values in (a, b):
        with np.errstate(over="ignore"):
            bits = values.astype(np.float16).view(np.int16).astype(np.int32)
        places.append(np.where(bits < 0, -(bits & 0x7FFF), bits))
    return np.abs(places[0] - places[1])


def compare_tracks(clip_id: str, a: TrackFile, b: TrackFile) -> ClipDifference:
    """Two tracks of a clip, values read in blocks."""
    rows_a, rows_b = _rows_together(a, b)
    observed = a.observed[rows_a], b.observed[rows_b]
    filled = [file.flags.get("filled", np.zeros(len(file.times_s), bool)) for file in (a, b)]
    apart_s = np.abs(a.times_s[rows_a] - b.times_s[rows_b]).max(initial=0)
    both = observed[0] & observed[1]
    seen = _Values()
    if a.shape[1] == b.shape[1]:
        for first in range(0, len(rows_a), BLOCK_ROWS):
            part = slice(first, first + BLOCK_ROWS)
            kept = both[part]
            seen.add(a.rows(rows_a[part][kept]), b.rows(rows_b[part][kept]), rows_a[part][kept])
    return ClipDifference(
        clip_id,
        (a.shape[0], b.shape[0]),
        seen.num,
        seen.largest,
        seen.largest_steps,
        seen.place,
        seen.cosine_least,
        seen.cosine_sum,
        float(apart_s),
        int((observed[0] != observed[1]).sum()),
        int((filled[0][rows_a] != filled[1][rows_b]).sum()),
        (a.shape[1], b.shape[1]),
    )


def _rows_together(a: TrackFile, b: TrackFile) -> tuple[np.ndarray, np.ndarray]:
    """Rows that belong together: by place where both tracks have as many, else those of exactly the same time."""
    if a.shape[0] == b.shape[0]:
        return np.arange(a.shape[0]), np.arange(a.shape[0])
    _, rows_a, rows_b = np.intersect1d(a.times_s, b.times_s, return_indices=True)
    return rows_a, rows_b


class _Values:
    """The largest difference and the cosines, over one block after the other."""

    def __init__(self) -> None:
        self.num, self.largest, self.largest_steps, self.cosine_sum = 0, 0.0, 0, 0.0
        self.place: tuple[int, int] | None = None
        self.cosine_least: float | None = None

    def add(self, a: np.ndarray, b: np.ndarray, rows: np.ndarray) -> None:
        """Rows of both, and which rows of the first track they are. ValueError where one is not finite."""
        if not a.size:
            return
        finite = np.isfinite(a).all(axis=1) & np.isfinite(b).all(axis=1)
        if not finite.all():
            raise ValueError(f"row {rows[int(np.argmin(finite))]} is observed, but not finite")
        self.largest_steps = max(self.largest_steps, int(float16_steps(a, b).max()))
        a, b = a.astype(np.float64), b.astype(np.float64)
        apart = np.abs(a - b)
        if apart.max() > self.largest:
            row, column = np.unravel_index(int(apart.argmax()), apart.shape)
            self.largest, self.place = float(apart.max()), (int(rows[row]), int(column))
        cosines = _cosines(a, b)
        least = float(cosines.min())
        self.cosine_least = least if self.cosine_least is None else min(self.cosine_least, least)
        self.num, self.cosine_sum = self.num + len(a), self.cosine_sum + float(cosines.sum())


def _cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of every row; 1 where both are zero, 0 where one is."""
    norms = np.linalg.norm(a, axis=1), np.linalg.norm(b, axis=1)
    product_of = norms[0] * norms[1]
    same = np.where((norms[0] == 0) & (norms[1] == 0), 1.0, 0.0)
    return np.divide((a * b).sum(axis=1), product_of, out=same, where=product_of > 0)

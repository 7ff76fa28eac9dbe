"""The last rows of a track that is still growing, aligned to frame timestamps like a stored track."""

from collections.abc import Callable

import numpy as np

from abaw.tracks import Track, empty_track
from extract import align


class TrackTail:
    """The rows of a track from ``keep_s`` before the last frame on.

    ``stored_dtype``: the type to which a store would round the values.
    """

    def __init__(self, dim: int, stored_dtype: str, keep_s: float) -> None:
        self.rows = empty_track(dim)
        self._dtype, self._keep_s = np.dtype(stored_dtype), keep_s

    def add(self, rows: Track) -> None:
        """Add the next rows; unobserved ones become zeros, as in a store."""
        if not len(rows):
            return
        values = np.where(rows.observed[:, None], rows.values, 0).astype(self._dtype).astype(np.float32)
        self.rows = Track(
            np.concatenate([self.rows.values, values]),
            np.concatenate([self.rows.times_s, rows.times_s]),
            np.concatenate([self.rows.observed, rows.observed]),
        )

    def at(self, time_s: float, aligner: Callable[..., align.Plan], max_gap_s: float) -> Track:
        """The row of a frame, and forget what no later frame needs."""
        rows, goal_s = self.rows, np.array([time_s])
        plan = aligner(times_s=rows.times_s, observed=rows.observed, goal_s=goal_s, max_gap_s=max_gap_s)
        found = Track(align.apply(plan, rows.values), goal_s, plan.observed)
        first = max(0, int(np.searchsorted(rows.times_s, time_s - self._keep_s, side="right")) - 1)
        if first > len(rows) // 2:
            self.rows = Track(rows.values[first:], rows.times_s[first:], rows.observed[first:])
        return found

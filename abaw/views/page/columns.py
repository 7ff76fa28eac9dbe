"""The numbers of a page as few bytes: columns in small steps, differences of rows, bytes of one weight together.

``data.js`` reads them. A browser's gzip does the rest: an hour at 28 frames/s takes less than a megabyte.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

MISSING = -(1 << 15)  # the step number of a cell without a value
NUM_STEPS = 200  # between the ends of a column's range: 0.005 of a probability, 0.01 of valence and arousal
TIME_BYTES = 7  # of microseconds: 1100 years either way, so that times since 1970 fit


@dataclass
class Columns:
    """Collects columns. Each method returns what a page must know to find and read its column."""

    _parts: list[bytes] = field(default_factory=list)
    _size: int = 0

    @property
    def data(self) -> bytes:
        return b"".join(self._parts)

    def add_values(self, values: np.ndarray, low: float, high: float) -> dict[str, Any]:
        """Numbers from ``low`` to ``high`` in ``NUM_STEPS`` steps; NaN is a cell without a value.

        Values outside of the range keep their size up to 160 times the range.
        """
        step = (high - low) / NUM_STEPS
        numbers = np.rint((np.asarray(values, float) - low) / step)
        limited = np.where(np.isnan(numbers), MISSING, np.clip(numbers, MISSING + 1, -MISSING - 1)).astype(np.int64)
        return {"kind": "values", "low": low, "step": step, **self._add(np.diff(limited, prepend=0), 2)}

    def add_times(self, times_s: np.ndarray) -> dict[str, Any]:
        """Times in seconds, as whole microseconds. Rows at a constant rate take next to nothing."""
        stamps = np.rint(np.asarray(times_s, float) * 1e6).astype(np.int64)
        return {"kind": "times", **self._add(np.diff(np.diff(stamps, prepend=0), prepend=0), TIME_BYTES)}

    def add_flags(self, flags: np.ndarray) -> dict[str, Any]:
        """True or False a row."""
        flags = np.asarray(flags, bool)
        return {"kind": "flags", **self._append(np.packbits(flags, bitorder="little").tobytes(), len(flags))}

    def add_bytes(self, numbers: Sequence[int] | np.ndarray) -> dict[str, Any]:
        """Whole numbers from 0 to 255."""
        numbers = np.asarray(numbers)
        return {"kind": "bytes", **self._append(numbers.astype(np.uint8).tobytes(), len(numbers))}

    def _add(self, differences: np.ndarray, num_bytes: int) -> dict[str, Any]:
        """Differences of rows: the lowest bytes of all of them, then the next ones, which are mostly equal."""
        planes = differences.astype("<i8").view(np.uint8).reshape(len(differences), 8)[:, :num_bytes]
        return self._append(np.ascontiguousarray(planes.T).tobytes(), len(differences))

    def _append(self, data: bytes, num_rows: int) -> dict[str, Any]:
        place = {"at": self._size, "rows": num_rows}
        self._parts.append(data)
        self._size += len(data)
        return place

"""Values with their own times: the frame timestamps of a clip (its clock), and tracks.

Time is container time in seconds, shared by picture and sound; no stream is shifted to begin at 0.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from abaw.errors import InputError

Times = Float[np.ndarray, " time"]


@dataclass(frozen=True)
class Clock:
    """The frames of a clip and their timestamps, to which labels, predictions and submissions refer.

    ``frames`` is 1 .. n. A damaged frame that has a time has ``decoded=False``; so has a frame after the
    last one of the video, at the median interval.
    Raises InputError where lengths differ, frames are not 1 .. n or times do not increase.
    """

    frames: Int[np.ndarray, " time"]
    times_s: Times
    decoded: Bool[np.ndarray, " time"]

    def __post_init__(self) -> None:
        num = len(self.times_s)
        if len(self.frames) != num or len(self.decoded) != num:
            raise InputError(
                f"a clock of {num} times needs as many frames ({len(self.frames)}) and flags ({len(self.decoded)})"
            )
        if not np.array_equal(self.frames, np.arange(1, num + 1)):
            raise InputError(
                "the frames of a clock must be 1, 2, 3, ...: number frames in the order in which they are decoded"
            )
        _check_increasing(self.times_s, "a clock")

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def interval_s(self) -> float:
        """Median time between two frames in seconds; nan for a clock of fewer than two frames."""
        return float(np.median(np.diff(self.times_s))) if len(self) > 1 else float("nan")


@dataclass(frozen=True)
class Track:
    """Features over time: ``values[i]`` belongs to ``times_s[i]``; ``observed[i]`` is False where nothing was observed.

    Times increase strictly. A track may have no rows (a clip without sound). Raises InputError where lengths differ,
    times do not increase or an observed value is not finite.
    """

    values: Float[np.ndarray, "time dim"]
    times_s: Times
    observed: Bool[np.ndarray, " time"]

    def __post_init__(self) -> None:
        num = len(self.times_s)
        if len(self.values) != num or len(self.observed) != num:
            raise InputError(
                f"a track of {num} times needs as many values ({len(self.values)}) and flags ({len(self.observed)})"
            )
        _check_increasing(self.times_s, "a track")
        finite = np.isfinite(self.values)
        if not finite.all() and not finite[self.observed].all():
            row = int(np.flatnonzero(self.observed & ~finite.all(axis=1))[0])
            raise InputError(f"row {row} of a track is observed but not finite: an encoder must return finite values")

    def __len__(self) -> int:
        return len(self.times_s)

    @property
    def dim(self) -> int:
        return int(self.values.shape[1])


def empty_track(dim: int) -> Track:
    """A track without rows, for a clip that lacks the modality."""
    return Track(np.zeros((0, dim), np.float32), np.zeros(0), np.zeros(0, bool))


def _check_increasing(times_s: np.ndarray, name: str) -> None:
    if not np.isfinite(times_s).all():
        raise InputError(f"{name} has a time that is not finite at row {int(np.flatnonzero(~np.isfinite(times_s))[0])}")
    late = np.flatnonzero(np.diff(times_s) <= 0)
    if late.size:
        row = int(late[0]) + 1
        raise InputError(
            f"times of {name} must increase: row {row} is at {times_s[row]} s, the row before at {times_s[row - 1]} s"
        )

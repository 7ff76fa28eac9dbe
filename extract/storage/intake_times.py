"""When the rows of features made elsewhere are: what is assumed, and whether it fits the clip."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.tracks import Clock
from extract.storage.intake_rows import Rows, load

SLACK_S = 1.0  # sound may begin before the first picture and end after the last


@dataclass(frozen=True)
class RowTimes:
    """What is assumed of the moments of rows: exactly one of four.

    ``times``: a folder of ``<clip>.npy`` with seconds; ``fps``: row i is ``i / fps`` after ``first_s`` (None: after the
    clip's first frame); ``clock``: row i is the clip's frame i; ``hop_s``: row i is ``i * hop_s`` after ``first_s``,
    which is container time. ``first_frame`` is the number of the first frame where files are one a frame.
    ``allow_short`` and ``allow_long`` are how many rows less or more than its clock a clip may have; what is more goes.
    """

    times: Path | None = None
    fps: float | None = None
    clock: bool = False
    hop_s: float | None = None
    first_s: float | None = None
    first_frame: int = 1
    allow_short: int = 0
    allow_long: int = 0

    def __post_init__(self) -> None:
        given = [self.times is not None, self.fps is not None, self.clock, self.hop_s is not None]
        if sum(given) != 1:
            raise ValueError(
                "features made elsewhere have no times of their own: say exactly one of --times FOLDER, --fps F, "
                f"--clock (a row a frame), --hop-s H --first-s T; {sum(given)} were given"
            )
        if self.hop_s is not None and self.first_s is None:
            raise ValueError("--hop-s needs --first-s: the container time of the first row in seconds")
        if self.first_s is not None and (self.times is not None or self.clock):
            raise ValueError("--first-s goes with --hop-s or --fps: other times have their own beginning")
        for option, value in (("--fps", self.fps), ("--hop-s", self.hop_s)):
            if value is not None and not 0 < value < np.inf:
                raise ValueError(f"{option} is {value}, expected a number above 0")
        if min(self.allow_short, self.allow_long) < 0:
            raise ValueError("--allow-short and --allow-long are numbers of rows, expected 0 or more")

    def recipe(self) -> dict[str, Any]:
        """What was assumed, for the record."""
        if self.times is not None:
            return {"times": "as given"}
        if self.clock:
            return {"clock": "a row a frame", "first_frame": self.first_frame}
        assumed = {"fps": self.fps} if self.fps is not None else {"hop_s": self.hop_s}
        first_s = "the clip's first frame" if self.first_s is None else self.first_s
        return {**assumed, "first_s": first_s, "first_frame": self.first_frame}

    def of(self, rows: Rows, clock: Clock) -> tuple[np.ndarray, int, int]:
        """Times of the rows that lie in the clip, how many rows are missing at its end and how many are past it.

        ValueError where the times cannot be those of the clip.
        """
        if self.times is not None:
            return _given_times(self.times / f"{rows.clip_id}.npy", len(rows), clock), 0, 0
        if not len(clock):
            raise ValueError("its clock has no frames")
        if self.clock:
            kept = rows.places[rows.places < len(clock)]
            # what was decoded is all that another program could see, where labels go on past it
            expected = int(clock.decoded.sum()) or len(clock)
            short = 0 if rows.has_gaps else max(0, expected - len(rows))
            return clock.times_s[kept], short, len(rows) - len(kept)
        step_s = 1 / self.fps if self.fps is not None else float(self.hop_s or 0)
        times_s = (clock.times_s[0] if self.first_s is None else self.first_s) + rows.places * step_s
        # no count is exact where rows are not frames: one more or less is rounding
        last_s = clock.times_s[-1] + max(step_s, clock.interval_s if len(clock) > 1 else 0.0) * (1 + 1e-6)
        inside = times_s <= last_s
        end_s = times_s[-1] if len(times_s) else clock.times_s[0] - step_s
        short = 0 if rows.has_gaps else max(0, int((clock.times_s[-1] - end_s) / step_s + 1e-6) - 1)
        return times_s[inside], short, int((~inside).sum())


def _given_times(path: Path, num_rows: int, clock: Clock) -> np.ndarray:
    """Times from a file, in seconds of the container."""
    times_s = np.asarray(load(path), np.float64)
    if times_s.shape != (num_rows,):
        raise ValueError(f"{path.name} has times of shape {times_s.shape}, expected ({num_rows},)")
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise ValueError(f"the times in {path.name} do not increase strictly")
    if len(clock) and len(times_s):
        inside = (clock.times_s[0] - SLACK_S <= times_s) & (times_s <= clock.times_s[-1] + SLACK_S)
        if inside.mean() < 0.5:
            raise ValueError(
                f"its times are {times_s[0]:g} to {times_s[-1]:g}, the clip's frames are of {clock.times_s[0]:g} to "
                f"{clock.times_s[-1]:g} s: are they seconds?"
            )
    return times_s

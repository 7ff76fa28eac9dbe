"""Sound assembled from decoded frames, each at its own time, and resampled on the way. Needs no PyAV."""

import io
import tempfile
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from jaxtyping import Float32

# A time stamp this far from the end of the samples appended so far is ignored. Stamps rounded to 1 ms (FLV, Matroska)
# stay far below it; the shortest common frame (Opus 20 ms, AAC 21 ms) lies above, so that a single lost frame is
# noticed. Errors cannot accumulate: the distance is always to the end of the samples themselves.
MAX_JITTER_S = 0.010

AHEAD_S = 2.0  # of sound that is looked at to see whether a leap stays
MIN_AHEAD = 8  # frames; some are long

Samples = Float32[np.ndarray, " n"]
Block = Float32[np.ndarray, "n *channels"]


class AudioBuffer:
    """Sound at ``rate_hz``, built up by ``append``: zeros fill gaps (listed in ``gaps_s``), overlaps are cut.

    The samples are kept in memory or, with ``folder``, in an unnamed temporary file there. ``start_s`` is the time of
    the first sample. ``num_channels``: None for mono sound, whose samples have one axis; else the second axis.
    """

    def __init__(self, rate_hz: int, folder: Path | None = None, num_channels: int | None = None) -> None:
        self.rate_hz, self.start_s = rate_hz, 0.0
        self._axes = () if num_channels is None else (num_channels,)
        self.gaps_s: list[tuple[float, float]] = []
        self._output: Any = io.BytesIO() if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._num_samples = 0
        self._resampler: Any = None
        self._source_hz, self._source_start_s, self._num_source_samples = 1, 0.0, 0

    @property
    def is_started(self) -> bool:
        """Whether anything was appended."""
        return self._resampler is not None

    @property
    def stop_s(self) -> float:
        """When the sound appended so far ends."""
        return self._source_start_s + self._num_source_samples / self._source_hz

    @property
    def resampled_s(self) -> float:
        """When the samples at ``rate_hz`` end, of which the resampler holds the last ones back."""
        return self.start_s + self._num_samples / self.rate_hz

    def append(self, samples: Block, source_hz: int, time_s: float | None) -> None:
        """Append samples at ``source_hz`` that start at ``time_s``; None: directly after those appended so far."""
        if not self.is_started:
            self.start_s = time_s or 0.0
        if source_hz != self._source_hz or not self.is_started:
            self._start_source(source_hz)
        late_s = 0.0 if time_s is None else time_s - self.stop_s
        if late_s > MAX_JITTER_S:
            self.gaps_s.append((self.stop_s, self.stop_s + late_s))
            num_missing = round(late_s * source_hz)
            for first in range(0, num_missing, source_hz):  # a second at a time: a gap may be long
                self._resample(np.zeros((min(source_hz, num_missing - first), *self._axes), np.float32))
        elif late_s < -MAX_JITTER_S:
            samples = samples[round(-late_s * source_hz) :]
        self._resample(samples)

    def finish(self) -> Samples:
        """All samples; nothing can be appended after it. They outlive ``close`` of their file."""
        self._flush()
        if not self._num_samples:
            return np.zeros(0, np.float32)
        if isinstance(self._output, io.BytesIO):
            return np.frombuffer(self._output.getbuffer(), np.float32)
        self._output.flush()
        return np.memmap(self._output, np.float32, mode="c")  # copy on write: torch wants writable memory

    def take(self, *, last: bool = False) -> Block:
        """The samples in memory that were not taken before, so that they can be forgotten; with ``last`` all of them.

        Nothing can be appended after the last ones.
        """
        if last:
            self._flush()
        taken = np.frombuffer(self._output.getvalue(), np.float32).reshape(-1, *self._axes)
        self._output.seek(0)
        self._output.truncate()
        return taken

    def close(self) -> None:
        """Close the temporary file; samples in memory stay where they are."""
        if not isinstance(self._output, io.BytesIO):
            self._output.close()

    def _start_source(self, source_hz: int) -> None:
        """Continue with sound of another rate, where the resampled sound so far ends."""
        self._flush()
        self._source_start_s = self.start_s + self._num_samples / self.rate_hz
        self._source_hz, self._num_source_samples = source_hz, 0
        self._resampler = soxr.ResampleStream(source_hz, self.rate_hz, sum(self._axes) or 1, quality="HQ")

    def _resample(self, samples: Block, last: bool = False) -> None:
        self._num_source_samples += len(samples)
        resampled = self._resampler.resample_chunk(samples, last=last).clip(-1, 1)
        self._output.write(resampled.astype(np.float32, copy=False).tobytes())
        self._num_samples += len(resampled)

    def _flush(self) -> None:
        if self.is_started:
            self._resample(np.zeros((0, *self._axes), np.float32), last=True)


@dataclass(frozen=True)
class SoundFrame:
    """Decoded sound and when it starts; None: directly after the frame before it."""

    samples: Block
    rate_hz: int
    time_s: float | None

    @property
    def length_s(self) -> float:
        """How long it lasts."""
        return len(self.samples) / self.rate_hz


class SoundOrder:
    """Frames of sound, each with a time only where that can be believed; the others follow the frame before.

    A stamp away from where the samples before it end makes a gap or an overlap only if a later stamp agrees and none
    returns. The first stamp is replaced where later ones agree with each other and not with it. Frames that share one
    stamp follow each other. ``num_mended`` counts the stamps that were not believed.

    ``is_counted``: the stamps count pieces of the file which may each hold several frames (AVI), so that no sound
    overlaps, whatever they say.
    """

    def __init__(self, is_counted: bool = False) -> None:
        self.num_mended, self._is_counted = 0, is_counted
        self._waiting: deque[SoundFrame] = deque()
        self._stop_s: float | None = None
        self._shared_s: float | None = None

    def add(self, frame: SoundFrame) -> Iterator[SoundFrame]:
        """Add the next decoded frame; gives the frames whose times are settled."""
        if frame.time_s is not None and frame.time_s == self._shared_s:
            frame = replace(frame, time_s=None)
        else:
            self._shared_s = frame.time_s
        self._waiting.append(frame)
        while self._waiting and (self._is_near() or self._sees_ahead()):
            yield self._give()

    def finish(self) -> Iterator[SoundFrame]:
        """The frames that are left; nothing follows them."""
        while self._waiting:
            yield self._give()

    def _is_near(self) -> bool:
        """Whether the first waiting frame is where the sound so far ends."""
        time_s = self._waiting[0].time_s
        return self._stop_s is not None and (time_s is None or abs(time_s - self._stop_s) <= MAX_JITTER_S)

    def _sees_ahead(self) -> bool:
        if self._stop_s is None and self._waiting[0].time_s is not None and len(self._waiting) > 1:
            late_s = self._late_s(self._waiting[0].time_s)[1:]
            if (np.abs(late_s[:2]) <= MAX_JITTER_S).any():
                return True
        return len(self._waiting) > MIN_AHEAD and sum(each.length_s for each in self._waiting) > AHEAD_S

    def _late_s(self, start_s: float) -> np.ndarray:
        """How much later each waiting stamp is than its samples, if those start at a time; nan without a stamp."""
        lengths_s = np.array([each.length_s for each in self._waiting])
        times_s = np.array([each.time_s for each in self._waiting], float)
        return times_s - start_s - (np.cumsum(lengths_s) - lengths_s)

    def _give(self) -> SoundFrame:
        """The first waiting frame, with its time where that can be believed."""
        if self._stop_s is None:
            start_s = self._find_start_s()
            self.num_mended += self._waiting[0].time_s not in (None, start_s)
            self._waiting[0] = replace(self._waiting[0], time_s=start_s)
            self._stop_s = start_s
        elif not self._is_near() and not self._is_leap():
            self.num_mended += 1
            self._waiting[0] = replace(self._waiting[0], time_s=None)
        frame = self._waiting.popleft()
        if frame.time_s is not None and abs(frame.time_s - self._stop_s) > MAX_JITTER_S:
            self._stop_s = max(frame.time_s, self._stop_s - frame.length_s)
        self._stop_s += frame.length_s
        return frame

    def _is_leap(self) -> bool:
        """Whether the stamps from the first waiting one on agree that it is not where the sound so far ends."""
        assert self._stop_s is not None
        late_s = self._late_s(self._stop_s)
        if self._is_counted and late_s[0] < 0:
            return False
        later_s = late_s[1:][~np.isnan(late_s[1:])]
        returns = np.abs(later_s) <= MAX_JITTER_S
        agrees = np.abs(later_s - late_s[0]) <= MAX_JITTER_S
        return bool(agrees.any() and not returns.any())

    def _find_start_s(self) -> float:
        """When the sound starts, by the first stamp that another one confirms."""
        starts_s = self._late_s(0.0)
        starts_s = starts_s[~np.isnan(starts_s)]
        for start_s in starts_s:
            if (np.abs(starts_s - start_s) <= MAX_JITTER_S).sum() > 1:
                return float(start_s)
        return float(starts_s[0]) if len(starts_s) else 0.0

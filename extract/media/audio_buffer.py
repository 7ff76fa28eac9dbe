"""Mono sound assembled from decoded frames, each at its own time, and resampled on the way. Needs no PyAV."""

import io
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import soxr
from jaxtyping import Float32

# A time stamp this far from the end of the samples appended so far is ignored. Stamps rounded to 1 ms (FLV, Matroska)
# stay far below it; the shortest common frame (Opus 20 ms, AAC 21 ms) lies above, so that a single lost frame is
# noticed. Errors cannot accumulate: the distance is always to the end of the samples themselves.
MAX_JITTER_S = 0.010

Samples = Float32[np.ndarray, " n"]


class AudioBuffer:
    """Sound at ``rate_hz``, built up by ``append``: zeros fill gaps (listed in ``gaps_s``), overlaps are cut.

    The samples are kept in memory or, with ``folder``, in an unnamed temporary file there. ``start_s`` is the time of
    the first sample.
    """

    def __init__(self, rate_hz: int, folder: Path | None = None) -> None:
        self.rate_hz, self.start_s = rate_hz, 0.0
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

    def append(self, samples: Samples, source_hz: int, time_s: float | None) -> None:
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
                self._resample(np.zeros(min(source_hz, num_missing - first), np.float32))
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

    def close(self) -> None:
        """Close the temporary file; samples in memory stay where they are."""
        if not isinstance(self._output, io.BytesIO):
            self._output.close()

    def _start_source(self, source_hz: int) -> None:
        """Continue with sound of another rate, where the resampled sound so far ends."""
        self._flush()
        self._source_start_s = self.start_s + self._num_samples / self.rate_hz
        self._source_hz, self._num_source_samples = source_hz, 0
        self._resampler = soxr.ResampleStream(source_hz, self.rate_hz, 1, quality="HQ")

    def _resample(self, samples: Samples, last: bool = False) -> None:
        self._num_source_samples += len(samples)
        resampled = self._resampler.resample_chunk(samples, last=last).clip(-1, 1)
        self._output.write(resampled.astype(np.float32, copy=False).tobytes())
        self._num_samples += len(resampled)

    def _flush(self) -> None:
        if self.is_started:
            self._resample(np.zeros(0, np.float32), last=True)

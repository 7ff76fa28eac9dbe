"""Mel spectra as librosa computes them, of any part of a sound."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np


@dataclass(frozen=True)
class MelSpectrum:
    """Power in mel bands of Hann windows, ``hop`` samples apart, on Slaney's scale with bands of equal area.

    Window i is centred on sample ``hop * i + first_centre``. It equals librosa's ``melspectrogram`` (with
    ``pad_mode="constant"``), which gives float32.
    """

    rate_hz: int
    window: int
    num_fft: int
    hop: int
    first_centre: int
    num_bands: int
    lowest_hz: float
    highest_hz: float

    def rows(self, samples: np.ndarray, first: int, stop: int) -> np.ndarray:
        """Rows ``first`` to ``stop`` (row, band), float64. Only their samples are read; outside there is silence."""
        begin = first * self.hop + self.first_centre - self.window // 2
        part = np.zeros((stop - 1 - first) * self.hop + self.window)
        low, high = max(0, begin), max(0, min(len(samples), begin + len(part)))
        part[low - begin : high - begin] = samples[low:high]
        frames = np.lib.stride_tricks.sliding_window_view(part, self.window)[:: self.hop]
        hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(self.window) / self.window)
        spectrum = np.fft.rfft(frames * hann, self.num_fft)
        rows: np.ndarray = (spectrum.real**2 + spectrum.imag**2) @ self._bands
        return rows

    @cached_property
    def _bands(self) -> np.ndarray:
        """Weights (bin, band): triangles between neighbouring edges."""
        bins_hz = np.arange(self.num_fft // 2 + 1) * self.rate_hz / self.num_fft
        low, high = (_mel(hz) for hz in (self.lowest_hz, self.highest_hz))
        edges_hz = _hz(np.linspace(low, high, self.num_bands + 2))
        up = (bins_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
        down = (edges_hz[2:] - bins_hz[:, None]) / np.diff(edges_hz)[1:]
        return np.maximum(0, np.minimum(up, down)) * 2 / (edges_hz[2:] - edges_hz[:-2])


# Slaney's scale (Auditory Toolbox, 1998): linear up to 1000 Hz, then logarithmic
_LINEAR_HZ, _KNEE_HZ, _LOG_STEP = 200 / 3, 1000.0, np.log(6.4) / 27


def _mel(hz: float) -> float:
    knee = _KNEE_HZ / _LINEAR_HZ
    return hz / _LINEAR_HZ if hz < _KNEE_HZ else knee + float(np.log(hz / _KNEE_HZ)) / _LOG_STEP


def _hz(mel: np.ndarray) -> np.ndarray:
    knee = _KNEE_HZ / _LINEAR_HZ
    return np.where(mel < knee, mel * _LINEAR_HZ, _KNEE_HZ * np.exp(_LOG_STEP * (np.maximum(mel, knee) - knee)))

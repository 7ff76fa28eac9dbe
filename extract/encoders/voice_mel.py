"""A built-in voice encoder: log-mel spectrum and prosody."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, Literal

import numpy as np

from abaw.tracks import Track, empty_track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder, SoundSteps
from extract.media import Samples, Sound
from extract.networks.chunks import SampleTail, check_rate

DIM = 49
FACTS = {"modality": "audio", "dim": 49, "built_in": True, "licence": "Apache-2.0", "size_mb": 0}

RATE_HZ = 16000
HOP = 160  # 10 ms: up to 100 fps every frame's interval contains a row
NUM_FFT, WINDOW = 512, 400  # 25 ms, padded
NUM_MELS, LOWEST_HZ = 40, 50.0
NUM_FAST = NUM_MELS + 5  # columns that are computed of each row by itself, the last of which is not an output
FLOOR = 1e-5  # -100 dB: silence stays finite
PITCH_FRAME = 1024  # 64 ms: slightly more than two periods of 60 Hz
PERIODS = (RATE_HZ // 500, RATE_HZ // 60 + 1)  # samples: of the highest and the lowest pitch
CLEAR, NEAR = 0.1, 0.05  # the period is the first dip below CLEAR, or within NEAR of the deepest dip
# a voiced row is less aperiodic than VOICED and louder (log10 of the amplitude) than AUDIBLE
VOICED, AUDIBLE = 0.5, -3.0
AROUND = 50  # rows on either side in the slow means: one second in all
BEFORE = {"centred": AROUND, "past": 2 * AROUND}  # rows of that second before a row
PIECE = 2000  # rows computed at a time; any number gives the same bytes


Means = Literal["centred", "past"]


@ENCODERS.register
def voice_mel(*, means: Means = "centred") -> SoundEncoder:
    """Log-mel spectrum (40 bands) and prosody (loudness, pitch, voicing, tilt, rate) every 10 ms.

    ``means``: the slow columns are means over the second around a row ("centred"), or over the second before it
    ("past"), so that a row depends on no sound later than 32 ms after it.
    """
    return VoiceMel(means)


class VoiceMel(SoundEncoder):
    """49 columns; rows are centred on multiples of 10 ms, with silence before and after the sound.

    Columns: 40 log-mel bands, loudness, pitch (octaves above 60 Hz), zero crossings, tilt; then means over one second:
    of onsets, of voicing, and of loudness, pitch and tilt over voiced rows. The means cover 1 s around a row or before
    it, the others 25 to 64 ms. A row depends on this second only, so that computing in pieces gives the same bytes.
    """

    rate_hz = RATE_HZ
    dim = DIM

    def __init__(self, means: Means) -> None:
        self._means: Means = means
        self.before, self.after = BEFORE[means], 2 * AROUND - BEFORE[means]
        self.num_ahead = self.after * HOP + PITCH_FRAME // 2  # samples
        self.look_ahead_s = self.num_ahead / RATE_HZ

    def recipe(self) -> dict[str, Any]:
        settings = {} if self._means == "centred" else {"means": self._means}
        return {"encoder": "voice_mel", "settings": settings, "version": 2}

    def encode(self, sound: Sound) -> Iterator[Track]:
        check_rate(sound, RATE_HZ)
        num = _num_rows(len(sound.samples))
        for first in range(0, num, PIECE):
            yield self.track(sound.samples, sound.start_s, first, min(num, first + PIECE), num)

    def steps(self, start_s: float) -> SoundSteps:
        return _Steps(self, start_s)

    def track(self, samples: Samples, start_s: float, first: int, stop: int, num: int) -> Track:
        """Rows ``first`` to ``stop`` of ``num``, computed from the samples up to one second around them."""
        # one more: an onset is a difference from the row before
        begin, end = max(0, first - self.before - 1), min(num, stop + self.after)
        return self.cut(_fast_columns(samples, begin, end), begin, start_s, first, stop)

    def cut(self, fast: np.ndarray, begin: int, start_s: float, first: int, stop: int) -> Track:
        """Rows ``first`` to ``stop`` with their slow columns; ``fast``: the others of all rows from ``begin`` on."""
        values = _with_slow_columns(fast, self.before)[first - begin : stop - begin]
        times_s = start_s + np.arange(first, stop) * HOP / RATE_HZ
        return Track(values.astype(np.float32), times_s, np.ones(stop - first, bool))


class _Steps(SoundSteps):
    """Keeps the fast columns of the last second, so that each row's are computed once."""

    def __init__(self, encoder: VoiceMel, start_s: float) -> None:
        self._encoder, self._start_s, self._done = encoder, start_s, 0
        self._tail = SampleTail(PITCH_FRAME)
        self._fast, self._begin = np.zeros((0, NUM_FAST)), 0  # of rows from ``begin`` on

    def add(self, samples: Samples) -> Track:
        self._tail.add(samples)
        num_complete = (len(self._tail) - self._encoder.num_ahead) // HOP + 1
        return self._track(max(self._done, num_complete), num_complete + self._encoder.after)

    def finish(self) -> Track:
        num = _num_rows(len(self._tail))
        return self._track(num, num)

    def _track(self, stop: int, num: int) -> Track:
        first, self._done = self._done, stop
        if first == stop:
            return empty_track(DIM)
        known = self._begin + len(self._fast)
        if num > known:
            self._fast = np.concatenate([self._fast, _fast_columns(self._tail, known, num)])
        made = self._encoder.cut(self._fast, self._begin, self._start_s, first, stop)
        begin = max(self._begin, stop - self._encoder.before - 1)
        self._fast, self._begin = self._fast[begin - self._begin :], begin
        self._tail.forget(num * HOP - PITCH_FRAME // 2)
        return made


def _num_rows(num_samples: int) -> int:
    return 1 + num_samples // HOP if num_samples else 0


def _fast_columns(samples: Samples | SampleTail, begin: int, end: int) -> np.ndarray:
    """What is computed of each row by itself: bands, loudness, pitch, crossings, tilt and aperiodicity."""
    mel, loudness = _spectra(_frames(samples, begin, end, WINDOW))
    octaves, aperiodicity = _pitch(_frames(samples, begin, end, PITCH_FRAME))
    crossings = _crossings(_frames(samples, begin, end, WINDOW))
    tilt = mel[:, NUM_MELS // 2 :].mean(axis=1) - mel[:, : NUM_MELS // 2].mean(axis=1)
    return np.concatenate([mel, np.stack([loudness, octaves, crossings, tilt, aperiodicity], axis=1)], axis=1)


def _with_slow_columns(fast: np.ndarray, before: int) -> np.ndarray:
    """The columns of all rows; those of the first and the last ones are of a part of their second."""
    mel, (loudness, octaves, _, tilt, aperiodicity) = fast[:, :NUM_MELS], fast[:, NUM_MELS:].T
    onsets = 10 * np.maximum(0, np.diff(mel, axis=0, prepend=mel[:1])).mean(axis=1)
    voiced = (aperiodicity < VOICED) & (loudness > AUDIBLE)
    slow = [_second_mean(onsets, before), _second_mean(voiced, before)]
    slow += [_second_mean(x, before, voiced) for x in (loudness, octaves, tilt)]
    return np.concatenate([fast[:, : NUM_FAST - 1], np.stack(slow, axis=1)], axis=1)


def _frames(samples: Samples | SampleTail, first: int, stop: int, width: int) -> np.ndarray:
    """The ``width`` samples around each row, (row, sample), float64, with silence before and after the sound."""
    begin, end = first * HOP - width // 2, (stop - 1) * HOP - width // 2 + width
    part = np.zeros(end - begin)
    low, high = max(0, begin), min(len(samples), end)
    part[low - begin : high - begin] = samples[low:high]
    return np.lib.stride_tricks.sliding_window_view(part, width)[::HOP]


def _spectra(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The log-mel spectrum (row, band) and the loudness of Hann windows, both log10."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    power = np.square(np.abs(np.fft.rfft(frames * window, NUM_FFT)))
    # one product per row: a product of all rows would round differently with their number
    bands = np.matmul(power[:, None, :], _bands())[:, 0]
    mel = np.log10(np.maximum(bands[:, :NUM_MELS], FLOOR**2))
    return mel, np.log10(np.sqrt(bands[:, NUM_MELS]) + FLOOR)


@cache
def _bands() -> np.ndarray:
    """Weights (bin, band) of the frequency bins: triangles on HTK's mel scale, and last those of the mean square."""
    bins_hz = np.arange(NUM_FFT // 2 + 1) * RATE_HZ / NUM_FFT
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, RATE_HZ / 2))
    edges_hz = 700 * (10 ** (np.linspace(low, high, NUM_MELS + 2) / 2595) - 1)
    up = (bins_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    down = (edges_hz[2:] - bins_hz[:, None]) / np.diff(edges_hz)[1:]
    square = np.full((len(bins_hz), 1), 2 / NUM_FFT**2)  # Parseval: all bins but the first and the last count twice
    square[[0, -1]] /= 2
    return np.concatenate([np.maximum(0, np.minimum(up, down)), square], axis=1)


def _pitch(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The pitch in octaves above 60 Hz, and the aperiodicity (0 periodic, 1 aperiodic) of each row.

    YIN (de Cheveigne and Kawahara, JASA 111(4), 2002), with two differences: the difference function uses the whole
    frame at every lag, divided by the number of its terms, so that a row stays centred; and the first dip that is
    nearly as deep as the deepest is taken, so that noise does not select a multiple of the period. Silence has
    aperiodicity 1 and the highest pitch.
    """
    shortest, longest = PERIODS
    width = frames.shape[1]
    squares = np.cumsum(np.square(frames), axis=1)
    spectrum = np.fft.rfft(frames, 2 * width)
    lags = np.arange(1, longest + 2)
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, 2 * width)[:, lags]
    # the energy of the samples that have a counterpart one lag later, and one lag earlier
    energy = squares[:, width - 1 - lags] + squares[:, -1:] - squares[:, lags - 1]
    difference = np.maximum(0, energy - 2 * correlation) / (width - lags)
    mean = np.cumsum(difference, axis=1) / lags
    normalised = np.divide(difference, mean, out=np.ones_like(mean), where=mean > FLOOR**2)
    place = _first_dip(normalised[:, shortest - 1 : longest]) + shortest - 1
    row = np.arange(len(normalised))
    before, here, after = (normalised[row, place + step] for step in (-1, 0, 1))
    bend = before + after - 2 * here
    shift = np.divide(
        before - after, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > np.abs(before - after) / 2
    )
    return np.log2(RATE_HZ / 60 / (place + 1 + shift)), here


def _first_dip(normalised: np.ndarray) -> np.ndarray:
    """The index of each row's first dip that is deep enough; of the smallest value where there is no such dip."""
    edge = np.full((len(normalised), 1), np.inf)
    padded = np.concatenate([edge, normalised, edge], axis=1)
    enough = np.maximum(CLEAR, normalised.min(axis=1, keepdims=True) + NEAR)
    dip = (normalised < padded[:, :-2]) & (normalised <= padded[:, 2:]) & (normalised < enough)
    return np.where(dip.any(axis=1), dip.argmax(axis=1), normalised.argmin(axis=1))


def _crossings(frames: np.ndarray) -> np.ndarray:
    """The zero-crossing rate of each row: sign changes divided by the number of samples."""
    below = frames < -1e-10
    return (below[:, 1:] != below[:, :-1]).sum(axis=1) / frames.shape[1]


def _second_mean(values: np.ndarray, before: int, where: np.ndarray | None = None) -> np.ndarray:
    """The mean over a second that begins ``before`` rows before each row, of the rows where ``where`` is True.

    It is 0 where there is none.
    """
    weight = np.ones(len(values)) if where is None else where.astype(float)
    total, count = (_second_sum(each, before) for each in (np.where(weight > 0, values, 0.0), weight))
    return np.divide(total, count, out=np.zeros(len(values)), where=count > 0)


def _second_sum(values: np.ndarray, before: int) -> np.ndarray:
    """The sum over a second of rows, added in order: a running sum would depend on where it began."""
    padded, total = np.pad(values, (before, 2 * AROUND - before)), np.zeros(len(values))
    for first in range(2 * AROUND + 1):
        total += padded[first : first + len(values)]
    return total

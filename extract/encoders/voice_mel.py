"""A voice encoder that needs no download: log-mel spectrum and prosody."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

import numpy as np

from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import check_rate

DIM = 49
FACTS = {"modality": "audio", "dim": 49, "built_in": True, "licence": "Apache-2.0", "size_mb": 0}

RATE_HZ = 16000
HOP = 160  # 10 ms: finer than any frame clock, so that every frame's interval holds a row up to 100 fps
NUM_FFT, WINDOW = 512, 400  # 25 ms, padded
NUM_MELS, LOWEST_HZ = 40, 50.0
FLOOR = 1e-5  # -100 dB: silence stays finite
PITCH_FRAME = 1024  # 64 ms: two periods of 60 Hz and a little more
PERIODS = (RATE_HZ // 500, RATE_HZ // 60 + 1)  # samples: of the highest and the lowest pitch looked for
CLEAR, NEAR = 0.1, 0.05  # the first dip below the one, or within the other of the deepest, is the period
VOICED, AUDIBLE = (
    0.5,
    -3.0,
)  # a voice is less aperiodic than the one, and louder (log10 of the amplitude) than the other
AROUND = 50  # rows to either side that the slow means take: a second
PIECE = 2000  # rows made at a time; any number gives the same bytes


@ENCODERS.register
def voice_mel() -> SoundEncoder:
    """Log-mel spectrum (40 bands) and prosody (loudness, pitch, voicing, tilt, rate) every 10 ms."""
    return VoiceMel()


class VoiceMel(SoundEncoder):
    """Rows are centred on multiples of 10 ms. The slow means look at 1 s around a row, the rest at 25 to 64 ms.

    Columns: 40 log-mel bands, loudness, pitch (octaves over 60 Hz), zero crossings, tilt; then means over a second: of
    onsets, of what is voiced, and of loudness, pitch and tilt where it is. A row depends on its second alone, and each
    is reckoned by itself, so that however the sound is cut the bytes are the same.
    """

    rate_hz = RATE_HZ
    dim = DIM

    def recipe(self) -> dict[str, Any]:
        return {"encoder": "voice_mel", "settings": {}, "version": 2}

    def encode(self, sound: Sound) -> Iterator[Track]:
        check_rate(sound, RATE_HZ)
        num = 1 + len(sound.samples) // HOP if len(sound.samples) else 0
        for first in range(0, num, PIECE):
            stop = min(num, first + PIECE)
            values = _rows(sound.samples, first, stop, num).astype(np.float32)
            times_s = sound.start_s + np.arange(first, stop) * HOP / RATE_HZ
            yield Track(values, times_s, np.ones(stop - first, bool))


def _rows(samples: np.ndarray, first: int, stop: int, num: int) -> np.ndarray:
    """Rows ``first`` to ``stop`` of the ``num`` of a sound; a second around them is looked at."""
    begin, end = max(0, first - AROUND - 1), min(num, stop + AROUND)  # one more: an onset is a step from the row before
    mel, loudness = _spectra(_frames(samples, begin, end, WINDOW))
    octaves, aperiodicity = _pitch(_frames(samples, begin, end, PITCH_FRAME))
    crossings = _crossings(_frames(samples, begin, end, WINDOW))
    tilt = mel[:, NUM_MELS // 2 :].mean(axis=1) - mel[:, : NUM_MELS // 2].mean(axis=1)
    onsets = 10 * np.maximum(0, np.diff(mel, axis=0, prepend=mel[:1])).mean(axis=1)
    voiced = (aperiodicity < VOICED) & (loudness > AUDIBLE)
    slow = [_second_mean(onsets), _second_mean(voiced), *(_second_mean(x, voiced) for x in (loudness, octaves, tilt))]
    made = np.concatenate([mel, np.stack([loudness, octaves, crossings, tilt, *slow], axis=1)], axis=1)
    return made[first - begin : stop - begin]


def _frames(samples: np.ndarray, first: int, stop: int, width: int) -> np.ndarray:
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
    # a product for each row: one for all would round a row by how many there are
    bands = np.matmul(power[:, None, :], _bands())[:, 0]
    mel = np.log10(np.maximum(bands[:, :NUM_MELS], FLOOR**2))
    return mel, np.log10(np.sqrt(bands[:, NUM_MELS]) + FLOOR)


@cache
def _bands() -> np.ndarray:
    """Weights of the bins in each band, (bin, band): triangles on the mel scale of HTK; last, of the mean square."""
    bins_hz = np.arange(NUM_FFT // 2 + 1) * RATE_HZ / NUM_FFT
    low, high = (2595 * np.log10(1 + hz / 700) for hz in (LOWEST_HZ, RATE_HZ / 2))
    edges_hz = 700 * (10 ** (np.linspace(low, high, NUM_MELS + 2) / 2595) - 1)
    up = (bins_hz[:, None] - edges_hz[:-2]) / np.diff(edges_hz)[:-1]
    down = (edges_hz[2:] - bins_hz[:, None]) / np.diff(edges_hz)[1:]
    square = np.full((len(bins_hz), 1), 2 / NUM_FFT**2)  # Parseval: each bin but the ends stands for two
    square[[0, -1]] /= 2
    return np.concatenate([np.maximum(0, np.minimum(up, down)), square], axis=1)


def _pitch(frames: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Octaves over 60 Hz, and how aperiodic a row is (0 not at all, 1 wholly).

    YIN (de Cheveigne and Kawahara, JASA 111(4), 2002), with two differences: all of a frame is compared with itself,
    the sum divided by how much that is, so that a row stays centred; and a dip nearly as deep as the deepest serves,
    lest noise choose a multiple of the period. Silence is wholly aperiodic, and of the highest pitch.
    """
    shortest, longest = PERIODS
    width = frames.shape[1]
    squares = np.cumsum(np.square(frames), axis=1)
    spectrum = np.fft.rfft(frames, 2 * width)
    lags = np.arange(1, longest + 2)
    alike = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, 2 * width)[:, lags]
    # the energy of the part that has a partner to its right, and of that which has one to its left
    energy = squares[:, width - 1 - lags] + squares[:, -1:] - squares[:, lags - 1]
    unlike = np.maximum(0, energy - 2 * alike) / (width - lags)
    mean = np.cumsum(unlike, axis=1) / lags
    normal = np.divide(unlike, mean, out=np.ones_like(mean), where=mean > FLOOR**2)
    place = _first_dip(normal[:, shortest - 1 : longest]) + shortest - 1
    row = np.arange(len(normal))
    before, here, after = (normal[row, place + step] for step in (-1, 0, 1))
    bend = before + after - 2 * here
    shift = np.divide(
        before - after, 2 * bend, out=np.zeros_like(bend), where=np.abs(bend) > np.abs(before - after) / 2
    )
    return np.log2(RATE_HZ / 60 / (place + 1 + shift)), here


def _first_dip(normal: np.ndarray) -> np.ndarray:
    """Where each row has its first dip that is deep enough; the deepest value of a row without a dip."""
    edge = np.full((len(normal), 1), np.inf)
    beside = np.concatenate([edge, normal, edge], axis=1)
    enough = np.maximum(CLEAR, normal.min(axis=1, keepdims=True) + NEAR)
    dip = (normal < beside[:, :-2]) & (normal <= beside[:, 2:]) & (normal < enough)
    return np.where(dip.any(axis=1), dip.argmax(axis=1), normal.argmin(axis=1))


def _crossings(frames: np.ndarray) -> np.ndarray:
    """How often the samples of each row change their sign, as a share of the samples."""
    below = frames < -1e-10
    return (below[:, 1:] != below[:, :-1]).sum(axis=1) / frames.shape[1]


def _second_mean(values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean over one second around each row, of the rows where ``where`` is True; 0 where there is none."""
    weight = np.ones(len(values)) if where is None else where.astype(float)
    total, count = (_second_sum(each) for each in (np.where(weight > 0, values, 0.0), weight))
    return np.divide(total, count, out=np.zeros(len(values)), where=count > 0)


def _second_sum(values: np.ndarray) -> np.ndarray:
    """Sum over one second around each row, in the order of time: a running sum would depend on where it began."""
    padded, total = np.pad(values, AROUND), np.zeros(len(values))
    for first in range(2 * AROUND + 1):
        total += padded[first : first + len(values)]
    return total

"""The gain that brings a voice to the level that a network expects."""

from __future__ import annotations

from typing import Literal

import numpy as np
from scipy.signal import lfilter

from extract.media import Sound
from extract.networks.chunks import read_blocks

Gain = Literal["take", "running", "fixed"]

TARGET_DB = -30.0  # of the root mean square, full scale is 0
MEMORY_S = 30.0  # of the running level: sound this long ago counts 1/e
MAX_RUNNING_GAIN = 100.0  # 40 dB: the noise before the first word must not become a voice


class Leveller:
    """The gains of a sound's consecutive rows, which amplify a quiet voice and leave a loud one as it is.

    ``hop``: samples from row to row. "take": one gain, from the root mean square of the whole sound. "running": from
    that of the past, up to the end of each row; sound counts 1/e after 30 s, and the gain is at most 40 dB. "fixed":
    1. Samples in ``sound.gaps_s``, which are missing, do not count. Where there is only digital silence the gain is 1.
    """

    def __init__(self, sound: Sound, gain: Gain, hop: int) -> None:
        self._sound, self._gain = sound, gain
        self._end, self._past = 0, np.zeros((2, 1))
        self._keeps = np.exp(-hop / sound.rate_hz / MEMORY_S)
        self._constant = 1.0
        if gain == "take":
            total = sum(float(np.square(block, dtype=np.float64).sum()) for block in read_blocks(sound.samples))
            count = self._num_present(np.array([len(sound.samples)]))
            self._constant = float(_gain(np.array([total]), count)[0])

    def __call__(self, ends: np.ndarray) -> np.ndarray:
        """The gains of the next rows, which end before the samples ``ends``, a hop apart; float64."""
        if self._gain != "running":
            return np.full(len(ends), self._constant)
        edges = np.concatenate([[self._end], np.minimum(ends, len(self._sound.samples))])
        squares = np.square(self._sound.samples[self._end : edges[-1]], dtype=np.float64)
        sums = np.diff(np.concatenate([[0.0], np.cumsum(squares)])[edges - self._end])
        added = np.stack([sums, np.diff(self._num_present(edges))])
        past, self._past = lfilter([1.0], [1.0, -self._keeps], added, zi=self._past)
        self._end = int(edges[-1])
        return np.minimum(_gain(*past), MAX_RUNNING_GAIN)

    def _num_present(self, stops: np.ndarray) -> np.ndarray:
        """How many samples before each of ``stops`` lie outside the gaps."""
        sound = self._sound
        num = stops.astype(np.float64)
        for gap_s in sound.gaps_s:
            begin, end = ((at_s - sound.start_s) * sound.rate_hz for at_s in gap_s)
            num -= np.clip(stops - begin, 0, end - begin)
        return np.maximum(0, num)


def _gain(total: np.ndarray, count: np.ndarray) -> np.ndarray:
    """Gains from sums of ``count`` squares: never below 1, and 1 for silence."""
    target = 10 ** (TARGET_DB / 10)
    is_quiet = (total > 0) & (total < target * count)
    return np.sqrt(np.divide(target * count, total, out=np.ones(len(total)), where=is_quiet))

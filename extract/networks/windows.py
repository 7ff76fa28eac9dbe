"""Sound in windows of equal length, for networks that give one answer for all that they hear."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.media import Sound, is_audible
from extract.networks.chunks import check_rate


@dataclass(frozen=True)
class SoundWindows:
    """Windows of ``window`` samples, a new one each ``hop`` samples, the last one at the end of the sound.

    Sound shorter than a window is one window; sound shorter than ``shortest`` gives none. A row's time is the middle of
    its window. A window in which nothing is audible is not observed.
    """

    rate_hz: int
    window: int
    hop: int
    shortest: int = 1

    def starts(self, num: int) -> list[int]:
        """Where the windows of ``num`` samples begin.

        >>> SoundWindows(rate_hz=1, window=4, hop=3).starts(9)
        [0, 3, 5]
        """
        if num < self.shortest:
            return []
        last = max(0, num - self.window)
        return [*range(0, last, self.hop), last]

    def tracks(self, sound: Sound, dim: int, network: Callable[[np.ndarray], np.ndarray]) -> Iterator[Track]:
        """A track of one row for each window; ``network``: the samples of a window to its row (dim)."""
        check_rate(sound, self.rate_hz)
        num = len(sound.samples)
        for start in self.starts(num):
            part = np.array(sound.samples[start : start + self.window], np.float32)
            seen = is_audible(part)
            row = network(part) if seen else np.zeros(dim, np.float32)
            time_s = sound.start_s + (start + len(part) / 2) / self.rate_hz
            yield Track(row[None], np.array([time_s]), np.array([seen]))


def sound_windows(encoder: str, rate_hz: int, window_s: float, hop_s: float, shortest: int) -> SoundWindows:
    """The windows of settings in seconds. Raises InputError where they are too short or leave gaps."""
    window, hop = round(window_s * rate_hz), round(hop_s * rate_hz)
    if window < shortest:
        raise InputError(
            f"{encoder}: window_s is {window_s}, expected {shortest / rate_hz:g} s or more, which the network needs"
        )
    if not 1 <= hop <= window:
        raise InputError(f"{encoder}: hop_s is {hop_s}, expected more than 0 and not more than {window_s=}")
    return SoundWindows(rate_hz, window, hop, shortest)

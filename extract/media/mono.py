"""One channel of sound from many: the mix of a frame's channels, and which channel to take where they cancel out."""

from collections import defaultdict
from math import isfinite
from typing import Any

import av
import numpy as np

from extract.media.audio_buffer import Samples

# The mix of two channels in opposite phase is silence. A frame cancels out where its mix holds less than this share of
# the energy that channels with nothing in common would give. It is 1 for such channels and for a single one that is not
# silent, 2 for two equal channels, and 0.25 for channels in opposite phase of which one is 0.45 times as strong.
MIN_ENERGY = 0.25
MAX_CANCELLED = 0.1  # the share of a track's energy that may lie in such frames; plain stereo stays far below it
SURROUND = 0.5**0.5  # ITU-R BS.775: centre and surround channels go into left and right at -3 dB
WEIGHTS = {  # of channels in the mean of left and right, by FFmpeg's names; others are surround channels
    **dict.fromkeys(("FL", "FR", "FLC", "FRC", "DL", "DR", "WL", "WR"), 0.5),
    "FC": SURROUND,
    "BC": 0.5,
    **dict.fromkeys(("LFE", "LFE2"), 0.0),
}


class Mixer:
    """Mixes the frames of one audio stream to mono, and measures where its channels cancel out.

    Two channels give their mean. Surround sound is mixed to left and right as ITU-R BS.775 says, without the channel
    for low frequencies, and then to their mean; the weights add up to 1. Channels of unknown places are averaged.
    With ``channel`` (FFmpeg's name, as "FL") only that one is taken from frames that have it.
    """

    def __init__(self, channel: str = "") -> None:
        self.channel = channel
        self._layouts: dict[str, tuple[list[str], list[float] | None]] = {}
        self._energies: dict[str, float] = defaultdict(float)
        self._energy = self._cancelled = 0.0

    def mix(self, frame: av.AudioFrame) -> Samples:
        """The frame's samples in [-1, 1]; not finite ones, as damage may leave behind, are 0."""
        with np.errstate(over="ignore", invalid="ignore"):
            return self._mix(frame)

    def _mix(self, frame: av.AudioFrame) -> Samples:
        samples: Any = frame.to_ndarray()
        layout = frame.layout
        if not frame.format.is_planar:
            samples = samples.reshape(-1, layout.nb_channels).T
        if samples.dtype.kind != "f":
            limits: Any = np.iinfo(samples.dtype)
            samples = (2.0 * samples - limits.min - limits.max - 1) / (limits.max - limits.min + 1)
        if layout.name not in self._layouts:
            names = _names(layout)
            self._layouts[layout.name] = names, _weights(names)
        names, weights = self._layouts[layout.name]
        if self.channel in names:
            mixed = samples[names.index(self.channel)]
        elif weights is None:
            mixed = samples.mean(axis=0)
        else:
            mixed = np.asarray(weights, samples.dtype) @ samples
        if not isfinite(mixed @ mixed):  # damaged sound may decode to nan, which would spread through the resampler
            mixed = np.nan_to_num(mixed, posinf=0, neginf=0)
        mixed = mixed.clip(-1, 1).astype(np.float32)
        if len(names) > 1 and not self.channel:
            self._measure(names, weights or [1 / len(names)] * len(names), samples, mixed)
        return mixed

    @property
    def loudest(self) -> str:
        """The channel to take instead of the mix, "" where the channels do not cancel out."""
        if self._cancelled <= MAX_CANCELLED * self._energy:
            return ""
        return max(self._energies, key=lambda name: self._energies[name])

    def _measure(self, names: list[str], weights: list[float], samples: np.ndarray, mixed: Samples) -> None:
        """Add a frame's energies; those of its channels without what is constant in them."""
        energies = [_energy(channel) for channel in samples]
        expected = sum(weight * weight * energy for weight, energy in zip(weights, energies, strict=True))
        if not isfinite(expected):  # damaged
            return
        self._energy += expected
        if _energy(mixed) < MIN_ENERGY * expected:
            self._cancelled += expected
        for name, weight, energy in zip(names, weights, energies, strict=True):
            if weight:
                self._energies[name] += energy


def _names(layout: av.AudioLayout) -> list[str]:
    """The channels of a frame; two of unknown places, as in plain WAV, are left and right, others have their number."""
    names = [channel.name for channel in layout.channels]
    if not any(name.startswith(("NONE", "UNK", "USR", "AMBI")) for name in names):
        return names
    return ["FL", "FR"] if len(names) == 2 else [str(i) for i in range(len(names))]


def _energy(samples: np.ndarray) -> float:
    """The energy of a channel without that of its mean. Each frame of every file comes here, so it is kept cheap."""
    total = float(np.add.reduce(samples))
    return float(samples @ samples) - total * total / max(len(samples), 1)


def _weights(names: list[str]) -> list[float] | None:
    """The weight of each channel in the mix; None where all are equal or their places are unknown."""
    weights = [WEIGHTS.get(name, 0.5 * SURROUND) for name in names]
    if names[0].isdecimal() or not any(weights) or len(set(weights)) == 1:
        return None
    return [weight / sum(weights) for weight in weights]

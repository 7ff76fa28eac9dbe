"""One channel of sound from many: the mix of a frame's channels, and which channel to take where they cancel out."""

from collections import defaultdict
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
        self._energies: dict[str, float] = defaultdict(float)
        self._energy = self._cancelled = 0.0

    def mix(self, frame: av.AudioFrame) -> Samples:
        """The frame's samples in [-1, 1]; not finite ones, as damage may leave behind, are 0."""
        samples: Any = frame.to_ndarray()
        if not frame.format.is_planar:
            samples = samples.reshape(-1, frame.layout.nb_channels).T
        if samples.dtype.kind != "f":
            limits: Any = np.iinfo(samples.dtype)
            samples = (2.0 * samples - limits.min - limits.max - 1) / (limits.max - limits.min + 1)
        names = _names(frame)
        weights = _weights(names)
        if self.channel in names:
            mixed = samples[names.index(self.channel)]
        elif weights is None:
            mixed = samples.mean(axis=0)
        else:
            mixed = np.asarray(weights, samples.dtype) @ samples
        # damaged sound may decode to nan, which would spread through the resampler
        mixed = np.nan_to_num(mixed, posinf=0, neginf=0).clip(-1, 1).astype(np.float32)
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
        with np.errstate(invalid="ignore", over="ignore"):
            energies = np.nan_to_num(_energies(samples), posinf=0, neginf=0)
        expected = float(np.square(weights) @ energies)
        self._energy += expected
        if _energies(mixed[None])[0] < MIN_ENERGY * expected:
            self._cancelled += expected
        for name, weight, energy in zip(names, weights, energies, strict=True):
            if weight:
                self._energies[name] += float(energy)


def _names(frame: av.AudioFrame) -> list[str]:
    """The frame's channels; two of unknown places, as in plain WAV, are left and right, others have their number."""
    names = [channel.name for channel in frame.layout.channels]
    if all(name[:4] not in ("NONE", "UNK", "AMBI") and not name.startswith("USR") for name in names):
        return names
    return ["FL", "FR"] if len(names) == 2 else [str(i) for i in range(len(names))]


def _energies(samples: np.ndarray) -> np.ndarray:
    """The energy of each channel, without that of its mean."""
    return np.einsum("ij,ij->i", samples, samples) - np.square(samples.sum(axis=1)) / max(samples.shape[1], 1)


def _weights(names: list[str]) -> list[float] | None:
    """The weight of each channel in the mix; None where all are equal or their places are unknown."""
    weights = [WEIGHTS.get(name, 0.5 * SURROUND) for name in names]
    if names[0].isdecimal() or not any(weights) or len(set(weights)) == 1:
        return None
    return [weight / sum(weights) for weight in weights]

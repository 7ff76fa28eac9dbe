"""Features that are worse than those in the store: a source around another source, changed when it is read."""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from abaw.tracks import Track

if TYPE_CHECKING:
    from abaw.batches import FeatureSource
    from abaw.tracks import Clock

NUM_NOISE_ROWS = 4096  # that are drawn; a row of a clip gets one of them, chosen by its time


class AbsentSource:
    """A source in which some modalities are unobserved in every row."""

    def __init__(self, source: "FeatureSource", modalities: Iterable[str]) -> None:
        self.source, self.modalities = source, frozenset(modalities)

    def names(self) -> tuple[str, ...]:
        """The modalities' names."""
        return self.source.names()

    def dim(self, name: str) -> int:
        """The number of features of a modality."""
        return self.source.dim(name)

    def is_on_clock(self, name: str) -> bool:
        """Whether ``read`` returns one row per frame."""
        return self.source.is_on_clock(name)

    def clock(self, clip_id: str) -> "Clock":
        """The frame timestamps of a clip."""
        return self.source.clock(clip_id)

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        """The rows of ``source``, changed where the modality is one of ``modalities``."""
        track = self.source.read(name, clip_id, start_s, stop_s)
        return self._changed(name, clip_id, track) if name in self.modalities else track

    def _changed(self, name: str, clip_id: str, track: Track) -> Track:
        return _hidden(track, np.ones(len(track), bool))


class DroppedSource(AbsentSource):
    """A source in which some modalities are unobserved for a ``share`` of the time of every clip.

    They are dropped together, in stretches of ``stretch_s`` seconds that ``seed`` draws (``dropped_spans``).
    """

    def __init__(
        self, source: "FeatureSource", modalities: Iterable[str], share: float, stretch_s: float, seed: int
    ) -> None:
        super().__init__(source, modalities)
        self._share, self._stretch_s, self._seed = share, stretch_s, seed
        self._spans: dict[str, np.ndarray] = {}

    def _changed(self, name: str, clip_id: str, track: Track) -> Track:
        if clip_id not in self._spans:
            rng = np.random.default_rng([self._seed, *_words(clip_id)])
            times_s = self.source.clock(clip_id).times_s
            self._spans[clip_id] = dropped_spans(times_s, self._share, self._stretch_s, rng)
        spans = self._spans[clip_id]
        inside = (track.times_s[:, None] >= spans[:, 0]) & (track.times_s[:, None] < spans[:, 1])
        return _hidden(track, np.asarray(inside.any(axis=1)))


@dataclass(frozen=True)
class Noise:
    """Gaussian noise of ``strength`` standard deviations, another draw in every row and feature.

    ``std``: modality -> standard deviation of its features (dim). The draw of a row follows from ``seed``, clip and
    time, so that windows that overlap get the same.
    """

    strength: float
    std: Mapping[str, np.ndarray]
    seed: int
    _rows: dict[str, np.ndarray] = field(default_factory=dict, repr=False)

    def of_rows(self, name: str, clip_id: str, times_s: np.ndarray) -> np.ndarray:
        """The noise of the rows of a modality at these times (time, dim)."""
        if name not in self._rows:
            rng = np.random.default_rng([self.seed, *_words(name)])
            drawn = rng.standard_normal((NUM_NOISE_ROWS, len(self.std[name])), np.float32)
            self._rows[name] = drawn * (self.strength * self.std[name]).astype(np.float32)
        first, factor = _words(clip_id)
        bits = np.ascontiguousarray(times_s, np.float64).view(np.uint64) + np.uint64(first)
        # the bits of a time change little from row to row
        mixed = (bits ^ (bits >> np.uint64(29))) * np.uint64(factor | 1)
        return self._rows[name][(mixed >> np.uint64(40)) % np.uint64(NUM_NOISE_ROWS)]


class NoisySource(AbsentSource):
    """A source with noise on the observed rows of the modalities that ``noise`` has a standard deviation of."""

    def __init__(self, source: "FeatureSource", noise: Noise) -> None:
        super().__init__(source, noise.std)
        self._noise = noise

    def _changed(self, name: str, clip_id: str, track: Track) -> Track:
        noise = self._noise.of_rows(name, clip_id, track.times_s)
        values = track.values + np.where(track.observed[:, None], noise, 0)
        return Track(values.astype(np.float32), track.times_s, track.observed)


def dropped_spans(times_s: np.ndarray, share: float, stretch_s: float, rng: np.random.Generator) -> np.ndarray:
    """The spans (number, 2) of a clip that are dropped: begin in seconds, included, and end, not included.

    The clip is cut into stretches of ``stretch_s``, of which the first begins at a random time; they are dropped in a
    random order, the last one in part, until the ``share`` of the time is reached. The same draws with a larger share
    drop the same and more. A clip of one frame, such as a still picture, is dropped whole with the probability
    ``share``.
    """
    if not len(times_s) or share <= 0:
        return np.zeros((0, 2))
    start_s, interval_s = times_s[0], float(np.median(np.diff(times_s))) if len(times_s) > 1 else 1.0
    stop_s = times_s[-1] + interval_s
    offset_s, is_dropped = rng.uniform(0, stretch_s), rng.uniform() < share
    if len(times_s) == 1 or share >= 1:
        return np.array([[start_s, stop_s]]) if is_dropped or share >= 1 else np.zeros((0, 2))
    bounds = np.arange(start_s - offset_s, stop_s + stretch_s, stretch_s).clip(start_s, stop_s)
    spans = np.stack([bounds[:-1], bounds[1:]], axis=1)
    spans = spans[rng.permutation(len(spans))]
    lengths = spans[:, 1] - spans[:, 0]
    left_s = share * (stop_s - start_s) - (np.cumsum(lengths) - lengths)  # before each: how much is still to be dropped
    spans[:, 1] = spans[:, 0] + np.clip(left_s, 0, lengths)
    return np.asarray(spans[spans[:, 1] > spans[:, 0]])


def _hidden(track: Track, is_hidden: np.ndarray) -> Track:
    """The track with these rows unobserved, 0 as unobserved rows of a store are."""
    return Track(np.where(is_hidden[:, None], np.float32(0), track.values), track.times_s, track.observed & ~is_hidden)


def _words(name: str) -> tuple[int, int]:
    """Two numbers that follow from a name, the same in every process."""
    found = hashlib.sha256(name.encode()).digest()
    return int.from_bytes(found[:4], "little"), int.from_bytes(found[4:8], "little")

"""Mean and standard deviation of every feature over the training split, for standardisation."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from abaw.batches import FeatureSource

CHUNK_STEPS = 4096  # steps read at once: 100 MB for 1024 features, whatever the length of the clip


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and standard deviation of every feature of one modality, over the observed rows of some clips."""

    mean: Float[np.ndarray, " dim"]
    std: Float[np.ndarray, " dim"]


def measure_statistics(
    source: FeatureSource, clip_ids: Iterable[str], names: Iterable[str] | None = None
) -> dict[str, FeatureStatistics]:
    """Statistics of every modality, or of those in ``names``, over the observed rows of the clips.

    Population moments in float64, merged chunk by chunk as in Chan et al. 1979, so that memory grows neither with the
    number of clips nor with their length. A constant feature gets the standard deviation 1. A modality that was never
    observed gets the mean 0 and the standard deviation 1.
    """
    moments = {name: Moments(source.dim(name)) for name in (source.names() if names is None else names)}
    for clip_id in clip_ids:
        for name, moment in moments.items():
            for rows in observed_rows(source, name, clip_id):
                moment.add(rows)
    return {name: moment.to_statistics() for name, moment in moments.items()}


def observed_rows(source: FeatureSource, name: str, clip_id: str) -> Iterator[Float[np.ndarray, "n dim"]]:
    """The observed rows of one modality of a clip, chunk by chunk, in float64."""
    times_s = source.clock(clip_id).times_s
    if not len(times_s):
        return
    # tracks at their own rate are read whole: chunks would overlap by their margins and count rows twice
    size = CHUNK_STEPS if source.is_on_clock(name) else len(times_s)
    for chunk in np.split(times_s, range(size, len(times_s), size)):
        track = source.read(name, clip_id, chunk[0], chunk[-1])
        yield track.values[track.observed].astype(np.float64)


class Moments:
    """Number, mean and sum of squared deviations of the rows added so far."""

    def __init__(self, dim: int) -> None:
        self.num, self.mean, self.squares = 0, np.zeros(dim), np.zeros(dim)

    def add(self, rows: Float[np.ndarray, "n dim"]) -> None:
        """Count these rows too."""
        if not len(rows):
            return
        num, mean = self.num + len(rows), rows.mean(0)
        offset = mean - self.mean
        self.squares += ((rows - mean) ** 2).sum(0) + offset**2 * self.num * len(rows) / num
        self.mean += offset * len(rows) / num
        self.num = num

    def to_statistics(self) -> FeatureStatistics:
        """Mean and standard deviation; 1 for a constant feature, 0 and 1 without a row."""
        std = np.sqrt(self.squares / max(1, self.num))
        is_constant = std <= 1e-6 * np.abs(self.mean)  # exactly 0, or the rounding error of a constant
        return FeatureStatistics(self.mean, np.where(is_constant, 1.0, std))

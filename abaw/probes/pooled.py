"""Features pooled over a clip or a window: mean and standard deviation of the observed rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True)
class Moments:
    """Of each of some pieces of sound or video: number of observed rows, their seconds, mean and standard deviation.

    A piece without an observed row has NaN. float32, as there may be many pieces.
    """

    num: Int[np.ndarray, " piece"]
    seconds: Float[np.ndarray, " piece"]
    mean: Float[np.ndarray, "piece dim"]
    std: Float[np.ndarray, "piece dim"]

    @classmethod
    def of(cls, pieces: "Sequence[Moments]") -> "Moments":
        """Several one after the other."""
        return cls(
            *(np.concatenate([getattr(each, key) for each in pieces]) for key in ("num", "seconds", "mean", "std"))
        )

    def features(self) -> Float[np.ndarray, "piece features"]:
        """What a linear model reads: the means, then the standard deviations."""
        return np.concatenate([self.mean, self.std], axis=1)

    def together(self) -> tuple[np.ndarray, np.ndarray]:
        """Mean and standard deviation over the rows of all pieces, in float64; NaN without a row."""
        seen = self.select(np.flatnonzero(self.num > 0))
        if not len(seen.num):
            return (np.full(self.mean.shape[1], np.nan),) * 2
        weight, means = (seen.num / seen.num.sum())[:, None], seen.mean.astype(np.float64)
        mean = (weight * means).sum(0)
        return mean, np.sqrt((weight * (seen.std.astype(np.float64) ** 2 + (means - mean) ** 2)).sum(0))

    def select(self, which: np.ndarray) -> "Moments":
        """Those at these positions."""
        return Moments(self.num[which], self.seconds[which], self.mean[which], self.std[which])


def pool_rows(rows: Float[np.ndarray, "n dim"], step_s: float) -> Moments:
    """One piece from its observed rows, which are ``step_s`` apart.

    >>> found = pool_rows(np.array([[1.0], [3.0]]), 0.1)
    >>> found.features().tolist(), found.seconds.tolist()
    ([[2.0, 1.0]], [0.2])
    """
    dim = rows.shape[1]
    mean, std = (rows.mean(0), rows.std(0)) if len(rows) else (np.full(dim, np.nan), np.full(dim, np.nan))
    given = np.array([len(rows)]), np.array([len(rows) * step_s])
    return Moments(*given, mean[None].astype(np.float32), std[None].astype(np.float32))


def merge(pieces: Sequence[Moments]) -> Moments:
    """All as one piece."""
    whole = Moments.of(pieces)
    mean, std = (each[None].astype(np.float32) for each in whole.together())
    return Moments(whole.num.sum(keepdims=True), whole.seconds.sum(keepdims=True), mean, std)


def standardise_pooled(
    features: Float[np.ndarray, "piece features"], of_piece: Sequence[str], min_pieces: int
) -> Float[np.ndarray, "piece features"]:
    """Pooled features standardised over the pieces of their group; labels are not used.

    How much a feature differs from piece to piece depends on the person too. A group with fewer than ``min_pieces``
    observed pieces is standardised over those of all groups. A feature that is constant becomes 0.

    >>> standardise_pooled(np.array([[1.0], [3.0], [10.0], [30.0]]), ["a", "a", "b", "b"], 2).tolist()
    [[-1.0], [1.0], [-1.0], [1.0]]
    """
    found, groups = np.empty_like(features), np.array(of_piece)
    is_seen = ~np.isnan(features).any(axis=1)
    for group in dict.fromkeys(of_piece):
        own = is_seen & (groups == group)
        rows = features[own if own.sum() >= min_pieces else is_seen].astype(np.float64)
        scale = rows.std(axis=0)
        at = groups == group
        found[at] = (features[at] - rows.mean(axis=0)) / np.where(scale > 1e-6, scale, np.inf)
    return found


def within_groups(
    pieces: Moments, of_piece: Sequence[str], material: Moments, of_material: Sequence[str], min_s: float
) -> tuple[Moments, Mapping[str, float]]:
    """The pieces as if their rows had been standardised by all material of their group; labels are not used.

    ``of_piece`` and ``of_material``: the group of each piece of the two. A group with less than ``min_s`` seconds of
    observed rows is standardised by the material of all groups; those are returned with their seconds.
    """
    mean, std = pieces.mean.copy(), pieces.std.copy()
    groups, groups_there = np.array(of_piece), np.array(of_material)
    overall, short = material.together(), {}
    for group in dict.fromkeys(of_piece):
        own = material.select(np.flatnonzero(groups_there == group))
        seconds = float(own.seconds.sum())
        if seconds < min_s:
            short[group] = seconds
        centre, scale = own.together() if seconds >= min_s else overall
        scale = np.where(scale <= 1e-6 * np.abs(centre), 1.0, scale)  # of a constant feature
        at = groups == group
        mean[at] = (pieces.mean[at] - centre) / scale
        std[at] = pieces.std[at] / scale
    return replace(pieces, mean=mean, std=std), short

"""Features pooled over a clip or a window: mean and standard deviation of the observed rows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

Scales = Mapping[str, tuple[np.ndarray, np.ndarray]]  # group -> mean and deviation of each feature


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
        """What a classifier reads: the means, then the standard deviations."""
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


def group_scales(
    material: Moments, of_material: Sequence[str], groups: Sequence[str], min_s: float
) -> tuple[Scales, Mapping[str, float]]:
    """By group the mean and deviation of the rows of all its material; labels are not used.

    ``of_material``: the group of each piece. A group with less than ``min_s`` seconds of observed rows has those of the
    material of all groups; such groups are returned with their seconds.
    """
    groups_there = np.array(of_material)
    overall, short, found = material.together(), {}, {}
    for group in dict.fromkeys(groups):
        own = material.select(np.flatnonzero(groups_there == group))
        seconds = float(own.seconds.sum())
        if seconds < min_s:
            short[group] = seconds
        centre, scale = own.together() if seconds >= min_s else overall
        found[group] = centre, np.where(scale <= 1e-6 * np.abs(centre), 1.0, scale)  # of a constant feature
    return found, short


def scale_rows(pieces: Moments, of_piece: Sequence[str], scales: Scales) -> Moments:
    """The pieces as if their rows had been standardised with the scales of their group (``group_scales``)."""
    mean, std = pieces.mean.copy(), pieces.std.copy()
    groups = np.array(of_piece)
    for group in dict.fromkeys(of_piece):
        (centre, scale), at = scales[group], groups == group
        mean[at] = (pieces.mean[at] - centre) / scale
        std[at] = pieces.std[at] / scale
    return replace(pieces, mean=mean, std=std)


def pooled_scales(features: Float[np.ndarray, "piece features"], of_piece: Sequence[str], min_pieces: int) -> Scales:
    """By group the mean and deviation of pooled features over its pieces; labels are not used.

    How much a feature differs from piece to piece depends on the person too. A group with fewer than ``min_pieces``
    observed pieces has those over the pieces of all groups. The deviation of a constant feature is infinite.
    """
    found, groups = {}, np.array(of_piece)
    is_seen = ~np.isnan(features).any(axis=1)
    for group in dict.fromkeys(of_piece):
        own = is_seen & (groups == group)
        rows = features[own if own.sum() >= min_pieces else is_seen].astype(np.float64)
        scale = rows.std(axis=0)
        found[group] = rows.mean(axis=0), np.where(scale > 1e-6, scale, np.inf)
    return found


def scale_pooled(
    features: Float[np.ndarray, "piece features"], of_piece: Sequence[str], scales: Scales
) -> Float[np.ndarray, "piece features"]:
    """Pooled features standardised with the scales of their group (``pooled_scales``); constant ones become 0.

    >>> features, groups = np.array([[1.0], [3.0], [10.0], [30.0]]), ["a", "a", "b", "b"]
    >>> scale_pooled(features, groups, pooled_scales(features, groups, 2)).tolist()
    [[-1.0], [1.0], [-1.0], [1.0]]
    """
    found, groups = np.empty_like(features), np.array(of_piece)
    for group in dict.fromkeys(of_piece):
        (mean, scale), at = scales[group], groups == group
        found[at] = (features[at] - mean) / scale
    return found

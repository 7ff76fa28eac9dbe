"""Combining several tables of a clip: the mean, weights fitted on held-out labels, or the CCC-centred mean."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from abaw.dataset.seen import Seen
from abaw.errors import InputError
from abaw.metrics import concordance
from abaw.results.predictions import Table

CLOCK_TOLERANCE_S = 1e-3
AFFINE = (("scale", 1.0), ("bias", 0.0))


@dataclass(frozen=True)
class EnsembleWeights:
    """The sum over members of weight * (scale * value + bias); every array is (members columns), or (members 1).

    ``fitted_on``: the videos whose labels the weights are fitted on, ``fitted_on_groups``: the groups, where there are
    any. Raises InputError where weights are negative or do not sum to 1, or a number is not finite.

    >>> mean(2).values([np.array([[0.0]]), np.array([[1.0]])])
    array([[0.5]])
    """

    how: str
    weights: np.ndarray
    scale: np.ndarray
    bias: np.ndarray
    fitted_on: tuple[str, ...] = ()
    fitted_on_groups: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("weights", "scale", "bias"):
            if not np.isfinite(getattr(self, name)).all():
                raise InputError(f"{name} of an ensemble must be finite numbers")
        if (self.weights < 0).any() or not np.allclose(self.weights.sum(axis=0), 1):
            raise InputError(f"weights of an ensemble must be 0 or more with the sum 1, not {self.weights.tolist()}")

    def values(self, members: Sequence[np.ndarray]) -> np.ndarray:
        """One clip's values of every member, each (time columns), combined; float64."""
        factors, total = self.weights * self.scale, np.zeros_like(members[0], np.float64)
        for factor, each in zip(factors, members, strict=True):
            if factor.any():
                total += factor * each
        return total + (self.weights * self.bias).sum(axis=0)

    def table(self, tables: Sequence[Table]) -> Table:
        """One clip's tables combined; observed where any member is, and so is each modality (none where a member does
        not say). Raises InputError where frames or times differ."""
        check_agreement(tables, [f"member {i + 1}" for i in range(len(tables))])
        first, observed = tables[0], np.any([table.observed for table in tables], axis=0)
        values = self.values([table.values for table in tables]).astype(np.float32)
        names = sorted({name for table in tables for name in table.modalities})
        known = names if all(table.modalities for table in tables) else []
        modalities = {
            name: np.any([table.modalities[name] for table in tables if name in table.modalities], axis=0)
            for name in known
        }
        return Table(first.frames, first.times_s, observed, values, first.columns, modalities, self._deviations(tables))

    def _deviations(self, tables: Sequence[Table]) -> dict[str, np.ndarray]:
        """The standard deviations of the combined values, those of a mixture of the members (Lakshminarayanan et al.
        2017): the mean variance of the members by weight, and the variance of their values. {} where a member has none.
        """
        columns = tables[0].columns
        weights, scale, bias = (
            np.broadcast_to(each, (len(tables), len(columns))) for each in (self.weights, self.scale, self.bias)
        )
        found = {}
        for name in tables[0].deviations if all(table.deviations for table in tables) else ():
            i = columns.index(name)
            values = np.stack([table.values[:, i] for table in tables], axis=1) * scale[:, i] + bias[:, i]
            own = np.stack([table.deviations[name] for table in tables], axis=1) * scale[:, i]
            apart = values - (values @ weights[:, i])[:, None]
            found[name] = np.sqrt((np.square(own) + np.square(apart)) @ weights[:, i]).astype(np.float32)
        return found

    def document(self, members: Sequence[str]) -> dict[str, Any]:
        """As predictions.json records it; ``read_weights`` is the inverse."""
        about: dict[str, Any] = {"how": self.how, "members": list(members), "weights": _plain(self.weights)}
        if (self.scale != 1).any() or (self.bias != 0).any():
            about |= {"scale": self.scale.tolist(), "bias": self.bias.tolist()}
        seen = {"fitted_on": self.fitted_on, "fitted_on_groups": self.fitted_on_groups}
        return about | {key: list(names) for key, names in seen.items() if names}

    @property
    def seen(self) -> Seen:
        """The videos and groups whose labels the weights are fitted on."""
        return Seen(self.fitted_on, self.fitted_on_groups)

    def with_seen(self, seen: Seen) -> "EnsembleWeights":
        """The same weights, fitted on the labels of these."""
        return replace(self, fitted_on=seen.videos, fitted_on_groups=seen.groups)


def mean(num: int) -> EnsembleWeights:
    """Equal weights. Raises InputError for no member."""
    if not num:
        raise InputError("an ensemble needs at least one table")
    return weighted([1 / num] * num, how="mean")


def weighted(weights: Sequence[float], seen: Seen | None = None, how: str = "weighted") -> EnsembleWeights:
    """A weight for each member, the same in all columns; ``seen``: what they are fitted on."""
    column = np.array(weights, np.float64)[:, None]
    return EnsembleWeights(how, column, np.ones_like(column), np.zeros_like(column)).with_seen(seen or Seen())


def read_weights(document: Mapping[str, Any], place: str) -> EnsembleWeights:
    """The inverse of ``EnsembleWeights.document``. Raises InputError, naming ``place``, for anything else."""
    try:
        weights = np.array(document["weights"], np.float64)
        weights = weights[:, None] if weights.ndim == 1 else weights
        scale, bias = (np.array(document.get(key, np.full_like(weights, one)), np.float64) for key, one in AFFINE)
        if not weights.ndim == 2 or not weights.shape == scale.shape == bias.shape:
            raise InputError("weights, scale and bias must have one row per member")
        seen = (tuple(map(str, document.get(key, ()))) for key in ("fitted_on", "fitted_on_groups"))
        return EnsembleWeights(str(document["how"]), weights, scale, bias, *seen)
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{place}: not an ensemble as abaw combine writes it: {error!s}") from error


def centre(members: Sequence[np.ndarray]) -> EnsembleWeights:
    """The CCC-centred mean of values (each member: frames of all clips, columns), which needs no labels.

    In every column a member's weight is its mean CCC with the others (at least 0; equal weights where all are 0). Scale
    and bias give every member the weighted mean of the members' means and standard deviations, so that none counts more
    because of its range. Gold standards are made of annotators' traces in this way, but without the scale.
    """
    means = np.stack([each.mean(axis=0, dtype=np.float64) for each in members])
    spreads = np.stack([each.std(axis=0, dtype=np.float64) for each in members])
    weights = np.stack([_agreement([each[:, i] for each in members]) for i in range(members[0].shape[1])], axis=1)
    common_mean, common_spread = (weights * means).sum(axis=0), (weights * spreads).sum(axis=0)
    scale = np.where(spreads > 0, common_spread / np.where(spreads > 0, spreads, 1), 1.0)
    return EnsembleWeights("centred", weights, scale, common_mean - scale * means)


def check_agreement(tables: Sequence[Table], names: Sequence[str]) -> None:
    """Raises InputError for the first difference between one clip's tables in frames, columns or times."""
    first = tables[0]
    for table, name in zip(tables[1:], names[1:], strict=True):
        if table.values.shape != first.values.shape:
            raise InputError(
                f"{names[0]} has {len(first.frames)} frames of {first.values.shape[1]} columns, {name} has "
                f"{len(table.frames)} of {table.values.shape[1]}: predict all of them with one task and the same clocks"
            )
        apart = np.flatnonzero(abs(table.times_s - first.times_s) > CLOCK_TOLERANCE_S)
        if len(apart):
            frame = int(apart[0])
            raise InputError(
                f"frame {frame + 1} is at {first.times_s[frame]:.3f} s in {names[0]} and at "
                f"{table.times_s[frame]:.3f} s in {name}: predict all of them with the same clocks"
            )


def _agreement(members: Sequence[np.ndarray]) -> np.ndarray:
    """The mean CCC of each with the others, at least 0, normalised to sum to 1."""
    others = [[concordance(one, other) for other in members if other is not one] for one in members]
    weights = np.array([max(0.0, float(np.mean(each))) if each else 1.0 for each in others])
    return weights / weights.sum() if weights.sum() else np.full(len(members), 1 / len(members))


def _plain(weights: np.ndarray) -> list[Any]:
    return weights[:, 0].tolist() if weights.shape[1] == 1 else weights.tolist()

"""The posterior of a trained network's last layer, fitted to labelled clips.

Frames are not independent samples: neighbours are near copies, and a clip has an error of its own. So the rows of a
second count together as one, and ``correlation``, the share of the error's variance that the rows of a clip have in
common, is one unknown of the clip: differences within a clip say much about the weights, its mean little. That share
and the variance of the noise come from the errors of the network on clips that it was not trained on, where there are
some; else from those of the regression on clips left out of it, whole clips at a time, whose frames the network itself
has seen, so that they are too small for new persons. The deviation is that of the last layer: what the layers below
have wrong, and how one person differs from another, is in it only as a mean. Before any label, outputs vary as much as
labels do: that is the precision of the prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from abaw.errors import InputError
from abaw.uncertainty.posterior import LinearPosterior, prior

MAX_ROWS = 200  # of a clip, evenly spaced: more are near copies
MAX_FOLDS = 50  # of whole clips; up to as many clips each is left out alone
NUM_ROUNDS = 4  # noise and counts of rows depend on the errors, and these on both
MIN_CLIPS = 2
MAX_CORRELATION = 0.99  # some error is each row's own
TINY = 1e-12  # of a variance


class LastLayerRows(NamedTuple):
    """The scored rows of a clip: states (row dim), labels and the network's outputs (row out), in the table's unit, and
    the times of the rows in seconds."""

    states: np.ndarray
    labels: np.ndarray
    outputs: np.ndarray
    times_s: np.ndarray

    def thinned(self) -> "LastLayerRows":
        """At most ``MAX_ROWS`` of them, evenly spaced, in float64."""
        num = len(self.states)
        places = np.unique(np.linspace(0, num - 1, min(num, MAX_ROWS)).round().astype(int))
        return LastLayerRows(*(each[places].astype(np.float64) for each in self))


@dataclass(frozen=True, eq=False)
class LastLayerPosterior:
    """The posterior on a last layer's input, for each of ``columns`` in the unit of the prediction table.

    States are standardised by ``centre`` and ``spread`` and get a constant. ``offset`` and ``scale`` are the labels'
    mean and standard deviation over clips; ``correlation`` that of the errors in a clip; ``num_clips`` labelled clips
    were fitted; the noise is from ``num_held_out`` clips, or from those fitted where it is 0. Arrays are float64.
    """

    columns: tuple[str, ...]
    centre: Float[np.ndarray, " dim"]
    spread: Float[np.ndarray, " dim"]
    offset: Float[np.ndarray, " out"]
    scale: Float[np.ndarray, " out"]
    correlation: Float[np.ndarray, " out"]
    weights: LinearPosterior
    num_clips: int
    num_held_out: int = 0

    def __str__(self) -> str:
        """How it was fitted, in a line."""
        noise = ", ".join(
            f"{name} {sd:.3f}" for name, sd in zip(self.columns, np.sqrt(self.weights.noise).tolist(), strict=True)
        )
        return f"fitted to {self.num_clips} clips; standard deviation of the noise {noise}, from {self.noise_source}"

    @property
    def noise_source(self) -> str:
        """On which clips the noise was measured, in words."""
        if self.num_held_out:
            return f"{self.num_held_out} clips that the run held out"
        return "clips that the network was trained on: too small for new persons"

    def rows(self, states: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row wide"]:
        """States as ``weights`` takes them: standardised, with a constant. InputError for states of another width."""
        if states.shape[1] != len(self.centre):
            raise InputError(
                f"the posterior is of a last layer with {len(self.centre)} inputs, this one has {states.shape[1]}: "
                "delete it and fit it again"
            )
        return _with_constant((states.astype(np.float64) - self.centre) / self.spread)

    def outputs(self, states: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row out"]:
        """The labels that the posterior itself expects; those of the trained head differ, as its loss does."""
        return self.offset + self.weights.outputs(self.rows(states))

    def deviations(self, states: Float[np.ndarray, "row dim"]) -> Float[np.ndarray, "row out"]:
        """The standard deviation of a label around the output: of the noise and the last layer's weights."""
        return np.sqrt(self.weights.variances(self.rows(states)))

    def with_clip(
        self,
        states: Float[np.ndarray, "row dim"],
        labels: Float[np.ndarray, "row out"],
        times_s: Float[np.ndarray, " row"],
    ) -> "LastLayerPosterior":
        """The posterior with the labelled rows of one more clip; those of a second count together as one."""
        counts = row_counts(times_s)
        weights = self.weights.with_clip(self.rows(states), labels - self.offset, counts, self.correlation)
        return replace(self, weights=weights)


def row_counts(times_s: Float[np.ndarray, " row"]) -> Float[np.ndarray, " row"]:
    """As how many independent rows each row of a clip counts: those of a second together as one.

    >>> row_counts(np.array([0.0, 0.5, 1.0, 7.2])).tolist()
    [0.5, 0.5, 1.0, 1.0]
    """
    _, second, num = np.unique(np.floor(times_s), return_inverse=True, return_counts=True)
    return 1 / num[second]


def fit_last_layer(
    clips: Sequence[LastLayerRows], columns: Sequence[str], held_out: Sequence[LastLayerRows] = ()
) -> LastLayerPosterior:
    """Fit the weights to the rows of ``clips``, and the noise to those of ``held_out`` where there are two or more.

    Clips without rows are left out. Raises InputError for fewer than two clips, and where all labels of a column are
    equal.
    """
    kept = [each.thinned() for each in clips if len(each.states)]
    others = [each.thinned() for each in held_out if len(each.states)]
    if len(kept) < MIN_CLIPS:
        raise InputError(f"a posterior needs labels of {MIN_CLIPS} clips or more, there are {len(kept)}")
    (centre, spread), (offset, scale) = (_moments([each[i] for each in kept]) for i in (0, 1))
    if not (scale > 0).all():
        raise InputError(f"all labels of {columns[int(np.argmin(scale))]} are the same: there is nothing to fit")
    spread = np.where(spread > 1e-6 * max(1.0, float(spread.max())), spread, 1.0)  # a unit that is always the same
    rows = [_with_constant((each.states - centre) / spread) for each in kept]
    goals, counts = [each.labels - offset for each in kept], [row_counts(each.times_s) for each in kept]
    fitted_to = list(zip(rows, goals, counts, strict=True))
    before = rows[0].shape[1] / np.square(scale)

    def posterior(noise: np.ndarray, correlation: np.ndarray) -> LinearPosterior:
        known = prior(rows[0].shape[1], before, noise)
        for clip in fitted_to:
            known = known.with_clip(*clip, correlation)
        return known

    if len(others) >= MIN_CLIPS:
        tried = [_with_constant((each.states - centre) / spread) for each in others]
        errors = [each.labels - each.outputs for each in others]
        whole, correlation = _mean_squares(errors), _correlation(errors)
        noise = whole
        for _ in range(NUM_ROUNDS):  # the errors are of the noise and of the weights
            known = posterior(noise, correlation)
            of_weights = np.mean([known.weight_variances(each).mean(axis=0) for each in tried], axis=0)
            noise = np.maximum(whole - of_weights, whole / 2)
    else:
        others = []
        noise, correlation = np.square(scale), np.full(len(columns), MAX_CORRELATION)
        for _ in range(NUM_ROUNDS):
            errors = _leave_out(fitted_to, posterior(noise, correlation), correlation)
            noise, correlation = _mean_squares(errors), _correlation(errors)
    known = posterior(noise, correlation)
    return LastLayerPosterior(tuple(columns), centre, spread, offset, scale, correlation, known, len(rows), len(others))


def _moments(clips: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each column (row column); every clip counts the same."""
    mean = np.mean([each.mean(axis=0) for each in clips], axis=0)
    return mean, np.sqrt(np.mean([np.square(each - mean).mean(axis=0) for each in clips], axis=0))


def _mean_squares(errors: Sequence[np.ndarray]) -> Float[np.ndarray, " out"]:
    """The mean squared error of each output; every clip counts the same. Never 0."""
    return np.maximum(np.mean([np.square(each).mean(axis=0) for each in errors], axis=0), TINY)


def _with_constant(rows: np.ndarray) -> np.ndarray:
    return np.concatenate([rows, np.ones((len(rows), 1))], axis=1)


def _leave_out(
    clips: Sequence[tuple[np.ndarray, np.ndarray, np.ndarray]], whole: LinearPosterior, correlation: np.ndarray
) -> list[np.ndarray]:
    """The errors of each clip (row out) by the posterior without it; at most ``MAX_FOLDS`` times whole clips."""
    num_folds = min(len(clips), MAX_FOLDS)
    errors: dict[int, np.ndarray] = {}
    for fold in range(num_folds):
        left_out, without = range(fold, len(clips), num_folds), whole
        for clip in left_out:
            without = without.with_clip(*clips[clip], correlation, sign=-1)
        errors |= {clip: clips[clip][1] - without.outputs(clips[clip][0]) for clip in left_out}
    return [errors[clip] for clip in range(len(clips))]


def _correlation(errors: Sequence[np.ndarray]) -> Float[np.ndarray, " out"]:
    """The share of the errors' variance that the rows of a clip have in common, at most ``MAX_CORRELATION``.

    From the variance of the clips' mean errors, which is variance * (correlation + (1 - correlation) / num).
    """
    several = [each for each in errors if len(each) > 1]
    if not several:
        return np.full(errors[0].shape[1], MAX_CORRELATION)
    common = np.mean([np.square(each.mean(axis=0)) for each in several], axis=0)
    alone = float(np.mean([1 / len(each) for each in several]))
    return np.clip((common / _mean_squares(several) - alone) / (1 - alone), 0.0, MAX_CORRELATION)

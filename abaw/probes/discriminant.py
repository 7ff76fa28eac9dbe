"""A linear classifier in closed form for many features and few samples, whose prior is estimated from the features.

Two classes: the empirical Bayes rule of Ouyang and Liang (arXiv 1702.05056). More classes: our extension, in the form
of nearest shrunken centroids (Tibshirani et al. 2002) with posterior means in place of soft thresholds; for two
classes of one size it is the paper's rule. Features count as independent within a class, as in the paper.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float, Int

from abaw.errors import InputError
from abaw.probes.prior import PAPER, Prior, PriorSettings, draw_parts, estimate_priors

Rule = Literal["mean", "sparse", "none"]
MAX_PARTS = 10  # in which the features are divided for their prior, as in the paper's rule DP
MIN_FEATURES = 200  # of a part: the fewest effects with which the paper measures its estimator
MIN_SAMPLES = 2  # of a class: fewer have no variance


@dataclass(frozen=True)
class Discriminant:
    """A linear rule. The evidence of a class is ``sum_j(weights x_j - offsets)`` over the features that are known.

    Differences of evidence are log-odds of classes that are equally frequent, under the model. ``is_used``: False for
    features that are constant within every class, or unknown; they have weight 0. ``priors``: of the effects, one for
    all classes of the paper's rule, one a class of ours. ``effects``: their estimates, standardised.
    """

    weights: Float[np.ndarray, "class feature"]
    offsets: Float[np.ndarray, "class feature"]
    is_used: Bool[np.ndarray, " feature"]
    priors: Sequence[Prior]
    effects: Float[np.ndarray, "effect feature"]

    def evidence(self, features: Float[np.ndarray, "row feature"]) -> Float[np.ndarray, "row class"]:
        """The evidence for each class. An unknown feature (NaN) says nothing: its terms are left out."""
        is_known = ~np.isnan(features)
        if is_known.all():
            return np.asarray(features @ self.weights.T - self.offsets.sum(axis=1))
        return np.where(is_known, features, 0.0) @ self.weights.T - is_known.astype(np.float64) @ self.offsets.T


@dataclass(frozen=True)
class _Moments:
    """Of each class and feature: number of samples in which it is known, mean, and sum of squared deviations."""

    num: np.ndarray
    mean: np.ndarray
    squares: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, classes: np.ndarray, num_classes: int) -> "_Moments":
        found = []
        for each in range(num_classes):
            own = features[classes == each].astype(np.float64)
            is_known = ~np.isnan(own)
            num = is_known.sum(0)
            mean = np.where(is_known, own, 0).sum(0) / np.maximum(num, 1)
            found.append((num, mean, (np.where(is_known, own - mean, 0) ** 2).sum(0)))
        return cls(*(np.stack(each) for each in zip(*found, strict=True)))

    def is_used(self) -> np.ndarray:
        """Features with a variance within the classes, beyond rounding, and enough samples of every class."""
        variance = self.squares.sum(0) / np.maximum(self.num.sum(0), 1)
        enough = (self.num >= MIN_SAMPLES).all(0)
        return np.asarray(enough & (np.sqrt(variance) > 1e-6 * np.maximum(np.abs(self.mean).max(0), 1e-12)))


def fit_two_classes(
    features: Float[np.ndarray, "sample feature"],
    classes: Int[np.ndarray, " sample"],
    rng: np.random.Generator,
    *,
    rule: Rule = "mean",
    num_parts: int | None = None,
    settings: PriorSettings = PAPER,
) -> Discriminant:
    """The paper's rule for classes 0 and 1: class 1 where ``sum_j effect_j (x_j - middle_j) / S_j > 0``.

    ``rule``: what an effect is estimated by: the "mean" of its posterior, "sparse", 0 where that is more likely, or
    "none", by itself, which is the independence rule. ``num_parts``: parts of features with a prior of their own; by
    default as many of ``MIN_FEATURES`` as there are, at most ``MAX_PARTS``. The paper's sum has the right direction
    only; times ``1 / n_0 + 1 / n_1`` it is a log-odds. Raises InputError for less than two samples of a class.
    """
    moments = _checked_moments(features, classes, 2)
    used = moments.is_used()
    num, mean, squares = moments.num[:, used], moments.mean[:, used], moments.squares[:, used]
    error = np.sqrt((squares / (num - 1) / num).sum(0))
    effects, priors = _shrink(((mean[1] - mean[0]) / error)[None], rng, rule, num_parts, settings)
    weights = (1 / num).sum(0) * effects[0] / error
    half = np.stack([-weights / 2, weights / 2])
    return _spread(half, half * mean.mean(0), effects, used, priors)


def fit_classes(
    features: Float[np.ndarray, "sample feature"],
    classes: Int[np.ndarray, " sample"],
    num_classes: int,
    rng: np.random.Generator,
    *,
    rule: Rule = "mean",
    num_parts: int | None = None,
    settings: PriorSettings = PAPER,
) -> Discriminant:
    """Our extension to classes 0 .. ``num_classes - 1``: each class mean is shrunk to the mean of all samples.

    The effect of class k is ``(mean_k - mean) / (m_k s)`` with the deviation ``s`` within classes and
    ``m_k = sqrt(1 / n_k - 1 / n)``. All classes divide the features into the same parts. Settings and errors as
    ``fit_two_classes``.
    """
    moments = _checked_moments(features, classes, num_classes)
    used = moments.is_used()
    num, mean = moments.num[:, used], moments.mean[:, used]
    total = num.sum(0)
    overall = (num * mean).sum(0) / total
    deviation = np.sqrt(moments.squares[:, used].sum(0) / (total - num_classes))
    scale = np.sqrt(1 / num - 1 / total) * deviation
    effects, priors = _shrink((mean - overall) / scale, rng, rule, num_parts, settings)
    shift = effects * scale
    weights = shift / deviation**2
    return _spread(weights, weights * (overall + shift / 2), effects, used, priors)


def _checked_moments(features: np.ndarray, classes: np.ndarray, num_classes: int) -> _Moments:
    counts = np.bincount(classes, minlength=num_classes)
    if len(counts) > num_classes:
        raise InputError(f"class {len(counts) - 1} of {num_classes}: expected classes from 0 to {num_classes - 1}")
    if counts.min() < MIN_SAMPLES:
        raise InputError(
            f"class {int(counts.argmin())} has {counts.min()} samples, expected {MIN_SAMPLES} or more of every class: "
            "leave the class out, or label more"
        )
    return _Moments.of(features, classes, num_classes)


def _shrink(
    z: np.ndarray, rng: np.random.Generator, rule: Rule, num_parts: int | None, settings: PriorSettings
) -> tuple[np.ndarray, list[Prior]]:
    """The estimates of effects (row effect), and the prior of each row."""
    if rule == "none" or not z.shape[1]:
        return z, []
    if num_parts is None:
        num_parts = min(MAX_PARTS, max(1, z.shape[1] // MIN_FEATURES))
    priors = estimate_priors(z, draw_parts(z.shape[1], num_parts, rng), settings)
    estimates = [
        prior.sparse_mean(row) if rule == "sparse" else prior.posterior_mean(row)
        for prior, row in zip(priors, z, strict=True)
    ]
    return np.stack(estimates), priors


def _spread(
    weights: np.ndarray, offsets: np.ndarray, effects: np.ndarray, used: np.ndarray, priors: Sequence[Prior]
) -> Discriminant:
    """With 0 for the features that are not used."""
    everywhere = []
    for each in (weights, offsets, effects):
        everywhere.append(np.zeros((len(each), len(used))))
        everywhere[-1][:, used] = each
    return Discriminant(everywhere[0], everywhere[1], used, priors, everywhere[2])

"""Confidence intervals of a score from the scores with each video left out, for many scores at once.

The delete-one jackknife (Efron and Tibshirani 1993, ch. 11) gives the standard error and the bias of any score. The
interval is Student's, made on a scale on which a score has no limits (logit for F1, Fisher's z for CCC), so that it
stays inside the metric's range. Its degrees of freedom are the effective number of videos less 1 (Kish 1965; Carter,
Schnepel and Steigerwald 2017): eight videos of which one has most frames are fewer than eight. A score over all frames
of few videos is biased, mostly downwards: the interval reaches as far from the score less its bias as from the score.
The interval of a mean over videos of one length is Student's. Coverage is measured in docs/measurements/benchmarks.md.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float
from scipy import special, stats

LEVEL = 0.95
DECIMALS = 12  # beyond them are rounding errors: videos that are all alike have an interval of no width

Limits = tuple[float, float]  # lowest and highest value that a score can have; infinite where there is none


class Jackknife(NamedTuple):
    """Standard error and bias of each score."""

    error: Float[np.ndarray, "*scores"]
    bias: Float[np.ndarray, "*scores"]


def jackknife(score: Float[np.ndarray, "*scores"], left_out: Float[np.ndarray, "*scores videos"]) -> Jackknife:
    """Error and bias of scores from those with one of several videos (or blocks of them) left out."""
    num = left_out.shape[-1]
    mean = left_out.mean(axis=-1)
    deviations = np.round(left_out - mean[..., None], DECIMALS)
    error = np.sqrt((num - 1) / num * np.square(deviations).sum(axis=-1))
    return Jackknife(error, (num - 1) * np.round(mean - score, DECIMALS))


def effective_number(weights: Float[np.ndarray, "*scores videos"]) -> Float[np.ndarray, "*scores"]:
    """How many videos of one length hold as much information as videos with so many rows (Kish 1965)."""
    return np.square(weights.sum(axis=-1)) / np.square(weights).sum(axis=-1)


def t_interval(
    score: Float[np.ndarray, "*scores"],
    left_out: Float[np.ndarray, "*scores videos"],
    num_effective: Float[np.ndarray, "*scores"],
    limits: Limits,
) -> tuple[Float[np.ndarray, "*scores"], Float[np.ndarray, "*scores"]]:
    """Lower and upper end of the 95 % interval of each score, inside ``limits``.

    NaN where a score is at one of its limits, as a perfect one is: how far the true score is from it is not known.
    """
    found = jackknife(score, left_out)
    quantile = stats.t.ppf((1 + LEVEL) / 2, np.maximum(num_effective - 1, 1))
    unbiased = np.clip(score - found.bias, *limits)
    with np.errstate(divide="ignore", invalid="ignore"):
        reach = quantile * found.error * _slope(score, limits)
        low = _from_line(_to_line(np.minimum(score, unbiased), limits) - reach, limits)
        high = _from_line(_to_line(np.maximum(score, unbiased), limits) + reach, limits)
    is_between = (score > limits[0]) & (score < limits[1])
    has_width = (found.error > 0) | (found.bias != 0)  # else both ends are the score itself, to the last digit
    low, high = np.where(has_width, low, score), np.where(has_width, high, score)
    return np.where(is_between, low, np.nan), np.where(is_between, high, np.nan)


def _to_line(score: np.ndarray, limits: Limits) -> np.ndarray:
    """A score on a scale without limits: logit between two, logarithm above one, the score itself without."""
    low, high = limits
    if np.isfinite(high):
        return special.logit((score - low) / (high - low))
    return np.log(score - low) if np.isfinite(low) else score


def _from_line(value: np.ndarray, limits: Limits) -> np.ndarray:
    low, high = limits
    if np.isfinite(high):
        return low + (high - low) * special.expit(value)
    return low + np.exp(value) if np.isfinite(low) else value


def _slope(score: np.ndarray, limits: Limits) -> np.ndarray:
    """The derivative of ``_to_line``."""
    low, high = limits
    if np.isfinite(high):
        return (high - low) / ((score - low) * (high - score))
    return 1 / (score - low) if np.isfinite(low) else np.ones_like(score)

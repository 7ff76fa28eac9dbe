"""The official scores in numpy, over a whole split at once.

Definitions are written here and nowhere else, so that no library's version can change what a score means.
"""

import numpy as np
from jaxtyping import Bool, Float, Int

from abaw.errors import InputError


def concordance(prediction: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> float:
    """Concordance correlation coefficient (Lin 1989) with population moments, over all values at once.

    2 cov / (var_p + var_t + (mean_p - mean_t)^2). Both sides constant, or no values: 0. Raises ValueError where
    the two differ in length or hold a value that is not finite.
    """
    prediction, truth = _finite(prediction, truth, "concordance")
    if prediction.size == 0:
        return 0.0
    p, t = prediction - prediction.mean(), truth - truth.mean()
    # ptp, not the variance: the mean of equal numbers may differ from them by rounding
    if np.ptp(prediction) == 0 and np.ptp(truth) == 0:
        return 0.0
    spread = (p * p).mean() + (t * t).mean() + (prediction.mean() - truth.mean()) ** 2
    return float(2 * (p * t).mean() / spread) if spread else 0.0  # squares of numbers below 1e-160 are 0


def pearson(prediction: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> float:
    """Pearson's correlation: cov / sqrt(var_p var_t), over all values at once.

    One side constant, or no values: 0. Raises ValueError as ``concordance`` does.
    """
    prediction, truth = _finite(prediction, truth, "pearson")
    if prediction.size == 0 or np.ptp(prediction) == 0 or np.ptp(truth) == 0:
        return 0.0
    p, t = prediction - prediction.mean(), truth - truth.mean()
    p, t = p / np.abs(p).max(), t / np.abs(t).max()  # so that no square is too small, and no product of squares
    return float((p * t).sum() / np.sqrt((p * p).sum() * (t * t).sum()))


def class_f1(
    prediction: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], num_classes: int
) -> Float[np.ndarray, " classes"]:
    """F1 of every class, as ``_f1`` defines it."""
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    _check_same(prediction, truth)
    for values, whose in ((prediction, "predictions"), (truth, "truths")):
        if values.size and not (values.min() >= 0 and values.max() < num_classes):
            raise InputError(f"{whose} hold classes {values.min()} .. {values.max()}, expected 0 .. {num_classes - 1}")
    hits = np.bincount(prediction[prediction == truth], minlength=num_classes)
    return _f1(hits, np.bincount(prediction, minlength=num_classes), np.bincount(truth, minlength=num_classes))


def macro_f1(prediction: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], num_classes: int) -> float:
    """Mean of ``class_f1`` over all classes, always all of them."""
    return float(class_f1(prediction, truth, num_classes).mean())


def unit_f1(prediction: Bool[np.ndarray, "n units"], truth: Bool[np.ndarray, "n units"]) -> Float[np.ndarray, " units"]:
    """F1 of "active" for each action unit by itself, as ``_f1`` defines it."""
    if prediction.shape != truth.shape:
        raise InputError(f"a metric needs as many predictions as truths, not {prediction.shape} and {truth.shape}")
    return _f1((prediction & truth).sum(0), prediction.sum(0), truth.sum(0))


def _f1(
    hits: Int[np.ndarray, " kinds"], told: Int[np.ndarray, " kinds"], true: Int[np.ndarray, " kinds"]
) -> Float[np.ndarray, " kinds"]:
    """2 hits / (told + true): how often each kind was predicted rightly, was predicted, and occurs.

    The one place that says what an absent kind is worth: neither predicted nor there, it counts 0.
    """
    return 2 * hits / np.maximum(told + true, 1)


def _finite(prediction: np.ndarray, truth: np.ndarray, what: str) -> tuple[np.ndarray, np.ndarray]:
    """Both sides in double precision; ValueError where they differ in length or one is not finite."""
    prediction, truth = np.asarray(prediction, np.float64), np.asarray(truth, np.float64)
    _check_same(prediction, truth)
    if not (np.isfinite(prediction).all() and np.isfinite(truth).all()):
        raise InputError(f"{what} needs finite predictions and truths: leave unscored frames out first")
    return prediction, truth


def _check_same(prediction: np.ndarray, truth: np.ndarray) -> None:
    if prediction.shape != truth.shape or prediction.ndim != 1:
        raise InputError(
            f"a metric needs as many predictions as truths in one axis, not {prediction.shape} and {truth.shape}"
        )

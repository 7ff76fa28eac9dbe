"""The official scores in numpy, over a whole split at once, and the statistics they are computed from.

Every definition is written here and nowhere else, so that no library's version can change what a score means. A score
over all frames is not a mean of scores of videos, but it follows from statistics of the videos: ``Moments`` and counts
can be pooled, with each group counted as often as a bootstrap draws it, and the same function computes the score.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from abaw.errors import InputError

NUM_BINS = 15  # of calibration errors
Pair = tuple[np.ndarray, np.ndarray]  # predictions and truths, both (n columns)
MAX_CELLS = 2**20  # of the arrays that pooling makes for many draws at once: a bound on memory


@dataclass(frozen=True)
class Moments:
    """Number, mean, range and central second moments of predictions and truths, in each of several groups of rows.

    Sides are 0 (predictions) and 1 (truths). Values are multiplied by ``scale``, a power of two for each side and
    column, so that squares neither overflow nor underflow. The mean is ``centre`` + ``offset``, where the offset is the
    rounding error of the centre. ``squares`` and ``products`` are sums over the deviations from the mean; nothing is
    computed as a difference of large sums, so a narrow distribution far from 0 keeps its digits (Chan, Golub and
    LeVeque 1983). A group without rows has ``low`` = inf and ``high`` = -inf.
    """

    scale: Float[np.ndarray, "2 columns"]
    num: Float[np.ndarray, " groups"]
    centre: Float[np.ndarray, "groups 2 columns"]
    offset: Float[np.ndarray, "groups 2 columns"]
    squares: Float[np.ndarray, "groups 2 columns"]
    products: Float[np.ndarray, "groups columns"]
    low: Float[np.ndarray, "groups 2 columns"]
    high: Float[np.ndarray, "groups 2 columns"]

    @classmethod
    def of(cls, groups: Sequence[Pair]) -> "Moments":
        """The moments of each group's predictions and truths (n columns), which must be finite."""
        # rows last and contiguous, which numpy adds pairwise: the error stays small for a million of them
        sides = [np.stack([np.ascontiguousarray(side.T, np.float64) for side in pair]) for pair in groups]
        largest = np.max([np.abs(each).max(axis=-1, initial=0) for each in sides], axis=0)
        scale = np.ldexp(1.0, -np.frexp(largest)[1])
        sides = [each * scale[..., None] for each in sides]
        num = np.array([each.shape[-1] for each in sides], np.float64)
        count = np.maximum(num, 1)[:, None, None]
        centre = np.stack([each.sum(axis=-1) for each in sides]) / count
        deviations = [each - middle[..., None] for each, middle in zip(sides, centre, strict=True)]
        return cls(
            scale=scale,
            num=num,
            centre=centre,
            offset=np.stack([each.sum(axis=-1) for each in deviations]) / count,
            squares=np.stack([(each * each).sum(axis=-1) for each in deviations]),
            products=np.stack([(each[0] * each[1]).sum(axis=-1) for each in deviations]),
            low=np.stack([each.min(axis=-1, initial=np.inf) for each in sides]),
            high=np.stack([each.max(axis=-1, initial=-np.inf) for each in sides]),
        )

    def pooled(self, counts: Int[np.ndarray, "draws groups"]) -> "Moments":
        """The moments of each draw, in which group i occurs ``counts[draw, i]`` times."""
        step = max(1, MAX_CELLS // max(1, self.centre.size))
        pieces = [self._pooled(counts[first : first + step]) for first in range(0, len(counts), step)]
        names = ("num", "centre", "offset", "squares", "products", "low", "high")
        return Moments(self.scale, *(np.concatenate([getattr(each, name) for each in pieces]) for name in names))

    def _pooled(self, counts: np.ndarray) -> "Moments":
        weights = counts * self.num
        num, is_drawn = weights.sum(axis=1), weights > 0
        centre = self.centre[is_drawn.argmax(axis=1)]  # that of one drawn group, so that differences from it are small
        apart = (self.centre - centre[:, None]) + self.offset  # (draws groups 2 columns)
        offset = np.einsum("dg,dgsc->dsc", weights, apart) / np.maximum(num, 1)[:, None, None]
        apart = apart - offset[:, None]
        return Moments(
            scale=self.scale,
            num=num,
            centre=centre,
            offset=offset,
            squares=np.tensordot(counts, self.squares, 1) + np.einsum("dg,dgsc->dsc", weights, apart * apart),
            products=np.tensordot(counts, self.products, 1)
            + np.einsum("dg,dgc->dc", weights, apart[:, :, 0] * apart[:, :, 1]),
            low=np.where(is_drawn[..., None, None], self.low, np.inf).min(axis=1),
            high=np.where(is_drawn[..., None, None], self.high, -np.inf).max(axis=1),
        )

    def concordance(self) -> Float[np.ndarray, "groups columns"]:
        """Lin's concordance correlation coefficient of each group and column; see ``concordance``."""
        num = np.maximum(self.num, 1)[:, None]
        unit = 1 / self.scale
        bias = (self.centre[:, 0] * unit[0] - self.centre[:, 1] * unit[1]) + (
            self.offset[:, 0] * unit[0] - self.offset[:, 1] * unit[1]
        )
        variances = self.squares / num[:, None] * unit**2
        total = variances[:, 0] + variances[:, 1] + bias**2
        # both sides constant: by their range, for the mean of equal numbers may differ from them by rounding
        has_spread = ~self._is_constant().all(axis=1) & (total > 0)
        covariance = self.products / num * unit[0] * unit[1]
        return np.where(has_spread, 2 * covariance / np.where(has_spread, total, 1.0), 0.0)

    def correlation(self) -> Float[np.ndarray, "groups columns"]:
        """Pearson's correlation of each group and column; see ``pearson``."""
        product = self.squares[:, 0] * self.squares[:, 1]
        has_spread = ~self._is_constant().any(axis=1) & (product > 0)
        return np.where(has_spread, self.products / np.sqrt(np.where(has_spread, product, 1.0)), 0.0)

    def _is_constant(self) -> Bool[np.ndarray, "groups 2 columns"]:
        return self.low >= self.high


def concordance(prediction: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> float:
    """Concordance correlation coefficient (Lin 1989) with population moments, over all values at once.

    2 cov / (var_p + var_t + (mean_p - mean_t)^2). Both sides constant, or no values: 0. Raises InputError where the
    two differ in length or hold a value that is not finite.

    >>> concordance(np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0]))
    1.0
    """
    prediction, truth = _finite(prediction, truth, "concordance")
    return float(Moments.of([(prediction[:, None], truth[:, None])]).concordance()[0, 0])


def pearson(prediction: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> float:
    """Pearson's correlation: cov / sqrt(var_p var_t), over all values at once.

    One side constant, or no values: 0. Raises InputError as ``concordance`` does.
    """
    prediction, truth = _finite(prediction, truth, "pearson")
    return float(Moments.of([(prediction[:, None], truth[:, None])]).correlation()[0, 0])


def class_f1(
    prediction: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], num_classes: int
) -> Float[np.ndarray, " classes"]:
    """F1 of every class, as ``f1`` defines it. Raises InputError for a class outside 0 .. ``num_classes`` - 1."""
    return f1(count_classes(prediction, truth, num_classes))


def macro_f1(prediction: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], num_classes: int) -> float:
    """Mean of ``class_f1`` over all classes, always all of them."""
    return float(class_f1(prediction, truth, num_classes).mean())


def unit_f1(prediction: Bool[np.ndarray, "n units"], truth: Bool[np.ndarray, "n units"]) -> Float[np.ndarray, " units"]:
    """F1 of "active" for each action unit by itself, as ``f1`` defines it."""
    return f1(count_units(prediction, truth))


def count_classes(
    prediction: Int[np.ndarray, " n"], truth: Int[np.ndarray, " n"], num_classes: int
) -> Int[np.ndarray, "3 classes"]:
    """How often each class was predicted correctly, was predicted, and occurs."""
    prediction, truth = np.asarray(prediction), np.asarray(truth)
    _check_same(prediction, truth)
    for values, name in ((prediction, "predictions"), (truth, "truths")):
        if values.size and not (values.min() >= 0 and values.max() < num_classes):
            raise InputError(f"{name} hold classes {values.min()} .. {values.max()}, expected 0 .. {num_classes - 1}")
    sides = (prediction[prediction == truth], prediction, truth)
    return np.stack([np.bincount(each, minlength=num_classes) for each in sides])


def count_units(
    prediction: Bool[np.ndarray, "n units"], truth: Bool[np.ndarray, "n units"]
) -> Int[np.ndarray, "3 units"]:
    """How often each unit was predicted correctly to be active, was predicted to be, and is."""
    if prediction.shape != truth.shape:
        raise InputError(f"a metric needs as many predictions as truths, not {prediction.shape} and {truth.shape}")
    return np.stack([(prediction & truth).sum(0), prediction.sum(0), truth.sum(0)])


def f1(counts: np.ndarray) -> np.ndarray:
    """2 hits / (predicted + true) from counts (... 3 classes) or sums of them; -> (... classes).

    A class that is neither predicted nor there counts 0.
    """
    hits, predicted, true = np.moveaxis(counts, -2, 0)
    return 2 * hits / np.maximum(predicted + true, 1)


def pair_auc(alike: Float[np.ndarray, " n"], different: Float[np.ndarray, " m"]) -> float:
    """The probability that a pair that is alike is more similar than one that is different; ties count half.

    ``alike`` and ``different``: the similarities of the pairs of each kind. 0.5 is chance; this is the area under the
    ROC curve (Mann-Whitney). Raises InputError where a kind has no pair, or a similarity is not finite.

    >>> pair_auc(np.array([0.9, 0.4]), np.array([0.1, 0.4]))
    0.875
    """
    alike, different = (np.asarray(each, np.float64).ravel() for each in (alike, different))
    if not len(alike) or not len(different):
        raise InputError(f"pair AUC needs pairs of both kinds, not {len(alike)} alike and {len(different)} different")
    if not (np.isfinite(alike).all() and np.isfinite(different).all()):
        raise InputError("pair AUC needs finite similarities")
    ranked, alike = np.sort(different), np.sort(alike)  # sorted: searching is then five times as fast
    below, up_to = (np.searchsorted(ranked, alike, side=side).mean() for side in ("left", "right"))
    return float((below + up_to) / (2 * len(different)))


def calibration_bins(
    probability: Float[np.ndarray, " n"], truth: Bool[np.ndarray, " n"], num_bins: int = NUM_BINS
) -> Float[np.ndarray, "3 bins"]:
    """In bins of equal width over 0 to 1: the sum of the probabilities, how many are true, and how many there are."""
    which = np.clip((np.asarray(probability, np.float64) * num_bins).astype(int), 0, num_bins - 1)
    sides = (probability, truth, np.ones(len(which)))
    return np.stack([np.bincount(which, each, num_bins) for each in sides]).astype(np.float64)


def calibration_error(
    probability: Float[np.ndarray, " n"], truth: Bool[np.ndarray, " n"], num_bins: int = NUM_BINS
) -> float:
    """Expected calibration error (Naeini et al. 2015, https://doi.org/10.1609/aaai.v29i1.9602; Guo et al. 2017, arXiv
    1706.04599): how far the mean probability of a bin is from the share that is true, the mean over all rows.

    Bins have equal widths over 0 to 1. 0 is best; no rows: 0. Raises InputError where the two differ in length, a
    number is not finite, or a probability is not between 0 and 1.

    >>> round(calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([True, True, True, False])), 6)
    0.05
    """
    probability, truth = _finite(probability, truth, "a calibration error")
    if len(probability) and not (probability.min() >= 0 and probability.max() <= 1):
        raise InputError("a calibration error needs probabilities between 0 and 1")
    return error_of_bins(calibration_bins(probability, truth > 0.5, num_bins))


def error_of_bins(bins: Float[np.ndarray, "3 bins"]) -> float:
    """``calibration_error`` from ``calibration_bins``."""
    predicted, true, counts = bins
    return float(np.abs(predicted - true).sum() / max(counts.sum(), 1))


def _finite(prediction: np.ndarray, truth: np.ndarray, what: str) -> Pair:
    """Both sides in double precision; InputError where they differ in length or one is not finite."""
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

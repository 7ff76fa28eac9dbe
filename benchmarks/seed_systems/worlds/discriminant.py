"""The worlds in which the empirical Bayes classifier is measured, and what it scores there.

T1 to T3 are those of the authors' simulations (arXiv 1702.05056 and its companion 1702.04330), T5 and the trap of
frames are ours. Every function takes a generator and draws one replicate, ``estimator_errors`` many at once.
"""

import numpy as np
from scipy.special import expit
from scipy.stats import norm

from abaw.probes.discriminant import Discriminant, fit_classes, fit_two_classes
from abaw.probes.prior import PriorSettings, estimate_priors

NUM_EFFECTS = 200  # of T1
# of T2: coordinates with a difference and its size -> error of Sparse DP, DP and independence rule in the paper
ROWS = {
    (2000, 1.0): (0.0003, 0.0002, 0.0049), (1000, 1.0): (0.0454, 0.0283, 0.0885), (500, 1.0): (0.2036, 0.1858, 0.2435),
    (300, 1.5): (0.1303, 0.1059, 0.1767), (200, 2.0): (0.0540, 0.0412, 0.1372), (100, 2.5): (0.0449, 0.0422, 0.1947),
    (50, 3.0): (0.0470, 0.0677, 0.2665), (50, 3.5): (0.0066, 0.0175, 0.1965), (40, 4.0): (0.0023, 0.0059, 0.1901),
}  # fmt: skip
# of T1: number of effects and their size -> sum of squared errors in the paper
CELLS = {
    (10, 1): 11, (10, 3): 38, (10, 5): 13, (10, 7): 3, (20, 1): 19, (20, 3): 50, (20, 5): 16, (20, 7): 4,
    (40, 1): 33, (40, 3): 71, (40, 5): 22, (40, 7): 5, (80, 1): 46, (80, 3): 92, (80, 5): 27, (80, 7): 6,
}  # fmt: skip
RULES = {
    "sparse": ("sparse", 50),
    "mean": ("mean", 10),
    "none": ("none", 1),
}  # rule and parts, as the authors have them


def estimator_errors(num: int, size: float, reps: int, rng: np.random.Generator) -> np.ndarray:
    """T1: of each replicate the sum of squared errors of 200 effects, ``num`` of them of this size, the others 0."""
    effects = np.zeros(NUM_EFFECTS)
    effects[:num] = size
    z = effects + rng.normal(size=(reps, NUM_EFFECTS))
    priors = estimate_priors(z, [np.arange(NUM_EFFECTS)])
    estimates = np.stack([prior.posterior_mean(row) for prior, row in zip(priors, z, strict=True)])
    return ((estimates - effects) ** 2).sum(axis=1)


def sparse_errors(num: int, size: float, rng: np.random.Generator) -> dict[str, tuple[float, float]]:
    """T2: 10,000 features, ``num`` of which differ by ``size``, 25 samples a class, noise of 5 / sqrt(2).

    By rule the error by the paper's formula and the exact one. The formula takes the deviation of the features over S
    to be the noise, which is right for S = 1 only.
    """
    num_features, num_samples, noise = 10_000, 25, 5 / np.sqrt(2)
    difference = np.zeros(num_features)
    difference[:num] = size
    features = rng.normal(0, noise, (2 * num_samples, num_features))
    features[num_samples:] += difference
    classes = np.repeat([0, 1], num_samples)
    error = np.sqrt(sum(features[classes == each].var(axis=0, ddof=1) for each in (0, 1)) / num_samples)
    found = {}
    for name, (rule, parts) in RULES.items():
        fitted = fit_two_classes(features, classes, rng, rule=rule, num_parts=parts)
        found[name] = errors_of(fitted, error, difference, noise)
    return found


def errors_of(fitted: Discriminant, error: np.ndarray, difference: np.ndarray, noise: float) -> tuple[float, float]:
    """The error of a rule for N(0, noise^2) against N(difference, noise^2): by the paper's formula, and exactly."""
    weights, offset = fitted.weights[1] - fitted.weights[0], (fitted.offsets[1] - fitted.offsets[0]).sum()
    if not weights.any():
        return 0.5, 0.5  # as the authors score it
    length = np.linalg.norm(weights * error), np.linalg.norm(weights)
    means = -offset, weights @ difference - offset
    paper, exact = ((norm.cdf(means[0] / (noise * each)) + norm.cdf(-means[1] / (noise * each))) / 2 for each in length)
    return float(paper), float(exact)


def factor_errors(rng: np.random.Generator) -> dict[str, float]:
    """T3: 4,500 features, 2 % of which differ, by Laplace(1/2); four factors of chi-squared noise; 30 samples a class.

    The error on 200 samples a class of the oracle, which knows the features that differ, and of the rules.
    """
    num_features, num_train, num_test = 4500, 30, 200
    is_there = rng.random(num_features) < 0.02
    difference = is_there * rng.laplace(scale=0.5, size=num_features)
    loads = np.zeros((4, num_features))
    third = num_features // 3
    for i in range(3):
        loads[i, i * third : (i + 1) * third] = rng.uniform(0, 0.4, third)
    loads[3] = rng.uniform(0, 0.2, num_features)

    def draw(num: int) -> np.ndarray:
        factors = (rng.chisquare(6, (num, 4)) - 6) / np.sqrt(12)
        noise = rng.normal(size=(num, num_features)) + factors @ loads
        return noise / np.sqrt(1 + (loads**2).sum(axis=0))

    features = np.concatenate([draw(num_train), draw(num_train) + difference])
    test = np.concatenate([draw(num_test), draw(num_test) + difference])
    classes, truth = np.repeat([0, 1], num_train), np.repeat([0, 1], num_test)
    settings = PriorSettings(deviation=6.0, merge_below=0.6)
    sparse = fit_two_classes(features, classes, rng, rule="sparse", num_parts=50, settings=settings)
    independence = fit_two_classes(features, classes, rng, rule="none")
    known = np.where(is_there, features, np.nan), np.where(is_there, test, np.nan)
    oracle = fit_two_classes(known[0], classes, rng, rule="none")
    return {
        "oracle": error_rate(oracle, known[1], truth),
        "sparse": error_rate(sparse, test, truth),
        "none": error_rate(independence, test, truth),
    }


def error_rate(fitted: Discriminant, features: np.ndarray, classes: np.ndarray) -> float:
    """The share of rows that get another class."""
    return float((fitted.evidence(features).argmax(axis=1) != classes).mean())


def class_errors(rng: np.random.Generator, num_test: int = 200) -> dict[str, float]:
    """T5: eight classes of 25 samples, 2,000 features, 60 of a class raised by 2.5; noise of 5 / sqrt(2).

    The errors of both rules, of the independence rule and of logistic regression on ``num_test`` samples a class.
    """
    from sklearn.linear_model import LogisticRegression

    num_classes, num_features, num_train, noise = 8, 2000, 25, 5 / np.sqrt(2)
    means = np.zeros((num_classes, num_features))
    for i in range(num_classes):
        means[i, rng.choice(num_features, 60, replace=False)] = 2.5
    classes, truth = (np.repeat(np.arange(num_classes), num) for num in (num_train, num_test))
    features, test = (means[each] + rng.normal(0, noise, (len(each), num_features)) for each in (classes, truth))
    found = {
        rule: error_rate(fit_classes(features, classes, num_classes, rng, rule=rule), test, truth)
        for rule in ("mean", "sparse", "none")
    }
    scale = features.mean(axis=0), features.std(axis=0)
    logistic = LogisticRegression(C=0.01, max_iter=2000).fit((features - scale[0]) / scale[1], classes)
    found["logistic"] = float((logistic.predict((test - scale[0]) / scale[1]) != truth).mean())
    return found


def noise_effects(rng: np.random.Generator, num_features: int = 2000) -> dict[str, float]:
    """The deviation of the observed effects of pure noise, by sampling unit: 1 where the unit is the right one.

    Twelve clips a class of 200 frames, each clip with an offset of its own.
    """
    num_clips, num_frames = 12, 200
    offsets = np.repeat(rng.normal(size=(2 * num_clips, num_features)), num_frames, axis=0)
    frames = offsets + rng.normal(size=offsets.shape)
    of_frame = np.repeat([0, 1], num_clips * num_frames)
    clips = frames.reshape(2 * num_clips, num_frames, num_features).mean(axis=1)
    of_clip = np.repeat([0, 1], num_clips)
    return {
        "clip": float(fit_two_classes(clips, of_clip, rng, rule="none").effects.std()),
        "frame": float(fit_two_classes(frames, of_frame, rng, rule="none").effects.std()),
    }


def same_rule(rng: np.random.Generator) -> tuple[float, float]:
    """Our extension against the paper's rule for two classes of one size that divide the features alike.

    The cosine of the directions, and the largest sum of the two classes' shrunken differences, which are opposite.
    """
    num_features, num_samples = 2000, 20
    difference = np.where(np.arange(num_features) < 100, 1.5, 0.0)
    classes = np.repeat([0, 1], num_samples)
    features = rng.normal(0, 2, (2 * num_samples, num_features)) + classes[:, None] * difference
    seed = int(rng.integers(2**31))
    paper = fit_two_classes(features, classes, np.random.default_rng(seed))
    ours = fit_classes(features, classes, 2, np.random.default_rng(seed))
    first, second = (each.weights[1] - each.weights[0] for each in (paper, ours))
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    return float(cosine), float(np.abs(ours.weights.sum(axis=0)).max())


def log_odds_errors(rng: np.random.Generator, num: int = 500, size: float = 1.0) -> tuple[float, float]:
    """The calibration error of probabilities in the world of T2: with our scale, and of the paper's sum as it is."""
    num_features, num_samples, noise = 10_000, 25, 5 / np.sqrt(2)
    difference = np.where(np.arange(num_features) < num, size, 0.0)
    classes = np.repeat([0, 1], num_samples)
    features = rng.normal(0, noise, (2 * num_samples, num_features)) + classes[:, None] * difference
    fitted = fit_two_classes(features, classes, rng)
    weights, offset = fitted.weights[1] - fitted.weights[0], (fitted.offsets[1] - fitted.offsets[0]).sum()
    truth = np.repeat([0, 1], 20_000)  # a sum of independent normals is normal: no test sample is drawn
    means = np.array([0, weights @ difference]) - offset
    log_odds = means[truth] + noise * np.linalg.norm(weights) * rng.normal(size=len(truth))
    factor = 2 / num_samples
    return calibration_error(log_odds, truth), calibration_error(log_odds / factor, truth)


def calibration_error(log_odds: np.ndarray, truth: np.ndarray, num_bins: int = 15) -> float:
    """The expected calibration error of the probability of class 1, in bins of equal width."""
    p = expit(log_odds)
    bins = np.minimum((p * num_bins).astype(int), num_bins - 1)
    return float(np.abs(np.bincount(bins, p - truth, num_bins)).sum() / len(truth))

"""The official scores against values worked out by hand, exact fractions, plain loops and other libraries."""

import inspect
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy import stats

# librosa, which the package needs, brings it: an independent definition of F1
from sklearn.metrics import f1_score

from abaw.dataset.annotations import Labels
from abaw.metrics import class_f1, concordance, count_units, macro_f1, pearson, unit_f1
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair


def moments(prediction, truth):
    """Both means, both variances and the covariance of a population, as fractions: no rounding anywhere."""
    p, t = [Fraction(float(value)) for value in prediction], [Fraction(float(value)) for value in truth]
    n = len(p)
    mean_p, mean_t = sum(p) / n, sum(t) / n
    variance_p = sum((value - mean_p) ** 2 for value in p) / n
    variance_t = sum((value - mean_t) ** 2 for value in t) / n
    covariance = sum((a - mean_p) * (b - mean_t) for a, b in zip(p, t, strict=True)) / n
    return mean_p, mean_t, variance_p, variance_t, covariance


def exact_concordance(prediction, truth):
    """Lin's coefficient from its definition; the only rounding is the last."""
    mean_p, mean_t, variance_p, variance_t, covariance = moments(prediction, truth)
    return float(2 * covariance / (variance_p + variance_t + (mean_p - mean_t) ** 2))


def exact_pearson(prediction, truth):
    """cov / sqrt(var var): the square is exact."""
    _, _, variance_p, variance_t, covariance = moments(prediction, truth)
    return math.copysign(math.sqrt(covariance**2 / (variance_p * variance_t)), covariance)


def loop_f1(prediction, truth, num_classes):
    """F1 of each class from precision and recall."""
    scores = []
    for label in range(num_classes):
        hits = sum(p == t == label for p, t in zip(prediction, truth, strict=True))
        predicted, true = sum(p == label for p in prediction), sum(t == label for t in truth)
        precision, recall = hits / predicted if predicted else 0.0, hits / true if true else 0.0
        scores.append(2 * precision * recall / (precision + recall) if hits else 0.0)
    return scores


def floats(*values):
    return np.array(values, np.float64)


# prediction, truth, CCC. Population moments: mean, then the mean of squares about it.
GOLDEN = {
    # means 2 and 2, cov = (1 + 0 + 1) / 3 = 2/3 = both variances: 2 * 2/3 / (2/3 + 2/3 + 0) = 1
    "the same": ([1, 2, 3], [1, 2, 3], 1.0),
    # means 2 and 3, cov = var = 2/3: (4/3) / (4/3 + 1) = 4/7
    "shifted by one": ([1, 2, 3], [2, 3, 4], 4 / 7),
    # means 2 and 4, cov = (2 + 0 + 2) / 3 = 4/3, vars 2/3 and 8/3: (8/3) / (10/3 + 4) = 8/22 = 4/11
    "twice as large": ([1, 2, 3], [2, 4, 6], 4 / 11),
    # cov = -2/3, vars 2/3: (-4/3) / (4/3) = -1
    "upside down": ([1, 2, 3], [3, 2, 1], -1.0),
    # means 0.5 and 0.25, so deviations .5 -.5 .5 -.5 and -.25 -.25 .75 -.25: cov = (-.125 + .125 + .375 + .125) / 4
    # = .125; vars .25 and .1875, squared difference of means .0625: 2 * .125 / .5 = .5
    "zeros and ones": ([1, 0, 1, 0], [0, 0, 1, 0], 0.5),
    # one side constant: cov = 0
    "constant prediction": ([2, 2, 2], [1, 2, 3], 0.0),
    "both constant and equal": ([0.1, 0.1, 0.1], [0.1, 0.1, 0.1], 0.0),
    "both constant and unlike": ([0.1, 0.1], [0.7, 0.7], 0.0),
    "a single frame": ([0.5], [0.5], 0.0),
    "no frame": ([], [], 0.0),
    # squares of such numbers are 0 in double precision: no 0 / 0
    "too small to square": ([0.0, 1e-200], [0.0, 1e-200], 0.0),
}


@pytest.mark.parametrize("case", GOLDEN)
def test_concordance_has_the_value_worked_out_by_hand(case):
    prediction, truth, expected = GOLDEN[case]
    assert concordance(floats(*prediction), floats(*truth)) == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_concordance_and_correlation_are_those_of_exact_fractions(seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1, 1, 500)
    prediction = np.clip(0.6 * truth + 0.2 + 0.3 * rng.normal(size=500), -1, 1)
    assert concordance(prediction, truth) == pytest.approx(exact_concordance(prediction, truth), abs=1e-12)
    assert pearson(prediction, truth) == pytest.approx(exact_pearson(prediction, truth), abs=1e-12)
    assert pearson(prediction, truth) == pytest.approx(stats.pearsonr(prediction, truth).statistic, abs=1e-12)


def test_concordance_of_single_precision_is_taken_in_double():
    rng = np.random.default_rng(3)
    prediction, truth = (rng.uniform(0.5, 0.6, 5000).astype(np.float32) for _ in range(2))
    assert concordance(prediction, truth) == pytest.approx(exact_concordance(prediction, truth), abs=1e-12)
    assert pearson(prediction, truth) == pytest.approx(exact_pearson(prediction, truth), abs=1e-12)


# prediction, truth, r
PEARSON_GOLDEN = {
    "the same": ([1, 2, 3], [1, 2, 3], 1.0),
    "shifted and scaled": ([1, 2, 3], [20, 40, 60], 1.0),
    "upside down": ([1, 2, 3], [3, 2, 1], -1.0),
    # deviations -1 0 1 and -1 1 0: cov = 1/3, both variances 2/3
    "half": ([1, 2, 3], [1, 3, 2], 0.5),
    "prediction constant": ([0.1, 0.1, 0.1], [1, 2, 3], 0.0),
    "truth constant": ([1, 2, 3], [0.1, 0.1, 0.1], 0.0),
    # the mean of ten times 0.1 is not 0.1 in double precision: a constant is recognised by its range
    "both constant, with a rounded mean": ([0.1] * 10, [0.1] * 10, 0.0),
    "a single value": ([0.5], [0.5], 0.0),
    "nothing": ([], [], 0.0),
    "too small to square": ([0.0, 1e-200], [0.0, 2e-200], 1.0),
}


@pytest.mark.parametrize("case", PEARSON_GOLDEN)
def test_correlation_has_the_value_worked_out_by_hand(case):
    prediction, truth, expected = PEARSON_GOLDEN[case]
    assert pearson(floats(*prediction), floats(*truth)) == pytest.approx(expected, abs=1e-15)


# prediction, truth, F1 of each of 8 classes
F1_GOLDEN = {
    "perfect but for absent classes": ([0, 1, 1], [0, 1, 1], [1, 1, 0, 0, 0, 0, 0, 0]),
    # class 0: 1 hit, predicted 2, true 1: 2*1/(2+1); class 1: 1 hit, predicted 1, true 2: 2/3;
    # class 2: predicted 1, no hit: 0
    "mixed": ([0, 0, 1, 2], [0, 1, 1, 1], [2 / 3, 2 / 4, 0, 0, 0, 0, 0, 0]),
    "all wrong": ([7, 7], [0, 0], [0] * 8),
    "nothing": ([], [], [0] * 8),
}


@pytest.mark.parametrize("case", F1_GOLDEN)
def test_f1_has_the_values_worked_out_by_hand_over_all_eight_classes(case):
    prediction, truth, expected = F1_GOLDEN[case]
    prediction, truth = np.array(prediction, int), np.array(truth, int)
    assert class_f1(prediction, truth, 8).tolist() == pytest.approx(expected, abs=1e-15)
    assert macro_f1(prediction, truth, 8) == pytest.approx(sum(expected) / 8, abs=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_f1_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    truth = rng.choice(8, 400, p=[0.3, 0.05, 0.05, 0.0, 0.2, 0.1, 0.0, 0.3])  # two classes without truth
    prediction = np.where(rng.random(400) < 0.5, truth, rng.integers(0, 7, 400))  # one of them without prediction
    expected = loop_f1(prediction.tolist(), truth.tolist(), 8)
    assert class_f1(prediction, truth, 8).tolist() == pytest.approx(expected, abs=1e-12)
    assert macro_f1(prediction, truth, 8) == pytest.approx(sum(expected) / 8, abs=1e-12)
    theirs = f1_score(truth, prediction, labels=range(8), average=None, zero_division=0)
    assert class_f1(prediction, truth, 8).tolist() == pytest.approx(theirs.tolist(), abs=1e-12)


def test_f1_of_units_has_the_values_worked_out_by_hand():
    # one column a unit: predicted 2, true 1, 1 hit | never true or predicted | predicted, never true |
    # true, never predicted | all right
    predicted = np.array([[1, 0, 1, 0, 1], [1, 0, 0, 0, 0]], bool)
    true = np.array([[1, 0, 0, 1, 1], [0, 0, 0, 0, 0]], bool)
    assert unit_f1(predicted, true).tolist() == pytest.approx([2 / 3, 0, 0, 0, 1], abs=1e-15)
    assert unit_f1(predicted[:0], true[:0]).tolist() == [0] * 5


@pytest.mark.parametrize("seed", range(3))
def test_f1_of_units_is_that_of_a_plain_loop_and_of_another_library(seed):
    predicted, true = units(seed, 400)
    expected = [loop_f1(predicted[:, i].astype(int).tolist(), true[:, i].astype(int).tolist(), 2)[1] for i in range(12)]
    assert unit_f1(predicted, true).tolist() == pytest.approx(expected, abs=1e-12)
    assert unit_f1(predicted, true).mean() == pytest.approx(
        f1_score(true, predicted, average="macro", zero_division=0), abs=1e-12
    )


def units(seed, num):
    """Twelve units predicted and true; the second never occurs, the third is neither predicted nor there."""
    rng = np.random.default_rng(seed)
    true = rng.random((num, 12)) < rng.uniform(0.02, 0.7, 12)
    predicted = true ^ (rng.random((num, 12)) < 0.1)
    true[:, 1:3] = predicted[:, 2] = False
    return predicted, true


def test_the_score_of_all_three_is_that_of_independent_references():
    """What the multi-task edition ranks by: P_VA + P_EXPR + P_AU, each over its own scored frames of all clips."""
    rng = np.random.default_rng(5)
    values = {
        "va": (rng.uniform(-1, 1, (300, 2)), rng.uniform(-1, 1, (300, 2))),
        "expr": (rng.integers(0, 8, (300, 1)), rng.integers(0, 6, (300, 1))),
        "au": units(5, 300),
    }
    total, references = 0.0, {}
    for name, (predicted, true) in values.items():
        predicted, true, scored = predicted.astype(np.float32), true.astype(np.float32), rng.random(300) < 0.7
        labels = Labels(np.where(scored[:, None], true, 0), scored)
        clips = {str(i): PredictionPair(predicted[i::3], Labels(labels.values[i::3], scored[i::3])) for i in range(3)}
        total += next(iter(TASKS.build(name).score(clips).values()))
        references[name] = predicted[scored], true[scored]
    predicted, true = references["va"]
    expected = sum(exact_concordance(predicted[:, i], true[:, i]) for i in (0, 1)) / 2
    predicted, true = references["expr"]
    expected += f1_score(true[:, 0], predicted[:, 0], labels=range(8), average="macro", zero_division=0)
    predicted, true = references["au"]
    expected += f1_score(true, predicted, average="macro", zero_division=0)
    assert total == pytest.approx(expected, abs=1e-12)


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="concordance needs finite predictions and truths"):
        concordance(floats(0, np.nan), floats(0, 1))
    with pytest.raises(ValueError, match="leave unscored frames out first"):
        concordance(floats(0, 1), floats(0, np.inf))
    with pytest.raises(ValueError, match="pearson needs finite predictions and truths"):
        pearson(floats(0, 1), floats(0, np.nan))


def test_sides_of_unlike_length_are_refused_without_a_type_checker_too():
    with pytest.raises(ValueError, match=r"as many predictions as truths, not \(2, 12\) and \(3, 12\)"):
        inspect.unwrap(count_units)(np.zeros((2, 12), bool), np.zeros((3, 12), bool))
    for metric in (concordance, pearson):
        with pytest.raises(ValueError, match=r"as many predictions as truths in one axis, not \(2,\) and \(3,\)"):
            inspect.unwrap(metric)(floats(0, 1), floats(0, 1, 2))


def test_classes_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"predictions hold classes 0 \.\. 8, expected 0 \.\. 7"):
        class_f1(np.array([0, 8]), np.array([0, 1]), 8)
    with pytest.raises(ValueError, match=r"truths hold classes -1 \.\. 0, expected 0 \.\. 7"):
        macro_f1(np.array([0, 1]), np.array([0, -1]), 8)

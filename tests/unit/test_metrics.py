"""The official scores against values worked out by hand and against plain loops written apart from them."""

import math

import numpy as np
import pytest

from abaw.metrics import class_f1, concordance, macro_f1


def loop_concordance(prediction, truth):
    """Lin's coefficient from its definition, one number at a time, summed exactly."""
    n = len(prediction)
    mean_p, mean_t = math.fsum(prediction) / n, math.fsum(truth) / n
    covariance = math.fsum((p - mean_p) * (t - mean_t) for p, t in zip(prediction, truth, strict=True)) / n
    variance_p = math.fsum((p - mean_p) ** 2 for p in prediction) / n
    variance_t = math.fsum((t - mean_t) ** 2 for t in truth) / n
    return 2 * covariance / (variance_p + variance_t + (mean_p - mean_t) ** 2)


def loop_f1(prediction, truth, num_classes):
    """F1 of each class from precision and recall."""
    scores = []
    for label in range(num_classes):
        hits = sum(p == t == label for p, t in zip(prediction, truth, strict=True))
        told, true = sum(p == label for p in prediction), sum(t == label for t in truth)
        precision, recall = hits / told if told else 0.0, hits / true if true else 0.0
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
def test_concordance_is_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(-1, 1, 500)
    prediction = np.clip(0.6 * truth + 0.2 + 0.3 * rng.normal(size=500), -1, 1)
    expected = loop_concordance(prediction.tolist(), truth.tolist())
    assert concordance(prediction, truth) == pytest.approx(expected, abs=1e-12)


def test_concordance_of_single_precision_is_taken_in_double():
    rng = np.random.default_rng(3)
    prediction, truth = (rng.uniform(0.5, 0.6, 20000).astype(np.float32) for _ in range(2))
    expected = loop_concordance(prediction.astype(float).tolist(), truth.astype(float).tolist())
    assert concordance(prediction, truth) == pytest.approx(expected, abs=1e-12)


# prediction, truth, F1 of each of 8 classes
F1_GOLDEN = {
    "perfect but for absent classes": ([0, 1, 1], [0, 1, 1], [1, 1, 0, 0, 0, 0, 0, 0]),
    # class 0: 1 hit, told 2, true 1: 2*1/(2+1); class 1: 1 hit, told 1, true 2: 2/3; class 2: told 1, no hit: 0
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


def test_values_that_are_not_finite_are_refused():
    with pytest.raises(ValueError, match="concordance needs finite predictions and truths"):
        concordance(floats(0, np.nan), floats(0, 1))
    with pytest.raises(ValueError, match="leave unscored frames out first"):
        concordance(floats(0, 1), floats(0, np.inf))


def test_classes_that_do_not_exist_are_refused():
    with pytest.raises(ValueError, match=r"predictions hold classes 0 \.\. 8, expected 0 \.\. 7"):
        class_f1(np.array([0, 8]), np.array([0, 1]), 8)
    with pytest.raises(ValueError, match=r"truths hold classes -1 \.\. 0, expected 0 \.\. 7"):
        macro_f1(np.array([0, 1]), np.array([0, -1]), 8)

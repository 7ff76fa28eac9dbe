"""Scales and biases of values, classes and units: what is chosen and what it gains."""

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.calibration.biases import GRID, class_biases, match_variance, unit_bias
from abaw.configs.sections import PostProcessingConfig
from abaw.metrics import class_f1, concordance, macro_f1
from abaw.postprocessing import PostProcessing
from tests.support.abaw.calibration import TASK, held_out, noisy_va, score


def test_valence_and_arousal_get_the_truths_mean_and_spread_and_ccc_becomes_the_correlation():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=500)
    prediction = 0.3 * truth + rng.normal(size=500) * 0.2 + 0.4
    scale, bias = match_variance(prediction, truth)
    best = concordance(scale * prediction + bias, truth)
    assert best == pytest.approx(np.corrcoef(prediction, truth)[0, 1])
    for other in ((scale * 1.05, bias), (scale * 0.95, bias), (scale, bias + 0.03), (scale, bias - 0.03)):
        assert concordance(other[0] * prediction + other[1], truth) < best


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [(np.ones(5), np.arange(5.0)), (np.arange(5.0), np.ones(5)), (np.arange(5.0), -np.arange(5.0)), (np.zeros(0),) * 2],
    ids=["constant prediction", "constant truth", "against the truth", "empty"],
)
def test_where_no_line_helps_values_stay(prediction, truth):
    assert match_variance(prediction, truth) == (1.0, 0.0)


def test_a_scale_is_kept_for_the_column_in_which_the_score_rises_alone():
    clip = noisy_va(noise=0.05)
    values = clip.values.copy()
    values[:, 0] = clip.labels.values[:, 0]  # perfect already
    found = fitting.fit_post_processing(
        TASK["va"], {"a": clip._replace(values=values)}, PostProcessingConfig(widths=[1])
    )
    assert (found.scale[0], found.bias[0]) == (1.0, 0.0)
    assert found.scale[1] == pytest.approx(2, rel=0.1)


def random_classes(num=3000, seed=0):
    rng = np.random.default_rng(seed)
    truth = rng.choice(8, num, p=[0.3, 0.03, 0.02, 0.02, 0.15, 0.12, 0.05, 0.31])
    logits = rng.normal(size=(num, 8)) * 1.5 + 2 * np.eye(8)[truth] + np.array([1, -1, -1, -1, 0.5, 0, 0, 1])
    return logits, truth


def test_biases_of_classes_raise_macro_f1_and_no_single_other_one_on_the_grid_does_better():
    logits, truth = random_classes()
    biases = class_biases(logits, truth)
    best = macro_f1((logits + biases).argmax(axis=1), truth, 8)
    assert best > macro_f1(logits.argmax(axis=1), truth, 8) + 0.01
    assert np.isin(biases, GRID).all()
    for which in range(8):
        for bias in GRID:
            other = biases.copy()
            other[which] = bias
            assert macro_f1((logits + other).argmax(axis=1), truth, 8) <= best + 1e-12


def test_classes_that_are_right_already_get_no_bias_nor_does_a_class_without_a_frame():
    truth = np.repeat(np.arange(7), 5)  # none of class 7
    assert not class_biases(np.eye(8)[truth] * 5, truth).any()


def test_of_equal_biases_the_nearest_to_0_is_taken():
    logits = np.array([[0.0, 0.35], [0.0, 5.0], [9.0, 0.0]])  # any bias of class 0 from 0.4 up to 5 is as good
    assert class_biases(logits, np.array([0, 1, 0])).tolist() == [0.4, 0.0]


def test_a_units_threshold_is_the_best_of_all_and_lies_between_two_scores():
    rng = np.random.default_rng(0)
    truth = rng.random(500) < 0.2
    logits = np.round(rng.normal(size=500) + truth * 1.2 - 2, 2)  # with ties
    bias = unit_bias(logits, truth)
    assert -bias not in logits

    def f1(threshold):
        return class_f1((logits > threshold).astype(int), truth.astype(int), 2)[1]

    assert f1(-bias) == max(f1(t) for t in logits) > f1(0)


def test_a_unit_that_is_never_active_or_right_already_keeps_its_threshold():
    logits = np.linspace(-2, 2, 40)
    assert unit_bias(logits, np.zeros(40, bool)) == 0
    assert unit_bias(logits, logits > 0) == 0
    assert unit_bias(np.zeros(4), np.array([True, False, True, False])) == 0
    assert unit_bias(np.zeros(0), np.zeros(0, bool)) == 0


def test_units_are_shifted_and_the_score_rises():
    rng = np.random.default_rng(0)
    truth = rng.random((800, 12)) < 0.3
    clips = {"a": held_out("au", TASK["au"].probabilities(rng.normal(size=(800, 12)) + truth * 2 - 3), truth)}
    found = fitting.fit_post_processing(TASK["au"], clips, PostProcessingConfig(widths=[1]))
    assert found.scale == ()
    assert min(found.bias) > 0
    assert score("au", clips, found) > score("au", clips, PostProcessing()) + 0.1


def test_of_a_multi_task_every_part_is_fitted_on_the_frames_that_have_its_label():
    rng = np.random.default_rng(0)
    logits, classes = random_classes(1200)
    units = rng.random((1200, 12)) < 0.3
    values = rng.normal(size=(1200, 2)) * 0.3
    raw = np.hstack([values * 0.5, logits, rng.normal(size=(1200, 12)) + units * 2 - 3])
    truth = np.hstack([values, classes[:, None], units]).astype(np.float32)
    truth[:400, :2], truth[400:800, 2], truth[800:, 3:] = np.nan, np.nan, np.nan
    clips = {"a": held_out("mtl", TASK["mtl"].probabilities(raw), truth)}
    found = fitting.fit_post_processing(TASK["mtl"], clips, PostProcessingConfig(widths=[1]))
    assert found.scale[:2] == pytest.approx([2, 2], rel=0.01)
    assert found.scale[2:] == (1.0,) * 20
    known = np.arange(1200) // 400 != 1
    np.testing.assert_allclose(
        found.bias[2:10], class_biases(TASK["expr"].logits(clips["a"].values[known, 2:10]), classes[known])
    )
    assert min(found.bias[10:]) > 0

"""Scale and bias that were fitted on single folds, applied to the mean of several."""

import numpy as np
import pytest

from abaw.calibration.matching import LogitMoments, matched
from abaw.postprocessing import PostProcessing, parse_post_processing
from benchmarks.fitted import averaging
from tests.support.abaw.calibration import TASK

FITTED = PostProcessing(bias=tuple(np.linspace(-1, 1, 12).tolist()))


def moments(task, tables, post_processing=FITTED):
    found = LogitMoments(task, post_processing)
    for values in tables:
        found.add(values, np.ones(len(values), bool))
    return found


def logits_of(seed, *sizes):
    rng = np.random.default_rng(seed)
    return [rng.normal(0.5, 2.0, (size, 12)) for size in sizes]


def test_moments_of_tables_one_by_one_are_those_of_all_frames():
    tables = [TASK["au"].probabilities(each) for each in logits_of(0, 5, 0, 300, 40)]
    found, logits = moments(TASK["au"], tables), TASK["au"].logits(np.concatenate(tables))
    np.testing.assert_allclose(found.mean, logits.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.deviation, logits.std(axis=0), rtol=1e-12)


def test_a_mean_that_differs_in_mean_and_spread_alone_ends_as_the_single_folds_do():
    task, single = TASK["au"], logits_of(1, 200, 100)
    tables, means = ([task.probabilities(x) for x in side] for side in (single, [0.4 * x - 1 for x in single]))
    found = matched(FITTED, moments(task, tables), moments(task, means))
    for one, mean in zip(tables, means, strict=True):
        everywhere = np.ones(len(one), bool)
        np.testing.assert_allclose(found.apply(task, mean, everywhere), FITTED.apply(task, one, everywhere), atol=2e-5)
    np.testing.assert_allclose(found.match_scale, 2.5, rtol=1e-3)
    assert str(found).endswith("matched to single folds")
    assert parse_post_processing(found.document(), "x", task) == found


def test_a_logit_that_does_not_vary_is_only_moved():
    task = TASK["va"]
    fitted = PostProcessing(scale=(2.0, 2.0), bias=(0.1, 0.0))
    single, mean = np.array([[0.3, 1.0], [0.5, -1.0]]), np.array([[0.1, 0.5], [0.1, -0.5]])
    found = matched(fitted, *(moments(task, [each.astype(np.float32)], fitted) for each in (single, mean)))
    np.testing.assert_allclose(found.match_scale, [1, 2], rtol=1e-6)
    np.testing.assert_allclose(found.match_bias, [0.3, 0], atol=1e-7)


def test_smoothing_alone_is_not_of_one_predictor():
    assert not PostProcessing(smoother="box", width=5).is_fitted_to_logits
    assert FITTED.is_fitted_to_logits
    assert "match_scale" not in FITTED.document()


@pytest.mark.parametrize("name", ["va", "au"])
def test_on_simulated_networks_matching_regains_most_of_what_the_mean_lost(name, monkeypatch):
    monkeypatch.setattr(averaging, "NUM_VIDEOS", 40)
    none, fitted, found, ideal = averaging.run_seed(name, 2.0, 921).values()
    assert found > max(none, fitted + (ideal - fitted) / 2, fitted + 0.02)

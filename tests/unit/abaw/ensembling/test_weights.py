"""Weights, scales and biases of an ensemble: mean, weighted and centred."""

import json

import numpy as np
import pytest

from abaw.dataset.seen import Seen
from abaw.ensembling import weights
from abaw.ensembling.weights import EnsembleWeights, read_weights
from abaw.metrics import concordance
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from tests.support.fitted import table_of

EXPR = TASKS.build("expr")
XY = ("x", "y")


def test_a_mean_is_the_mean_and_is_observed_where_any_member_is():
    one = Table(np.array([1, 2]), np.array([0, 0.1]), np.array([True, False]), np.array([[0.0, 1], [0.5, 0]], "f4"), XY)
    two = Table(one.frames, one.times_s, np.array([False, False]), np.array([[1.0, 0], [0.5, 1]], "f4"), XY)
    both = weights.mean(2).table([one, two])
    assert both.values.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert both.observed.tolist() == [True, False]
    assert both.values.dtype == np.float32
    assert np.array_equal(weights.mean(1).table([one]).values, one.values)
    with pytest.raises(ValueError, match="an ensemble needs at least one table"):
        weights.mean(0)


def test_members_that_differ_in_frames_columns_or_times_are_an_error_with_the_first_difference():
    one, late = table_of("t1"), table_of("t1")
    late.times_s[40:] += 0.01
    wide = Table(one.frames, one.times_s, one.observed, np.zeros((200, 8), np.float32), EXPR.columns)
    with pytest.raises(ValueError, match="A has 200 frames of 2 columns, B has 199 of 2: predict all of them with one"):
        weights.check_agreement([one, table_of("t1", 199)], ["A", "B"])
    with pytest.raises(ValueError, match="A has 200 frames of 2 columns, C has 200 of 8"):
        weights.check_agreement([one, table_of("t1"), wide], ["A", "B", "C"])
    with pytest.raises(ValueError, match=r"frame 41 is at 1.333 s in A and at 1.343 s in B: predict all of them with"):
        weights.check_agreement([one, late], ["A", "B"])


def test_weights_scale_and_bias_are_each_members():
    ensemble = EnsembleWeights("x", np.array([[0.25], [0.75]]), np.array([[2.0], [1.0]]), np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(ensemble.values([np.ones((3, 2)), np.ones((3, 2)) * 4]), 0.25 * 2 + 0.75 * 5)


@pytest.mark.parametrize("given", [[0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0]])
def test_weights_are_0_or_more_and_sum_to_1(given):
    with pytest.raises(ValueError, match="weights of an ensemble must be"):
        weights.weighted(given)


def test_an_ensemble_is_read_back_from_json_and_a_broken_one_is_an_error():
    rng = np.random.default_rng(0)
    for ensemble in (
        weights.weighted([0.3, 0.7], Seen(("v1",), ("g",))),
        weights.centre(list(rng.normal(size=(3, 50, 2)))),
    ):
        read = read_weights(json.loads(json.dumps(ensemble.document("abc"[: len(ensemble.weights)]))), "x")
        assert (read.how, read.seen) == (ensemble.how, ensemble.seen)
        for key in ("weights", "scale", "bias"):
            np.testing.assert_array_equal(getattr(read, key), getattr(ensemble, key))
    for broken in ({"how": "mean"}, {"how": "x", "weights": [0.5]}, {"how": "x", "weights": "a"}, [1]):
        with pytest.raises(ValueError, match="p.json: not an ensemble as abaw combine writes it"):
            read_weights(broken, "p.json")


def test_centred_members_have_one_mean_and_spread_and_weigh_what_they_agree():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 1))
    members = [truth + rng.normal(size=(400, 1)) * 0.3, 1.5 * truth + 0.3, -0.2 * truth]
    found = weights.centre(members)
    pairs = [[concordance(a[:, 0], b[:, 0]) for b in members if b is not a] for a in members]
    agreement = np.maximum(0, np.mean(pairs, axis=1))
    np.testing.assert_allclose(found.weights[:, 0], agreement / agreement.sum())
    assert found.weights[2, 0] == 0
    brought = [scale * each + bias for each, scale, bias in zip(members, found.scale, found.bias, strict=True)]
    assert np.ptp([each.mean() for each in brought]) < 1e-12
    assert np.ptp([each.std() for each in brought]) < 1e-12
    assert brought[0].mean() == pytest.approx((agreement * [m.mean() for m in members]).sum() / agreement.sum())


def test_centred_members_that_are_constant_or_do_not_agree_at_all_count_alike():
    found = weights.centre([np.zeros((9, 1)), np.ones((9, 1))])
    assert found.weights.ravel().tolist() == [0.5, 0.5]
    np.testing.assert_allclose(found.values([np.zeros((9, 1)), np.ones((9, 1))]), 0.5)
    alone = weights.centre([np.arange(4.0)[:, None]])
    np.testing.assert_allclose(alone.values([np.arange(4.0)[:, None]]), np.arange(4.0)[:, None])


def test_the_deviation_of_an_ensemble_is_that_of_the_mixture():
    frames, times_s, seen = np.array([1, 2]), np.array([0, 0.1]), np.ones(2, bool)

    def table(values, deviation):
        return Table(frames, times_s, seen, np.float32(values), XY, deviations={"x": np.float32([deviation] * 2)})

    members = [table([[0, 0], [1, 0]], 0.3), table([[1, 0], [1, 0]], 0.4)]
    found = weights.weighted([0.25, 0.75]).table(members).deviations["x"]
    noise = 0.25 * 0.09 + 0.75 * 0.16
    assert found == pytest.approx(np.sqrt([noise + 0.25 * 0.75, noise]))
    without = Table(frames, times_s, seen, np.zeros((2, 2), np.float32), XY)
    assert weights.mean(2).table([members[0], without]).deviations == {}


def test_scale_and_bias_of_a_member_change_its_deviation():
    one = Table(np.array([1]), np.zeros(1), np.ones(1, bool), np.zeros((1, 2)), XY, deviations={"y": np.float32([0.5])})
    column = np.ones((1, 2))
    ensemble = weights.EnsembleWeights("centred", column, column * [1, 3], column)
    assert ensemble.table([one]).deviations["y"] == pytest.approx([1.5])

"""The empirical Bayes classifier on rows of a probe: the clip is the sample."""

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.probes.empirical_bayes import check_clips, cross_predict, goals_of, is_classified
from abaw.tasks import TASKS

CLIPS = [f"clip{i}" for i in range(24)]
GROUPS = [f"speaker{i % 4}" for i in range(24)]
PARTS = np.arange(24) % 4


def draw(num_classes, seed=0, num_features=30):
    rng = np.random.default_rng(seed)
    classes = np.arange(24) // 4 % num_classes
    means = 2 * rng.normal(size=(num_classes, num_features)) * (np.arange(num_features) < 6)
    return (means[classes] + rng.normal(0, 0.5, (24, num_features))).astype(np.float32), classes[:, None].astype(float)


def test_more_frames_of_the_same_clips_change_nothing():
    """Fifty equal frames a clip are one sample: the probabilities are those of one frame a clip."""
    features, labels = draw(3)
    task = TASKS.build("expr")
    once = cross_predict(task, features, labels, CLIPS, PARTS, GROUPS)
    again = [np.repeat(each, 50, axis=0) for each in (features, labels, PARTS)]
    names = [[name for name in each for _ in range(50)] for each in (CLIPS, GROUPS)]
    often = cross_predict(task, again[0], again[1], names[0], again[2], names[1])
    np.testing.assert_allclose(often.tables[::50], once.tables, atol=1e-4)
    assert (once.tables.argmax(axis=1) == labels[:, 0]).mean() > 0.9
    np.testing.assert_allclose(once.tables.sum(axis=1), 1)
    assert (once.tables[:, 3:] == 0).all()


def test_each_action_unit_is_predicted_from_the_rows_where_it_is_known():
    features, classes = draw(2)
    task = TASKS.build("au")
    labels = np.tile(classes, (1, 12))
    labels[3:9, 5] = np.nan
    labels[:, 7] = 0
    found = cross_predict(task, features, labels, CLIPS, PARTS, GROUPS)
    others = [i for i in range(12) if i != 7]
    assert ((found.tables[:, others] > 0.5) == classes).mean() > 0.9
    assert (found.tables[:, 7] == 0).all()
    assert [len(each) for each in found.scales] == [12] * 4
    assert check_clips(task, labels, CLIPS) == ["empirical_bayes never predicts what occurs in no clip: AU15 active"]


def test_a_row_without_an_observation_has_equal_probabilities():
    features, labels = draw(3)
    features[5] = np.nan
    found = cross_predict(TASKS.build("expr"), features, labels, CLIPS, PARTS, GROUPS)
    np.testing.assert_allclose(found.tables[5, :3], 1 / 3)
    assert np.isfinite(found.tables).all()


def test_constant_features_are_counted_and_two_groups_leave_the_scale_alone():
    features, labels = draw(3)
    features[:, 10:12] = 4.0
    parts, groups = PARTS % 2, [f"speaker{i % 2}" for i in range(24)]
    found = cross_predict(TASKS.build("expr"), features, labels, CLIPS, parts, groups)
    assert found.scales == [[None], [None]]
    assert "2 features dropped: constant within every class, or hardly observed" in found.remarks
    assert any("the scale of log-odds is not fitted" in line for line in found.remarks)


def test_a_class_of_one_clip_is_refused_though_it_has_many_frames():
    labels = np.repeat([0.0, 1.0, 2.0], [4, 10, 10])[:, None]
    clips = ["a", "a", "b", "b"] + ["c"] * 10 + [f"d{i}" for i in range(10)]
    with pytest.raises(
        InputError, match=r"expr: Anger occurs in 1 clip .'c'., .*label more clips, leave the class out"
    ):
        check_clips(TASKS.build("expr"), labels, clips)


def test_classes_and_units_are_classified_and_values_are_not():
    assert [is_classified(TASKS.build(name)) for name in ("expr", "au", "va", "mtl")] == [True, True, False, False]
    assert [goal.width for goal in goals_of(TASKS.build("au"), np.zeros((2, 12)))] == [1] * 12

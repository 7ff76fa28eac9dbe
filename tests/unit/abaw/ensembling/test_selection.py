"""Weights of an ensemble that are fitted on labels, and cross-fitted."""

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.dataset.annotations import Labels
from abaw.ensembling import selection, weights
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.tasks import TASKS
from tests.support.fitted import table_of

VA, EXPR = TASKS.build("va"), TASKS.build("expr")


def held_out(noises, num_clips=4):
    """Members with so much noise each, and the truth."""
    members = [{} for _ in noises]
    for i in range(num_clips):
        for member, noise in enumerate(noises):
            table = table_of(f"c{i}", noise=noise, seed=member)
            labels = Labels(table_of(f"c{i}", noise=0).values, np.ones(200, bool))
            members[member][f"c{i}"] = LabelledTable(table.values, table.observed, labels)
    return members


def test_fitted_weights_favour_the_better_member_and_score_higher_than_the_mean_and_than_each():
    members = held_out([0.3, 0.9, 0.5])
    found = selection.fit_weights(VA, members)
    best = fitting.rank(VA, selection.combined(VA, members, found))
    assert found.weights[0] > found.weights[2] > found.weights[1]
    assert best > fitting.rank(VA, selection.combined(VA, members, weights.mean(3)))
    assert best > max(fitting.rank(VA, selection.combined(VA, [each], weights.mean(1))) for each in members)
    assert found.fitted_on == ("c0", "c1", "c2", "c3")


def test_where_no_weights_are_better_the_mean_is_kept():
    members = held_out([0.3])
    assert selection.fit_weights(VA, [members[0], members[0]]).weights.ravel().tolist() == [0.5, 0.5]


def test_weights_of_classes_are_fitted_on_the_scored_frames_alone():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 300)
    scored = np.arange(300) < 200
    good, bad = np.eye(8)[truth], np.eye(8)[(truth + 1) % 8]
    labels = Labels(truth[:, None].astype(np.float32), scored)
    where = scored[:, None]
    members = [
        {"a": LabelledTable(np.where(where, values, other).astype(np.float32), np.ones(300, bool), labels)}
        for values, other in ((bad, good), (good, bad))
    ]
    assert selection.fit_weights(EXPR, members).weights.ravel()[1] > 0.5


def test_cross_fitted_weights_are_those_of_the_other_groups_and_a_video_in_two_is_a_leak():
    members = held_out([0.3, 0.9], num_clips=3)
    groups = {"c0": 0, "c1": 1, "c2": 2}
    kept, choice = selection.choose_weights(VA, members, groups)
    others = selection.fit_weights(VA, [{c: each[c] for c in ("c1", "c2")} for each in members])
    expected = selection.combined(VA, [{"c0": each["c0"]} for each in members], others)
    np.testing.assert_array_equal(choice.tried["weighted"]["c0"].prediction, expected["c0"].prediction)
    fitted = selection.fit_weights(VA, members).weights[0, 0]
    assert choice.kept == "weighted"
    assert kept.weights[0, 0] == pytest.approx(0.5 + choice.strength * (fitted - 0.5)) != fitted
    sides = [dict(zip(("v_left", "v_right", "w"), each.values(), strict=True)) for each in members]
    with pytest.raises(ValueError, match="a leak: the weights fitted on the other groups has seen video 'v'"):
        selection.choose_weights(VA, sides, {"v_left": 0, "v_right": 1, "w": 2})

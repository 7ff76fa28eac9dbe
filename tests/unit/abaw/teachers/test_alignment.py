"""By how much the means of clips in teachers' tables are shifted, and where that means nothing."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks import TASKS
from abaw.teachers.alignment import check_alignable, find_values

VA, MTL = TASKS.build("va"), TASKS.build("mtl")
MEANS = {"a": 0.1, "b": 0.2, "c": 0.3}  # of valence over each labelled clip; the standard deviation is 0.1
TAUGHT = {"x": 0.7, "y": 0.3, "z": -0.1}  # 0.4


def labels_of(means, task=VA):
    """Labels that go up and down around the mean, after a frame without a label."""
    found = {}
    for clip_id, mean in means.items():
        values = np.full((3, len(task.goals)), mean)
        values[1:, :2] += [[0.5], [-0.5]]
        found[clip_id] = Labels(values, np.array([False, True, True]))
    return found


def test_means_of_clips_approach_that_of_labels_by_the_ratio_of_their_deviations():
    valence, arousal = find_values(VA, [*"axyz"], labels_of(MEANS))
    assert (valence.column, arousal.column) == (0, 1)
    assert valence.bare == ("x", "y", "z")
    factor, shifts = valence.compute_shifts(TAUGHT)
    assert factor == pytest.approx(0.25)
    assert shifts == pytest.approx({"x": -0.375, "y": -0.075, "z": 0.225})  # to 0.325, 0.225 and 0.125


def test_means_never_move_apart():
    valence, _ = find_values(VA, [*"xyz"], labels_of(MEANS))
    for taught in ({"x": 0.05, "y": 0.0, "z": 0.01}, {"x": 0.5, "y": 0.5, "z": 0.5}, {"x": 0.9}):
        factor, shifts = valence.compute_shifts(taught)
        assert factor == 1
        assert not any(shifts.values())


def test_a_value_of_several_tasks_is_aligned_in_the_clips_that_have_no_label_of_it():
    labels = labels_of({**MEANS, "d": 0.2}, MTL)
    labels["d"].values[:, 0] = np.nan  # arousal alone
    valence, arousal = find_values(MTL, [*"dwxyz"], labels)
    assert valence.means == pytest.approx(MEANS)
    assert arousal.means == pytest.approx({**MEANS, "d": 0.2})
    assert (valence.bare, arousal.bare) == (("d", "w", "x", "y", "z"), ("w", "x", "y", "z"))


def test_too_few_clips_and_tasks_without_values_are_refused():
    with pytest.raises(InputError, match="valence has labels in 2 clips, and 3 clips with tables and without labels"):
        find_values(VA, [*"xyz"], labels_of({"a": 0.0, "b": 0.1}))
    with pytest.raises(InputError, match="in 3 clips, and 1 clip with tables and without labels: it needs 3 of each"):
        find_values(VA, [*"abx"], labels_of(MEANS))
    with pytest.raises(InputError, match="align_clips aligns values of frames, which expr does not have"):
        check_alignable({"expr": TASKS.build("expr")})
    assert find_values(TASKS.build("expr"), [*"xyz"], {}) == []

"""Fitting post-processing: which settings are chosen, and on which frames they are fitted."""

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.annotations import Labels
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.postprocessing import PostProcessing
from abaw.tasks import TASKS
from tests.support.abaw.calibration import TASK, held_out, noisy_va, score
from tests.support.abaw.tasks import build

NO_BIAS = PostProcessingConfig(bias=False)


def test_noise_over_a_slow_truth_is_smoothed_and_the_score_of_the_choice_is_the_best_of_all():
    clips = {f"c{i}": noisy_va(seed=i) for i in range(3)}
    found = fitting.fit_post_processing(TASK["va"], clips, NO_BIAS)
    assert found.smoother == "box"
    scores = {w: score("va", clips, PostProcessing(smoother="box", width=w)) for w in (5, 11, 25, 51, 101)}
    assert found.width == max(scores, key=scores.get)
    assert found.fitted_on == ("c0", "c1", "c2")


def test_every_smoother_and_space_that_is_named_is_tried():
    spike = np.zeros((60, 2))
    spike[::10] = 3.0  # what a median takes away and a mean spreads
    truth = np.repeat(np.linspace(-0.8, 0.8, 60)[:, None], 2, axis=1)
    clips = {"a": held_out("va", truth + spike, truth)}
    options = PostProcessingConfig(bias=False, smoothers=["box", "gaussian", "savgol", "median"], widths=[1, 5])
    assert fitting.fit_post_processing(TASK["va"], clips, options).smoother == "median"
    sure = np.full((3, 8), 1e-4)
    sure[np.arange(3), [0, 1, 1]] = 1  # the mean is for 1, but one very sure frame wins among logits
    sure[1:, 0] = 0.2
    clips = {"a": held_out("expr", sure / sure.sum(axis=1, keepdims=True), [0, 0, 0])}
    options = PostProcessingConfig(bias=False, widths=[3], spaces=["probabilities", "logits"])
    assert fitting.fit_post_processing(TASK["expr"], clips, options).space == "logits"


def test_of_equal_settings_the_gentlest_is_taken():
    truth = np.repeat([[0], [1]], 50, axis=0)
    clips = {"a": held_out("expr", np.eye(8)[truth[:, 0]], truth, observed=np.arange(100) % 7 > 0)}
    assert fitting.fit_post_processing(TASK["expr"], clips, PostProcessingConfig()) == PostProcessing(fitted_on=("a",))


def test_gaps_are_filled_where_what_was_said_in_them_is_noise_and_only_if_asked():
    seen = np.arange(400) % 4 > 0
    clip = noisy_va(noise=0.01, observed=seen)
    clip.values[~seen] = np.random.default_rng(0).normal(size=(100, 2))
    assert fitting.fit_post_processing(TASK["va"], {"a": clip}, PostProcessingConfig(bias=False, widths=[1])).fill_gaps
    assert not fitting.fit_post_processing(
        TASK["va"], {"a": clip}, PostProcessingConfig(bias=False, widths=[1], fill_gaps=False)
    ).fill_gaps


@pytest.mark.parametrize("name", TASKS.names())
def test_a_tasks_blocks_are_all_its_raw_outputs_and_all_its_goals_or_none(name):
    task = build(name)
    if task.blocks:
        assert sum(width for _, width in task.blocks) == task.out_dim
        assert sum(1 if kind == "classes" else width for kind, width in task.blocks) == len(task.goals)
    else:
        assert task.resolution == "clip"


def test_a_task_of_one_label_a_clip_is_fitted_without_a_bias():
    task = TASKS.build("emi")
    rng = np.random.default_rng(0)
    tables = rng.random((4, 30, 6)).astype(np.float32)
    labels = [Labels(rng.random((1, 6)).astype(np.float32), np.ones(1, bool)) for _ in range(4)]
    clips = {f"c{i}": LabelledTable(tables[i], np.ones(30, bool), labels[i]) for i in range(4)}
    assert fitting.fit_post_processing(task, clips, PostProcessingConfig()).bias == ()


def test_unscored_frames_and_frames_beyond_the_labels_have_no_say():
    clips = {f"c{i}": noisy_va(seed=i) for i in range(3)}
    more = {}
    for clip_id, clip in clips.items():
        values, observed = np.vstack([clip.values, np.full((7, 2), 0.3)]), np.ones(407, bool)
        labels = Labels(np.vstack([clip.labels.values, np.full((3, 2), -1)]).astype(np.float32), np.arange(403) < 400)
        more[clip_id] = LabelledTable(values.astype(np.float32), observed, labels)
    options = PostProcessingConfig(widths=[1])
    assert fitting.fit_post_processing(TASK["va"], more, options) == fitting.fit_post_processing(
        TASK["va"], clips, options
    )


def test_nothing_scored_is_an_error():
    with pytest.raises(ValueError, match="nothing to score: no frame has a label"):
        fitting.fit_post_processing(TASK["va"], {"a": noisy_va(scored=np.zeros(400, bool))}, PostProcessingConfig())

"""Cross-fitting: groups of clips, and what is kept because it gains on clips that it was not fitted on."""

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.configs.sections import PostProcessingConfig
from tests.support.abaw.calibration import TASK, held_out, noisy_va, score


def test_cross_fitting_is_fitting_on_the_others_and_post_processing_the_group():
    clips = {f"c{i}": noisy_va(num=300, seed=i) for i in range(4)}
    groups = {"c0": "x", "c1": "x", "c2": "y", "c3": "y"}
    found = fitting.cross_fit(TASK["va"], clips, PostProcessingConfig(), groups)
    assert list(found) == list(clips)
    for mine, others in ((("c0", "c1"), ("c2", "c3")), (("c2", "c3"), ("c0", "c1"))):
        alone = fitting.fit_post_processing(TASK["va"], {c: clips[c] for c in others}, PostProcessingConfig())
        expected = fitting.post_processed(TASK["va"], {c: clips[c] for c in mine}, alone)
        for clip_id in mine:
            np.testing.assert_array_equal(found[clip_id].prediction, expected[clip_id].prediction)


def test_on_noise_the_fit_flatters_itself_and_cross_fitting_does_not():
    rng = np.random.default_rng(3)
    clips = {
        f"c{i}": held_out("expr", TASK["expr"].probabilities(rng.normal(size=(60, 8))), rng.integers(0, 8, 60))
        for i in range(6)
    }
    flattered = score("expr", clips, fitting.fit_post_processing(TASK["expr"], clips, PostProcessingConfig()))
    honest = fitting.rank(
        TASK["expr"], fitting.cross_fit(TASK["expr"], clips, PostProcessingConfig(), fitting.groups_of(clips, {}))
    )
    assert flattered > 0.15 > honest


def test_two_persons_of_one_video_are_in_one_group_and_apart_they_are_a_leak():
    clips = {name: noisy_va(seed=i) for i, name in enumerate(("v1_left", "v1_right", "v2", "v3"))}
    groups = fitting.groups_of(clips, {})
    assert groups["v1_left"] == groups["v1_right"]
    assert len(set(groups.values())) == 3
    apart = {"v1_left": 0, "v1_right": 1, "v2": 0, "v3": 1}
    with pytest.raises(ValueError, match="a leak: the post-processing fitted on the other groups has seen video 'v1'"):
        fitting.cross_fit(TASK["va"], clips, PostProcessingConfig(), apart)


def test_groups_are_those_of_four_or_five_runs_where_they_are_recorded_else_even_ones():
    clips = {f"c{i:02}": noisy_va(num=100 + i, noise=0.1, seed=i) for i in range(12)}
    for num in (4, 5):
        recorded = {clip_id: f"runs/x-fold{i % num}" for i, clip_id in enumerate(clips)}
        assert fitting.groups_of(clips, recorded) == recorded
    two = {clip_id: f"runs/x-fold{i % 2}" for i, clip_id in enumerate(clips)}
    for others in ({}, dict(list(recorded.items())[:5]), dict.fromkeys(clips, "runs/x"), two):
        groups = fitting.groups_of(clips, others)
        assert sorted(groups.values()) == sorted([*range(10), 8, 9])
        assert groups == fitting.groups_of(dict(reversed(clips.items())), others)


def test_more_runs_than_groups_are_merged_whole():
    clips = {f"c{i:03}": noisy_va(num=10, noise=0.1, seed=i) for i in range(60)}
    recorded = {clip_id: f"runs/x-fold{i % 12}" for i, clip_id in enumerate(clips)}
    groups = fitting.groups_of(clips, recorded)
    assert len(set(groups.values())) == 10
    for run in set(recorded.values()):
        assert len({groups[clip_id] for clip_id in clips if recorded[clip_id] == run}) == 1
    assert len(set(fitting.groups_of(clips, {}).values())) == 5, "of more than 50 videos"


def test_one_group_cannot_be_cross_fitted():
    with pytest.raises(ValueError, match="cross-fitting needs two groups of clips"):
        fitting.cross_fit(TASK["va"], {"a": noisy_va()}, PostProcessingConfig(), {"a": 0})


def test_a_bias_that_does_not_gain_by_cross_fitting_goes_and_the_smoothing_stays():
    """Every clip has a scale of its own, which cannot be learned from the others."""
    task = TASK["va"]
    clips = {
        f"c{i}": clip._replace(values=clip.values * 3.0 ** (-1) ** i)
        for i, clip in enumerate(noisy_va(num=300, noise=0.3, seed=seed) for seed in range(4))
    }
    groups = {clip_id: i for i, clip_id in enumerate(clips)}
    options = PostProcessingConfig(widths=[1, 11])
    found, choice = fitting.choose(task, clips, options, groups)
    scores = {name: fitting.rank(task, pairs) for name, pairs in choice.tried.items()}
    assert scores["smoothed"] > max(scores["raw"], scores["biased"])
    assert (found.width, found.scale, found.bias) == (11, (), ())
    assert fitting.fit_post_processing(task, clips, options).scale, "on its own clips the bias would have gained"

"""Scenes and affect of the synthetic data set."""

import numpy as np
import pytest

from abaw.dataset.names import EXPRESSIONS
from extract.synthetic.scenes import Affect, expression_classes, make_scenes, mislabel


def test_splits_have_the_requested_sizes_and_a_larger_data_set_has_the_scenes_of_a_smaller_one():
    for num_clips in (14, 15, 23, 36, 100):
        scenes = make_scenes(num_clips)
        clips = [clip for scene in scenes for clip in scene.clips]
        assert len(clips) == len(set(clips)) == num_clips
    sizes = {
        s: sum(len(scene.clips) for scene in make_scenes(36) if scene.split == s)
        for s in ("train", "validation", "test")
    }
    assert sizes == {"train": 22, "validation": 8, "test": 6}
    assert set(make_scenes(14)) <= set(make_scenes(36)) <= set(make_scenes(100))


def test_affect_is_smooth_independent_and_covers_every_class():
    times_s = np.arange(0, 12, 0.04)
    affects = [Affect(np.random.default_rng(seed)) for seed in range(100)]
    valence, arousal = (
        np.stack([of(times_s) for of in each]) for each in zip(*((m.valence, m.arousal) for m in affects), strict=True)
    )
    classes = np.stack([affect.expression(times_s) for affect in affects])
    assert np.abs(valence).max() <= 1
    assert np.abs(arousal).max() <= 1
    assert max(np.abs(np.diff(valence)).max(), np.abs(np.diff(arousal)).max()) < 0.25
    assert abs(np.corrcoef(valence.ravel(), arousal.ravel())[0, 1]) < 0.1
    assert np.bincount(classes.ravel(), minlength=8).min() / classes.size > 0.08


def test_expressions_are_sectors_of_the_plane():
    angles = np.arange(7) * 2 * np.pi / 7
    names = [EXPRESSIONS[label] for label in expression_classes(0.8 * np.cos(angles), 0.8 * np.sin(angles))]
    assert names == ["Happiness", "Surprise", "Fear", "Anger", "Disgust", "Sadness", "Other"]
    assert expression_classes(np.array([0.1]), np.array([0.1])).tolist() == [0]


def test_the_given_share_of_runs_is_mislabelled_each_as_a_whole():
    classes = np.repeat(np.arange(4000) % 8, 3)
    noisy = mislabel(classes, 0.04, np.random.default_rng(0)).reshape(-1, 3)
    assert (noisy == noisy[:, :1]).all()
    assert np.mean(noisy[:, 0] != classes[::3]) == pytest.approx(0.04, abs=0.01)

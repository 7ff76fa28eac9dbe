"""LiRank's neural-linear posterior (arXiv 2402.06859): closed form, cover in its own world, and the trap of frames."""

import numpy as np

from abaw.uncertainty.last_layer import LastLayerRows, fit_last_layer
from benchmarks.seed_systems.uncertainty import (
    WAYS,
    buy_labels,
    clips_cover,
    labels_needed,
    own_world_cover,
    sequential_difference,
    variance_changes,
)


def test_rows_one_by_one_give_the_posterior_of_all_rows_together():
    assert max(sequential_difference(seed) for seed in range(3)) <= 1e-10


def test_intervals_of_90_percent_hold_as_many_labels_in_the_models_own_world():
    assert 0.88 <= np.mean([own_world_cover(seed) for seed in range(20)]) <= 0.92


def test_a_label_lowers_the_variance_at_its_place_and_raises_it_nowhere():
    for seed in range(10):
        falls, rises = variance_changes(seed)
        assert falls > 0
        assert rises <= 1e-12


def test_rows_of_a_clip_count_as_measured_and_frames_taken_for_independent_are_far_too_sure():
    by_clip, by_frame = (
        np.mean([clips_cover(seed, as_frames=as_frames) for seed in range(6)]) for as_frames in (False, True)
    )
    assert 0.85 <= by_clip <= 0.99
    assert by_frame <= 0.6


def make_clips(num, rng, weights, num_frames=100):
    """Clips around an own centre, most of which lie in few directions; frames of a clip are near copies."""
    scale = np.geomspace(3.0, 0.3, weights.shape[0])
    clips = []
    for _ in range(num):
        walk = 0.1 * rng.standard_normal((num_frames, len(scale))).cumsum(axis=0)
        states = (rng.standard_normal(len(scale)) + walk) * scale
        outputs = states @ weights
        clips.append(
            LastLayerRows(
                states, outputs + 0.3 * rng.standard_normal(outputs.shape), outputs, np.arange(num_frames) / 25
            )
        )
    return clips


def test_suggested_frames_give_half_the_gain_with_at_most_half_the_labels_of_random_clips():
    starts = []
    for seed in range(2):
        rng = np.random.default_rng(seed)
        weights = rng.standard_normal((16, 2))
        start, pool, measured = (make_clips(num, rng, weights) for num in (3, 30, 8))
        starts.append(buy_labels(fit_last_layer(start, ("a", "b")), pool, measured, num=45, draws=2))
    needed = {way: labels_needed(starts, way) for way in WAYS}
    for way in WAYS[:2]:
        assert needed[way] <= 0.5 * needed["random clips"]
        assert needed[way] <= needed["random frames"]


def test_a_start_in_which_all_labels_lower_the_ccc_counts_as_it_is():
    curves = {"good": [0.5, 0.6, 0.7, 0.8], "bad": [0.5, 0.5, 0.5, 0.5]}
    starts = [
        {"start": 0.5, "all": 0.9, "curves": curves},
        {"start": 0.51, "all": 0.49, "curves": {"good": [0.51] * 4, "bad": [0.51, 0.3, 0.2, 0.1]}},
    ]
    assert labels_needed(starts, "good") == 2  # 0.605 of 0.505 to 0.695
    assert labels_needed(starts, "bad") == 4  # by shares of each start's own gain it would have been the better

"""Which frames are suggested."""

from dataclasses import replace

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.uncertainty.choice import Candidates, choose_frames
from abaw.uncertainty.last_layer import LastLayerPosterior, LastLayerRows, fit_last_layer
from abaw.uncertainty.posterior import LinearPosterior, prior

RNG = np.random.default_rng(3)
WEIGHTS = RNG.standard_normal((4, 1))


def make_posterior(num_clips=6, num=50):
    """A posterior that knows little of the last of four inputs."""
    clips = []
    for _ in range(num_clips):
        states = RNG.standard_normal((num, 4)) * [1, 1, 1, 0.05]
        outputs = states @ WEIGHTS
        clips.append(
            LastLayerRows(states, outputs + 0.3 * RNG.standard_normal(outputs.shape), outputs, np.arange(float(num)))
        )
    return fit_last_layer(clips, ("value",))


def make_candidates(num_clips=6, num=50):
    states = RNG.standard_normal((num_clips * num, 4)) * [1, 1, 1, 0.05]
    return Candidates(states, np.repeat(np.arange(num_clips), num), np.tile(np.arange(num) / 10, num_clips))


def rows_of(*arguments, **more):
    return [row for row, _ in choose_frames(*arguments, **more)]


def brute_force(posterior, candidates, chosen=(), improved=None):
    """The candidate whose label makes the mean variance over all frames to improve, by that of labels, the lowest."""
    rows = posterior.rows(candidates.states)
    aims = rows if improved is None else posterior.rows(improved)

    def left(row):
        known, labelled = posterior.weights, np.array([*chosen, row])
        for clip in np.unique(candidates.clips[labelled]):
            own = labelled[candidates.clips[labelled] == clip]
            goals = np.zeros((len(own), len(posterior.columns)))
            known = known.with_clip(rows[own], goals, np.ones(len(own)), posterior.correlation)
        return (known.weight_variances(aims) / np.square(posterior.scale)).mean()

    return min(set(range(len(rows))) - set(chosen), key=left)


def test_the_first_frame_lowers_the_mean_variance_the_most():
    posterior, candidates = make_posterior(), make_candidates()
    assert rows_of(posterior, candidates, 1) == [brute_force(posterior, candidates)]


def test_the_next_frame_is_the_best_once_the_ones_before_it_are_labelled():
    posterior, candidates = make_posterior(), make_candidates(num_clips=40, num=1)
    chosen = rows_of(posterior, candidates, 3)
    assert chosen == [brute_force(posterior, candidates, chosen[:num]) for num in range(3)]


def test_the_next_frame_can_be_of_a_clip_that_has_labels():
    posterior, candidates = replace(make_posterior(), correlation=np.array([0.7])), make_candidates(num_clips=3)
    chosen = rows_of(posterior, candidates, 6, min_gap_s=0.0)
    assert chosen == [brute_force(posterior, candidates, chosen[:num]) for num in range(6)]
    assert len(set(candidates.clips[chosen])) < 6


def test_frames_are_chosen_for_those_that_are_to_improve():
    posterior, candidates = make_posterior(), make_candidates()
    improved = RNG.standard_normal((30, 4)) * [0, 0, 0, 0.2]  # vary in the input of which little is known
    chosen = rows_of(posterior, candidates, 3, improved=improved, min_gap_s=0.0)
    assert chosen == [brute_force(posterior, candidates, chosen[:num], improved) for num in range(3)]
    assert chosen != rows_of(posterior, candidates, 3, min_gap_s=0.0)
    assert chosen == rows_of(posterior, candidates, 3, improved=np.tile(improved, (2, 1)), min_gap_s=0.0)


@pytest.mark.parametrize(("scale", "first"), [(1.0, 1), (3.0, 0)])
def test_outputs_count_by_the_variance_of_their_labels(scale, first):
    variances = np.array([[1.0, 1e-6, 1e-6], [1e-6, 4.0, 1e-6]])  # each output knows little of one input
    known = LinearPosterior(np.stack([np.diag(1 / each) for each in variances]), np.zeros((2, 3)), np.full(2, 0.1))
    scales, none = np.array([1.0, scale]), np.zeros(2)
    posterior = LastLayerPosterior(("a", "b"), none, np.ones(2), none, scales, none, known, num_clips=0)
    candidates = Candidates(np.eye(2), np.arange(2), none)
    # the variance of b falls by 1.95, that of a by 0.45: of labels with a variance of 9 it is the smaller part
    assert rows_of(posterior, candidates, 1) == [first] == [brute_force(posterior, candidates)]


def test_near_copies_are_not_chosen_again():
    states = np.concatenate([np.eye(4)[[0] * 30] * 3, np.eye(4)[1:] * 2])  # thirty copies, and three others
    known = prior(5, np.ones(1), np.full(1, 0.01))
    posterior = LastLayerPosterior(
        ("value",), np.zeros(4), np.ones(4), np.zeros(1), np.ones(1), np.zeros(1), known, num_clips=0
    )
    chosen = rows_of(posterior, Candidates(states, np.arange(33), np.zeros(33)), 4)
    assert chosen[0] < 30  # most frames are like it, and its variance is the highest
    assert sorted(chosen[1:]) == [30, 31, 32]


@pytest.mark.parametrize("explore", [0.0, 0.5, 1.0])
def test_frames_of_a_clip_are_apart_and_the_shares_are_as_asked(explore):
    candidates = make_candidates()
    chosen = choose_frames(make_posterior(), candidates, 20, explore=explore, min_gap_s=0.55)
    assert sum(why == "explore" for _, why in chosen) == 20 * explore
    assert len({row for row, _ in chosen}) == 20
    for clip in range(6):
        times = np.sort([candidates.times_s[row] for row, _ in chosen if candidates.clips[row] == clip])
        assert (np.diff(times) >= 0.55).all()


def test_exploited_frames_have_extreme_values_and_depend_on_the_seed_alone():
    posterior, candidates = make_posterior(num_clips=3, num=3), make_candidates()
    chosen = rows_of(posterior, candidates, 10, explore=0.0, min_gap_s=0.0)
    values = abs(posterior.outputs(candidates.states) - posterior.offset)[:, 0]
    assert values[chosen].mean() > np.quantile(values, 0.9)
    assert chosen == rows_of(posterior, candidates, 10, explore=0.0, min_gap_s=0.0)
    assert chosen != rows_of(posterior, candidates, 10, explore=0.0, min_gap_s=0.0, seed=1)


@pytest.mark.parametrize(
    ("num", "settings", "words"),
    [
        (0, {}, "0 frames were asked for, expected 1 or more"),
        (301, {}, "301 frames were asked for, but there are 300"),
        (200, {"min_gap_s": 1.0}, "200 frames were asked for, but .* 1 s or more apart"),
        (3, {"explore": 1.5}, "share of explored frames is 1.5, expected 0 to 1"),
        (3, {"explore": float("nan")}, "expected 0 to 1"),
        (3, {"seed": -1}, "the seed is -1, expected 0 or more"),
        (3, {"min_gap_s": -1.0}, "gap between two frames of a clip is -1 s"),
    ],
)
def test_what_cannot_be_chosen_is_refused(num, settings, words):
    with pytest.raises(InputError, match=words):
        choose_frames(make_posterior(), make_candidates(), num, **settings)

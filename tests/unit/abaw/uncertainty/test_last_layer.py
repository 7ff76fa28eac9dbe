"""The posterior of the last layer: how rows of a clip count, where the noise is from, what cannot be fitted."""

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.uncertainty.last_layer import MAX_ROWS, LastLayerRows, fit_last_layer
from abaw.uncertainty.posterior import prior

COLUMNS = ("valence", "arousal")
WEIGHTS = np.random.default_rng(9).standard_normal((5, 2)) / 2


def make_clip(seed, num=80, noise=0.2, common=0.0):
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((num, 5))
    outputs = states @ WEIGHTS + 0.3
    error = noise * rng.standard_normal((num, 2)) + common * rng.standard_normal(2)
    return LastLayerRows(states, outputs + error, outputs, np.arange(float(num)))


def test_the_outputs_are_those_of_the_labels():
    fitted = fit_last_layer([make_clip(seed) for seed in range(10)], COLUMNS)
    new = make_clip(99)
    assert abs(fitted.outputs(new.states) - new.outputs).max() < 0.1
    assert fitted.deviations(new.states).mean(axis=0) == pytest.approx([0.2, 0.2], rel=0.15)


def test_the_noise_is_that_of_the_clips_held_out():
    clips, others = [make_clip(seed) for seed in range(10)], [make_clip(50 + seed, noise=0.6) for seed in range(8)]
    fitted = fit_last_layer(clips, COLUMNS, others)
    assert np.sqrt(fitted.weights.noise) == pytest.approx([0.6, 0.6], rel=0.15)
    assert "8 clips that the run held out" in str(fitted)
    alone = fit_last_layer(clips, COLUMNS, others[:1])  # of one clip nothing can be said
    assert alone.num_held_out == 0
    assert "too small for new persons" in str(alone)


def test_errors_that_a_clip_has_in_common_make_its_rows_count_as_few():
    apart, alike = (fit_last_layer([make_clip(s, common=c) for s in range(30)], COLUMNS) for c in (0.0, 0.4))
    assert (apart.correlation < 0.05).all()
    assert (alike.correlation > 0.5).all()
    states = make_clip(99).states
    assert (alike.weights.weight_variances(alike.rows(states)) > apart.weights.noise / 30).all()
    before = prior(1, np.ones(2), alike.weights.noise)
    after = before.with_clip(np.ones((80, 1)), np.zeros((80, 2)), np.ones(80), alike.correlation)
    assert ((after.precision - before.precision)[:, 0, 0] < 2 / alike.weights.noise).all()


def test_rows_of_a_clip_count_as_their_covariance_says():
    """Against the covariance of the errors of all rows, inverted as a whole; one that is added can be taken away."""
    rng = np.random.default_rng(4)
    states, targets = rng.standard_normal((7, 3)), rng.standard_normal((7, 2))
    counts, correlation = rng.uniform(0.1, 1, 7), np.array([0.3, 0.8])
    before = prior(3, np.ones(2), np.array([0.5, 2.0]))
    after = before.with_clip(states, targets, counts, correlation)
    for i, (noise, share) in enumerate(zip(before.noise, correlation, strict=True)):
        inverse = np.linalg.inv(noise * (share * np.ones((7, 7)) + (1 - share) * np.diag(1 / counts)))
        assert after.precision[i] - np.eye(3) == pytest.approx(states.T @ inverse @ states, abs=1e-10)
        assert after.moment[i] == pytest.approx(states.T @ inverse @ targets[:, i], abs=1e-10)
    again = after.with_clip(states, targets, counts, correlation, sign=-1)
    assert again.precision == pytest.approx(before.precision, abs=1e-10)


def test_rows_of_a_second_count_as_one():
    clip = make_clip(0, num=4)
    fitted = fit_last_layer([make_clip(1), make_clip(2)], COLUMNS)
    together = fitted.with_clip(*(np.repeat(each, 3, axis=0) for each in clip[:2]), np.arange(12) / 3)
    assert together.weights.precision == pytest.approx(
        fitted.with_clip(clip.states, clip.labels, clip.times_s).weights.precision, rel=1e-9
    )


def test_only_so_many_rows_of_a_long_clip_are_taken():
    clip = make_clip(0, num=5 * MAX_ROWS)
    assert len(clip.thinned().states) == MAX_ROWS
    assert (clip.thinned().states[[0, -1]] == clip.states[[0, -1]]).all()


def test_a_clip_that_is_added_makes_the_model_surer():
    fitted = fit_last_layer([make_clip(seed, num=4) for seed in range(3)], COLUMNS)
    new = make_clip(7)
    more = fitted.with_clip(new.states, new.labels, new.times_s)
    assert (more.deviations(new.states) < fitted.deviations(new.states)).all()


@pytest.mark.parametrize(
    ("clips", "words"),
    [
        ([], "2 clips or more, there are 0"),
        ([make_clip(0)], "2 clips or more, there are 1"),
        ([make_clip(0), make_clip(1, num=0)], "there are 1"),
        ([each._replace(labels=each.labels * [1, 0]) for each in map(make_clip, (0, 1))], "labels of arousal are the"),
    ],
)
def test_what_cannot_be_fitted_is_refused(clips, words):
    with pytest.raises(InputError, match=words):
        fit_last_layer(clips, COLUMNS)


def test_states_of_another_network_are_refused():
    fitted = fit_last_layer([make_clip(0), make_clip(1)], COLUMNS)
    with pytest.raises(InputError, match="5 inputs, this one has 6"):
        fitted.deviations(np.zeros((3, 6)))


def test_a_constant_state_does_no_harm():
    clips = [make_clip(seed) for seed in range(4)]
    clips = [each._replace(states=np.c_[each.states, np.full(len(each.states), 3.0)]) for each in clips]
    assert np.isfinite(fit_last_layer(clips, COLUMNS).deviations(clips[0].states)).all()


@pytest.mark.parametrize("noise", [0.0, -1.0, np.nan])
def test_a_noise_that_is_no_variance_is_refused(noise):
    with pytest.raises(InputError, match="noise variance of a posterior"):
        prior(3, np.ones(1), np.array([noise]))


def test_drawn_weights_have_the_mean_and_covariance_of_the_posterior():
    rng = np.random.default_rng(0)
    known = prior(3, np.ones(1), np.ones(1)).with_rows(rng.standard_normal((8, 3)), rng.standard_normal((8, 1)))
    drawn = np.stack([known.draw(rng)[0] for _ in range(20_000)])
    assert drawn.mean(axis=0) == pytest.approx(known.mean[0], abs=0.01)
    assert np.cov(drawn.T) == pytest.approx(known.covariance[0], abs=0.01)

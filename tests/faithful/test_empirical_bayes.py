"""The empirical Bayes classifier against its authors' stored results, and in worlds of ours; in full in benchmarks/."""

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.probes.discriminant import fit_classes, fit_two_classes
from abaw.probes.prior import Prior, PriorSettings, draw_parts, estimate_priors
from benchmarks.seed_systems.empirical_bayes import mean_and_error, seeds_of
from benchmarks.seed_systems.worlds import discriminant as worlds


@pytest.mark.parametrize(("num", "size"), [(10, 1), (20, 3), (40, 5), (80, 7)])
def test_the_estimator_has_the_squared_error_of_the_paper(num, size):
    """T1: one cell of each row and column of the paper's table."""
    found = worlds.estimator_errors(num, size, 100, np.random.default_rng([1, num, size])).mean()
    paper = worlds.CELLS[num, size]
    assert abs(found - paper) <= max(2, 0.12 * paper)


def test_the_rules_have_the_error_of_the_paper_and_the_exact_one_is_a_little_larger():
    """T2, one column."""
    row = (200, 2.0)
    found = [worlds.sparse_errors(*row, rng) for rng in seeds_of(2, 3)]
    for rule, paper in zip(("sparse", "mean", "none"), worlds.ROWS[row], strict=True):
        mean, error = mean_and_error(each[rule][0] for each in found)
        assert abs(mean - paper) <= max(0.012, 3 * error)
        assert mean < np.mean([each[rule][1] for each in found]) < 1.6 * mean
    assert all(each["sparse"][0] < each["none"][0] for each in found)


def test_heavy_tailed_differences_are_found_among_factors():
    """T3, the first ten replicates."""
    found = [worlds.factor_errors(rng) for rng in seeds_of(3, 10)]
    oracle, sparse, none = (np.mean([each[name] for each in found]) for name in ("oracle", "sparse", "none"))
    assert 0.0110 <= sparse <= 0.0140
    assert oracle < sparse < none


def test_eight_classes_of_few_samples_are_separated_where_others_fail():
    """T5, the first seed."""
    found = worlds.class_errors(np.random.default_rng([5, 0]))
    assert max(found["mean"], found["sparse"]) <= 0.02
    assert max(found["mean"], found["sparse"]) <= 0.2 * min(found["none"], found["logistic"])


def test_effects_of_noise_have_a_deviation_of_one_with_clips_as_samples_and_not_with_frames():
    found = worlds.noise_effects(np.random.default_rng(0), num_features=500)
    assert 0.8 <= found["clip"] <= 1.2
    assert found["frame"] > 5


def test_with_two_classes_of_one_size_our_extension_is_the_rule_of_the_paper():
    cosine, opposite = worlds.same_rule(np.random.default_rng(0))
    assert cosine == pytest.approx(1, abs=1e-15)
    assert opposite < 1e-13


def test_the_log_odds_are_calibrated_and_the_sum_of_the_paper_is_not():
    ours, paper = worlds.log_odds_errors(np.random.default_rng([6, 1]))
    assert ours <= 0.1 < paper


def test_the_rule_is_the_sum_of_the_paper_times_the_inverse_sizes():
    """Plain loops over the formulas, with classes of different sizes and variances."""
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1], [9, 14])
    features = rng.normal(0, 1, (23, 40)) * (1 + classes[:, None]) + classes[:, None]
    fitted = fit_two_classes(features, classes, np.random.default_rng(1), num_parts=1)
    first, second = features[classes == 0], features[classes == 1]
    z = np.array(
        [
            (b.mean() - a.mean()) / np.sqrt(a.var(ddof=1) / 9 + b.var(ddof=1) / 14)
            for a, b in zip(first.T, second.T, strict=True)
        ]
    )
    (prior,) = estimate_priors(z[None], [np.arange(40)])
    row, total = rng.normal(size=40), 0.0
    for j in range(40):
        weights = prior.counts * np.exp(-((z[j] - prior.values) ** 2) / 2)
        effect = (weights * prior.values).sum() / weights.sum()
        error = np.sqrt(first[:, j].var(ddof=1) / 9 + second[:, j].var(ddof=1) / 14)
        total += effect * (row[j] - (first[:, j].mean() + second[:, j].mean()) / 2) / error
    evidence = fitted.evidence(row[None])[0]
    assert evidence[1] - evidence[0] == pytest.approx(total * (1 / 9 + 1 / 14), rel=1e-9)


def test_many_priors_at_once_are_those_of_one_after_the_other():
    rng = np.random.default_rng(0)
    z = rng.normal(size=(3, 101)) + rng.choice([0, 5], (3, 101), p=[0.8, 0.2])
    parts = draw_parts(101, 4, rng)
    together = estimate_priors(z, parts)
    for row, prior in zip(z, together, strict=True):
        alone = np.concatenate(
            [
                np.repeat(each.values, each.counts)
                for part in parts
                for each in estimate_priors(row[None, part], [np.arange(len(part))])
            ]
        )
        np.testing.assert_allclose(np.repeat(prior.values, prior.counts), np.sort(alone), atol=1e-9)
        assert prior.converged
        assert prior.counts.sum() == 101


def test_atoms_near_zero_are_merged_into_it():
    z = np.random.default_rng(0).normal(size=(1, 300))
    (prior,) = estimate_priors(z, [np.arange(300)], PriorSettings(merge_below=0.6))
    assert set(prior.values[np.abs(prior.values) < 0.6]) <= {0.0}


def test_huge_effects_do_not_overflow():
    prior = Prior(np.array([0.0, 60.0]), np.array([99, 1]))
    np.testing.assert_allclose(prior.posterior_mean(np.array([-80.0, 0.0, 80.0])), [0, 0, 60], atol=1e-9)
    assert prior.sparse_mean(np.array([80.0, 1.0])).tolist() == [60, 0]
    z = np.concatenate([np.zeros(50), np.full(50, 400.0)])[None]
    (found,) = estimate_priors(z, [np.arange(100)])
    np.testing.assert_allclose(found.posterior_mean(z[0])[[0, -1]], [0, 400], atol=1)


def test_constant_features_are_dropped_and_unknown_ones_say_nothing():
    rng = np.random.default_rng(0)
    classes = np.repeat([0, 1, 2], 8)
    features = rng.normal(size=(24, 30)) + classes[:, None] * (np.arange(30) < 10)
    features[:, 29], features[0, 3] = 7.0, np.nan
    fitted = fit_classes(features, classes, 3, rng)
    assert fitted.is_used.tolist() == [True] * 29 + [False]
    row = rng.normal(size=(1, 30))
    unknown = row.copy()
    unknown[0, :10] = np.nan
    terms = fitted.weights * row - fitted.offsets
    np.testing.assert_allclose(fitted.evidence(unknown)[0], terms[:, 10:].sum(axis=1), atol=1e-12)


@pytest.mark.parametrize("fit", [fit_two_classes, lambda x, y, rng: fit_classes(x, y, 2, rng)])
def test_a_class_of_one_sample_is_refused(fit):
    with pytest.raises(InputError, match=r"class 1 has 1 samples, expected 2 or more of every class: leave"):
        fit(np.zeros((4, 3)), np.array([0, 0, 0, 1]), np.random.default_rng(0))

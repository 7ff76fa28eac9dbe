"""Features pooled over a clip, and standardised within persons."""

import numpy as np

from abaw.probes.pooled import pooled_scales, scale_pooled


def test_pooled_features_are_standardised_over_the_pieces_of_a_person_who_has_enough():
    rng = np.random.default_rng(0)
    features = rng.normal(5.0, 2.0, (30, 3)).astype(np.float32)
    features[:, 2] = 7.0
    features[4] = np.nan
    groups = ["ann"] * 20 + ["bob"] * 7 + ["cleo"] * 3
    found = scale_pooled(features, groups, pooled_scales(features, groups, min_pieces=7))
    for of_group, material in (
        (slice(0, 20), slice(0, 20)),
        (slice(20, 27), slice(20, 27)),
        (slice(27, 30), slice(0, 30)),
    ):
        rows = features[material, :2].astype(np.float64)
        expected = (features[of_group, :2] - np.nanmean(rows, 0)) / np.nanstd(rows, 0)
        np.testing.assert_allclose(found[of_group, :2], expected, rtol=1e-5)
    assert np.isnan(found[4]).all()
    assert (found[np.arange(30) != 4, 2] == 0).all()

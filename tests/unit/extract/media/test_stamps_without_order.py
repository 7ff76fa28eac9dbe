"""Stamps without any order, and wrong ones near an end: every packet still has a time."""

from fractions import Fraction

import numpy as np
import pytest

from extract.media.joins import find_joins
from extract.media.timing import Stamps, mend_pictures


@pytest.mark.parametrize("is_reordered", [False, True])
@pytest.mark.parametrize("order", ["shuffled", "random", "half missing"])
def test_every_packet_has_a_time(order, is_reordered):
    rng, num = np.random.default_rng(0), 600
    regular = np.arange(num) * 40.0
    ticks = {
        "shuffled": rng.permutation(regular),
        "random": rng.uniform(0, 1e9, num).round(),
        "half missing": np.where(rng.random(num) < 0.5, np.nan, regular),
    }[order]
    stamps = Stamps(ticks, ticks, np.full(num, 40.0), np.zeros(num, bool), Fraction(1, 1000), 40.0)
    for_pictures, for_sound, _ = find_joins(stamps, stamps)
    times = mend_pictures(stamps.shifted(for_pictures), is_reordered)
    assert np.isfinite(for_sound).all()
    assert len(times.rows) == num
    assert np.isfinite(times.rows).all()
    if order == "half missing":
        np.testing.assert_allclose(times.rows, regular, atol=20 if is_reordered else 1e-6)


@pytest.mark.parametrize("wrong", [1, 34])
@pytest.mark.parametrize("shift", [15345.0, -15345.0])
def test_one_wrong_stamp_next_to_an_end_is_no_join(wrong, shift):
    ticks = np.arange(36) * 40.0
    ticks[wrong] += shift
    stamps = Stamps(ticks, ticks, np.full(36, 40.0), np.zeros(36, bool), Fraction(1, 1000), 40.0)
    shifts, _, num_joins = find_joins(stamps, None)
    assert (num_joins, shifts.any()) == (0, False)

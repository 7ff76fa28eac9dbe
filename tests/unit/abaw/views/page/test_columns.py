"""Columns of a page come back within half a step, read here as ``data.js`` reads them; the browser test reads the same
page with ``data.js``."""

import gzip

import numpy as np
import pytest

from abaw.views.page.columns import MISSING, NUM_STEPS, TIME_BYTES, Columns


def read(data, column, num_bytes):
    planes = np.frombuffer(data, np.uint8, num_bytes * column["rows"], column["at"]).reshape(num_bytes, -1)
    numbers = (planes.astype(np.int64) << (8 * np.arange(num_bytes)[:, None])).sum(axis=0)
    return np.where(numbers >= 1 << (8 * num_bytes - 1), numbers - (1 << (8 * num_bytes)), numbers)


def read_values(data, column):
    numbers = np.cumsum(read(data, column, 2)).astype(np.int16)
    return np.where(numbers == MISSING, np.nan, column["low"] + numbers * column["step"])


@pytest.mark.parametrize(("low", "high"), [(0, 1), (-1, 1), (0, 30)])
def test_values_come_back_within_half_a_step_and_gaps_as_gaps(low, high):
    values = np.random.default_rng(0).uniform(low, high, 500)
    values[[0, 7, 499]] = np.nan
    columns = Columns()
    columns.add_flags(np.ones(9, bool))
    column = columns.add_values(values, low, high)
    found = read_values(columns.data, column)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(values))
    assert np.nanmax(abs(found - values)) <= (high - low) / NUM_STEPS / 2 + 1e-9


def test_values_far_outside_of_the_range_stay_at_its_end():
    columns = Columns()
    column = columns.add_values(np.array([np.inf, -np.inf, 1e9, 0.5]), 0, 1)
    found = read_values(columns.data, column)
    assert found[0] > 100
    assert found[1] < -100
    assert found[3] == pytest.approx(0.5)


@pytest.mark.parametrize("start_s", [0, 1.7e9])
def test_times_come_back_to_the_microsecond_also_after_long_gaps_and_before_0(start_s):
    times_s = np.concatenate([[-0.04], np.cumsum(np.random.default_rng(0).uniform(0.001, 0.1, 500)), [1e5, 1e5 + 0.04]])
    times_s += start_s
    columns = Columns()
    column = columns.add_times(times_s)
    steps = read(columns.data, column, TIME_BYTES)
    np.testing.assert_allclose(np.cumsum(np.cumsum(steps)) / 1e6, times_s, rtol=0, atol=5.1e-7 + np.spacing(start_s))


def test_a_constant_rate_takes_next_to_nothing():
    columns = Columns()
    columns.add_times(np.arange(100_000) / 25)
    assert len(gzip.compress(columns.data, 9)) < 2000


def test_flags_and_bytes_are_found_behind_each_other():
    columns = Columns()
    flags = columns.add_flags(np.arange(20) % 3 == 0)
    numbers = columns.add_bytes(np.arange(256))
    packed = np.frombuffer(columns.data, np.uint8)
    bits = np.unpackbits(packed[: numbers["at"]], bitorder="little")[flags["at"] : flags["rows"]]
    np.testing.assert_array_equal(bits, np.arange(20) % 3 == 0)
    np.testing.assert_array_equal(packed[numbers["at"] :], np.arange(256))

"""Laws of clocks and tracks: times increase, frames count from 1, what is observed is finite."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw.tracks import Clock, Track, empty_track

INTERVALS = st.lists(st.floats(1e-3, 10), min_size=0, max_size=30)


def times(intervals, start=0.0):
    return start + np.cumsum(np.array(intervals, np.float64))


def clock(times_s):
    return Clock(np.arange(1, len(times_s) + 1), times_s, np.ones(len(times_s), bool))


def track(times_s, dim=3):
    return Track(np.zeros((len(times_s), dim), np.float32), times_s, np.ones(len(times_s), bool))


@given(INTERVALS, st.floats(-100, 100))
def test_any_increasing_times_make_a_clock_and_a_track(intervals, start):
    times_s = times(intervals, start)
    assert len(clock(times_s)) == len(track(times_s)) == len(intervals)


@given(INTERVALS.filter(lambda each: len(each) > 1), st.data())
def test_a_time_that_does_not_increase_is_named(intervals, data):
    times_s = times(intervals)
    row = data.draw(st.integers(1, len(times_s) - 1))
    times_s[row] = times_s[row - 1] - data.draw(st.sampled_from([0.0, 0.5]))
    with pytest.raises(ValueError, match=f"times of a clock must increase: row {row} is at"):
        clock(times_s)
    with pytest.raises(ValueError, match=f"times of a track must increase: row {row} is at"):
        track(times_s)


@given(INTERVALS.filter(bool), st.data(), st.sampled_from([np.nan, np.inf, -np.inf]))
def test_a_time_that_is_not_finite_is_named(intervals, data, broken):
    times_s = times(intervals)
    row = data.draw(st.integers(0, len(times_s) - 1))
    times_s[row] = broken
    with pytest.raises(ValueError, match=f"a track has a time that is not finite at row {row}"):
        track(times_s)


@given(st.integers(1, 20), st.data())
def test_frames_are_one_to_n_and_nothing_else(num, data):
    frames = np.arange(1, num + 1)
    frames[data.draw(st.integers(0, num - 1))] += data.draw(st.sampled_from([-1, 1, 5]))
    with pytest.raises(ValueError, match=r"the frames of a clock must be 1, 2, 3, \.\.\."):
        Clock(frames, np.arange(num) / 25, np.ones(num, bool))


@given(st.integers(1, 20), st.data(), st.sampled_from([np.nan, np.inf]))
def test_only_what_is_not_observed_may_be_without_a_number(num, data, broken):
    row, column = data.draw(st.integers(0, num - 1)), data.draw(st.integers(0, 2))
    values, observed = np.zeros((num, 3), np.float32), np.ones(num, bool)
    values[row, column] = broken
    with pytest.raises(ValueError, match=f"row {row} of a track is observed but not finite"):
        Track(values, np.arange(num) / 25, observed)
    observed[row] = False
    assert len(Track(values, np.arange(num) / 25, observed)) == num


@given(st.integers(1, 500))
def test_a_clip_without_a_modality_has_a_track_without_rows(dim):
    nothing = empty_track(dim)
    assert (len(nothing), nothing.dim) == (0, dim)


@given(st.floats(0.5, 120), st.integers(2, 50))
def test_the_interval_of_an_even_clock_is_one_over_its_rate(fps, num):
    assert clock(np.arange(num) / fps).interval_s == pytest.approx(1 / fps)


def test_a_clock_of_fewer_than_two_frames_has_no_interval():
    assert np.isnan(clock(np.zeros(0)).interval_s)
    assert np.isnan(clock(np.zeros(1)).interval_s)


def test_one_lost_frame_does_not_change_the_interval():
    assert clock(np.delete(np.arange(30) / 25, 11)).interval_s == pytest.approx(1 / 25)

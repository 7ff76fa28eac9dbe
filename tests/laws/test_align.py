"""Laws of alignment: true for any track, any clock, any window."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from extract import ALIGNERS
from extract.align import apply

NAMES = ALIGNERS.names()


@st.composite
def times(draw, least=0):
    steps = draw(st.lists(st.floats(1e-3, 0.7), min_size=least, max_size=30))
    return draw(st.floats(-1, 2)) + np.cumsum(np.array(steps, float))


@st.composite
def tracks(draw):
    times_s = draw(times())
    observed = np.array(draw(st.lists(st.booleans(), min_size=len(times_s), max_size=len(times_s))), bool)
    values = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(len(times_s), 3)).astype(np.float32)
    return times_s, observed, values


def planned(name, times_s, observed, goal_s):
    return ALIGNERS.build(name, times_s=times_s, observed=observed, goal_s=goal_s, max_gap_s=0.5)


@pytest.mark.parametrize("name", NAMES)
@given(track=tracks(), goal_s=times(1), data=st.data())
def test_a_window_equals_its_part_of_the_whole_clip_bit_for_bit(name, track, goal_s, data):
    times_s, observed, values = track
    plan = planned(name, times_s, observed, goal_s)
    whole = apply(plan, values)
    start = data.draw(st.integers(0, len(goal_s) - 1))
    stop = data.draw(st.integers(start + 1, len(goal_s)))
    window = plan[start:stop]
    first, last = window.span()
    part = apply(window, values[first:last], first_row=first)
    assert part.tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize("name", NAMES)
@given(track=tracks(), goal_s=times(1), shift_s=st.sampled_from([0.5, 2.0, -8.0]))
def test_only_differences_of_time_matter(name, track, goal_s, shift_s):
    times_s, observed, _ = track
    # multiples of 2^-20 s keep the shifted sums exact, so that a tie stays a tie
    times_s, goal_s = np.round(times_s * 2**20) / 2**20, np.round(goal_s * 2**20) / 2**20
    here, there = (planned(name, times_s + s, observed, goal_s + s) for s in (0.0, shift_s))
    assert np.array_equal(here.observed, there.observed)
    assert np.array_equal(here.rows[here.observed], there.rows[there.observed])
    assert np.allclose(here.weights, there.weights, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
@given(track=tracks(), goal_s=times(1))
def test_an_observed_step_is_an_average_of_observed_rows_near_it(name, track, goal_s):
    times_s, observed, _ = track
    plan = planned(name, times_s, observed, goal_s)
    for step in np.flatnonzero(plan.observed):
        used = plan.rows[step][plan.weights[step] > 0]
        assert observed[used].all()
        assert (np.abs(times_s[used] - goal_s[step]) <= 0.5).all()
        assert plan.weights[step].sum() == pytest.approx(1, abs=1e-5)
        assert (plan.weights[step] >= 0).all()


@given(track=tracks(), goal_s=times(1))
def test_hold_last_never_uses_the_future(track, goal_s):
    times_s, observed, _ = track
    plan = planned("hold_last", times_s, observed, goal_s)
    rows = plan.rows[plan.observed, 0]
    assert (times_s[rows] <= goal_s[plan.observed]).all()

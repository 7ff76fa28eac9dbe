"""Laws of alignment: true for any track, any clock, any window."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from extract import ALIGNERS
from extract.align import apply

WAYS = {**{name: (name, {}) for name in ALIGNERS.names()}, "a mean over 0.6 s": ("window_mean", {"width_s": 0.6})}


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


def planned(way, times_s, observed, goal_s):
    name, settings = WAYS[way]
    return ALIGNERS.build(name, times_s=times_s, observed=observed, goal_s=goal_s, max_gap_s=0.5, **settings)


@pytest.mark.parametrize("way", WAYS)
@given(track=tracks(), goal_s=times(1), data=st.data())
def test_a_window_equals_its_part_of_the_whole_clip_bit_for_bit(way, track, goal_s, data):
    times_s, observed, values = track
    plan = planned(way, times_s, observed, goal_s)
    whole = apply(plan, values)
    start = data.draw(st.integers(0, len(goal_s) - 1))
    stop = data.draw(st.integers(start + 1, len(goal_s)))
    window = plan[start:stop]
    first, last = window.span()
    part = apply(window, values[first:last], first_row=first)
    assert part.tobytes() == whole[start:stop].tobytes()


@pytest.mark.parametrize("way", WAYS)
@given(
    hop_s=st.sampled_from([0.02, 0.1, 0.3]),
    offset_s=st.sampled_from([0.0, 1e-50, 1e-44]),  # next to 0, where times are finer than the weights
    signs=st.lists(st.sampled_from([-0.0, 0.0, -1.0, 1.0, -1e-45]), min_size=2, max_size=9),
    start=st.integers(0, 9),
)
@example(hop_s=0.1, offset_s=1e-50, signs=[-0.0, 1.0], start=0)
def test_the_sign_of_zero_does_not_depend_on_the_window(way, hop_s, offset_s, signs, start):
    values = np.array(signs, np.float32)[:, None]
    plan = planned(way, np.arange(len(signs)) * hop_s, np.ones(len(signs), bool), offset_s + np.arange(10) / 25)
    whole = apply(plan, values)
    for window in (slice(0, 1), slice(start, 10)):
        assert apply(plan[window], values).tobytes() == whole[window].tobytes()


@pytest.mark.parametrize("way", WAYS)
@given(track=tracks(), goal_s=times(1), shift_s=st.sampled_from([0.5, 2.0, -8.0]))
def test_only_differences_of_time_matter(way, track, goal_s, shift_s):
    times_s, observed, _ = track
    # multiples of 2^-20 s keep the shifted sums exact, so that a tie stays a tie
    times_s, goal_s = np.round(times_s * 2**20) / 2**20, np.round(goal_s * 2**20) / 2**20
    here, there = (planned(way, times_s + s, observed, goal_s + s) for s in (0.0, shift_s))
    assert np.array_equal(here.observed, there.observed)
    assert np.array_equal(here.rows[here.observed], there.rows[there.observed])
    assert np.allclose(here.weights, there.weights, atol=1e-6)


@pytest.mark.parametrize("way", WAYS)
@given(track=tracks(), goal_s=times(1))
def test_an_observed_step_is_an_average_of_observed_rows_near_it(way, track, goal_s):
    times_s, observed, _ = track
    plan = planned(way, times_s, observed, goal_s)
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


@pytest.mark.parametrize("way", WAYS)
@given(track=tracks(), goal_s=times(1))
def test_a_constant_stays_what_it_is(way, track, goal_s):
    times_s, observed, _ = track
    plan = planned(way, times_s, observed, goal_s)
    found = apply(plan, np.full((len(times_s), 1), 3.0, np.float32))[:, 0]
    assert found == pytest.approx(np.where(plan.observed, 3.0, 0.0), abs=1e-5)


@pytest.mark.parametrize("way", ["window_mean", "a mean over 0.6 s"])
@given(track=tracks(), goal_s=times(1))
def test_a_mean_is_over_the_observed_rows_of_the_interval_and_on_the_line_between_rows_where_it_has_none(
    way, track, goal_s
):
    times_s, observed, values = track
    plan = planned(way, times_s, observed, goal_s)
    line = planned("linear", times_s, observed, goal_s)
    found, on_line = apply(plan, values), apply(line, values)
    for step, at_s in enumerate(goal_s):
        if WAYS[way][1]:
            inside = (at_s - 0.3 <= times_s) & (times_s <= at_s + 0.3)
        else:
            halves = np.diff(goal_s) / 2
            before = halves[max(step - 1, 0)] if len(halves) else 0.5
            after = halves[min(step, len(halves) - 1)] if len(halves) else 0.5
            inside = (at_s - min(before, 0.5) <= times_s) & (times_s < at_s + min(after, 0.5))
        if not inside.any():
            assert plan.observed[step] == line.observed[step]
            assert (found[step] == on_line[step]).all()
        else:
            assert plan.observed[step] == (inside & observed).any()
            if plan.observed[step]:
                assert found[step] == pytest.approx(values[inside & observed].mean(axis=0), abs=1e-5)


@given(rate_hz=st.floats(2.5, 29), fps=st.floats(30, 60), start_s=st.floats(0, 1))
def test_a_track_slower_than_the_steps_is_observed_between_its_rows_and_a_straight_line_stays_straight(
    rate_hz, fps, start_s
):
    times_s = start_s + np.arange(8) / rate_hz
    goal_s = times_s[0] + np.arange(int((times_s[-1] - times_s[0]) * fps) + 1) / fps
    plan = planned("window_mean", times_s, np.ones(8, bool), goal_s)
    assert plan.observed.all()
    found = apply(plan, times_s[:, None].astype(np.float32))[:, 0]
    assert abs(found - goal_s).max() <= 0.5 / fps + 1e-5, "a row counts at most half a step away from its time"


@given(row=st.integers(0, 40), hop_s=st.sampled_from([0.01, 0.02, 0.1]), width_s=st.sampled_from([0.3, 0.5, 1.0]))
def test_an_impulse_spreads_evenly_over_the_width_around_it(row, hop_s, width_s):
    times_s = np.arange(61) * hop_s
    goal_s = np.arange(100) * 0.03 - 0.2
    plan = ALIGNERS.build(
        "window_mean", times_s=times_s, observed=np.ones(61, bool), goal_s=goal_s, max_gap_s=0.5, width_s=width_s
    )
    found = apply(plan, (np.arange(61) == row)[:, None].astype(np.float32))[:, 0]
    distance_s = abs(goal_s - times_s[row])
    far, near = distance_s > width_s / 2 + 1e-9, distance_s < width_s / 2 - 1e-9
    assert not found[far].any()
    num = ((times_s >= goal_s[:, None] - width_s / 2) & (times_s <= goal_s[:, None] + width_s / 2)).sum(axis=1)
    assert found[near] == pytest.approx(1 / num[near], rel=1e-5)


@given(width_s=st.sampled_from([0.2, 0.5, 1.0]), edge_s=st.floats(1.2, 1.8))
def test_a_step_becomes_a_ramp_as_long_as_the_width(width_s, edge_s):
    times_s = np.arange(301) * 0.01
    goal_s = np.arange(0.6, 2.4, 0.04)
    plan = ALIGNERS.build(
        "window_mean", times_s=times_s, observed=np.ones(301, bool), goal_s=goal_s, max_gap_s=0.5, width_s=width_s
    )
    found = apply(plan, (times_s >= edge_s)[:, None].astype(np.float32))[:, 0]
    ramp = np.clip((goal_s - edge_s) / width_s + 0.5, 0, 1)
    assert found == pytest.approx(ramp, abs=0.01 / width_s + 1e-5), "within one row"

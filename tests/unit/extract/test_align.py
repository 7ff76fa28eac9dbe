"""Aligners by hand-worked numbers, and what none of them may do."""

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.tracks import Clock, Track
from extract import ALIGNERS
from extract.align import apply
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore

NAMES = ALIGNERS.names()


def align(name, times_s, values, goal_s, observed=None, max_gap_s=0.5, **settings):
    times_s, goal_s = np.asarray(times_s, float), np.asarray(goal_s, float)
    observed = np.ones(len(times_s), bool) if observed is None else np.asarray(observed, bool)
    plan = ALIGNERS.build(name, times_s=times_s, observed=observed, goal_s=goal_s, max_gap_s=max_gap_s, **settings)
    values = np.asarray(values, np.float32).reshape(len(times_s), 1)
    return apply(plan, values)[:, 0], plan.observed


def test_nearest_takes_the_nearest_row_and_the_earlier_of_two_equally_near_ones():
    values, observed = align("nearest", [0.0, 0.1, 0.2], [1, 2, 3], [0.04, 0.05, 0.06, 0.2])
    assert values.tolist() == [1, 1, 2, 3]
    assert observed.all()


def test_linear_lies_on_the_line_and_hits_rows_exactly():
    values, observed = align("linear", [0.0, 0.1, 0.2], [1, 3, 7], [0.0, 0.025, 0.1, 0.15, 0.2])
    assert values == pytest.approx([1, 1.5, 3, 5, 7])
    assert observed.all()


def test_a_row_whose_weight_is_too_small_for_float32_has_no_part_in_a_step():
    times_s, goal_s = np.array([0.0, 0.1]), np.array([1e-50, 0.05])
    plan = ALIGNERS.build("linear", times_s=times_s, observed=np.array([True, False]), goal_s=goal_s)
    assert plan.observed.tolist() == [True, False]
    plan = ALIGNERS.build("linear", times_s=times_s, observed=np.ones(2, bool), goal_s=goal_s)
    whole, alone = (apply(each, np.float32([[-0.0], [1.0]])) for each in (plan, plan[:1]))
    assert np.signbit(whole[0, 0])
    assert np.signbit(alone[0, 0])


def test_linear_at_the_time_of_a_row_needs_only_that_row():
    values, observed = align("linear", [0.0, 0.1, 0.2], [1, 2, 3], [0.1], observed=[False, True, False])
    assert values.tolist() == [2]
    assert observed.tolist() == [True]


def test_hold_last_looks_back_only():
    values, observed = align("hold_last", [0.1, 0.2], [1, 2], [0.05, 0.1, 0.19, 0.2, 0.5])
    assert observed.tolist() == [False, True, True, True, True]
    assert values[1:].tolist() == [1, 1, 2, 2]


def test_window_mean_takes_the_rows_from_halfway_to_halfway():
    # steps at 0, 0.1, 0.3: the second's interval is [0.05, 0.2)
    times_s = [0.0, 0.04, 0.05, 0.1, 0.19, 0.2, 0.3]
    values, observed = align("window_mean", times_s, [1, 3, 10, 20, 30, 100, 200], [0.0, 0.1, 0.3])
    assert values == pytest.approx([2, 20, 150])
    assert observed.all()


def test_window_mean_ignores_unobserved_rows_and_is_unobserved_without_observed_ones():
    values, observed = align("window_mean", [0.0, 0.01, 0.1], [1, 9, 5], [0.0, 0.1, 0.2], observed=[True, False, False])
    assert values.tolist() == [1, 0, 0]
    assert observed.tolist() == [True, False, False]


def test_window_mean_is_on_the_line_between_two_rows_where_its_interval_has_none():
    # 4 rows a second, 20 steps: only every fifth interval has a row
    goal_s = np.arange(0, 11) / 20
    values, observed = align("window_mean", [0.0, 0.25, 0.5], [0, 10, 0], goal_s)
    assert observed.all()
    assert values == pytest.approx([0, 2, 4, 6, 8, 10, 8, 6, 4, 2, 0], abs=1e-5)
    _, observed = align("window_mean", [0.0, 0.25, 0.5], [0, 10, 0], goal_s, observed=[True, False, True])
    assert observed.tolist() == [True, *[False] * 9, True], "a missing face or word is not filled in"
    _, observed = align("window_mean", [0.1, 0.35], [0, 10], goal_s, max_gap_s=0.2)
    assert observed.tolist() == [False] * 2 + [True] * 6 + [False] * 3, (
        "nothing before the first row and after the last"
    )


@pytest.mark.parametrize(("rate_hz", "fps"), [(4, 30), (50, 60), (25, 30)])
def test_no_step_between_the_rows_of_a_slower_track_is_lost(rate_hz, fps):
    times_s = np.arange(0, 5, 1 / rate_hz)
    goal_s = np.arange(0, times_s[-1], 1 / fps)
    assert align("window_mean", times_s, times_s, goal_s)[1].all()


def test_width_s_takes_the_rows_of_so_many_seconds_around_each_step_both_ends_included():
    times_s = np.arange(9) / 4
    values, observed = align(
        "window_mean", times_s, [0, 0, 0, 8, 0, 0, 0, 0, 0], [0.0, 0.5, 0.75, 1.0, 2.25], width_s=1.0
    )
    assert values == pytest.approx([0, 8 / 5, 8 / 5, 8 / 5, 0])
    assert observed.all()
    values, observed = align("window_mean", [0.0, 1.0, 2.0], [0, 10, 20], [0.5, 1.2], max_gap_s=1.0, width_s=0.2)
    assert values == pytest.approx([5, 12]), "an interval without a row is interpolated"
    unobserved = align("window_mean", [0.0, 0.1], [1, 3], [0.05, 0.3], observed=[False, True], width_s=0.3)
    assert unobserved[0].tolist() == [3, 0]


def test_a_width_beyond_the_largest_gap_and_one_of_another_aligner_are_refused():
    with pytest.raises(ValueError, match="width_s of 1.2 reaches 0.6 s .* increase max_gap_s to 0.6 or reduce width_s"):
        align("window_mean", [0.0], [1], [0.0], width_s=1.2)
    with pytest.raises(ValueError, match="aligner 'linear' has no setting 'width_s'"):
        align("linear", [0.0], [1], [0.0], width_s=1.0)
    with pytest.raises(ValueError, match="aligner 'nearest' has no setting 'width_s'"):
        AlignedSource(FeatureStore("nowhere"), {"x": FeatureConfig(align="nearest", width_s=1.0)}, {"x": {}})


def test_what_each_aligner_holds_outside_the_rows():
    goal_s = [0.4, 0.6, 1.0, 1.2, 1.4, 1.8]
    held = {name: align(name, [1.0, 1.2], [1, 2], goal_s)[1].tolist() for name in NAMES}
    assert held == {
        "nearest": [False, True, True, True, True, False],
        "linear": [False, False, True, True, False, False],
        "hold_last": [False, False, True, True, True, False],
        "window_mean": [False, False, True, True, False, False],
    }


def test_window_mean_does_not_reach_across_a_gap_of_the_clock():
    # the first step's interval would be 5 s wide; it ends at max_gap_s
    _, observed = align("window_mean", [0.0, 3.0], [1, 2], [0.0, 10.0], max_gap_s=0.5)
    assert observed.tolist() == [True, False]


@pytest.mark.parametrize("name", NAMES)
def test_no_aligner_reaches_beyond_max_gap(name):
    _, observed = align(name, [1.0, 1.1], [1, 2], [0.2, 1.05, 2.0], max_gap_s=0.3)
    assert observed.tolist() == [False, True, False]


@pytest.mark.parametrize("name", NAMES)
def test_a_track_without_rows_is_unobserved_everywhere(name):
    values, observed = align(name, [], np.zeros((0, 1)), [0.0, 0.1])
    assert values.tolist() == [0, 0]
    assert not observed.any()


@pytest.mark.parametrize("name", NAMES)
def test_values_of_unobserved_rows_are_never_used(name):
    times_s = np.arange(20) * 0.05
    observed = np.arange(20) % 4 != 1
    clean = np.where(observed, np.arange(20.0), 0)
    dirty = np.where(observed, np.arange(20.0), np.nan)
    goal_s = np.arange(30) * 0.033
    first, seen = align(name, times_s, clean, goal_s, observed)
    second, again = align(name, times_s, dirty, goal_s, observed)
    assert np.array_equal(first, second)
    assert np.array_equal(seen, again)
    assert not first[~seen].any()
    assert seen.any()
    assert not seen.all()


@pytest.mark.parametrize("name", NAMES)
def test_a_track_with_the_clocks_own_times_is_unchanged(name):
    times_s = np.cumsum([0.0, 0.04, 0.033, 0.2, 0.04])
    values, observed = align(name, times_s, [5, 4, 3, 2, 1], times_s)
    assert values.tolist() == [5, 4, 3, 2, 1]
    assert observed.all()


def test_window_mean_reaches_no_further_than_max_gap_across_a_gap_of_the_clock():
    values, observed = align("window_mean", [0.0, 2.0, 9.8], [1, 2, 3], [0.0, 10.0], max_gap_s=0.5)
    assert values.tolist() == [1, 3]
    assert observed.all()


def test_one_wide_step_does_not_widen_a_window_without_it():
    times_s = np.concatenate([np.arange(100) * 0.01, 1 + np.arange(5) * 0.1])
    goal_s = np.array([0.0, 1.0, 1.1, 1.2, 1.3])
    plan = ALIGNERS.build("window_mean", times_s=times_s, observed=np.ones(105, bool), goal_s=goal_s, max_gap_s=0.5)
    assert plan.rows.shape[1] > 10
    assert plan[2:].rows.shape[1] <= 2


def test_a_source_resolves_its_aligners_once_and_not_for_every_window(tmp_path, monkeypatch):
    store = FeatureStore(tmp_path)
    times_s, observed = np.arange(10) / 10, np.ones(10, bool)
    store.put_clock("a", Clock(np.arange(1, 11), times_s, observed), {"source": "s"})
    for name in ("x", "y"):
        recipe = {"name": name, "encoder": "e", "settings": {}}
        store.put(recipe, "a", Track(np.ones((10, 1), np.float32), times_s, observed), {"source": "s"})
    resolved, part = [], ALIGNERS.part
    monkeypatch.setattr(ALIGNERS, "part", lambda name: resolved.append(name) or part(name))
    source = AlignedSource(store, {"x": FeatureConfig(align="nearest"), "y": FeatureConfig(align="linear")})
    assert resolved == ["nearest", "linear"]
    for start_s in times_s[:-2]:
        for name in ("x", "y"):
            assert source.read(name, "a", start_s, start_s + 0.2).observed.all()
    assert resolved == ["nearest", "linear"]
    with pytest.raises(ValueError, match="no aligner named 'neares'; did you mean 'nearest'"):
        AlignedSource(store, {"x": FeatureConfig(align="neares")})

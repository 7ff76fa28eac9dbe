"""What is kept because it gains, and what it promises."""

import numpy as np
import pytest

from abaw.calibration.gains import Gain, gain_of, keep, left_out, nest
from abaw.tasks.base import PredictionPair
from benchmarks.fitted import fitting as simulation
from tests.support.abaw.calibration import TASK, noisy_va


def pairs(noise, num=6):
    clips = {f"c{i}": noisy_va(num=100, noise=noise, seed=i) for i in range(num)}
    return {clip_id: PredictionPair(clip.values, clip.labels) for clip_id, clip in clips.items()}


def test_the_error_of_a_gain_is_the_corrected_jackknife_over_videos():
    before, after = pairs(0.6), pairs(0.2)
    found = gain_of(TASK["va"], before, after, num_groups=5)

    def difference(names):
        first, second = (TASK["va"].score({c: side[c] for c in names})["CCC"] for side in (before, after))
        return second - first

    without = np.array([difference([c for c in before if c != out]) for out in before])
    assert found.value == pytest.approx(difference(before))
    assert found.error == pytest.approx(np.sqrt(5 * without.var() * (1 + 5 / 4)))
    assert gain_of(TASK["va"], pairs(0.6, 1), pairs(0.2, 1), 5).error == np.inf


def test_what_gains_its_error_is_not_kept_and_what_gains_more_is_shrunk():
    assert (Gain(0.02, 0.02).is_clear, Gain(0.02, 0.02).strength) == (False, 0)
    assert Gain(0.04, 0.02).strength == 0.75
    assert Gain(0.02, 0.0).strength == 1
    assert not Gain(0.0, 0.0).is_clear
    kept, strength, gains = keep(TASK["va"], {"raw": pairs(0.6), "less": pairs(0.2), "as much": pairs(0.2)}, 5)
    assert (kept, strength) == ("less", gains["less"].strength)
    assert gains["as much"] == Gain(0.0, 0.0)


def test_nothing_every_group_and_every_pair_is_left_out():
    assert left_out("abc", 1) == list(map(frozenset, ("", "a", "b", "c")))
    assert left_out("abc", 2) == list(map(frozenset, ("ab", "ac", "bc")))


def test_the_gain_to_expect_is_the_mean_of_the_nested_one_and_that_of_what_is_kept():
    raw, asked = pairs(0.6), []

    def predict(way, strength, left, name):
        asked.append(left)
        noise = {"raw": 0.6, "better": 0.6 - 0.4 * strength}[way]
        return {f"c{name}": pairs(noise)[f"c{name}"]}

    choice = nest(TASK["va"], ["raw", "better"], range(6), predict)
    found = choice.expected
    assert choice.kept == "better"
    assert 0 < choice.strength < 1
    assert found.as_chosen == gain_of(TASK["va"], raw, pairs(0.6 - 0.4 * choice.strength), 6)
    assert 0 < found.nested.value != found.as_chosen.value > 0
    assert found.value == (found.nested.value + found.as_chosen.value) / 2
    assert found.error == (found.nested.error + found.as_chosen.error) / 2
    assert str(found).startswith(f"{found.value:+.4f} (standard error {found.error:.4f}): the mean of")
    assert {len(left) for left in asked} == {1, 2}


def test_what_is_not_expected_to_gain_is_not_kept():
    def predict(way, strength, left, name):
        return {f"c{name}": pairs(0.2 if way == "better" and strength == 1 else 0.6)[f"c{name}"]}

    choice = nest(TASK["va"], ["raw", "better"], range(6), predict)
    assert choice.gains["better"].is_clear
    assert (choice.kept, choice.strength, choice.expected.value) == ("raw", 1, 0)
    assert (choice.refused.value, choice.refused.is_clear) == (0, False)


def test_where_nothing_is_kept_nothing_is_promised_and_nothing_nested():
    asked = []

    def predict(way, strength, left, name):
        asked.append(left)
        return {f"c{name}": pairs({"raw": 0.2, "worse": 0.6}[way])[f"c{name}"]}

    choice = nest(TASK["va"], ["raw", "worse"], range(6), predict)
    assert (choice.kept, choice.expected.value, choice.expected.error) == ("raw", 0, 0)
    assert str(choice.expected) == "none, because nothing is changed"
    assert {len(left) for left in asked} == {1}


@pytest.fixture
def few_others(monkeypatch):
    """A small simulation; the whole one is the benchmark."""
    monkeypatch.setattr(simulation, "NUM_OTHERS", 60)
    monkeypatch.setattr(simulation, "NUM_DRAWS", 10)


@pytest.mark.parametrize("fit", [simulation.fit_post_processing, simulation.fit_weights])
def test_on_few_videos_nothing_is_lost_and_nothing_promised_where_nothing_is_to_be_gained(fit, few_others):
    rows = fit("va", simulation.NOTHING, 8, 3, 931)
    mean = {key: np.mean([row[key] for row in rows]) for key in rows[0]}
    assert mean["promised before"] >= mean["true before"], "the maximum of several scores is too high"
    assert mean["true"] >= -0.002
    assert abs(mean["promised"] - mean["true"]) <= mean["error"] + 0.002


def test_much_is_kept_where_much_is_to_be_gained(few_others):
    (row,) = simulation.fit_post_processing("va", simulation.MUCH, 8, 1, 932)
    assert row["true"] > 0.05
    assert abs(row["promised"] - row["true"]) < 2 * row["error"]

"""Gains follow the level of the whole sound, or of its past."""

import numpy as np
import pytest

from extract.media import Sound
from extract.networks.voice.level import MAX_RUNNING_GAIN, Leveller

RATE_HZ, HOP = 16000, 160


def noise(num=20_000, level=0.01, gaps_s=()):
    return Sound((level * np.random.default_rng(0).normal(size=num)).astype(np.float32), RATE_HZ, 0.5, gaps_s)


def gains_of(sound, gain, cuts=()):
    leveller, ends = Leveller(sound, gain, HOP), np.arange(1 + len(sound.samples) // HOP) * HOP + 200
    return np.concatenate([leveller(part) for part in np.split(ends, cuts)])


def test_a_quiet_take_is_raised_to_its_target_and_a_loud_one_stays():
    quiet = noise(level=0.001)
    raised = gains_of(quiet, "take")
    assert (raised == raised[0]).all()
    assert 20 * np.log10(np.sqrt(np.mean(np.square(raised[0] * quiet.samples)))) == pytest.approx(-30, abs=1e-4)
    assert (gains_of(noise(level=0.2), "take") == 1).all()
    assert (gains_of(quiet, "fixed") == 1).all()


def test_the_running_gain_is_that_of_the_past_only_and_bounded():
    quiet = noise(level=0.001)
    assert gains_of(quiet, "running")[-1] == pytest.approx(gains_of(quiet, "take")[-1], rel=0.05)
    louder = Sound(np.concatenate([quiet.samples[:10_200], quiet.samples[10_200:] * 50]), RATE_HZ, 0.5)
    before, after = gains_of(quiet, "running"), gains_of(louder, "running")
    assert (before[:63] == after[:63]).all()  # row 62 ends before sample 10,120, row 63 before 10,280
    assert after[80] < before[80] / 3
    assert gains_of(noise(level=1e-7), "running").max() == MAX_RUNNING_GAIN


@pytest.mark.parametrize("gain", ["take", "running"])
def test_silence_has_the_gain_1_and_gaps_do_not_count(gain):
    assert (gains_of(Sound(np.zeros(5000, np.float32), RATE_HZ, 0.0), gain) == 1).all()
    whole = noise(16_000)
    with_gap = Sound(np.concatenate([whole.samples, np.zeros(16_000, np.float32)]), RATE_HZ, 0.5, ((1.5, 2.5),))
    assert gains_of(with_gap, gain)[-1] == pytest.approx(gains_of(whole, gain)[-1], rel=1e-6)


def test_running_gains_do_not_depend_on_where_they_are_cut():
    sound = noise(32_000)
    assert gains_of(sound, "running", [1, 2, 77, 150]) == pytest.approx(gains_of(sound, "running"), rel=1e-9)

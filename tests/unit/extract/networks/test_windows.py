"""Windows of sound for networks with one answer for all that they hear."""

import numpy as np
import pytest

from abaw.errors import InputError
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.windows import SoundWindows, sound_windows

WINDOWS = SoundWindows(rate_hz=100, window=100, hop=50, shortest=10)


def track_of(samples, start_s=0.0):
    return joined(WINDOWS.tracks(Sound(samples, 100, start_s), 1, lambda part: part.mean(keepdims=True)), 1)


def test_each_row_is_the_answer_for_its_window_at_its_middle():
    samples = np.linspace(0.1, 1, 230, dtype=np.float32)
    track = track_of(samples, start_s=3.0)
    np.testing.assert_allclose(track.times_s, [3.5, 4.0, 4.5, 4.8])
    expected = [samples[start : start + 100].mean() for start in (0, 50, 100, 130)]
    np.testing.assert_allclose(track.values[:, 0], expected, rtol=1e-6)


def test_sound_shorter_than_a_window_is_one_window_and_too_short_sound_none():
    track = track_of(np.full(30, 0.5, np.float32))
    np.testing.assert_allclose((track.times_s, track.values[:, 0]), ([0.15], [0.5]))
    assert len(track_of(np.full(9, 0.5, np.float32))) == 0


def test_a_window_without_anything_audible_is_not_observed():
    samples = np.concatenate([np.full(100, 0.5, np.float32), np.zeros(150, np.float32)])
    assert track_of(samples).observed.tolist() == [True, True, False, False]


def test_settings_that_leave_gaps_or_no_room_are_refused():
    with pytest.raises(InputError, match=r"hop_s is 2.0, expected more than 0 and not more than window_s=1.0"):
        sound_windows("net", 100, 1.0, 2.0, 10)
    with pytest.raises(InputError, match=r"net: window_s is 0.05, expected 0.1 s or more"):
        sound_windows("net", 100, 0.05, 0.01, 10)

"""The clock of a clip: decoded times, extended for labels and images beyond the last picture."""

import numpy as np
import pytest

from extract.engine.reading import extend_clock


def test_decoded_times_that_are_enough_are_the_clock():
    clock, assumed = extend_clock(np.array([0.5, 0.6, 0.9]), 2, None)
    assert clock.times_s.tolist() == [0.5, 0.6, 0.9]
    assert clock.frames.tolist() == [1, 2, 3]
    assert clock.decoded.tolist() == [True] * 3
    assert assumed == {}


def test_missing_frames_follow_at_the_median_interval_and_are_not_decoded():
    clock, assumed = extend_clock(np.array([0.0, 0.1, 0.2, 1.0]), 6, 5.0)
    assert clock.times_s == pytest.approx([0.0, 0.1, 0.2, 1.0, 1.1, 1.2])
    assert clock.decoded.tolist() == [True] * 4 + [False] * 2
    assert assumed == {}  # the pictures have an interval of their own


def test_without_an_interval_the_assumed_rate_is_used_and_recorded():
    clock, assumed = extend_clock(np.zeros(0), 3, 4.0)
    assert clock.times_s.tolist() == [0.0, 0.25, 0.5]
    assert not clock.decoded.any()
    assert assumed == {"assumed_fps": 4.0}
    clock, assumed = extend_clock(np.array([2.0]), 3, 4.0)
    assert clock.times_s.tolist() == [2.0, 2.25, 2.5]
    assert assumed == {"assumed_fps": 4.0}


def test_one_picture_alone_needs_no_rate():
    clock, assumed = extend_clock(np.array([2.0]), 1, None)
    assert (clock.times_s.tolist(), assumed) == ([2.0], {})


def test_missing_frames_without_any_rate_are_an_error():
    with pytest.raises(ValueError, match=r"1 frame.s. decoded, but the images or labels have 3: give --assume-fps FPS"):
        extend_clock(np.array([2.0]), 3, None)


def test_a_frame_that_cannot_be_decoded_keeps_its_place_on_the_clock():
    clock, _ = extend_clock(np.arange(4) / 10, 6, None, np.array([True, False, True, True]))
    assert clock.times_s == pytest.approx(np.arange(6) / 10)
    assert clock.decoded.tolist() == [True, False, True, True, False, False]

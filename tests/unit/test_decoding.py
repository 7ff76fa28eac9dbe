"""Stitching: overlapping windows become one value a step."""

import numpy as np
import pytest

from abaw.decoding import stitch


def test_overlapping_windows_are_averaged_step_by_step():
    pieces = [(0, np.array([[0.0], [2.0], [4.0]])), (1, np.array([[4.0], [0.0], [8.0]])), (2, np.array([[2.0], [0.0]]))]
    np.testing.assert_array_equal(stitch(pieces, 4), [[0], [3], [2], [4]])


def test_the_mean_is_taken_in_float64():
    big = np.full((1, 1), 2.0**24, np.float32)
    stitched = stitch([(0, big), (0, np.ones((1, 1), np.float32)), (0, np.zeros((1, 1), np.float32))], 1)
    assert stitched.dtype == np.float64
    assert stitched[0, 0] == (2**24 + 1) / 3


def test_pieces_may_come_from_a_generator_and_are_left_as_they_are():
    rows = np.ones((2, 3), np.float32)
    np.testing.assert_array_equal(stitch(((i, rows) for i in (0, 1)), 3), np.ones((3, 3)))
    np.testing.assert_array_equal(rows, np.ones((2, 3)))


def test_a_step_that_no_window_covers_is_an_error():
    with pytest.raises(
        ValueError, match=r"step 2 of 5 is covered by no window: give windows with a stride up to their length"
    ):
        stitch([(0, np.zeros((2, 1))), (3, np.zeros((2, 1)))], 5)


def test_no_window_at_all_is_an_error():
    with pytest.raises(ValueError, match="no window at all for a clip of 5 steps"):
        stitch([], 5)


@pytest.mark.parametrize("first", [-1, 4])
def test_a_window_beyond_the_clip_is_an_error(first):
    with pytest.raises(
        ValueError, match=rf"a window of steps {first} .. {first + 1} does not lie in a clip of 5 steps"
    ):
        stitch([(0, np.zeros((5, 1))), (first, np.zeros((2, 1)))], 5)

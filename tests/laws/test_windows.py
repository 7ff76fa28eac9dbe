"""Laws of windows: they cover, they end where the clip ends, and stitching undoes them."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from abaw.batches import windows
from abaw.postprocessing import stitch


@st.composite
def shapes(draw):
    """Number of steps, length and stride of windows that skip nothing."""
    length = draw(st.integers(1, 60))
    return draw(st.integers(1, 200)), length, draw(st.integers(1, length))


@given(shapes())
def test_every_step_is_covered_and_the_last_window_ends_with_the_clip(shape):
    num_steps, length, stride = shape
    spans = windows(num_steps, length, stride)
    covered = {step for start, stop in spans for step in range(start, stop)}
    assert covered == set(range(num_steps))
    assert spans[-1][1] == num_steps


@given(shapes())
def test_windows_have_one_length_come_in_order_and_are_as_few_as_the_stride_allows(shape):
    num_steps, length, stride = shape
    spans = windows(num_steps, length, stride)
    assert {stop - start for start, stop in spans} == {min(length, num_steps)}
    starts = [start for start, _ in spans]
    assert starts == sorted(set(starts))
    assert len(spans) == 1 + max(0, -(-(num_steps - length) // stride))


@given(shapes(), st.data())
def test_stitching_windows_of_a_clip_gives_the_clip(shape, data):
    num_steps, length, stride = shape
    clip = data.draw(arrays(np.float32, (num_steps, 2), elements=st.floats(-100, 100, width=32)))
    pieces = [(start, clip[start:stop]) for start, stop in windows(num_steps, length, stride)]
    np.testing.assert_allclose(stitch(pieces, num_steps), clip, rtol=1e-12)


@given(shapes(), st.randoms(use_true_random=False))
def test_the_order_of_windows_does_not_show(shape, random):
    num_steps, length, stride = shape
    rng = np.random.default_rng(num_steps)
    pieces = [
        (start, rng.normal(size=(stop - start, 2)).astype(np.float32))
        for start, stop in windows(num_steps, length, stride)
    ]
    expected = stitch(pieces, num_steps)
    random.shuffle(pieces)
    np.testing.assert_allclose(stitch(pieces, num_steps), expected, rtol=1e-12, atol=1e-12)

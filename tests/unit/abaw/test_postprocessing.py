"""PostProcessing: windows stitched, gaps filled, columns smoothed, logits scaled and shifted."""

import json
import subprocess
import sys

import numpy as np
import pytest

from abaw.files import write_json
from abaw.postprocessing import (
    PostProcessing,
    fill,
    fitted_document,
    parse_post_processing,
    read_post_processing,
    smooth,
    stitch,
)
from abaw.tasks import TASKS

TASK = {name: TASKS.build(name) for name in ("va", "expr", "au", "mtl")}


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


def plain(values, width, middle):
    """Every frame's window taken by hand, the first and the last value going on beyond the ends."""
    half = width // 2
    padded = np.concatenate([[values[0]] * half, values, [values[-1]] * half])
    return np.array([[middle(padded[i : i + width, c]) for c in range(values.shape[1])] for i in range(len(values))])


def bell(window):
    steps = np.arange(len(window)) - len(window) // 2
    weights = np.exp(-0.5 * (steps / (len(window) / 4)) ** 2)
    return (weights * window).sum() / weights.sum()


def parabola(window):
    steps = np.arange(len(window)) - len(window) // 2
    return np.polyval(np.polyfit(steps, window, 2), 0)


BY_HAND = {"box": np.mean, "median": np.median, "gaussian": bell, "savgol": parabola}


@pytest.mark.parametrize("smoother", BY_HAND)
@pytest.mark.parametrize(("num", "width"), [(40, 3), (40, 11), (10, 11), (4, 11), (2, 51), (1, 5)])
def test_a_smoother_does_what_a_plain_loop_does_also_over_more_frames_than_there_are(smoother, num, width):
    values = np.random.default_rng(num).normal(size=(num, 3))
    np.testing.assert_allclose(smooth(values, smoother, width), plain(values, width, BY_HAND[smoother]), atol=1e-9)


@pytest.mark.parametrize("smoother", BY_HAND)
def test_a_constant_stays_and_a_clip_without_a_frame_stays_empty(smoother):
    np.testing.assert_allclose(smooth(np.full((30, 2), 0.3), smoother, 11), 0.3, atol=1e-12)
    assert smooth(np.zeros((0, 2)), smoother, 11).shape == (0, 2)


@pytest.mark.parametrize(("smoother", "width"), [("none", 11), ("box", 1)])
def test_no_smoother_and_a_width_of_one_leave_the_table_as_it_is(smoother, width):
    values = np.random.default_rng(0).normal(size=(9, 2))
    assert smooth(values, smoother, width) is values


def test_a_gap_is_filled_along_the_line_between_its_ends_and_flat_before_the_first_and_after_the_last():
    values = np.array([[9.0, 9], [1, 2], [9, 9], [9, 9], [4, 5], [9, 9]])
    seen = np.array([False, True, False, False, True, False])
    np.testing.assert_allclose(fill(values, seen), [[1, 2], [1, 2], [2, 3], [3, 4], [4, 5], [4, 5]])
    assert fill(values, np.zeros(6, bool)) is values


def test_with_the_overlap_centre_a_step_counts_by_how_near_its_windows_middle_it_is():
    pieces = [(0, np.full((4, 1), 1.0)), (2, np.full((4, 1), 4.0))]  # weights 1 2 2 1 each
    np.testing.assert_allclose(stitch(pieces, 6, "centre")[:, 0], [1, 1, 2, 3, 4, 4])
    np.testing.assert_allclose(stitch(pieces, 6, "mean")[:, 0], [1, 1, 2.5, 2.5, 4, 4])


@pytest.mark.parametrize("task", TASK.values(), ids=TASK)
def test_an_empty_post_processing_leaves_a_table_to_the_bit(task):
    table = task.probabilities(np.random.default_rng(0).normal(size=(20, task.out_dim)) * 9)
    post_processed = PostProcessing().apply(task, table, np.ones(20, bool))
    assert post_processed.dtype == np.float32
    np.testing.assert_array_equal(post_processed, table)


def test_gaps_are_filled_before_smoothing_and_scale_and_bias_come_last():
    table = np.array([[0, 0], [9, 9], [0.4, 0.2]], np.float32)
    post_processing = PostProcessing(fill_gaps=True, smoother="box", width=3, scale=(2.0, 1.0), bias=(0.1, -0.1))
    found = post_processing.apply(TASK["va"], table, np.array([True, False, True]))
    filled = np.array([[0, 0], [0.2, 0.1], [0.4, 0.2]])
    expected = plain(filled, 3, np.mean) * [2, 1] + [0.1, -0.1]
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_smoothing_of_logits_is_another_than_of_probabilities():
    table = np.array([[0.9, *[0.1 / 7] * 7], [0.1, 0.9, *[0.0] * 6], [0.9, *[0.1 / 7] * 7]], np.float32)
    table /= table.sum(axis=1, keepdims=True)
    observed = np.ones(3, bool)
    task = TASK["expr"]
    logits = PostProcessing(smoother="box", width=3, space="logits").apply(task, table, observed)
    np.testing.assert_allclose(logits, task.probabilities(plain(task.logits(table), 3, np.mean)), atol=1e-6)
    flat = PostProcessing(smoother="box", width=3).apply(task, table, observed)
    np.testing.assert_allclose(flat, plain(table, 3, np.mean), atol=1e-6)
    assert abs(logits - flat).max() > 0.1


def test_a_bias_is_added_to_logits_and_so_multiplies_a_classs_odds():
    task = TASK["expr"]
    table = task.probabilities(np.zeros((1, 8)))
    found = PostProcessing(bias=(np.log(3.0), *[0.0] * 7)).apply(task, table, np.ones(1, bool))
    np.testing.assert_allclose(found[0], [3 / 10, *[1 / 10] * 7], atol=1e-6)
    assert PostProcessing(bias=(1.0, *[0.0] * 7)).apply(task, table[:0], np.ones(0, bool)).shape == (0, 8)


def test_post_processing_is_read_back_from_json_as_it_was():
    post_processing = PostProcessing(True, "median", 101, "logits", (1.0, 2.0), (0.5, -0.5), ("12-24", "video3"))
    assert parse_post_processing(json.loads(json.dumps(post_processing.document())), "x.json") == post_processing
    assert parse_post_processing({}, "x.json") == PostProcessing()


FAULTS = {
    "unknown key": ({"smother": "box"}, "x.json: unknown key 'smother' in post-processing; did you mean 'smoother'"),
    "unknown smoother": ({"smoother": "kalman"}, "smoother is 'kalman', expected one of none, box, median"),
    "unknown space": ({"space": "odds"}, "space is 'odds', expected one of probabilities, logits"),
    "even width": ({"width": 4}, "width is 4, expected an odd number of frames"),
    "negative width": ({"width": -1}, "width is -1, expected an odd number"),
    "width in words": ({"width": "5"}, "width is '5', expected int"),
    "a flag as width": ({"width": True}, "width is True, expected int"),
    "a flag in words": ({"fill_gaps": "yes"}, "fill_gaps is 'yes', expected bool"),
    "no list": ({"scale": 2.0}, "scale is 2.0, expected a list of numbers"),
    "a number too large": ({"scale": [10**400]}, "scale has a number beyond 1e308"),
    "words in a list": ({"bias": ["a"]}, r"bias is \['a'\], expected a list of numbers"),
    "infinite": ({"bias": [float("inf")]}, r"bias is \[inf\], expected finite numbers"),
    "numbers for names": ({"fitted_on": [3]}, r"fitted_on is \[3\], expected a list of names"),
    "a list": ([1], r"post-processing is \[1\], expected an object with keys of fill_gaps, smoother"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_broken_post_processing_is_an_error_that_names_its_place(fault):
    document, words = FAULTS[fault]
    with pytest.raises(ValueError, match=f"x.json.*{words}" if "x.json" not in words else words):
        parse_post_processing(document, "x.json")


def test_scale_and_bias_of_another_task_are_refused():
    with pytest.raises(ValueError, match="post-processing: bias has 8 numbers, va has 2 logits"):
        PostProcessing(bias=(0.0,) * 8).apply(TASK["va"], np.zeros((3, 2), np.float32), np.ones(3, bool))


def test_post_processings_are_read_for_the_tasks_asked_and_errors_name_the_file(tmp_path):
    path = tmp_path / "post_processing.json"
    with pytest.raises(FileNotFoundError, match="no post-processing at .*post_processing.json: fit one with abaw fit"):
        read_post_processing(path, TASK)
    path.write_text(json.dumps({"va": PostProcessing(width=3, smoother="box").document()}))
    assert read_post_processing(path, TASK) == {"va": PostProcessing(width=3, smoother="box")}
    with pytest.raises(ValueError, match="post_processing.json has no post-processing for expr; it has va"):
        read_post_processing(path, {"expr": TASK["expr"]})
    path.write_text("{}")
    with pytest.raises(ValueError, match="has no post-processing for va.*; it has none at all"):
        read_post_processing(path, TASK)
    path.write_text("[]")
    with pytest.raises(ValueError, match="post_processing.json: expected a JSON object, task -> post-processing"):
        read_post_processing(path, TASK)
    path.write_text(json.dumps({"va": {"bias": [1, 2, 3]}}))
    with pytest.raises(
        ValueError, match="post_processing.json, va: post-processing: bias has 3 numbers, va has 2 logits"
    ):
        read_post_processing(path, TASK)


def test_one_flipped_bit_of_a_fitted_post_processing_is_an_error_or_changes_no_number(tmp_path):
    path, fitted = tmp_path / "post_processing.json", {"va": PostProcessing(True, "box", 5, bias=(0.25, -0.5))}
    write_json(path, fitted_document(fitted))
    whole, num_refused = path.read_bytes(), 0
    for place in np.random.default_rng(3).choice(len(whole) * 8, 100, replace=False).tolist():
        flipped = bytearray(whole)
        flipped[place // 8] ^= 1 << place % 8
        path.write_bytes(flipped)
        try:
            found, refused = read_post_processing(path, {"va": TASK["va"]}), ""
        except ValueError as error:
            found, refused = None, str(error)
        assert found == fitted or path.name in refused, f"bit {place}: {refused}"
        num_refused += path.name in refused
    assert num_refused > 70  # white space may change
    write_json(path, {"va": {"width": 3, "smoother": "box"}})  # by hand, without a checksum
    assert read_post_processing(path, {"va": TASK["va"]})["va"].width == 3


def test_scipy_is_imported_only_by_what_smooths():
    code = "import sys, abaw.postprocessing; print([m for m in sys.modules if m.startswith('scipy')])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"

"""Widths of smoothing in frames, in seconds and in labelled images, and the documents that keep them."""

import json

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.challenge.submission import submit
from abaw.configs.file import read_config
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.annotations import Labels
from abaw.dataset.names import VA_HEADER
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.postprocessing import PostProcessing, num_frames, parse_post_processing, smooth
from abaw.results import predictions
from abaw.tasks import TASKS

TASK = {name: TASKS.build(name) for name in ("va", "mtl", "emi")}
RNG = np.random.default_rng(0)
STEP = 13  # frames from one image of s-Aff-Wild2 to the next, on average


def va_table(num):
    return RNG.uniform(-1, 1, (num, 2)).astype(np.float32)


def test_over_ten_images_on_either_side_means_images_and_not_frames():
    images = np.arange(60 * STEP) % STEP == 4
    impulse = np.zeros((60 * STEP, 2), np.float32)
    impulse[30 * STEP + 4] = 1
    found = PostProcessing(smoother="box", width=21, unit="images").apply(TASK["va"], impulse, images, None, images)
    assert found[images, 0] == pytest.approx(np.where(abs(np.arange(60) - 30) <= 10, 1 / 21, 0), abs=1e-6)
    in_frames = PostProcessing(smoother="box", width=21).apply(TASK["va"], impulse, images, None, images)
    assert (in_frames[images, 0] > 0).sum() == 1, "before: 21 frames hold one or two images"


@pytest.mark.parametrize("smoother", ["box", "median", "gaussian", "savgol"])
def test_images_are_smoothed_as_if_nothing_were_between_them_and_the_rest_lies_on_lines(smoother):
    table, images = va_table(100), RNG.random(100) < 0.2
    found = PostProcessing(smoother=smoother, width=5, unit="images").apply(
        TASK["va"], table, np.ones(100, bool), None, images
    )
    alone = smooth(table[images].astype(np.float64), smoother, 5)
    assert found[images] == pytest.approx(alone, abs=1e-6)
    expected = np.interp(np.arange(100), np.flatnonzero(images), alone[:, 1])
    assert found[:, 1] == pytest.approx(expected, abs=1e-6)


def test_where_no_list_names_images_they_are_the_observed_frames_and_labels_may_end_early():
    table, observed = va_table(50), np.arange(50) % 5 == 0
    by_image = PostProcessing(smoother="box", width=3, unit="images")
    np.testing.assert_array_equal(
        by_image.apply(TASK["va"], table, observed), by_image.apply(TASK["va"], table, observed, None, observed[:46])
    )
    np.testing.assert_array_equal(by_image.apply(TASK["va"], table, np.zeros(50, bool)), table)
    np.testing.assert_array_equal(
        PostProcessing(unit="images").apply(TASK["va"], table, observed, None, observed), table
    )


def test_all_images_make_images_and_frames_the_same():
    table, everywhere = va_table(80), np.ones(80, bool)
    for space in ("probabilities", "logits"):
        found = [
            PostProcessing(smoother="box", width=11, space=space, unit=unit).apply(
                TASK["va"], table, everywhere, None, everywhere
            )
            for unit in ("frames", "images")
        ]
        np.testing.assert_allclose(*found, atol=1e-7)


@pytest.mark.parametrize(
    ("width_s", "fps", "frames"), [(1.0, 30, 31), (1.0, 10, 11), (0.5, 25, 13), (0.01, 30, 1), (2.0, 7.5, 15)]
)
def test_a_width_in_seconds_is_the_nearest_odd_number_of_the_clips_frames(width_s, fps, frames):
    times_s, table = np.arange(90) / fps, va_table(90)
    assert num_frames(width_s, times_s) == frames
    in_seconds = PostProcessing(smoother="box", width=width_s, unit="seconds")
    found = in_seconds.apply(TASK["va"], table, np.ones(90, bool), times_s)
    np.testing.assert_array_equal(
        found, PostProcessing(smoother="box", width=frames).apply(TASK["va"], table, np.ones(90, bool))
    )
    with pytest.raises(ValueError, match="a width in seconds needs the times of the frames"):
        in_seconds.apply(TASK["va"], table, np.ones(90, bool))
    assert num_frames(1.0, times_s[:1]) == 1


def test_stored_post_processing_without_a_unit_is_in_frames_as_before():
    old = {"fill_gaps": True, "smoother": "box", "width": 25, "space": "probabilities", "scale": [], "bias": []}
    found = parse_post_processing({**old, "fitted_on": ["a"]}, "x.json")
    assert found == PostProcessing(True, "box", 25, fitted_on=("a",))
    assert (found.unit, str(found)) == ("frames", "gaps filled, box over 25 frames")


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (PostProcessing(smoother="box", width=21, unit="images"), "box over 21 labelled images"),
        (PostProcessing(smoother="box", width=0.5, unit="seconds"), "box over 0.5 s"),
        (PostProcessing(smoother="box", width=2, unit="seconds", space="logits"), "box over 2 s of logits"),
    ],
)
def test_units_are_kept_in_the_document_and_said(made, words):
    assert parse_post_processing(json.loads(json.dumps(made.document())), "x.json") == made
    assert str(made) == words


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({"width": 2.5}, "width is 2.5, expected an odd number of frames"),
        ({"width": 4, "unit": "images"}, "width is 4, expected an odd number of images"),
        ({"width": 0, "unit": "seconds"}, "width is 0, expected seconds above 0"),
        ({"width": float("nan"), "unit": "seconds"}, "width is nan, expected seconds above 0"),
        ({"width": 1e12, "unit": "seconds"}, "expected 3600 seconds or less"),
        ({"width": 10**14 + 1}, "expected 100001 frames or less"),
        ({"unit": "minutes"}, "unit is 'minutes', expected one of frames, seconds, images"),
    ],
)
def test_a_width_that_its_unit_does_not_have_is_refused(document, words):
    with pytest.raises(ValueError, match=f"x.json.*{words}"):
        parse_post_processing(document, "x.json")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"unit": "images", "widths": [1, 10]}, "10 is even or no whole number: give odd numbers of images"),
        ({"widths": [2.5]}, "2.5 is even or no whole number: give odd numbers of frames"),
        ({"unit": "seconds"}, "unit is seconds: give widths in seconds"),
        ({"unit": "seconds", "widths": [-1.0]}, "greater than or equal to 0"),
    ],
)
def test_a_grid_that_its_unit_does_not_have_is_refused(options, words):
    with pytest.raises(ValueError, match=words):
        PostProcessingConfig(**options)


def sparse_clip(seed, step=STEP, num=60):
    """A slow truth that is labelled at every ``step``-th frame, and a noisy prediction of it."""
    rng, frames = np.random.default_rng(seed), np.arange(num * step)
    truth = np.stack([np.sin(frames / step / 9 + seed), np.cos(frames / step / 7 + seed)], axis=1) * 0.8
    images = frames % step == 2
    noisy = (truth + rng.normal(size=truth.shape) * 0.5).astype(np.float32)
    values = np.where(images[:, None], noisy, 0).astype(np.float32)  # what a network says of no image
    labels = Labels(np.where(images[:, None], truth, 0).astype(np.float32), images)
    return LabelledTable(values, images, labels, frames / 30)


def test_fit_finds_the_width_in_images_that_the_grid_in_frames_does_not_reach():
    clips = {f"c{seed}": sparse_clip(seed) for seed in range(3)}
    mtl = read_config("mtl").values["post_processing"]
    scores = {}
    for unit in ("frames", "images"):
        options = PostProcessingConfig(**{**mtl, "unit": unit, "bias": False, "widths": [1, 5, 11, 21, 51]})
        found = fitting.fit_post_processing(TASK["va"], clips, options)
        scores[unit] = fitting.rank(TASK["va"], fitting.post_processed(TASK["va"], clips, found))
    assert (found.unit, found.width) == ("images", 11)
    assert scores["images"] > scores["frames"] + 0.02
    seconds = PostProcessingConfig(unit="seconds", widths=[0, 1.0, 2.0, 4.0], bias=False)
    assert fitting.fit_post_processing(TASK["va"], clips, seconds).unit == "seconds"


def test_the_grid_of_mtl_holds_the_public_sweep():
    mtl = PostProcessingConfig(**read_config("mtl").values["post_processing"])
    assert mtl.unit == "images"
    assert {1, 21, 201} <= set(mtl.widths), "0, 10 and 100 images on either side"


def test_a_challenge_file_is_smoothed_over_the_images_that_it_asks_for(tmp_path):
    task, num, step = TASK["va"], 60, 6
    table, times_s = va_table(num), np.arange(num) / 30
    folder, asked = tmp_path / "predictions", np.arange(num) % step == 1
    made = PostProcessing(smoother="box", width=3, unit="images")
    predictions.write_table(
        folder, "1-1", predictions.Table(np.arange(1, num + 1), times_s, np.ones(num, bool), table, task.columns), task
    )
    predictions.write_metadata(folder, {"task": "va", "split": "test", "post_processing": made.document()})
    template = tmp_path / "template.txt"
    rows = [f"1-1/{frame + 1:05d}.jpg,0,0" for frame in np.flatnonzero(asked)]
    template.write_text("\n".join([VA_HEADER, *rows]) + "\n")
    submit(folder, template, tmp_path / "out.txt")
    found = np.loadtxt(tmp_path / "out.txt", delimiter=",", skiprows=1, usecols=(1, 2))
    assert found == pytest.approx(smooth(table[asked].astype(np.float64), "box", 3), abs=1e-5)

"""Whole pictures are not taken for crops of faces, whatever they are called."""

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.engine.estimate import estimate
from extract.engine.plan import ExtractionPlan
from extract.engine.whole_pictures import find_whole_pictures
from extract.store.store import FeatureStore
from tests.support.extract.drawn_clips import Bright, bright, get, picture, run, specs, write_video


def find(folder, *sizes, face_px=0, video=None):
    """What is found of images of these sizes (width, height), each with a bright square as its face."""
    (folder / "cropped_aligned/a").mkdir(parents=True)
    for i, (width, height) in enumerate(sizes):
        image = np.full((height, width, 3), 20, np.uint8)
        image[10 : 10 + face_px, 10 : 10 + face_px] = 220
        cv2.imwrite(str(folder / f"cropped_aligned/a/{i + 1:05d}.jpg"), image)
    if video is not None:
        write_video(folder / "videos/a.mp4", [np.zeros((video[1], video[0], 3), np.uint8)] * 3)
    clip = open_dataset(folder).clips["a"]
    return find_whole_pictures(clip, clip.face_images(), Bright())


@pytest.mark.parametrize("size", [(112, 112), (224, 224), (256, 256), (96, 112), (180, 224), (128, 96)])
def test_crops_of_usual_sizes_are_crops(tmp_path, size):
    assert find(tmp_path, *[size] * 3) is None


@pytest.mark.parametrize("size", [(1280, 720), (640, 480), (720, 1280), (160, 120)])
def test_pictures_too_wide_or_too_high_for_a_face_are_whole(tmp_path, size):
    assert find(tmp_path, *[size] * 3, face_px=100) == size


@pytest.mark.parametrize("size", [(480, 480), (176, 144), (360, 480)])
def test_pictures_of_the_size_of_the_video_are_whole(tmp_path, size):
    assert find(tmp_path / "with", *[size] * 3, video=size) == size
    assert find(tmp_path / "other", *[size] * 3, video=(320, 240)) is None


def test_large_square_images_are_whole_where_the_face_is_small(tmp_path):
    assert find(tmp_path / "whole", *[(512, 512)] * 3, face_px=120) == (512, 512)
    assert find(tmp_path / "crops", *[(512, 512)] * 3, face_px=300) is None
    assert find(tmp_path / "nobody", *[(512, 512)] * 3) is None


def test_images_of_several_sizes_were_cut_to_the_faces(tmp_path):
    assert find(tmp_path, (300, 200), (310, 200), (290, 210)) is None


def write_pictures(folder, shown):
    folder.mkdir(parents=True)
    for i, each in enumerate(shown):
        cv2.imwrite(str(folder / f"{i + 1:05d}.jpg"), each)


def test_faces_are_detected_in_the_video_where_the_images_are_whole_pictures(tmp_path):
    shown = [picture((40, 30, 40))] * 6
    write_video(tmp_path / "data/videos/a.mp4", shown)
    write_pictures(tmp_path / "data/cropped_aligned/a", shown)
    report = run(tmp_path / "data", tmp_path / "store")
    assert report.made == ["a"]
    assert "6 images not used: whole pictures, not crops of faces" in str(report.losses["a"])
    write_video(tmp_path / "alone/a.mp4", shown)
    run(tmp_path / "alone", tmp_path / "alone_store")
    found, expected = (get(tmp_path / store, "face_hog", "a") for store in ("store", "alone_store"))
    assert np.array_equal(found.values, expected.values)
    (recipe,) = (each for each in FeatureStore(tmp_path / "store").recipes().values() if each["name"] == "face_hog")
    assert FeatureStore(tmp_path / "store").open(recipe, "a").metadata["crops"] == "found"


def test_whole_pictures_without_a_video_are_an_error_of_that_clip_alone(tmp_path):
    write_pictures(tmp_path / "data/cropped_aligned/a", [picture((40, 30, 40))] * 6)
    write_pictures(tmp_path / "data/cropped_aligned/b", [picture((40, 30, 40))[:112, :112]] * 6)
    report = run(tmp_path / "data", tmp_path / "store", assume_fps=25.0)
    assert report.made == ["b"]
    (failure,) = report.failed
    assert (failure.clip, failure.stage) == ("a", "read images")
    assert "the 6 images in" in failure.reason
    assert "are whole pictures of 160 x 120 pixels, not crops of faces: give the video" in failure.reason


def test_a_dry_run_says_that_whole_pictures_without_a_video_would_fail(tmp_path):
    write_pictures(tmp_path / "data/cropped_aligned/a", [picture((40, 30, 40))] * 6)
    plan = ExtractionPlan(open_dataset(tmp_path / "data"), FeatureStore(tmp_path / "store"), bright(), 25.0)
    plan.add_encoders(specs()[:1])
    found = estimate(plan, ["a"], 1)
    assert found.num_clips == 0
    assert "are whole pictures of 160 x 120 pixels" in found.failing["a"]

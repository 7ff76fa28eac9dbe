"""Faces: which one is the clip's person, what is cut, and what the finders find."""

import numpy as np
import pytest

from extract import FINDERS
from extract.faces import Box, Crop, choose, cut, resize_face
from extract.media import pictures


def ramp(height=100, width=200):
    """A picture whose red is its column and whose green its row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def test_overlap_is_intersection_over_union():
    assert Box(0, 0, 10, 10).overlap(Box(0, 0, 10, 10)) == 1
    assert Box(0, 0, 10, 10).overlap(Box(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert Box(0, 0, 10, 10).overlap(Box(20, 0, 10, 10)) == 0


def test_without_a_side_the_largest_face_is_chosen():
    small, large = Box(0, 0, 20, 20), Box(100, 0, 30, 30)
    assert choose([small, large], None, 200, None) is large
    assert choose([], None, 200, None) is None


def test_the_person_of_the_frame_before_is_kept_unless_another_is_more_than_twice_as_large():
    before, same, larger, huge = Box(0, 0, 20, 20), Box(2, 1, 20, 20), Box(100, 0, 28, 28), Box(100, 0, 29, 29)
    assert choose([same, larger], None, 200, before) is same
    assert choose([same, huge], None, 200, before) is huge
    assert choose([larger], None, 200, before) is larger


def test_left_and_right_are_the_halves_of_the_picture():
    left, right, largest = Box(10, 0, 20, 20), Box(120, 0, 20, 20), Box(90, 0, 40, 40)
    assert choose([left, right], "left", 200, None) is left
    assert choose([left, right], "right", 200, None) is right
    assert choose([left, largest], "left", 200, None) is left
    assert choose([right], "left", 200, None) is None


def test_a_crop_is_the_box_at_its_size():
    crop = cut(ramp(), Box(40, 20, 32, 32), Crop(32, 0.0))
    assert np.array_equal(crop, ramp()[20:52, 40:72])


def test_the_margin_widens_on_every_side_and_the_crop_is_square_around_the_centre():
    crop = cut(ramp(), Box(80, 30, 20, 40), Crop(80, 0.5))
    # a square of 80 px around (90, 50)
    assert crop.shape == (80, 80, 3)
    assert crop[0, 0].tolist() == [50, 10, 0]
    assert crop[-1, -1].tolist() == [129, 89, 0]


def test_what_lies_outside_the_picture_repeats_its_edge():
    crop = cut(ramp(), Box(-10, 0, 20, 20), Crop(20, 0.0))
    assert crop[5, :10, 0].tolist() == [0] * 10
    assert crop[5, 19, 0] == 9


def test_shrinking_averages_rather_than_skips():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = cut(stripes, Box(0, 0, 400, 400), Crop(40, 0.0))
    assert np.abs(crop[:, 2:-2].astype(int) - 100).max() <= 12  # skipping would give 100


def test_an_organisers_face_takes_the_crops_size():
    assert resize_face(ramp(112, 112), Crop(112)) is not None
    assert resize_face(ramp(112, 112), Crop(64)).shape == (64, 64, 3)
    face = ramp(112, 112)
    assert np.array_equal(resize_face(face, Crop(112)), face)


@pytest.fixture(params=["haar", "yunet"])
def finder(request, media):
    settings = {"file": str(media / "weights/yunet_n_640_640.onnx")} if request.param == "yunet" else {}
    return FINDERS.build(request.param, **settings)


def test_a_finder_finds_the_face_of_a_real_video_and_tells_its_recipe(finder, media):
    for picture in list(pictures(media / "clips/single_face.mp4"))[::24]:
        rgb = picture.rgb()
        boxes = finder.find(rgb)
        assert len(boxes) == 1
        assert boxes[0].width > rgb.shape[1] / 8
        assert 0 < boxes[0].centre_x < rgb.shape[1]
    recipe = finder.recipe()
    assert FINDERS.build(recipe["finder"], **recipe["settings"]).recipe() == recipe


def test_both_finders_agree_where_the_face_is(media):
    rgb = next(iter(pictures(media / "clips/lrwp9a.mpg"))).rgb()
    haar = FINDERS.build("haar").find(rgb)
    yunet = FINDERS.build("yunet", file=str(media / "weights/yunet_n_640_640.onnx")).find(rgb)
    assert haar[0].overlap(yunet[0]) > 0.4


def test_two_faces_are_both_found(finder, media):
    rgb = next(iter(pictures(media / "nasty/two_faces_audio_of_left.mp4"))).rgb()
    boxes = finder.find(rgb)
    assert choose(boxes, "left", rgb.shape[1], None) is not None
    assert choose(boxes, "right", rgb.shape[1], None) is not None


def test_a_finder_refuses_senseless_settings():
    with pytest.raises(ValueError, match="min_face is 2.0, expected a share"):
        FINDERS.build("haar", min_face=2)
    with pytest.raises(FileNotFoundError, match="no YuNet model at nowhere"):
        FINDERS.build("yunet", file="nowhere")
    with pytest.raises(ValueError, match="needs the setting 'file'"):
        FINDERS.build("yunet")


def test_a_large_picture_is_searched_small_and_the_box_is_in_its_own_pixels(finder, media):
    import cv2

    rgb = next(iter(pictures(media / "clips/single_face.mp4"))).rgb()
    large = cv2.resize(rgb, None, fx=3, fy=3)
    (box,), (threefold,) = finder.find(rgb), finder.find(large)
    expected = Box(box.x * 3, box.y * 3, box.width * 3, box.height * 3)
    assert large.shape[1] > 640
    assert threefold.overlap(expected) > 0.7

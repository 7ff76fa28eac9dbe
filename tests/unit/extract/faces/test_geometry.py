"""Geometry of faces: crops by the box and by the five points."""

import numpy as np
import pytest

from extract.faces.geometry import TEMPLATE, Box, Crop, Face, crop_of, cut, fit_similarity, resize_face


def ramp(height=100, width=200):
    """A picture whose red is its column and whose green its row."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x, y, np.zeros_like(x)], axis=-1).astype(np.uint8)


def of(*box, points=None):
    return Face(Box(*box), points)


def placed(turn_deg=0.0, scale=1.0, shift=(0.0, 0.0)):
    """The template's points somewhere in a picture."""
    angle = np.deg2rad(turn_deg)
    turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return TEMPLATE @ turn.T + shift


def dots(points, height=400, width=400):
    """Soft white dots on black, so that where they are can be measured to a fraction of a pixel."""
    y, x = np.mgrid[:height, :width]
    light = sum(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * 4.0**2)) for px, py in points)
    return np.repeat((255 * np.clip(light, 0, 1))[..., None], 3, axis=2).astype(np.uint8)


def measured(crop, expected, reach=9):
    """Where the dots of a crop are: centres of light around where they should be."""
    y, x = np.mgrid[: crop.shape[0], : crop.shape[1]]
    found = []
    for px, py in expected:
        light = crop[..., 0] * (np.hypot(x - px, y - py) < reach)
        found.append([(light * x).sum() / light.sum(), (light * y).sum() / light.sum()])
    return np.array(found)


def test_overlap_is_intersection_over_union():
    assert Box(0, 0, 10, 10).overlap(Box(0, 0, 10, 10)) == 1
    assert Box(0, 0, 10, 10).overlap(Box(5, 0, 10, 10)) == pytest.approx(50 / 150)
    assert Box(0, 0, 10, 10).overlap(Box(20, 0, 10, 10)) == 0
    assert Box(0, 0, 0, 0).overlap(Box(0, 0, 0, 0)) == 0


def test_a_crop_is_the_box_at_its_size():
    crop = cut(ramp(), of(40, 20, 32, 32), Crop(32, 0.0))
    assert np.array_equal(crop, ramp()[20:52, 40:72])


def test_the_margin_widens_on_every_side_and_the_crop_is_square_around_the_centre():
    crop = cut(ramp(), of(80, 30, 20, 40), Crop(80, 0.5))
    # a square of 80 px around (90, 50)
    assert crop.shape == (80, 80, 3)
    assert crop[0, 0].tolist() == [50, 10, 0]
    assert crop[-1, -1].tolist() == [129, 89, 0]


def test_what_lies_outside_the_picture_repeats_its_edge():
    crop = cut(ramp(), of(-10, 0, 20, 20), Crop(20, 0.0))
    assert crop[5, :10, 0].tolist() == [0] * 10
    assert crop[5, 19, 0] == 9


def test_shrinking_averages_rather_than_skips():
    stripes = np.zeros((400, 400, 3), np.uint8)
    stripes[:, ::2] = 200
    crop = cut(stripes, of(0, 0, 400, 400), Crop(40, 0.0))
    assert np.abs(crop[:, 2:-2].astype(int) - 100).max() <= 12  # skipping would give 100


def test_a_face_much_larger_than_its_crop_is_in_its_place():
    """The part that is shrunk first begins and ends within the picture: its offset must not show."""
    y, x = np.mgrid[:720, :1280]
    across, down = (np.clip((each - start) / 2.5, 0, 255) for each, start in ((x, 680), (y, 80)))
    picture = np.stack([across, down, 0 * x], axis=-1).round().astype(np.uint8)
    crop = cut(picture, of(700, 100, 500, 500), Crop(50, 0.0)).astype(float)
    expected = (20 + np.arange(50) * 10) / 2.5
    assert np.abs((crop[2:-2, 2:-2, 0] - expected[2:-2]).mean()) < 0.3
    assert np.abs((crop[2:-2, 2:-2, 1] - expected[2:-2, None]).mean()) < 0.3
    outside = cut(picture, of(1100, 400, 500, 500), Crop(50, 0.0))
    assert outside[0, -20:, 0].min() >= 238


@pytest.mark.parametrize("box", [(5000, 5000, 400, 400), (-900, -900, 300, 300), (0, 0, 0, 0), (3, 3, 0.1, 0.1)])
@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (300, 400)])
def test_a_box_anywhere_gives_a_crop(box, shape):
    assert cut(np.full((*shape, 3), 7, np.uint8), of(*box), Crop(16)).tolist() == [[[7, 7, 7]] * 16] * 16


@pytest.mark.parametrize(("turn_deg", "scale"), [(0, 1.0), (25, 1.3), (-40, 0.7), (10, 2.9)])
def test_an_aligned_face_has_its_points_on_the_template(turn_deg, scale):
    points = placed(turn_deg, scale, (60, 90))
    to_crop = fit_similarity(points, TEMPLATE)
    assert np.abs(points @ to_crop[:, :2].T + to_crop[:, 2] - TEMPLATE).max() < 1e-9
    if scale < 2:  # the dots themselves, where they keep their size
        crop = cut(dots(points), of(0, 0, 1, 1, points=points), Crop(112, 0.0, aligned=True))
        assert np.abs(measured(crop, TEMPLATE) - TEMPLATE).max() < 0.1


def test_an_aligned_crop_much_smaller_than_the_face_is_where_it_should_be():
    points = placed(15, 5.0, (200, 60))
    wide = dots(points, 800, 800)
    crop = cut(wide, of(0, 0, 1, 1, points=points), Crop(224, 0.0, aligned=True))
    half = cut(wide, of(0, 0, 1, 1, points=points), Crop(112, 0.0, aligned=True))
    assert np.abs(measured(crop, TEMPLATE * 2) - TEMPLATE * 2).max() < 0.5
    assert np.abs(measured(half, TEMPLATE, reach=4) - TEMPLATE).max() < 0.5


def test_the_margin_of_an_aligned_face_widens_around_its_middle():
    points = placed(0, 1.0, (100, 100))
    narrow, wide = (cut(dots(points), of(0, 0, 1, 1, points=points), Crop(112, m, aligned=True)) for m in (0.0, 0.5))
    expected = (TEMPLATE - 56) / 2 + 56
    assert np.abs(measured(wide, expected, reach=5) - expected).max() < 0.2
    assert np.abs(measured(narrow, TEMPLATE) - TEMPLATE).max() < 0.1


def test_a_mirrored_face_is_not_mirrored_back():
    """Alignment turns and scales; a reflection would swap left and right of every expression."""
    mirrored = TEMPLATE * (-1, 1)
    assert np.linalg.det(fit_similarity(mirrored, TEMPLATE)[:, :2]) > 0


def test_an_aligned_crop_needs_points_and_the_error_names_detectors_with_points():
    with pytest.raises(
        ValueError, match="needs the five points of the face.*use centerface, yunet, mtcnn or mediapipe"
    ):
        cut(ramp(), of(0, 0, 10, 10), Crop(112, aligned=True))
    with pytest.raises(ValueError, match="cannot be aligned: expected distinct"):
        cut(ramp(), of(0, 0, 10, 10, points=np.full((5, 2), 3.0)), Crop(112, aligned=True))
    with pytest.raises(ValueError, match="cannot be aligned"):
        cut(ramp(), of(0, 0, 10, 10, points=np.full((5, 2), np.nan)), Crop(112, aligned=True))


def test_a_crop_is_what_the_settings_say():
    assert crop_of("none", 112, 0.1) is None
    assert crop_of("face", 112, 0.2) == Crop(112, 0.2)
    assert crop_of("aligned", 96, 0.0) == Crop(96, 0.0, aligned=True)
    with pytest.raises(ValueError, match="a crop of 0 px with a margin of 0.1 cannot be cut"):
        Crop(0)
    with pytest.raises(ValueError, match="a margin of -0.5 cannot be cut"):
        Crop(112, -0.5)


def test_a_face_image_is_resized_to_the_crop():
    assert resize_face(ramp(112, 112), Crop(64)).shape == (64, 64, 3)
    face = ramp(112, 112)
    assert np.array_equal(resize_face(face, Crop(112)), face)

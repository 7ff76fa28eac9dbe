"""Optical flow of a face: keypoints, motion, the grey patch, and the motion of the mouth."""

import cv2
import numpy as np
import pytest

from extract.faces import optical_flow
from extract.faces.geometry import Box, Face
from extract.faces.optical_flow import (
    BROWS,
    MOUTH,
    PATCH_PX,
    correlation,
    cut_patch,
    detect_keypoints,
    estimate_motion,
    make_view,
    measure_mouth_motion,
    move_face,
    move_patch,
    patch_transform,
)

BOX = Box(40, 40, 60, 60)


def textured(shift=(0, 0), size=(160, 200)):
    """A picture of blobs, shifted by whole pixels."""
    noise = np.random.default_rng(2).uniform(0, 255, (20, 24)).astype(np.float32)
    grey = cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC).clip(0, 255).astype(np.uint8)
    return np.repeat(np.roll(grey, shift[::-1], (0, 1))[..., None], 3, axis=2)


def views(shift):
    return make_view(0.0, textured()), make_view(0.04, textured(shift))


def test_the_motion_of_a_shifted_face_is_the_shift_and_its_keypoints_move_along():
    before, now = views((3, -2))
    keypoints = detect_keypoints(before, BOX, [])
    motion, moved = estimate_motion(before, now, keypoints, BOX)
    assert motion == pytest.approx(np.array([[1, 0, 3], [0, 1, -2]]), abs=0.1)
    assert len(moved) >= 0.4 * len(keypoints)
    nearest = np.abs(moved[:, None] - (keypoints[None] + (3, -2))).max(2).min(1)
    assert nearest.max() < 0.5


def test_a_keypoint_that_does_not_return_to_its_start_is_dropped(monkeypatch):
    before, now = views((0, 0))
    keypoints = detect_keypoints(before, BOX, [])
    is_forward = iter([True, False])
    lost = np.arange(len(keypoints)) % 3 == 0

    def flow(old, new, start, **_):
        status = np.ones((len(start), 1), np.uint8)
        if next(is_forward):
            return start + np.float32(1), status, None
        return start - np.float32(1) + 5 * lost[:, None, None].astype(np.float32), status, None

    monkeypatch.setattr(optical_flow.cv2, "calcOpticalFlowPyrLK", flow)
    _, moved = estimate_motion(before, now, keypoints, BOX)
    assert len(moved) == (~lost).sum()


def test_a_face_is_lost_when_another_picture_follows_or_few_keypoints_are_left():
    before, now = views((0, 0))
    other = make_view(0.04, np.random.default_rng(0).integers(0, 255, (160, 200, 3)).astype(np.uint8))
    keypoints = detect_keypoints(before, BOX, [])
    assert estimate_motion(before, other, keypoints, BOX) is None
    assert estimate_motion(before, now, keypoints[:3], BOX) is None


def test_keypoints_inside_another_face_are_left_out():
    now, _ = views((0, 0))
    every = detect_keypoints(now, BOX, [])
    kept = detect_keypoints(now, BOX, [Box(40, 40, 30, 60)])
    assert 0 < len(kept) < len(every)
    assert (kept[:, 0] >= 70).all()
    assert len(detect_keypoints(now, Box(500, 500, 40, 40), [])) == 0


def test_a_motion_of_the_small_picture_moves_the_face_in_pixels_of_the_large_one():
    points = np.array([(50, 50), (70, 50), (60, 60), (52, 70), (68, 70)], float)
    motion = np.array([[1, 0, 3], [0, 1, -2]], float)
    face = move_face(Face(BOX, points, 4), motion, np.array([0.5, 0.25]))
    assert (face.box.x, face.box.y, face.box.width) == (46, 32, 60)
    assert face.points == pytest.approx(points + np.array([6, -8]))
    assert (face.person, face.detected) == (4, False)


def test_a_patch_shows_the_same_part_after_a_motion():
    before, now = views((3, -2))
    to_patch = patch_transform(before, BOX)
    moved = move_patch(to_patch, np.array([[1, 0, 3], [0, 1, -2]], float))
    first, second = cut_patch(before, to_patch), cut_patch(now, moved)
    assert first.shape == (PATCH_PX, PATCH_PX)
    assert np.abs(first - second).mean() < 1
    assert correlation(first, second) > 0.99


def test_mouth_motion_is_the_change_of_the_mouth_less_that_of_the_brows():
    still = np.zeros((PATCH_PX, PATCH_PX), np.float32)
    mouth, brows = still.copy(), still.copy()
    mouth[MOUTH] = 20
    brows[BROWS] = 20
    assert measure_mouth_motion(still, mouth) == pytest.approx(20)
    assert measure_mouth_motion(still, brows) == pytest.approx(-14)
    assert measure_mouth_motion(still, still + 30) == 0  # a change of light


def test_correlation_ignores_light_and_is_0_for_a_constant_patch():
    patch = np.arange(16.0).reshape(4, 4)
    assert correlation(patch, 2 * patch + 9) == pytest.approx(1)
    assert correlation(patch, -patch) == pytest.approx(-1)
    assert correlation(patch, np.ones((4, 4))) == 0

"""How a face moves from one picture to the next: optical flow of keypoints, and a grey patch to compare."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from extract.faces.detector import MAX_SIDE_PX
from extract.faces.geometry import Box, Face, warp
from extract.media import Rgb

MAX_KEYPOINTS = 40  # in one face
MIN_KEYPOINTS = 4
MIN_INLIERS = 0.4  # the share of the keypoints that must agree on one motion
MAX_ROUND_TRIP_PX = 1.0  # tracked forward and back, a keypoint must return to its start

PATCH_PX = 32  # side of the grey patch of a face
MOUTH, BROWS = (slice(20, 31), slice(9, -9)), (slice(4, 16), slice(6, -6))  # rows and columns of the patch


@dataclass(frozen=True, eq=False)
class View:
    """A picture, its small grey version in which faces are tracked, and the horizontal and vertical scale of that."""

    time_s: float
    rgb: Rgb
    grey: np.ndarray
    scale: np.ndarray


def make_view(time_s: float, rgb: Rgb) -> View:
    """The view of a picture shown at ``time_s``."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)  # grey first: one channel shrinks three times as fast
    height, width = grey.shape
    by = min(1.0, MAX_SIDE_PX / max(height, width))
    size = (max(1, round(width * by)), max(1, round(height * by)))
    small = grey if by == 1 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return View(time_s, rgb, small, np.array([size[0] / width, size[1] / height]))


def detect_keypoints(now: View, box: Box, others: list[Box]) -> np.ndarray:
    """Corners of a face to track (Shi and Tomasi 1994), (n, 2) in pixels of the small picture.

    Corners inside the boxes of ``others`` are left out: they may belong to those faces.
    """
    left, top, right, bottom = _region(now, box, -0.05)
    if right - left < 3 or bottom - top < 3:
        return np.zeros((0, 2), np.float32)
    min_distance_px = max(2.0, 0.04 * (right - left))
    found = cv2.goodFeaturesToTrack(now.grey[top:bottom, left:right], MAX_KEYPOINTS, 0.02, min_distance_px)
    if found is None:
        return np.zeros((0, 2), np.float32)
    keypoints = found.reshape(-1, 2) + np.array([left, top], np.float32)
    for other in others:
        x0, y0, x1, y1 = _region(now, other, 0.0)
        keypoints = keypoints[~((keypoints >= (x0, y0)) & (keypoints < (x1, y1))).all(1)]
    return keypoints


def estimate_motion(before: View, now: View, keypoints: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray] | None:
    """The similarity (2 x 3) by which a face moved in the small picture, and its keypoints now; None if it is lost.

    Pyramidal optical flow (Lucas and Kanade 1981) forward and back (Kalal et al. 2010), then a RANSAC fit.
    """
    left, top, right, bottom = _region(now, box, 0.4)
    if len(keypoints) < MIN_KEYPOINTS or right - left < 8 or bottom - top < 8:
        return None
    old, new = before.grey[top:bottom, left:right], now.grey[top:bottom, left:right]
    corner = np.array([left, top], np.float32)
    start = (keypoints - corner).reshape(-1, 1, 2)
    flow: Any = partial(cv2.calcOpticalFlowPyrLK, nextPts=None, winSize=(15, 15), maxLevel=3)
    end, has_end, _ = flow(old, new, start)
    back, has_back, _ = flow(new, old, end)
    round_trip_px = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    good = (has_end.ravel() == 1) & (has_back.ravel() == 1) & (round_trip_px < MAX_ROUND_TRIP_PX)
    if good.sum() < max(MIN_KEYPOINTS, MIN_INLIERS * len(keypoints)):
        return None
    start, end = start[good].reshape(-1, 2) + corner, end[good].reshape(-1, 2) + corner
    motion, is_inlier = cv2.estimateAffinePartial2D(start, end, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if motion is None or is_inlier.sum() < max(MIN_KEYPOINTS, MIN_INLIERS * len(keypoints)):
        return None
    if not 0.8 < np.hypot(motion[0, 0], motion[1, 0]) < 1.25:
        return None
    return motion, end[is_inlier.ravel() == 1]


def move_face(face: Face, motion: np.ndarray, scale: np.ndarray) -> Face:
    """The face after a motion of the small picture, which has that scale."""
    turn, shift = motion[:, :2] * scale[None] / scale[:, None], motion[:, 2] / scale
    size = float(np.hypot(motion[0, 0], motion[1, 0]))
    width, height = face.box.width * size, face.box.height * size
    x, y = turn @ (face.box.centre_x, face.box.centre_y) + shift
    points = None if face.points is None else face.points @ turn.T + shift
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    return Face(box, points, face.person, False, face.score)


def patch_transform(now: View, box: Box) -> np.ndarray:
    """The similarity from the small picture to the grey patch of the face in ``box``."""
    side = max(box.width * now.scale[0], box.height * now.scale[1], 1e-3)
    centre = np.array([box.centre_x, box.centre_y]) * now.scale
    return np.hstack([np.eye(2) * PATCH_PX / side, (PATCH_PX / 2 - centre * PATCH_PX / side)[:, None]])


def move_patch(to_patch: np.ndarray, motion: np.ndarray) -> np.ndarray:
    """The similarity to the same patch after a motion."""
    return to_patch @ np.vstack([cv2.invertAffineTransform(motion), (0, 0, 1)])


def cut_patch(now: View, to_patch: np.ndarray) -> np.ndarray:
    """The grey patch of a face, ``PATCH_PX`` square, as float32."""
    return warp(now.grey, to_patch, PATCH_PX).astype(np.float32)


def measure_mouth_motion(before: np.ndarray, now: np.ndarray) -> float:
    """How much more the mouth changed than the eyes and brows between two patches of a tracked face, in grey levels.

    A turning head changes both regions and a change of light neither, so both cancel. May be negative.
    """
    change = now - before
    change = np.abs(change - np.median(change))
    return float(change[MOUTH].mean() - 0.7 * change[BROWS].mean())


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation of two patches, -1 to 1, whatever the light; 0 where a patch is constant."""
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / max(float(np.sqrt((one**2).sum() * (other**2).sum())), 1e-6))


def _region(now: View, box: Box, margin: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box, widened by ``margin``, in the small picture and clipped to it."""
    height, width = now.grey.shape
    more_x, more_y = margin * box.width, margin * box.height
    xs = np.array([box.x - more_x, box.x + box.width + more_x]) * now.scale[0]
    ys = np.array([box.y - more_y, box.y + box.height + more_y]) * now.scale[1]
    (left, right), (top, bottom) = np.clip(np.rint(xs), 0, width), np.clip(np.rint(ys), 0, height)
    return int(left), int(top), int(right), int(bottom)

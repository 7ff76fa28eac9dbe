"""How a face moved from one picture to the next: corners in it followed, and a patch of it compared."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2
import numpy as np

from extract.faces.detectors import SEARCH_WIDTH_PX
from extract.faces.geometry import Box, Face, warped
from extract.media import Rgb

NUM_SPOTS = 40  # corners followed in a face
MIN_SPOTS = 4
MIN_SHARE = 0.4  # of the spots that must move as one
MAX_RETURN_PX = 1.0  # followed forth and back, a spot must end where it began

PATCH_PX = 32  # the face as it was found, to compare with
MOUTH, BROWS = (slice(20, 31), slice(9, -9)), (slice(4, 16), slice(6, -6))  # rows and columns of the patch


@dataclass(frozen=True, eq=False)
class View:
    """A picture, and the small grey one in which faces are followed, with its scale across and down."""

    time_s: float
    rgb: Rgb
    grey: np.ndarray
    scale: np.ndarray


def view(time_s: float, rgb: Rgb) -> View:
    """What is followed in a picture shown at that time."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)  # grey first: one channel is shrunk three times as fast
    height, width = grey.shape
    by = min(1.0, SEARCH_WIDTH_PX / max(height, width))
    size = (max(1, round(width * by)), max(1, round(height * by)))
    small = grey if by == 1 else cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
    return View(time_s, rgb, small, np.array([size[0] / width, size[1] / height]))


def find_spots(now: View, box: Box, others: list[Box]) -> np.ndarray:
    """Corners worth following in a face, (n, 2) in the small picture; what lies in other boxes may not be of it."""
    left, top, right, bottom = _part(now, box, -0.05)
    if right - left < 3 or bottom - top < 3:
        return np.zeros((0, 2), np.float32)
    apart = max(2.0, 0.04 * (right - left))
    found = cv2.goodFeaturesToTrack(now.grey[top:bottom, left:right], NUM_SPOTS, 0.02, apart)
    if found is None:
        return np.zeros((0, 2), np.float32)
    spots = found.reshape(-1, 2) + np.array([left, top], np.float32)
    for other in others:
        x0, y0, x1, y1 = _part(now, other, 0.0)
        spots = spots[~((spots >= (x0, y0)) & (spots < (x1, y1))).all(1)]
    return spots


def find_movement(before: View, now: View, spots: np.ndarray, box: Box) -> tuple[np.ndarray, np.ndarray] | None:
    """The similarity by which a face moved in the small picture, and its spots now; None where it is lost.

    Lucas and Kanade 1981 in pyramids, forth and back (Kalal et al. 2010); the similarity is of those that agree.
    """
    left, top, right, bottom = _part(now, box, 0.4)
    if len(spots) < MIN_SPOTS or right - left < 8 or bottom - top < 8:
        return None
    old, new = before.grey[top:bottom, left:right], now.grey[top:bottom, left:right]
    corner = np.array([left, top], np.float32)
    start = (spots - corner).reshape(-1, 1, 2)
    flow: Any = partial(cv2.calcOpticalFlowPyrLK, nextPts=None, winSize=(15, 15), maxLevel=3)
    there, is_there, _ = flow(old, new, start)
    back, is_back, _ = flow(new, old, there)
    away = np.linalg.norm((back - start).reshape(-1, 2), axis=1)
    good = (is_there.ravel() == 1) & (is_back.ravel() == 1) & (away < MAX_RETURN_PX)
    if good.sum() < max(MIN_SPOTS, MIN_SHARE * len(spots)):
        return None
    start, there = start[good].reshape(-1, 2) + corner, there[good].reshape(-1, 2) + corner
    move, agrees = cv2.estimateAffinePartial2D(start, there, method=cv2.RANSAC, ransacReprojThreshold=1.5)
    if move is None or agrees.sum() < max(MIN_SPOTS, MIN_SHARE * len(spots)):
        return None
    if not 0.8 < np.hypot(move[0, 0], move[1, 0]) < 1.25:
        return None
    return move, there[agrees.ravel() == 1]


def moved_face(face: Face, move: np.ndarray, scale: np.ndarray) -> Face:
    """The face after a movement in the small picture."""
    turn, shift = move[:, :2] * scale[None] / scale[:, None], move[:, 2] / scale
    size = float(np.hypot(move[0, 0], move[1, 0]))
    width, height = face.box.width * size, face.box.height * size
    x, y = turn @ (face.box.centre_x, face.box.centre_y) + shift
    points = None if face.points is None else face.points @ turn.T + shift
    box = Box(float(x - width / 2), float(y - height / 2), width, height)
    return Face(box, points, face.person, False, face.score)


def to_patch(now: View, box: Box) -> np.ndarray:
    """The similarity from the small picture to the patch of a face."""
    side = max(box.width * now.scale[0], box.height * now.scale[1], 1e-3)
    centre = np.array([box.centre_x, box.centre_y]) * now.scale
    return np.hstack([np.eye(2) * PATCH_PX / side, (PATCH_PX / 2 - centre * PATCH_PX / side)[:, None]])


def moved_patch(to_patch: np.ndarray, move: np.ndarray) -> np.ndarray:
    """The similarity to the same patch after a movement."""
    return to_patch @ np.vstack([cv2.invertAffineTransform(move), (0, 0, 1)])


def cut_patch(now: View, to_patch: np.ndarray) -> np.ndarray:
    """A face in grey, PATCH_PX square, as float32."""
    return warped(now.grey, to_patch, PATCH_PX).astype(np.float32)


def stir(before: np.ndarray, now: np.ndarray) -> float:
    """How much more the mouth changed than the brows and eyes: a head that turns changes both, a change of light none.

    In grey levels, of two patches of a face that was followed from one to the other; may be below 0.
    """
    change = now - before
    change = np.abs(change - np.median(change))
    return float(change[MOUTH].mean() - 0.7 * change[BROWS].mean())


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """How alike two patches are whatever the light, -1 .. 1; 0 where one is of one grey."""
    one, other = one - one.mean(), other - other.mean()
    return float((one * other).sum() / max(float(np.sqrt((one**2).sum() * (other**2).sum())), 1e-6))


def _part(now: View, box: Box, margin: float) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a box in the small picture, widened, inside it."""
    height, width = now.grey.shape
    more_x, more_y = margin * box.width, margin * box.height
    xs = np.array([box.x - more_x, box.x + box.width + more_x]) * now.scale[0]
    ys = np.array([box.y - more_y, box.y + box.height + more_y]) * now.scale[1]
    (left, right), (top, bottom) = np.clip(np.rint(xs), 0, width), np.clip(np.rint(ys), 0, height)
    return int(left), int(top), int(right), int(bottom)

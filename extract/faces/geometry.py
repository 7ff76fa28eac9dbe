"""A face in a picture: its box, its five points, and the square of it that an encoder asked for."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float

from abaw.errors import InputError
from extract.media import Rgb

CropKind = Literal["face", "aligned", "none"]

TEMPLATE_PX = 112
# Where the five points of an aligned face lie in a square of 112 px (Deng et al., ArcFace, 2019): the eye on the
# picture's left, the other eye, the tip of the nose, the corner of the mouth on the picture's left, the other corner.
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)


@dataclass(frozen=True)
class Crop:
    """The face's square: its box widened by ``margin`` (of the box's side, on each side), resized to ``size_px``.

    ``aligned``: turned and scaled so that the five points (eyes, nose, corners of the mouth) lie where they lie in
    every aligned face; the margin widens that.
    """

    size_px: int
    margin: float = 0.1
    aligned: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= 4096 or not -0.5 < self.margin < 10:
            raise InputError(
                f"a crop of {self.size_px} px with a margin of {self.margin} cannot be cut: the size is 1 to 4096 px, "
                "the margin more than -0.5 and less than 10 of the box's side"
            )


def crop_of(crop: CropKind, crop_px: int, margin: float) -> Crop | None:
    """What an encoder's settings ask for: "face" by its box, "aligned" by its five points, "none" the whole picture."""
    return None if crop == "none" else Crop(crop_px, margin, crop == "aligned")


@dataclass(frozen=True)
class Box:
    """A face in pixels of its picture: left, top, width, height. It may reach over the picture's edge."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def centre_x(self) -> float:
        return self.x + self.width / 2

    @property
    def centre_y(self) -> float:
        return self.y + self.height / 2

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 .. 1."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(wide, 0.0) * max(high, 0.0)
        return shared / max(self.area + other.area - shared, 1e-9)


@dataclass(frozen=True, eq=False)
class Face:
    """A person's face in one picture.

    ``points``: x and y in pixels of the eye on the picture's left, the other eye, the tip of the nose, the corner of
    the mouth on the picture's left and the other corner; None from a finder that has none. ``person`` is who it is,
    counted from 0 within a clip. ``found``: a finder saw it in this very picture; False: followed since one did.
    ``score`` is the finder's confidence, 1.0 where it gives none.
    """

    box: Box
    points: Float[np.ndarray, "5 2"] | None = None
    person: int = 0
    found: bool = True
    score: float = 1.0


def cut(picture: Rgb, face: Face, crop: Crop) -> Rgb:
    """The square an encoder asked for, by the face's box or five points; outside the picture its edge repeats.

    ValueError where an aligned crop is asked for and the face has no points.
    """
    to_crop = _by_points(face.points, crop) if crop.aligned else _by_box(face.box, crop)
    return warped(picture, to_crop, crop.size_px)


def resize_face(face: Rgb, crop: Crop) -> Rgb:
    """An organisers' face image at the crop's size; its margin and its alignment are what they chose."""
    if face.shape[:2] == (crop.size_px, crop.size_px):
        return face
    how = cv2.INTER_AREA if face.shape[0] > crop.size_px else cv2.INTER_LINEAR
    return cv2.resize(face, (crop.size_px, crop.size_px), interpolation=how)


def similarity(points: Float[np.ndarray, "5 2"], goal: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """The turn, scale and shift that bring points nearest to their goals, least squares (Umeyama 1991), no mirroring.

    ValueError where the points all lie on one spot or are no numbers.
    """
    centre, goal_centre = points.mean(0), goal.mean(0)
    # as complex numbers a turn with a scale is one factor
    z, w = ((spots - middle) @ np.array([1, 1j]) for spots, middle in ((points, centre), (goal, goal_centre)))
    spread = float(np.vdot(z, z).real)
    if not spread > 1e-12:
        raise InputError(f"five points at {points.tolist()} cannot be aligned: they must be apart, and numbers")
    factor = np.vdot(z, w) / spread
    turn = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.hstack([turn, (goal_centre - turn @ centre)[:, None]])


def warped(picture: np.ndarray, to_crop: Float[np.ndarray, "2 3"], size_px: int) -> np.ndarray:
    """The square that a similarity makes of a picture; much smaller ones are averaged over areas, as a warp does not.

    What lies outside the picture repeats its edge.
    """
    scale = float(np.hypot(to_crop[0, 0], to_crop[1, 0]))
    if scale < 0.5:
        picture, to_crop = _shrunk_part(picture, to_crop, size_px, scale * 1.5)
    size = (size_px, size_px)
    return cv2.warpAffine(picture, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def resized(picture: np.ndarray, scale: float) -> tuple[np.ndarray, float, float]:
    """A picture made smaller by averaging, and the scale it really got across and down."""
    height, width = picture.shape[:2]
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(picture, size, interpolation=cv2.INTER_AREA), size[0] / width, size[1] / height


def _by_box(box: Box, crop: Crop) -> np.ndarray:
    side = max(box.width, box.height, 1e-3) * (1 + 2 * crop.margin)
    scale = crop.size_px / side
    left, top = box.centre_x - side / 2, box.centre_y - side / 2
    return np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])


def _by_points(points: np.ndarray | None, crop: Crop) -> np.ndarray:
    if points is None:
        raise InputError(
            "an aligned crop needs the five points of the face, which this face finder does not give: take one that "
            "does (yunet, mtcnn or mediapipe), or crop=face"
        )
    goal = (TEMPLATE - TEMPLATE_PX / 2) / (1 + 2 * crop.margin) + TEMPLATE_PX / 2
    return similarity(points, goal * crop.size_px / TEMPLATE_PX)


def _shrunk_part(picture: np.ndarray, to_crop: np.ndarray, size_px: int, by: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that a crop needs, made smaller, and the similarity from there."""
    height, width = picture.shape[:2]
    corners = np.array([(0, 0, 1), (size_px, 0, 1), (0, size_px, 1), (size_px, size_px, 1)])
    reach = corners @ cv2.invertAffineTransform(to_crop).T
    room = 3 / by  # so that edges repeat where the picture ends, not where the part does
    left, top = (int(np.clip(low - room, 0, side - 1)) for low, side in zip(reach.min(0), (width, height), strict=True))
    right, bottom = (
        int(np.clip(high + room, low + 1, side))
        for high, low, side in zip(reach.max(0), (left, top), (width, height), strict=True)
    )
    small, across, down = resized(picture[top:bottom, left:right], by)
    # pixel i of the small part is centred on (i + 0.5) / scale - 0.5 of the large one
    back = np.array([[1 / across, 0, left + 0.5 / across - 0.5], [0, 1 / down, top + 0.5 / down - 0.5], [0, 0, 1]])
    return small, to_crop @ back

"""Faces in pictures: boxes, five facial points, and the square crops that encoders take."""

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
from jaxtyping import Float

from abaw.errors import InputError
from extract.media import Rgb

CropKind = Literal["face", "aligned", "none"]

TEMPLATE_PX = 112
# The five points of an aligned face in a square of 112 px (Deng et al. 2019, ArcFace): the eye on the left of the
# picture, the other eye, the tip of the nose, the mouth corner on the left of the picture, the other mouth corner.
TEMPLATE = np.array(
    [(38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)]
)


@dataclass(frozen=True)
class Crop:
    """A square around the face: its box, widened on each side by ``margin`` times its side, resized to ``size_px``.

    ``aligned``: rotated and scaled so that the five points (eyes, nose, mouth corners) lie at fixed positions, as face
    recognition networks expect; the margin then widens that square.

    Raises InputError for a size outside 1 to 4096 px or a margin outside (-0.5, 10).
    """

    size_px: int
    margin: float = 0.1
    aligned: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= 4096 or not -0.5 < self.margin < 10:
            raise InputError(
                f"a crop of {self.size_px} px with a margin of {self.margin} cannot be cut: give a size from 1 to "
                "4096 px and a margin between -0.5 and 10 (in sides of the face's box)"
            )


def crop_of(crop: CropKind, crop_px: int, margin: float) -> Crop | None:
    """The crop for an encoder's settings: "face" by the box, "aligned" by the five points; None for "none".

    >>> crop_of("aligned", 112, 0.0)
    Crop(size_px=112, margin=0.0, aligned=True)
    """
    return None if crop == "none" else Crop(crop_px, margin, crop == "aligned")


@dataclass(frozen=True)
class Box:
    """A rectangle in pixels of its picture: left, top, width, height. It may extend beyond the edge of the picture."""

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Width times height, in square pixels."""
        return self.width * self.height

    @property
    def centre_x(self) -> float:
        """The horizontal position of the centre."""
        return self.x + self.width / 2

    @property
    def centre_y(self) -> float:
        """The vertical position of the centre."""
        return self.y + self.height / 2

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 to 1.

        >>> Box(0, 0, 10, 10).overlap(Box(0, 5, 10, 10))
        0.3333333333333333
        """
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(wide, 0.0) * max(high, 0.0)
        return shared / max(self.area + other.area - shared, 1e-9)


@dataclass(frozen=True, eq=False)
class Face:
    """A person's face in one picture.

    ``points``: x and y in pixels of the eye on the left of the picture, the other eye, the tip of the nose, the mouth
    corner on the left of the picture and the other mouth corner; None from a detector without points. ``person``: the
    person's number, from 0 within a clip. ``detected``: the detector found the face in this picture; False: it was
    tracked from an earlier one. ``score``: the detector's confidence, 1.0 from a detector that gives none.
    """

    box: Box
    points: Float[np.ndarray, "5 2"] | None = None
    person: int = 0
    detected: bool = True
    score: float = 1.0


def cut(picture: Rgb, face: Face, crop: Crop) -> Rgb:
    """The crop of a face. Beyond the edge of the picture its border pixels repeat.

    Raises InputError for an aligned crop of a face without points.
    """
    to_crop = _by_points(face.points, crop) if crop.aligned else _by_box(face.box, crop)
    return warp(picture, to_crop, crop.size_px)


def resize_face(face: Rgb, crop: Crop) -> Rgb:
    """A face image of the data set at the crop's size; its margin and alignment stay as its makers chose them."""
    if face.shape[:2] == (crop.size_px, crop.size_px):
        return face
    how = cv2.INTER_AREA if face.shape[0] > crop.size_px else cv2.INTER_LINEAR
    return cv2.resize(face, (crop.size_px, crop.size_px), interpolation=how)


def fit_similarity(points: Float[np.ndarray, "5 2"], goal: Float[np.ndarray, "5 2"]) -> Float[np.ndarray, "2 3"]:
    """The rotation, scale and translation from ``points`` to ``goal`` with the least squared error (Umeyama 1991).

    A 2 x 3 matrix; it never mirrors. Raises InputError where the points coincide or are not finite.
    """
    centre, goal_centre = points.mean(0), goal.mean(0)
    # in complex numbers a rotation with a scale is one factor
    z, w = ((each - middle) @ np.array([1, 1j]) for each, middle in ((points, centre), (goal, goal_centre)))
    spread = float(np.vdot(z, z).real)
    if not spread > 1e-12:
        raise InputError(f"five points at {points.tolist()} cannot be aligned: expected distinct, finite points")
    factor = np.vdot(z, w) / spread
    rotation = np.array([[factor.real, -factor.imag], [factor.imag, factor.real]])
    return np.hstack([rotation, (goal_centre - rotation @ centre)[:, None]])


def warp(picture: np.ndarray, to_crop: Float[np.ndarray, "2 3"], size_px: int) -> np.ndarray:
    """The square of ``size_px`` that the similarity ``to_crop`` cuts from a picture; border pixels repeat beyond it.

    Where it shrinks to less than half, the picture is first averaged over areas: warping alone would skip pixels.
    """
    scale = float(np.hypot(to_crop[0, 0], to_crop[1, 0]))
    if scale < 0.5:
        picture, to_crop = _shrink_part(picture, to_crop, size_px, scale * 1.5)
    size = (size_px, size_px)
    return cv2.warpAffine(picture, to_crop, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def shrink(picture: np.ndarray, scale: float) -> tuple[np.ndarray, float, float]:
    """A picture made smaller by averaging, and its real horizontal and vertical scale (sizes are whole pixels)."""
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
            "an aligned crop needs the five points of the face, which this face detector does not give: use "
            "centerface, yunet, mtcnn or mediapipe, or give the encoder crop=face"
        )
    goal = (TEMPLATE - TEMPLATE_PX / 2) / (1 + 2 * crop.margin) + TEMPLATE_PX / 2
    return fit_similarity(points, goal * crop.size_px / TEMPLATE_PX)


def _shrink_part(picture: np.ndarray, to_crop: np.ndarray, size_px: int, by: float) -> tuple[np.ndarray, np.ndarray]:
    """The part of a picture that a crop needs, made smaller, and the similarity from that part to the crop."""
    height, width = picture.shape[:2]
    corners = np.array([(0, 0, 1), (size_px, 0, 1), (0, size_px, 1), (size_px, size_px, 1)])
    reach = corners @ cv2.invertAffineTransform(to_crop).T
    room = 3 / by  # so that border pixels repeat at the edge of the picture, not of the part
    left, top = (int(np.clip(low - room, 0, side - 1)) for low, side in zip(reach.min(0), (width, height), strict=True))
    right, bottom = (
        int(np.clip(high + room, low + 1, side))
        for high, low, side in zip(reach.max(0), (left, top), (width, height), strict=True)
    )
    small, across, down = shrink(picture[top:bottom, left:right], by)
    # pixel i of the small part is centred at (i + 0.5) / scale - 0.5 of the large one
    back = np.array([[1 / across, 0, left + 0.5 / across - 0.5], [0, 1 / down, top + 0.5 / down - 0.5], [0, 0, 1]])
    return small, to_crop @ back

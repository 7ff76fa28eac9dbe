"""Where the face is: finders by name, the choice of the person, the crop an encoder asked for."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from abaw.files import sha256
from extract import FINDERS
from extract.media import Rgb

CASCADES = Path(cv2.__file__).parent / "data"
SEARCH_WIDTH_PX = 640  # a wider picture is shrunk for the search: a face worth an expression is still 40 px there


@dataclass(frozen=True)
class Crop:
    """The face's square: its box widened by ``margin`` (of the box's side, on each side), resized to ``size_px``."""

    size_px: int
    margin: float = 0.1

    def __post_init__(self) -> None:
        if not 1 <= self.size_px <= 4096 or not -0.5 < self.margin < 10:
            raise ValueError(
                f"a crop of {self.size_px} px with a margin of {self.margin} cannot be cut: the size is 1 to 4096 px, "
                "the margin more than -0.5 and less than 10 of the box's side"
            )


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

    def overlap(self, other: "Box") -> float:
        """Intersection over union, 0 .. 1."""
        wide = min(self.x + self.width, other.x + other.width) - max(self.x, other.x)
        high = min(self.y + self.height, other.y + other.height) - max(self.y, other.y)
        shared = max(wide, 0.0) * max(high, 0.0)
        return shared / (self.area + other.area - shared)


class FaceFinder(ABC):
    @abstractmethod
    def find(self, picture: Rgb) -> list[Box]:
        """Every face of a picture, in its own pixels."""

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """JSON: everything about the finder that can change a box."""


@FINDERS.register
def haar(*, min_neighbors: int = 4, min_face: float = 0.1) -> FaceFinder:
    """OpenCV's Haar cascade, which ships in its wheel; min_face is a share of the picture's height."""
    return Haar(min_neighbors, min_face)


@FINDERS.register
def yunet(*, file: str, min_score: float = 0.6) -> FaceFinder:
    """The YuNet network from an ONNX file that the user has."""
    return YuNet(Path(file), min_score)


class Haar(FaceFinder):
    """Viola and Jones 2001, as OpenCV trained it. Frontal faces only."""

    def __init__(self, min_neighbors: int, min_face: float) -> None:
        if not 0 < min_face < 1:
            raise ValueError(f"haar: min_face is {min_face}, expected a share of the picture's height between 0 and 1")
        self._settings = {"min_neighbors": min_neighbors, "min_face": min_face}
        self._cascade = cv2.CascadeClassifier(str(CASCADES / "haarcascade_frontalface_alt2.xml"))

    def find(self, picture: Rgb) -> list[Box]:
        small, scale = _shrunk(picture)
        least = max(20, round(self._settings["min_face"] * small.shape[0]))
        found = self._cascade.detectMultiScale(
            cv2.equalizeHist(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)),
            scaleFactor=1.1,
            minNeighbors=int(self._settings["min_neighbors"]),
            minSize=(least, least),
        )
        return [Box(*(float(side) / scale for side in box)) for box in found]

    def recipe(self) -> dict[str, Any]:
        return {"finder": "haar", "settings": self._settings, "version": 1}


class YuNet(FaceFinder):
    """Wu et al. 2023, through OpenCV's FaceDetectorYN."""

    def __init__(self, file: Path, min_score: float) -> None:
        if not file.is_file():
            raise FileNotFoundError(f"no YuNet model at {file}: give yunet:file=PATH of face_detection_yunet_*.onnx")
        self._settings = {"file": str(file), "min_score": min_score}
        self._detector = cv2.FaceDetectorYN.create(str(file), "", (320, 320), min_score)

    def find(self, picture: Rgb) -> list[Box]:
        small, scale = _shrunk(picture)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, found = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        return [Box(*(float(side) / scale for side in row[:4])) for row in (found if found is not None else [])]

    def recipe(self) -> dict[str, Any]:
        weights = sha256(Path(str(self._settings["file"])))
        return {"finder": "yunet", "settings": self._settings, "weights": weights, "version": 1}


def choose(boxes: Sequence[Box], side: str | None, width: int, before: Box | None) -> Box | None:
    """The box of the clip's person, or None.

    ``side`` "left" or "right": the largest with its centre in that half of the picture (``width`` px). None: the one
    that overlaps most with the frame ``before``, unless another is more than twice as large; else the largest.
    """
    if side is not None:
        boxes = [box for box in boxes if (box.centre_x < width / 2) == (side == "left")]
    if not boxes:
        return None
    largest = max(boxes, key=lambda box: box.area)
    if before is None:
        return largest
    same = max(boxes, key=before.overlap)
    return same if before.overlap(same) > 0.3 and largest.area <= 2 * same.area else largest


def cut(picture: Rgb, box: Box, crop: Crop) -> Rgb:
    """The square around the box, widened by the margin, resized; what lies outside the picture repeats its edge."""
    side = max(box.width, box.height) * (1 + 2 * crop.margin)
    scale = crop.size_px / side
    left, top = box.centre_x - side / 2, box.y + box.height / 2 - side / 2
    # shrinking needs area averaging, which a warp has not: resize the part first, where it is much larger than the crop
    if scale < 0.5:
        small, by = _resized(picture, scale * 1.5)
        return cut(small, Box(box.x * by, box.y * by, box.width * by, box.height * by), crop)
    place = np.array([[scale, 0, -left * scale], [0, scale, -top * scale]])
    size = (crop.size_px, crop.size_px)
    return cv2.warpAffine(picture, place, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def resize_face(face: Rgb, crop: Crop) -> Rgb:
    """An organisers' face image at the crop's size; its margin is what they chose."""
    if face.shape[:2] == (crop.size_px, crop.size_px):
        return face
    how = cv2.INTER_AREA if face.shape[0] > crop.size_px else cv2.INTER_LINEAR
    return cv2.resize(face, (crop.size_px, crop.size_px), interpolation=how)


def _shrunk(picture: Rgb) -> tuple[Rgb, float]:
    return (
        _resized(picture, SEARCH_WIDTH_PX / picture.shape[1]) if picture.shape[1] > SEARCH_WIDTH_PX else (picture, 1.0)
    )


def _resized(picture: Rgb, scale: float) -> tuple[Rgb, float]:
    height, width = picture.shape[:2]
    small = cv2.resize(
        picture, (max(1, round(width * scale)), max(1, round(height * scale))), interpolation=cv2.INTER_AREA
    )
    return small, small.shape[1] / width

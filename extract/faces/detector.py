"""The contract of a face detector, and what several detectors share."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Any

from abaw.errors import InputError
from extract.faces.geometry import Box, Face, shrink
from extract.media import Rgb

MAX_SIDE_PX = 640  # longer pictures are shrunk before detection: a face large enough to read is still 40 px there


class FaceDetector(ABC):
    """Detects faces in one picture at a time; ``has_points``: with their five points.

    ``detect`` may change the detector's own state, so each thread works with its own ``clone``.
    """

    has_points: bool = False

    @abstractmethod
    def detect(self, picture: Rgb) -> list[Face]:
        """All faces of a picture of any size, in pixels of that picture, each as person 0."""

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """JSON: everything that can change a box. The keys ``finder`` (its name) and ``settings`` rebuild it."""

    def check_weights(self) -> None:  # noqa: B027  most detectors are complete once they are built
        """Raises MissingWeights, with the way to get them, where the weights are not on this machine."""

    def clone(self) -> FaceDetector:
        """An equal detector for another thread; itself where ``detect`` changes no state."""
        return self


def shrink_to_search(picture: Rgb) -> tuple[Rgb, float, float]:
    """A picture of at most ``MAX_SIDE_PX`` to detect faces in, and its horizontal and vertical scale."""
    longest = max(picture.shape[:2])
    return shrink(picture, MAX_SIDE_PX / longest) if longest > MAX_SIDE_PX else (picture, 1.0, 1.0)


def scaled_box(sides: Iterable[float], across: float, down: float) -> Box:
    x, y, width, height = (float(side) for side in list(sides)[:4])
    return Box(x / across, y / down, width / across, height / down)


def check_share(detector: str, setting: str, value: float) -> float:
    """The value of a setting again. Raises InputError where it is not between 0 and 1."""
    if not 0 < value < 1:
        meaning = "a share of the picture's height" if setting == "min_face" else "a confidence"
        raise InputError(f"{detector}: {setting} is {value}, expected {meaning} between 0 and 1")
    return value

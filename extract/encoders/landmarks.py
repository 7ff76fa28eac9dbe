"""Face landmarks and blendshapes by MediaPipe's face landmarker."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
from abaw.optional import import_optional
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces.geometry import crop_of
from extract.media import Rgb
from extract.networks.frozen import check_batch_size
from extract.networks.hub import MissingWeights

FACTS = {"modality": "vision", "dim": 1486, "built_in": False, "licence": "Apache-2.0", "size_mb": 4}

NUM_POINTS, NUM_BLENDSHAPES = 478, 52


@ENCODERS.register
def landmarks(
    *,
    file: str,
    crop: Literal["face", "aligned"] = "face",
    crop_px: int = 256,
    margin: float = 0.5,
    min_score: float = 0.5,
    batch_size: int = 32,
) -> PictureEncoder:
    """MediaPipe's 478 landmarks and 52 blendshapes by face_landmarker.task; unobserved where it finds no face."""
    settings = {"file": file, "crop": crop, "crop_px": crop_px, "margin": margin, "min_score": min_score}
    return Landmarks(settings, check_batch_size("landmarks", batch_size))


class Landmarks(PictureEncoder):
    """1486 columns: x, y, z of each landmark, then the blendshapes (0 to 1), all in MediaPipe's order.

    Kartynnik et al. 2019 (the mesh), Grishchenko et al. 2022 (the blendshapes); each picture is processed on its own.
    x and y are fractions of the crop's side, from its left and its top; z is depth in the same unit, smaller is nearer.
    The default margin is wide because MediaPipe's own detector searches for the face within the crop.
    """

    may_miss = True
    dim = NUM_POINTS * 3 + NUM_BLENDSHAPES

    def __init__(self, settings: dict[str, Any], batch_size: int) -> None:
        self._settings, self.batch_size = settings, batch_size
        if not 0 < settings["min_score"] < 1:
            raise InputError(f"landmarks: min_score is {settings['min_score']}, expected more than 0 and less than 1")
        self.crop = crop_of(settings["crop"], settings["crop_px"], settings["margin"])
        file = Path(settings["file"])
        self._landmarker = _open(file, settings["min_score"])
        self._weights = {file.name: sha256(file)}

    def recipe(self) -> dict[str, Any]:
        return {
            "encoder": "landmarks",
            "settings": self._settings,
            "weights": self._weights,
            "found_at": ["file"],
            "mediapipe": version("mediapipe"),
            "version": 1,
        }

    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        return np.stack(pictures)

    def forward(self, batch: np.ndarray) -> np.ndarray:
        return np.stack([self._row(picture) for picture in batch])

    def _row(self, picture: Rgb) -> np.ndarray:
        import mediapipe

        image = mediapipe.Image(image_format=mediapipe.ImageFormat.SRGB, data=np.ascontiguousarray(picture))
        found = self._landmarker.detect(image)
        if not found.face_landmarks or not found.face_blendshapes:
            return np.full(self.dim, np.nan, np.float32)
        points = [side for point in found.face_landmarks[0] for side in (point.x, point.y, point.z)]
        return np.array([*points, *(each.score for each in found.face_blendshapes[0])], np.float32)


def _open(file: Path, min_score: float) -> Any:
    """MediaPipe's landmarker for single pictures. Raises InputError where package or file cannot be loaded."""
    tasks = import_optional(
        "mediapipe.tasks.python",
        needed_by="landmarks, in an environment of its own (mediapipe requires numpy 1),",
        extra="mediapipe",
    )
    if not file.is_file():
        raise MissingWeights(
            f"no face landmarker at {file}: download face_landmarker.task (4 MB, Apache-2.0) from the page of "
            "MediaPipe's face landmarker and give file=PATH"
        )
    options = tasks.vision.FaceLandmarkerOptions(
        # as bytes: MediaPipe resolves paths relative to its own package
        base_options=tasks.BaseOptions(model_asset_buffer=file.read_bytes()),
        running_mode=tasks.vision.RunningMode.IMAGE,  # the video mode smooths over frames
        min_face_detection_confidence=min_score,
        output_face_blendshapes=True,
    )
    try:
        return tasks.vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{file} is not MediaPipe's face_landmarker.task with blendshapes, or is truncated: download it again "
            f"({error})"
        ) from error


def examples() -> list[dict[str, Any]]:
    """No settings: MediaPipe finds no face in random pictures, and is not installed where the other tests run."""
    return []

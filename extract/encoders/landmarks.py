"""The points of the face and the strength of 52 expressions of its parts, by MediaPipe's face landmarker."""

from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
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
    """MediaPipe's 478 points and 52 blendshapes from the file face_landmarker.task; no face in the crop: no row."""
    settings = {"file": file, "crop": crop, "crop_px": crop_px, "margin": margin, "min_score": min_score}
    return Landmarks(settings, check_batch_size("landmarks", batch_size))


class Landmarks(PictureEncoder):
    """Kartynnik et al. 2019 (the mesh) and Grishchenko et al. 2022 (the blendshapes), each picture by itself.

    A row is x, y, z of each point, then the blendshapes, all in MediaPipe's order. x and y are shares of the crop's
    side, from its left and its top; z is depth in the same measure, less is nearer. A blendshape is 0 to 1. The wide
    margin is for MediaPipe's own detector, which looks for the face within the crop.
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
    """MediaPipe's landmarker for single pictures. ValueError where the package is absent or the file damaged."""
    try:
        from mediapipe.tasks.python import BaseOptions, vision
    except ImportError as error:
        raise InputError(
            "landmarks needs the package mediapipe 0.10.21, in an environment of its own (it wants numpy 1): "
            "pip install -c constraints-mediapipe.txt 'abaw[mediapipe]'"
        ) from error
    if not file.is_file():
        raise MissingWeights(
            f"no face landmarker at {file}: fetch face_landmarker.task (4 MB, Apache-2.0) from the page of MediaPipe's "
            "face landmarker and give file=PATH"
        )
    options = vision.FaceLandmarkerOptions(
        # as bytes: MediaPipe opens paths its own way, relative to itself
        base_options=BaseOptions(model_asset_buffer=file.read_bytes()),
        running_mode=vision.RunningMode.IMAGE,  # the mode for video smooths over frames and depends on where it starts
        min_face_detection_confidence=min_score,
        output_face_blendshapes=True,
    )
    try:
        return vision.FaceLandmarker.create_from_options(options)
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"{file} is not MediaPipe's face_landmarker.task with blendshapes, or is cut short: get it again ({error})"
        ) from error

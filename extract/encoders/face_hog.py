"""A built-in face encoder: histograms of oriented gradients, coarse appearance and geometry of the face crop."""

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders.base import PictureEncoder
from extract.faces.geometry import Crop
from extract.media import Rgb

DIM = 763
FACTS = {"modality": "vision", "dim": 763, "built_in": True, "licence": "Apache-2.0", "size_mb": 0}

SIDE_PX = 64
# regions of brows, eyes and mouth in an upright face crop, as fractions: top, bottom, left, right
REGIONS = (
    (0.16, 0.42, 0.08, 0.50),
    (0.16, 0.42, 0.50, 0.92),
    (0.28, 0.52, 0.08, 0.50),
    (0.28, 0.52, 0.50, 0.92),
    (0.60, 0.95, 0.22, 0.78),
)


@ENCODERS.register
def face_hog(*, crop_px: int = 112, margin: float = 0.1) -> PictureEncoder:
    """Histograms of oriented gradients, coarse appearance and the geometry of brows, eyes and mouth."""
    return FaceHog(crop_px, margin)


class FaceHog(PictureEncoder):
    """763 columns: 576 HOG values (Dalal and Triggs 2005; 8 px cells of a 64 px face), 144 grey values, 43 of geometry.

    The geometry are image moments of dark pixels in each region (mass, centre, spread, slant, bend), which follow the
    brows, the eyelids and the curve of the mouth, and the vertical distances between regions.
    """

    batch_size = 64

    def __init__(self, crop_px: int, margin: float) -> None:
        if crop_px < 16:
            raise InputError(f"face_hog: crop_px is {crop_px}, expected 16 or more")
        self.crop, self.dim = Crop(crop_px, margin), DIM
        self._hog = cv2.HOGDescriptor((SIDE_PX, SIDE_PX), (16, 16), (16, 16), (8, 8), 9)

    def recipe(self) -> dict[str, Any]:
        assert self.crop is not None
        settings = {"crop_px": self.crop.size_px, "margin": self.crop.margin}
        return {"encoder": "face_hog", "settings": settings, "version": 1}

    def prepare(self, pictures: Sequence[Rgb]) -> np.ndarray:
        grey = [cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY) for picture in pictures]
        return np.stack([cv2.resize(face, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) for face in grey])

    def forward(self, batch: np.ndarray) -> np.ndarray:
        return np.stack([self._row(face) for face in batch])

    def _row(self, face: np.ndarray) -> np.ndarray:
        light = face.astype(np.float32)
        light = (light - light.mean()) / (light.std() + 4.0)  # 4 of 255: a black face gives finite values
        coarse = cv2.resize(light, (12, 12), interpolation=cv2.INTER_AREA).ravel()
        return np.concatenate([np.ravel(self._hog.compute(face)), coarse, _geometry(light)]).astype(np.float32)


def _geometry(light: np.ndarray) -> np.ndarray:
    shapes = np.array([_dark_shape(light, region) for region in REGIONS])
    left_brow, right_brow, left_eye, right_eye, mouth = shapes[:, 1]
    between = [left_brow - left_eye, right_brow - right_eye, mouth - (left_eye + right_eye) / 2]
    return np.concatenate([shapes.ravel(), between])


def _dark_shape(light: np.ndarray, region: tuple[float, float, float, float]) -> list[float]:
    """The dark pixels of a region: their mass, centre (y, x), spread (x, y), slant and bend, and the contrast."""
    top, bottom, left, right = (round(fraction * SIDE_PX) for fraction in region)
    part = light[top:bottom, left:right]
    dark = np.clip(part.mean() - 0.5 * part.std() - part, 0, None) + 1e-4
    y, x = np.mgrid[-1 : 1 : part.shape[0] * 1j, -1 : 1 : part.shape[1] * 1j]
    weight = dark / dark.sum()
    centre_x, centre_y = (weight * x).sum(), (weight * y).sum()
    spread_x, spread_y = (weight * (x - centre_x) ** 2).sum(), (weight * (y - centre_y) ** 2).sum()
    across = (x - centre_x) / np.sqrt(spread_x + 1e-3)
    slant = (weight * across * y).sum()
    bend = (weight * (across**2 - 1) * y).sum()  # > 0: the ends lie lower than the middle
    return [float(dark.mean()), centre_y, centre_x, spread_x, spread_y, slant, bend, float(part.std())]

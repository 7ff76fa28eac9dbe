"""Face detectors by name: CenterFace (the default), OpenCV's Haar cascade, YuNet, and two from optional packages."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
from abaw.optional import import_optional, install_command
from extract import DETECTORS
from extract.faces.centerface import CenterFace
from extract.faces.detector import FaceDetector, check_share, scaled_box, shrink_to_search
from extract.faces.geometry import Box, Face
from extract.media import Rgb
from extract.networks.hub import MissingWeights

CASCADES = Path(cv2.__file__).parent / "data"
YUNET = ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx")

# among MediaPipe's 468 landmarks: both corners of each eye, the tip of the nose, the two mouth corners
MESH_POINTS = ((33, 133), (362, 263), (1,), (61,), (291,))


@DETECTORS.register
def centerface(
    *, file: str | None = None, max_side_px: int = 640, min_score: float = 0.35, download: bool = False
) -> FaceDetector:
    """CenterFace (MIT, 7.3 MB from the package index): default; finds tilted, dark and small faces too, with points."""
    return CenterFace(file, max_side_px, min_score, download)


@DETECTORS.register
def haar(*, min_neighbors: int = 4, min_face: float = 0.1, border: float = 0.15) -> FaceDetector:
    """Haar cascade of OpenCV (no download): upright frontal faces, no points; min_face is a share of the height."""
    return Haar(min_neighbors, min_face, border)


@DETECTORS.register
def yunet(*, file: str | None = None, min_score: float = 0.6, download: bool = False) -> FaceDetector:
    """YuNet (MIT, 0.2 MB) from an ONNX file or the hub's cache: as reliable as centerface and faster, with points."""
    return YuNet(file, _yunet_file(file, download), min_score)


@DETECTORS.register
def mtcnn(*, min_face: float = 0.1, min_score: float = 0.9) -> FaceDetector:
    """MTCNN (MIT; the extra 'mtcnn' contains the weights), with points; min_face is a share of the height."""
    return Mtcnn(min_face, min_score)


@DETECTORS.register
def mediapipe(*, min_score: float = 0.5, max_faces: int = 4) -> FaceDetector:
    """MediaPipe's face mesh (Apache-2.0; the extra 'mediapipe' contains it): fast, with points, large faces only."""
    return Mesh(min_score, max_faces)


def rebuild_detector(recipe: Mapping[str, Any]) -> FaceDetector:
    """The detector of a stored recipe. Raises InputError where it cannot be built."""
    settings = dict(recipe["settings"])
    if recipe["finder"] == "haar":
        settings.setdefault("border", 0.0)  # recipes from before there was a border
    detector: FaceDetector = DETECTORS.build(recipe["finder"], **settings)
    return detector


class Haar(FaceDetector):
    """Viola and Jones 2001, with the cascade that OpenCV trained. Frontal faces only.

    The contrast is not equalised: the cascade normalises each window itself, and equalising the whole picture amplifies
    noise. A scale factor of 1.2 detects the same faces as 1.1 in half the time. The picture gets a black border of
    ``border`` times its longer side on each side: without it, faces that fill the picture are missed.
    """

    def __init__(self, min_neighbors: int, min_face: float, border: float = 0.15) -> None:
        self._settings = {"min_neighbors": min_neighbors, "min_face": check_share("haar", "min_face", min_face)}
        if not 0 <= border <= 1:
            raise InputError(f"haar: border is {border}, expected a share of the picture's longer side from 0 to 1")
        self._border = border
        self._cascade = cv2.CascadeClassifier(str(CASCADES / "haarcascade_frontalface_default.xml"))

    def detect(self, picture: Rgb) -> list[Face]:
        small, across, down = shrink_to_search(picture)
        min_side_px = max(20, round(self._settings["min_face"] * small.shape[0]))
        edge_px = round(self._border * max(small.shape[:2]))
        grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY)
        found = self._cascade.detectMultiScale(
            cv2.copyMakeBorder(grey, edge_px, edge_px, edge_px, edge_px, cv2.BORDER_CONSTANT),
            scaleFactor=1.2,
            minNeighbors=int(self._settings["min_neighbors"]),
            minSize=(min_side_px, min_side_px),
        )
        return [
            Face(scaled_box((left - edge_px, top - edge_px, width, height), across, down))
            for left, top, width, height in found
        ]

    def clone(self) -> FaceDetector:
        return Haar(int(self._settings["min_neighbors"]), float(self._settings["min_face"]), self._border)

    def recipe(self) -> dict[str, Any]:
        # without a border the recipe is that of features which were made before there was one
        border = {"border": self._border} if self._border else {}
        return {"finder": "haar", "settings": {**self._settings, **border}, "version": 2}


class YuNet(FaceDetector):
    """Wu et al. 2023, run by OpenCV's FaceDetectorYN. ``file``: as the user gave it; ``weights``: the file to load."""

    has_points = True

    def __init__(self, file: str | None, weights: Path, min_score: float, digest: str | None = None) -> None:
        self._settings = {"file": file, "min_score": check_share("yunet", "min_score", min_score)}
        self._weights = weights
        self._sha256 = digest or sha256(weights)
        try:
            self._detector = cv2.FaceDetectorYN.create(str(weights), "", (320, 320), min_score)
        except cv2.error as error:
            raise InputError(
                f"OpenCV cannot read {weights} as a YuNet model: download {YUNET[1]} again, or give another file"
            ) from error

    def detect(self, picture: Rgb) -> list[Face]:
        small, across, down = shrink_to_search(picture)
        self._detector.setInputSize((small.shape[1], small.shape[0]))
        _, found = self._detector.detect(cv2.cvtColor(small, cv2.COLOR_RGB2BGR))
        rows = np.zeros((0, 15)) if found is None else found.astype(np.float64)
        # in a picture a few pixels wide it reports faces of any size, infinite ones too
        rows = rows[
            np.isfinite(rows).all(1) & (rows[:, 2:4] >= 1).all(1) & (rows[:, 2:4].max(1) <= 2 * max(small.shape))
        ]
        points = rows[:, 4:14].reshape(-1, 5, 2) / (across, down)
        return [
            Face(scaled_box(row, across, down), p, score=float(row[14])) for row, p in zip(rows, points, strict=True)
        ]

    def clone(self) -> FaceDetector:
        file: Any = self._settings["file"]
        score: Any = self._settings["min_score"]
        return YuNet(file, self._weights, score, self._sha256)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._sha256, "found_at": ["file"]}
        return {"finder": "yunet", "settings": self._settings, **made_of, "version": 2}


class Mtcnn(FaceDetector):
    """Zhang et al. 2016, in facenet-pytorch's port, on the CPU. Its networks keep no state: threads may share it."""

    has_points = True

    def __init__(self, min_face: float, min_score: float) -> None:
        self._settings = {
            "min_face": check_share("mtcnn", "min_face", min_face),
            "min_score": check_share("mtcnn", "min_score", min_score),
        }
        self._package = import_optional(
            "facenet_pytorch",
            needed_by="the face detector mtcnn",
            package="facenet-pytorch",
            extra="mtcnn",
        )
        self._detector = self._package.MTCNN(keep_all=True, device="cpu").eval()

    def detect(self, picture: Rgb) -> list[Face]:
        import torch
        from facenet_pytorch.models.utils.detect_face import detect_face

        small, across, down = shrink_to_search(picture)
        min_side_px, net = max(20, round(self._settings["min_face"] * small.shape[0])), self._detector
        if min(small.shape[:2]) < min_side_px:
            return []  # there is no scale to search at, and detect_face would fail
        # its weights are a pickle inside its own wheel; the thresholds are those of the paper
        with torch.inference_mode():
            found, points = detect_face(
                small, min_side_px, net.pnet, net.rnet, net.onet, net.thresholds, net.factor, net.device
            )
        rows, points = np.array(found[0], float).reshape(-1, 5), np.array(points[0], float).reshape(-1, 5, 2)
        rows[:, 2:4] -= rows[:, :2]  # it returns the opposite corner
        return [
            Face(scaled_box(row, across, down), five / (across, down), score=float(row[4]))
            for row, five in zip(rows, points, strict=True)
            if row[4] >= self._settings["min_score"]
        ]

    def recipe(self) -> dict[str, Any]:
        from importlib.metadata import version

        package = f"facenet-pytorch {version('facenet-pytorch')}"  # the package contains the weights
        return {"finder": "mtcnn", "settings": self._settings, "weights": package, "version": 1}


class Mesh(FaceDetector):
    """MediaPipe's short-range detector and mesh of 468 landmarks (Kartynnik et al. 2019), each picture by itself.

    The detector alone gives one point for the mouth, the mesh both corners. The box bounds the mesh.
    """

    has_points = True

    def __init__(self, min_score: float, max_faces: int) -> None:
        if max_faces < 1:
            raise InputError(f"mediapipe: max_faces is {max_faces}, expected 1 or more")
        self._settings = {"min_score": check_share("mediapipe", "min_score", min_score), "max_faces": max_faces}
        package = import_optional("mediapipe", needed_by="the face detector mediapipe", extra="mediapipe")
        if not hasattr(package, "solutions"):
            raise InputError(
                f"mediapipe {package.__version__} contains no models, expected version 0.10.21: "
                + install_command("mediapipe", "mediapipe")
            )
        self._package = package
        self._mesh = package.solutions.face_mesh.FaceMesh(
            static_image_mode=True, max_num_faces=max_faces, min_detection_confidence=min_score
        )

    def detect(self, picture: Rgb) -> list[Face]:
        height, width = picture.shape[:2]
        meshes = self._mesh.process(np.ascontiguousarray(picture)).multi_face_landmarks or ()
        landmarks = [np.array([(point.x * width, point.y * height) for point in mesh.landmark]) for mesh in meshes]
        return [_mesh_face(each) for each in landmarks if np.isfinite(each).all()]

    def clone(self) -> FaceDetector:
        return Mesh(float(self._settings["min_score"]), int(self._settings["max_faces"]))

    def recipe(self) -> dict[str, Any]:
        package = f"mediapipe {self._package.__version__}"  # the package contains the weights
        return {"finder": "mediapipe", "settings": self._settings, "weights": package, "version": 1}


def _mesh_face(landmarks: np.ndarray) -> Face:
    (left, top), (right, bottom) = landmarks.min(0), landmarks.max(0)
    points = np.array([landmarks[list(several)].mean(0) for several in MESH_POINTS])
    return Face(Box(float(left), float(top), float(right - left), float(bottom - top)), points)


def _yunet_file(file: str | None, download: bool) -> Path:
    """The file of the network: as given, else from the hub's cache, downloaded to there once if ``download``."""
    if file is not None:
        if not Path(file).is_file():
            raise MissingWeights(
                f"no YuNet model at {file}: give yunet:file=PATH to a face_detection_yunet_*.onnx file"
            )
        return Path(file)
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import HfHubHTTPError
    from huggingface_hub.utils import httpx

    try:
        return Path(hf_hub_download(*YUNET, local_files_only=True))  # without a request to the hub
    except OSError as error:
        why, cause = "is not in the hub's cache on this machine", error
    if download:
        try:
            return Path(hf_hub_download(*YUNET))
        except (OSError, HfHubHTTPError, httpx.HTTPError) as error:
            why, cause = "could not be downloaded", OSError(error)
    raise MissingWeights(
        f"the YuNet model {why} ({str(cause).splitlines()[0]}): download it (0.2 MB) with --download or "
        f"`hf download {' '.join(YUNET)}`, or give a local copy with yunet:file=PATH"
    ) from cause

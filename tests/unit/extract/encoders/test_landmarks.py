"""MediaPipe's landmarks: the row's layout with a stand-in for the package, the real network where it is installed."""

import importlib.util
import json
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.networks.hub import MissingWeights

SMILE = (1434 + 44, 1434 + 45)  # the columns of mouthSmileLeft and mouthSmileRight


@pytest.fixture
def stand_in(monkeypatch):
    """A package mediapipe that detects a face in every picture that is not black."""

    class FaceLandmarker:
        options = None

        @classmethod
        def create_from_options(cls, options):
            if options.base_options.model_asset_buffer != b"good":
                raise RuntimeError("Unable to open zip archive.")
            cls.options = options
            return cls()

        def detect(self, image):
            if not image.data.any():
                return SimpleNamespace(face_landmarks=[], face_blendshapes=[])
            points = [SimpleNamespace(x=i / 1000, y=i / 1000 + 1, z=-i / 1000) for i in range(478)]
            shapes = [SimpleNamespace(score=i / 100) for i in range(52)]
            return SimpleNamespace(face_landmarks=[points], face_blendshapes=[shapes])

    root = ModuleType("mediapipe")
    root.Image, root.ImageFormat = SimpleNamespace, SimpleNamespace(SRGB="srgb")
    python = ModuleType("mediapipe.tasks.python")
    python.BaseOptions = SimpleNamespace
    python.vision = SimpleNamespace(
        FaceLandmarkerOptions=SimpleNamespace,
        FaceLandmarker=FaceLandmarker,
        RunningMode=SimpleNamespace(IMAGE="image"),
    )
    for name, module in (("mediapipe", root), ("mediapipe.tasks", ModuleType("x")), ("mediapipe.tasks.python", python)):
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr("extract.encoders.landmarks.version", lambda package: "0.10.21")
    return FaceLandmarker


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "face_landmarker.task"
    path.write_bytes(b"good")
    return str(path)


def test_a_row_is_the_landmarks_followed_by_the_blendshapes(stand_in, file):
    encoder = ENCODERS.build("landmarks", file=file)
    (row,) = encoder.forward(encoder.prepare([np.full((256, 256, 3), 9, np.uint8)]))
    assert row.shape == (encoder.dim,) == (1486,)
    assert row.dtype == np.float32
    assert row[:6] == pytest.approx([0, 1, 0, 0.001, 1.001, -0.001])
    assert row[3 * 477 : 1434] == pytest.approx([0.477, 1.477, -0.477])
    assert row[1434:] == pytest.approx(np.arange(52) / 100)
    assert stand_in.options.running_mode == "image"  # no memory of the pictures before
    assert stand_in.options.output_face_blendshapes


def test_a_picture_without_a_face_gives_a_row_of_nan(stand_in, file):
    encoder = ENCODERS.build("landmarks", file=file)
    shown = [np.full((256, 256, 3), value, np.uint8) for value in (9, 0, 9)]
    rows = encoder.forward(encoder.prepare(shown))
    assert encoder.may_miss
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False]
    assert np.isfinite(rows[[0, 2]]).all()


def test_the_crop_is_wide_and_the_recipe_has_the_packages_version(stand_in, file):
    encoder = ENCODERS.build("landmarks", file=file)
    assert (encoder.crop.size_px, encoder.crop.margin) == (256, 0.5)
    recipe = json.loads(json.dumps(encoder.recipe()))
    assert recipe["mediapipe"] == "0.10.21"
    assert ENCODERS.build(recipe["encoder"], **recipe["settings"]).recipe() == recipe


def test_a_missing_or_wrong_file_is_refused(stand_in, file):
    with pytest.raises(MissingWeights, match=r"no face landmarker at nowhere: download face_landmarker.task"):
        ENCODERS.build("landmarks", file="nowhere")
    Path(file).write_bytes(b"cut")
    with pytest.raises(ValueError, match="is not MediaPipe's face_landmarker.task with blendshapes, or is truncated"):
        ENCODERS.build("landmarks", file=file)


def test_settings_that_do_not_fit_are_refused(stand_in, file):
    with pytest.raises(ValueError, match="min_score is 1.0, expected more than 0 and less than 1"):
        ENCODERS.build("landmarks", file=file, min_score=1.0)
    with pytest.raises(ValueError, match="landmarks: batch_size is 0"):
        ENCODERS.build("landmarks", file=file, batch_size=0)


def test_without_the_package_the_message_names_the_extra(monkeypatch, file):
    for name in ("mediapipe", "mediapipe.tasks", "mediapipe.tasks.python"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ValueError, match=r"in an environment of its own .*, needs the package mediapipe: pip install mediapipe==0"
    ):
        ENCODERS.build("landmarks", file=file)


@pytest.fixture(scope="module")
def real(media):
    if importlib.util.find_spec("mediapipe") is None:
        pytest.skip("extra mediapipe, an environment of its own: ./run.sh test-mediapipe")
    file = media / "weights" / "face_landmarker_v2_with_blendshapes.task"
    return ENCODERS.build("landmarks", file=str(file))


@pytest.fixture(scope="module")
def smiling(real, media):
    """Every second picture's row of a face that goes from neutral to a smile and back."""
    return real.forward(real.prepare(_crops(media, real.crop)))


def _crops(media, crop):
    """By YuNet, because the Haar cascade has false detections in some pictures."""
    from extract import DETECTORS
    from extract.faces.geometry import cut
    from extract.media import pictures

    detector = DETECTORS.build("yunet", file=str(media / "weights" / "yunet_n_640_640.onnx"))
    shown = [picture.rgb() for picture in pictures(media / "clips" / "single_face.mp4")][::2]
    return [cut(picture, max(detector.detect(picture), key=lambda face: face.box.area), crop) for picture in shown]


def test_a_real_face_is_found_in_every_picture_with_its_smile(smiling):
    assert len(smiling) > 30
    assert np.isfinite(smiling).all()
    smile = smiling[:, SMILE].mean(1)
    # neutral at first, then a smile for most of the clip
    assert smile[:3].max() < 0.2
    assert smile[len(smile) // 3 : len(smile) * 2 // 3].min() > 0.6
    assert smiling[:, 1434:].min() >= 0
    assert smiling[:, 1434:].max() <= 1


def test_landmarks_of_a_real_face_lie_inside_its_box(smiling):
    points = smiling[:, :1434].reshape(len(smiling), 478, 3)
    assert (points[..., :2] > 0).all()
    assert (points[..., :2] < 1).all()
    # of MediaPipe's points 10 is the top of the forehead, 1 the tip of the nose, 152 the chin, 33 and 263 outer corners
    assert (points[:, 10, 1] < points[:, 1, 1]).all()
    assert (points[:, 1, 1] < points[:, 152, 1]).all()
    assert (points[:, 33, 0] < points[:, 263, 0]).all()


def test_a_row_does_not_depend_on_the_other_pictures(real, media, smiling):
    crops = _crops(media, real.crop)
    assert np.array_equal(real.forward(real.prepare(crops[20:21]))[0], smiling[20])
    black = np.zeros((256, 256, 3), np.uint8)
    assert np.isnan(real.forward(real.prepare([black]))).all()

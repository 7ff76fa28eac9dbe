"""Rows of one or several pictures, and which of them are observed."""

import re

import numpy as np
import pytest
from safetensors import safe_open

from extract.faces.geometry import Crop
from extract.media import Sound
from extract.synthetic.write_clip import write_clip
from tests.support.extract.many_clips import FPS, Brightness, grey, light, store_of, write


def test_a_value_of_nan_is_an_error_with_its_row_and_column(six, tmp_path):
    class Broken(Brightness):
        def forward(self, batch):
            rows = batch.copy()
            rows[np.abs(batch[:, 0] - 120) < 5, 1] = np.nan
            return rows

    store, report = store_of(Broken(batch_size=64), six, tmp_path)
    (failure,) = report.failed
    assert failure.clip == "c2"
    assert re.search(r"the encoder light gave nan \(row 0, column 1\), expected finite numbers", failure.reason)
    assert not list(store.root.glob("light-*/c2*"))


def test_a_row_of_nan_of_an_encoder_that_may_miss_is_unobserved(six, tmp_path):
    class Shy(Brightness):
        may_miss = True
        num = 0

        def forward(self, batch):
            rows = batch.copy()
            rows[(np.arange(len(batch)) + self.num) % 3 == 0] = np.nan
            self.num += len(batch)
            return rows

    store, _ = store_of(Shy(batch_size=4), six / "c1.mp4", tmp_path)
    track = light(store, "c1")
    assert track.observed.tolist() == [row % 3 != 0 for row in range(11)]
    assert not track.values[~track.observed].any()


def test_a_row_of_several_pictures_is_at_their_middle_and_observed_if_all_of_them_are(tmp_path):
    lights = [80, 90, 100, 110, 20, 120, 130, 140, 150, 160]  # the fifth has no face
    write(tmp_path / "a.mp4", lights)
    store, _ = store_of(Brightness(Crop(16), span=3, stride=2), tmp_path / "a.mp4", tmp_path / "store")
    track = light(store, "a")
    assert track.times_s == pytest.approx(np.array([1, 3, 5, 7]) / FPS, abs=1e-4)
    assert track.observed.tolist() == [True, False, False, True]
    assert track.values[0] == pytest.approx([90, 80], abs=4)
    assert track.values[3] == pytest.approx([140, 130], abs=4)


def test_a_clip_shorter_than_a_row_has_a_track_without_rows(tmp_path):
    write(tmp_path / "a.mp4", [80, 90])
    store, report = store_of(Brightness(span=3), tmp_path / "a.mp4", tmp_path / "store")
    assert report.made == ["a"]
    assert light(store, "a").values.shape == (0, 2)


def test_rows_of_several_images_do_not_span_a_missing_image(tmp_path):
    import cv2

    write(tmp_path / "videos/v.mp4", [200] * 9)
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 2, 3, 5, 6, 7, 8):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(10 * number))
    store, _ = store_of(Brightness(Crop(16), span=3), tmp_path, tmp_path / "store")
    track = light(store, "v")
    assert track.times_s == pytest.approx(np.array([1, 5, 6]) / FPS, abs=1e-4)
    assert track.values[:, 0] == pytest.approx([20, 60, 70], abs=4)


def test_frames_without_a_face_image_can_be_filled_from_the_video_and_are_marked(tmp_path):
    import cv2

    write(tmp_path / "videos/v.mp4", [200, 200, 200, 20, 200])
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 3, 7):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(100))
    plain, _ = store_of(Brightness(Crop(16)), tmp_path, tmp_path / "plain")
    assert len(light(plain, "v")) == 3
    store, _ = store_of(Brightness(Crop(16)), tmp_path, tmp_path / "filled", fill=True)
    track = light(store, "v")
    assert track.times_s == pytest.approx(np.array([0, 1, 2, 4, 6]) / FPS, abs=1e-4)  # the fourth shows no face
    assert track.values[:, 0] == pytest.approx([100, 200, 100, 200, 100], abs=4)
    assert store.find("light")["fill_missing_faces"] is True
    assert store.folder(store.find("light")).name != plain.folder(plain.find("light")).name
    with safe_open(store.folder(store.find("light")) / "v.safetensors", framework="numpy") as file:
        assert file.get_tensor("filled").tolist() == [False, True, False, True, False]
        assert file.metadata()["crops"] == "organisers and filled"


def test_without_a_video_encoders_of_whole_pictures_take_the_face_images(tmp_path):
    import cv2

    (tmp_path / "videos").mkdir()
    tone = Sound((0.3 * np.sin(np.arange(16000) / 10)).astype(np.float32), 16000, 0.0)
    write_clip(tmp_path / "videos/v.mkv", [], [], tone)
    (tmp_path / "cropped/v").mkdir(parents=True)
    for number in (1, 2, 3):
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), grey(100))
    store, _ = store_of(Brightness(), tmp_path, tmp_path / "store", assume_fps=25)
    assert len(light(store, "v")) == 3
    _, again = store_of(Brightness(), tmp_path, tmp_path / "store", assume_fps=25)
    assert again.present == ["v"]

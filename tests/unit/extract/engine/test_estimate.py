"""The estimate of a dry run: what reading involves, how rows are counted, and how its text reads."""

import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages
from extract.encoders.base import PictureEncoder, SoundEncoder
from extract.engine.estimate import Estimate, Speed, _num_rows, _picture_task
from extract.engine.requests import ReadRequest
from extract.faces.geometry import Crop


class Eye(PictureEncoder):
    dim, batch_size = 1, 8

    def __init__(self, crop=None, stride=1):
        self.crop, self.stride = crop, stride

    def recipe(self):
        return {}

    def prepare(self, pictures):
        return np.zeros((1, 1))

    def forward(self, batch):
        return batch


class Ear(SoundEncoder):
    dim, rate_hz = 1, 16000

    def recipe(self):
        return {}

    def encode(self, sound):
        yield from ()


FACE, SCENE, VOICE = Eye(Crop(8)), Eye(), Ear()


@pytest.mark.parametrize(
    ("encoders", "numbers", "fill", "has_clock", "task"),
    [
        ([FACE], [], False, False, "faces"),
        ([FACE], [1, 2], False, False, "pictures"),  # only for the clock
        ([FACE], [1, 2], False, True, ""),
        ([FACE], [1, 2], True, True, "faces"),
        ([SCENE], [1, 2], False, True, "pictures"),
        ([VOICE], [], False, False, "pictures"),
        ([VOICE], [], False, True, ""),
    ],
)
def test_reading_decodes_pictures_and_detects_faces_only_where_that_is_needed(
    tmp_path, encoders, numbers, fill, has_clock, task
):
    named = {str(i): encoder for i, encoder in enumerate(encoders)}
    clock, images = object() if has_clock else None, FaceImages(tmp_path, numbers)
    request = ReadRequest(Clip("v", tmp_path / "v.mp4"), images, 0, named, None, None, fill, clock)
    assert _picture_task(request) == task
    assert _picture_task(ReadRequest(Clip("v", None), images, 0, named, None, None, fill, clock)) == ""


def test_rows_are_counted_by_frames_images_or_seconds_of_sound():
    speed = Speed(1.0, rows_hz=50.0)
    assert _num_rows(VOICE, speed, 100, 30, 2.0) == 100
    assert _num_rows(FACE, speed, 100, 30, 2.0) == 30
    assert _num_rows(FACE, speed, 100, 0, 2.0) == 100
    assert _num_rows(SCENE, speed, 100, 30, 2.0) == 100
    assert _num_rows(Eye(stride=4), speed, 100, 30, 2.0) == 25


def test_reading_and_encoding_overlap_and_the_text_names_what_is_left():
    failing = {"bad": "it is empty", "a": "give --assume-fps FPS", "b": "give --assume-fps FPS"}
    found = Estimate(2, 1, 100, failing, {"x-1": 99.6}, {"x-1": 61.0}, 2.5e9, 30.0, 2e9)
    assert found.total_s == 61.0
    assert str(found).splitlines() == [
        "would fail: bad: it is empty",
        "would fail: a, b: give --assume-fps FPS",
        "would fail: 2.50 GB, but 2.00 GB are free",
        "x-1: 100 rows, about 0:01:01 of encoding",
        "reading: about 0:00:30, at the same time",
        "2 clips to extract, 1 done before, 3 would fail; 100 frames, 2.50 GB, about 0:01:01",
    ]
    found.read_s = 90.0
    assert found.total_s == 90.0

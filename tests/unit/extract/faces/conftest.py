"""Fixtures for the tests of faces."""

import numpy as np
import pytest

from extract import DETECTORS
from extract.media import pictures
from extract.synthetic.write_clip import write_clip
from tests.support.drawn_faces import FPS


@pytest.fixture
def film(tmp_path):
    def write(shown, sound=None, name="a.mp4"):
        write_clip(tmp_path / name, shown, np.arange(len(shown)) / FPS, sound, crf=10)
        return tmp_path / name

    return write


@pytest.fixture(scope="module")
def clip(media):
    def read(name):
        return [(each.time_s, each.rgb()) for each in pictures(media / name)]

    return read


@pytest.fixture(scope="module")
def yunet(media):
    return DETECTORS.build("yunet", file=str(media / "weights/yunet_n_640_640.onnx"))

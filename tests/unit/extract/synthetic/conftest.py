"""One small synthetic data set for all tests of this folder."""

import json

import pytest

from extract.synthetic import dataset
from extract.synthetic.scenes import MIN_CLIPS
from tests.support.synthetic import SECONDS


@pytest.fixture(scope="session")
def data(tmp_path_factory):
    out = tmp_path_factory.mktemp("synth") / "data"
    ticks = []
    summary = dataset.make_dataset(out, num_clips=MIN_CLIPS, seconds=SECONDS, progress=lambda *tick: ticks.append(tick))
    assert ticks == [(k, summary["num_videos"]) for k in range(1, summary["num_videos"] + 1)]
    return out


@pytest.fixture(scope="session")
def contains(data):
    return json.loads((data / "synth.json").read_text())["contains"]

"""The plan of an extraction: what a clip lacks, when a stored clock is reused, and which failures are recorded."""

import errno

import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.dataset.layout import Dataset
from abaw.tracks import Clock, Track
from extract.encoders.base import PictureEncoder
from extract.engine.plan import EncoderSpec, ExtractionPlan, faces_recipe
from extract.engine.requests import ClipError
from extract.faces.detectors import Haar
from extract.faces.geometry import Crop
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore, read_failures


class Level(PictureEncoder):
    dim, batch_size = 1, 8

    def __init__(self, crop=None):
        self.crop = crop

    def recipe(self):
        return {"encoder": "level", "settings": {}, "version": 1}

    def prepare(self, pictures):
        raise NotImplementedError

    def forward(self, batch):
        raise NotImplementedError


TARGET = TargetConfig(Haar(4, 0.1), "central", 3)


@pytest.fixture
def plan(tmp_path):
    media = tmp_path / "v.mp4"
    media.write_bytes(b"some bytes")
    dataset = Dataset(tmp_path, {"v": Clip("v", media)})
    made = ExtractionPlan(dataset, FeatureStore(tmp_path / "store"), TARGET)
    made.add_encoders([EncoderSpec("level", Level()), EncoderSpec("face", Level(Crop(8)))])
    return made


def request(plan):
    return plan.make_request(plan.dataset.clips["v"])


def put_clock(plan, source, num_frames=2, **metadata):
    clock = Clock(np.arange(1, num_frames + 1), np.arange(num_frames) / 10, np.ones(num_frames, bool))
    plan.store.put_clock("v", clock, {"source": source, "num_frames": str(num_frames), **metadata})
    return clock


def put_tracks(plan, source, *names):
    for folder, recipe in plan.recipes.items():
        if recipe["name"] in names:
            track = Track(np.ones((2, 1), np.float32), np.arange(2) / 10, np.ones(2, bool))
            plan.store.put(plan.recipes[folder], "v", track, {"source": source})


def test_only_an_encoder_with_a_crop_has_the_target_in_its_recipe():
    plain, face = EncoderSpec("x", Level()).recipe(TARGET, True), EncoderSpec("x", Level(Crop(8))).recipe(TARGET)
    assert "faces" not in plain
    assert "fill_missing_faces" not in plain
    assert face["faces"] == TARGET.recipe()
    assert "fill_missing_faces" not in face
    assert EncoderSpec("x", Level(Crop(8))).recipe(TARGET, True)["fill_missing_faces"] is True
    assert faces_recipe(TARGET) == {"name": "faces", "stored_dtype": "float32", **TARGET.recipe()}


def test_an_encoder_given_twice_and_a_senseless_rate_are_errors(plan):
    with pytest.raises(ValueError, match="the encoder 'level' is given twice with the same settings: remove one"):
        plan.add_encoders([EncoderSpec("level", Level())])
    for fps in (0, -1.0, 1e-300, 1e300, float("inf"), float("nan")):
        with pytest.raises(ValueError, match="expected frames per second from 0.0001 to 1000"):
            ExtractionPlan(plan.dataset, plan.store, TARGET, fps)


def test_a_new_clip_needs_all_encoders_and_a_clock(plan):
    needed, source = request(plan)
    assert list(needed.encoders) == list(plan.encoders)
    assert needed.clock is None
    assert source


def test_a_stored_clock_is_reused_and_only_missing_tracks_are_requested(plan):
    _, source = request(plan)
    put_clock(plan, source)
    put_tracks(plan, source, "level")
    needed, same_source = request(plan)
    assert [folder.split("-")[0] for folder in needed.encoders] == ["face"]
    assert len(needed.clock) == 2
    assert same_source == source
    put_tracks(plan, source, "face")
    assert request(plan) is None


def test_tracks_and_a_clock_of_other_media_are_made_again(plan):
    put_clock(plan, "other media")
    put_tracks(plan, "other media", "level", "face")
    needed, _ = request(plan)
    assert needed.clock is None
    assert len(needed.encoders) == 2


def test_the_assumed_rate_of_a_stored_clock_is_kept_and_is_part_of_its_source(plan):
    _, source = request(plan)
    put_clock(plan, f"{source} at 10.0 fps", num_frames=2, assumed_fps="10.0")
    needed, stored_source = request(plan)
    assert (needed.assume_fps, stored_source) == (10.0, f"{source} at 10.0 fps")
    plan.assume_fps = 5.0
    needed, new_source = request(plan)
    assert (needed.assume_fps, needed.clock, new_source) == (5.0, None, source)


def test_a_failure_is_recorded_and_removed_and_a_full_disk_stops_the_run(plan):
    folders = list(plan.recipes)

    def failures():
        return read_failures(plan.store.folder(plan.recipes[folders[0]]))

    failure = plan.record("v", folders, ClipError("decode", ValueError("cut off")))
    assert str(failure) == "v: decode: cut off"
    assert [str(each) for each in failures()] == ["v: decode: cut off"]
    assert plan.record("v", folders, None) is False
    assert failures() == []
    with pytest.raises(OSError, match="No space left"):
        plan.record("v", folders, ClipError("write", OSError(errno.ENOSPC, "No space left on device")))


@pytest.mark.parametrize("content", [None, b"", b'{"name": "level"', b'{"name": "level", "version": 2}', b"[1]"])
def test_a_recipe_that_is_missing_or_damaged_beside_its_tracks_is_written_again(plan, content):
    put_tracks(plan, "s", "level")
    folder = next(folder for folder, recipe in plan.recipes.items() if recipe["name"] == "level")
    path = plan.store.root / folder / "recipe.json"
    before = path.read_bytes()
    path.unlink()
    if content is not None:
        path.write_bytes(content)
    plan.restore_recipes()
    assert path.read_bytes() == before
    assert list(plan.store.recipes()) == [folder]  # the others have no tracks

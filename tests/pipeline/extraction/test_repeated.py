"""A repeated extraction makes what is missing or stale, and nothing else."""

import subprocess
import sys
import time

import cv2
import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from extract.engine.run import extract
from extract.faces.detectors import Haar
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore
from extract.synthetic.write_clip import write_clip
from tests.support.extract.drawn_clips import bright, get, picture, run, specs, tone, write_images, write_video


def test_changed_media_are_extracted_again(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    run(tmp_path / "a.mp4", tmp_path / "store")
    write_video(tmp_path / "a.mp4", [picture((40, 30, 40))] * 4)
    assert run(tmp_path / "a.mp4", tmp_path / "store").made == ["a"]
    assert len(FeatureStore(tmp_path / "store").clock("a")) == 4


def test_a_new_encoder_is_added_without_extracting_the_others_again(tmp_path):
    write_video(tmp_path / "a.mp4", [picture()] * 3)
    store = FeatureStore(tmp_path / "store")
    extract(open_dataset(tmp_path / "a.mp4"), store, specs()[1:], bright())
    path = store.folder(store.find("voice_mel")) / "a.safetensors"
    before = path.stat().st_mtime_ns
    assert run(tmp_path / "a.mp4", tmp_path / "store").made == ["a"]
    assert path.stat().st_mtime_ns == before
    assert run(tmp_path / "a.mp4", tmp_path / "store").present == ["a"]


def test_a_killed_extraction_continues_and_two_processes_can_share_it(tmp_path):
    for name in "abcdefgh":
        write_video(tmp_path / f"data/{name}.mp4", [picture((40, 30, 40))] * 100, tone(4.0))
    words = [sys.executable, "-m", "abaw", "-q", "extract", str(tmp_path / "data")]
    words += ["--store", str(tmp_path / "store"), "--encoder", "face_hog"]
    killed = subprocess.Popen(words)
    while killed.poll() is None and not list((tmp_path / "store").glob("face_hog-*/*.safetensors")):
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    done_before = {path: path.stat().st_mtime_ns for path in (tmp_path / "store").glob("face_hog-*/[a-h].safetensors")}
    both = [subprocess.Popen(words, stdout=subprocess.DEVNULL) for _ in range(2)]
    assert [each.wait() for each in both] == [0, 0]
    assert all(path.stat().st_mtime_ns == then for path, then in done_before.items())
    for name in "abcdefgh":
        assert get(tmp_path / "store", "face_hog", name).values.shape == (100, 763)
    dataset, whole = open_dataset(tmp_path / "data"), tmp_path / "whole"
    extract(dataset, FeatureStore(whole), specs()[:1], TargetConfig(Haar(4, 0.1)))
    for name in "abcdefgh":
        one, other = (get(store, "face_hog", name) for store in (tmp_path / "store", whole))
        assert one.values.tobytes() == other.values.tobytes()


def test_another_assumed_frame_rate_makes_every_track_stale(tmp_path):
    write_images(tmp_path / "cropped/v", range(1, 11))
    store, dataset = FeatureStore(tmp_path / "store"), open_dataset(tmp_path)
    face, voice = specs()
    extract(dataset, store, [face, voice], bright(), assume_fps=25.0)
    extract(dataset, store, [face], bright(), assume_fps=10.0)
    assert store.get(store.find("face_hog"), "v").times_s[-1] == pytest.approx(0.9)
    with pytest.raises(ValueError, match="voice_mel track of clip 'v' was made from other media than its clock"):
        store.get(store.find("voice_mel"), "v")
    # the rate that is recorded holds where none is given
    assert extract(dataset, store, [face, voice], bright()).made == ["v"]
    assert store.clock("v").times_s[-1] == pytest.approx(0.9)
    assert len(store.get(store.find("voice_mel"), "v")) == 0


def test_other_pixels_under_the_same_numbers_are_extracted_again(tmp_path):
    write_video(tmp_path / "videos/v.mp4", [picture()] * 3)
    write_images(tmp_path / "cropped/v", [1, 2, 3])
    run(tmp_path, tmp_path / "store")
    before = get(tmp_path / "store", "face_hog", "v").values
    for number in (1, 2, 3):
        noise = np.random.default_rng(number).integers(0, 255, (112, 112, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"cropped/v/{number:05d}.jpg"), noise)
    assert run(tmp_path, tmp_path / "store").made == ["v"]
    assert not np.allclose(get(tmp_path / "store", "face_hog", "v").values, before)


def test_sound_alone_is_not_extracted_twice(tmp_path):
    write_clip(tmp_path / "a.mp4", [], [], tone(1.0))
    assert run(tmp_path / "a.mp4", tmp_path / "store", assume_fps=10.0).made == ["a"]
    assert run(tmp_path / "a.mp4", tmp_path / "store", assume_fps=10.0).present == ["a"]

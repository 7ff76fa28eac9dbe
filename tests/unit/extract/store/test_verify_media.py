"""`abaw store verify --data`: the media are those that clocks and tracks were made from."""

import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages
from abaw.dataset.layout import Dataset
from extract.store.origins.fingerprint import fingerprint
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.stores import FACE, VOICE, make_clock, make_track


def faults(store, dataset=None):
    return {(fault.file.split("/")[-1], fault.message) for fault in verify(store, dataset).faults}


def the_fault(store, recipe=FACE, clip_id="a", dataset=None):
    """The message of the only fault, which must be of this track."""
    (fault,) = verify(store, dataset).faults
    assert fault.file == store.track_path(recipe, clip_id).relative_to(store.root).as_posix()
    return fault.message


@pytest.fixture
def with_media(tmp_path):
    """A store and the data set it was made from."""
    clips = {}
    store = FeatureStore(tmp_path / "store")
    for clip_id in ("a", "b"):
        path = tmp_path / f"{clip_id}.mp4"
        path.write_bytes(clip_id.encode() * 100)
        clips[clip_id] = Clip(clip_id, path)
        about = {"source": fingerprint(clips[clip_id], FaceImages())}
        store.put_clock(clip_id, make_clock(), about)
        store.put(FACE, clip_id, make_track(), about)
    return store, Dataset(tmp_path, clips)


def test_media_that_are_the_same_are_no_fault(with_media):
    assert faults(*with_media) == set()


def test_an_assumed_frame_rate_in_the_stamp_is_no_change_of_the_media(with_media):
    store, dataset = with_media
    about = {"source": f"{store.clock_metadata('a')['source']} at 29.97 fps"}
    store.put_clock("a", make_clock(), about)
    store.put(FACE, "a", make_track(), about)
    assert faults(store, dataset) == set()


def test_media_that_changed_after_extraction_are_a_fault(with_media):
    store, dataset = with_media
    dataset.clips["b"].media.write_bytes(b"c" * 100)
    ((name, what),) = faults(store, dataset)
    assert name == "b.safetensors"
    assert "b.mp4 has changed since it was extracted: run abaw extract again" in what
    assert faults(store) == set()  # without the media nothing is wrong


def test_missing_media_are_a_fault(with_media):
    store, dataset = with_media
    gone = Dataset(dataset.root, {"a": dataset.clips["a"]})
    ((name, what),) = faults(store, gone)
    assert (name, what) == ("b.safetensors", f"{dataset.root} has no media and no images of this clip")


def test_rows_outside_the_clips_sound_are_a_fault(tmp_path):
    from extract.media import Sound
    from extract.synthetic.write_clip import write_clip

    path = tmp_path / "a.mp4"
    pictures = [np.zeros((64, 64, 3), np.uint8)] * 10
    write_clip(path, pictures, np.arange(10) / 10, Sound(np.zeros(16000, np.float32), 16000, 0.0))
    clip = Clip("a", path)
    store, about = FeatureStore(tmp_path / "store"), {"source": fingerprint(clip, FaceImages())}
    store.put_clock("a", make_clock(), about)
    store.put(VOICE, "a", make_track(40, 4, 0.025), about)
    dataset = Dataset(tmp_path, {"a": clip})
    assert faults(store, dataset) == set()
    store.put(VOICE, "a", make_track(40, 4, 0.05), about)  # a wrong hop
    assert the_fault(store, VOICE, "a", dataset).startswith(
        "its rows are at 0.000 to 1.950 s, but the clip's sound is from 0.000"
    )

    store.put(VOICE, "a", make_track(20, 4, 0.05, start_s=-0.5), about)
    assert the_fault(store, VOICE, "a", dataset).startswith(
        "its rows are at -0.500 to 0.450 s, but the clip's sound is from 0.0"
    )


def test_rows_of_sound_of_a_clip_without_sound_are_a_fault(tmp_path):
    from extract.synthetic.write_clip import write_clip

    path = tmp_path / "a.mp4"
    write_clip(path, [np.zeros((64, 64, 3), np.uint8)] * 10, np.arange(10) / 10, None)
    clip = Clip("a", path)
    store, about = FeatureStore(tmp_path / "store"), {"source": fingerprint(clip, FaceImages())}
    store.put_clock("a", make_clock(), about)
    store.put(VOICE, "a", make_track(0, 4), about)
    dataset = Dataset(tmp_path, {"a": clip})
    assert faults(store, dataset) == set()
    store.put(VOICE, "a", make_track(4, 4), about)
    assert the_fault(store, VOICE, "a", dataset) == "4 rows, but the clip has no sound"

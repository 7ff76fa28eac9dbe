"""Converting stored tracks to a smaller type."""

import numpy as np
import pytest

from abaw.errors import InputError, NotFoundError
from extract.store.eight_bit.convert import convert
from extract.store.leases import Leases
from extract.store.packs.index import packed_clips
from extract.store.packs.writing import pack
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.stores import FACE, VOICE, flip_bit, make_store


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def test_tracks_in_float32_become_what_an_extraction_in_int8_writes(store, tmp_path):
    report = convert(store, "mel")
    other, recipe = FeatureStore(tmp_path / "other"), {**VOICE, "stored_dtype": "int8"}
    assert report.after == store.folder(recipe).name
    track = store.get(VOICE, "a")
    other.put(recipe, "a", track, {"source": "of a"})
    assert store.track_path(recipe, "a").read_bytes() == other.track_path(recipe, "a").read_bytes()
    assert (report.written, report.skipped, report.failed) == (["a", "b"], [], {})
    assert report.int8.num_tracks == 2
    assert verify(store).faults == []


def test_tracks_in_float16_say_so_in_their_recipe_and_equal_an_extraction_with_it(store, tmp_path):
    convert(store, "hog")
    recipe = {**FACE, "stored_dtype": "int8_from_float16"}
    other, rows = FeatureStore(tmp_path / "other"), store.get(FACE, "a")
    rows.values[rows.observed] *= 1 + 1e-6  # float16 rounds it away
    other.put(recipe, "a", rows, {"source": "of a"})
    assert store.track_path(recipe, "a").read_bytes() == other.track_path(recipe, "a").read_bytes()


def test_tracks_in_float32_become_float16(store):
    convert(store, "mel", "float16")
    recipe = {**VOICE, "stored_dtype": "float16"}
    assert (store.get(recipe, "a").values == store.get(VOICE, "a").values).all()


def test_flags_times_and_source_are_kept(store):
    with store.writer(FACE, "c", 3) as writer:
        writer.add(np.random.default_rng(0).standard_normal((10, 3)).astype(np.float32))
        writer.finish(np.arange(10) / 10, np.ones(10, bool), {"source": "of a", "crops": "found"}, np.arange(10) > 4)
    store.put_clock("c", store.clock("a"), {"source": "of a", "num_frames": "10"})
    convert(store, "hog")
    file = store.open({**FACE, "stored_dtype": "int8_from_float16"}, "c")
    assert (file.flags["filled"] == (np.arange(10) > 4)).all()
    assert (file.times_s == np.arange(10) / 10).all()
    assert (file.metadata["source"], file.metadata["crops"]) == ("of a", "found")


def test_what_is_done_is_not_done_again_and_the_report_says_what_remains_to_do(store):
    convert(store, "mel")
    report = convert(store, "mel")
    assert (report.written, report.skipped) == ([], ["a", "b"])
    assert f"abaw store prune {store.root} --encoder {report.before} --yes" in str(report)
    assert "2 done before, 0 failed" in str(report)


def test_a_damaged_clip_fails_alone(store):
    flip_bit(store.track_path(VOICE, "a"), 3)
    report = convert(store, "mel")
    assert report.written == ["b"]
    assert "is damaged" in report.failed["a"]
    assert "abaw store prune" not in str(report)


def test_a_track_of_other_media_than_its_clock_fails(store):
    store.put_clock("a", store.clock("a"), {"source": "another", "num_frames": "10"})
    assert "other media" in convert(store, "mel").failed["a"]


def test_a_clip_that_another_process_works_on_is_left_to_the_next_run(store):
    with Leases(store.root / ".leases") as leases:
        leases.acquire("a")
        assert "another process works on this clip" in convert(store, "mel").failed["a"]
    assert convert(store, "mel").written == ["a"]


def test_tracks_of_still_pictures_go_into_packs_again(store):
    for folder in (store.folder(FACE), store.root / "clock"):
        pack(store.root, folder, ["a", "b"])
    convert(store, "hog")
    recipe = {**FACE, "stored_dtype": "int8_from_float16"}
    assert packed_clips(store.folder(recipe)) == {"a", "b"}
    assert not store.track_path(recipe, "a").exists()
    assert store.get(recipe, "a").dim == 3
    assert convert(store, store.folder(FACE).name).skipped == ["a", "b"]


@pytest.mark.parametrize(
    ("name", "stored_dtype", "error", "message"),
    [
        ("mel", "int4", InputError, "--stored-dtype is 'int4', expected float16, float32 or int8"),
        (
            "mel",
            "float32",
            InputError,
            "is stored in float32, which cannot become float32; possible are float32 to float16",
        ),
        ("hog", "float16", InputError, "is stored in float16, which cannot become float16"),
        ("hat", "int8", InputError, "no features named 'hat'"),
    ],
)
def test_what_cannot_be_converted_is_refused(store, name, stored_dtype, error, message):
    with pytest.raises(error, match=message):
        convert(store, name, stored_dtype)


def test_int8_does_not_become_float16_again(store):
    convert(store, "mel")
    with pytest.raises(InputError, match="is stored in int8, which cannot become float16"):
        convert(store, store.folder({**VOICE, "stored_dtype": "int8"}).name, "float16")


def test_a_folder_that_is_no_store_is_not_found(tmp_path):
    with pytest.raises(NotFoundError, match="no store at"):
        convert(FeatureStore(tmp_path / "nothing"), "x")

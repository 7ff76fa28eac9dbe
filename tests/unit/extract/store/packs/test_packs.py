"""Packs: many small files in one, read, replaced and removed as files of their own are."""

import pytest

from abaw.errors import InputError, NotFoundError
from extract.store.listing import track_paths
from extract.store.packs.index import is_stored, num_bytes, packs_in
from extract.store.packs.writing import pack, remove_file
from extract.store.prune import prune
from extract.store.tensor_file import read_metadata
from extract.store.verify import verify
from tests.support.stores import make_clock, make_store, make_track

CLIPS = ("a", "b", "c")


@pytest.fixture
def store(tmp_path):
    """A store whose files are all in packs, and the recipe of its tracks."""
    store, recipe = packed_store(tmp_path)
    return store, recipe


def packed_store(folder):
    store = make_store(folder, CLIPS)
    recipe = next(iter(store.recipes().values()))
    for each in (store.folder(recipe), store.root / "clock"):
        pack(store.root, each, CLIPS)
    return store, recipe


def test_packed_clocks_and_tracks_are_read_as_before(tmp_path, store):
    store, recipe = store
    plain = make_store(tmp_path / "plain", CLIPS)
    folder = store.folder(recipe)
    assert not list(folder.glob("*.safetensors"))
    assert len(packs_in(folder)) == len(packs_in(store.root / "clock")) == 1
    for clip_id in CLIPS:
        assert store.has(recipe, clip_id)
        assert (store.get(recipe, clip_id).values == plain.get(recipe, clip_id).values).all()
        assert (store.clock(clip_id).times_s == plain.clock(clip_id).times_s).all()
        assert num_bytes(store.track_path(recipe, clip_id)) == plain.track_path(recipe, clip_id).stat().st_size
    assert read_metadata(store.clock_path("a")) == plain.clock_metadata("a")
    assert list(track_paths(folder)) == list(CLIPS)
    assert not verify(store).faults
    assert verify(store).num_tracks == verify(plain).num_tracks
    with pytest.raises(NotFoundError, match="no clock for clip 'd'"):
        store.clock("d")


def test_a_new_file_counts_and_replaces_the_packed_one(store):
    store, recipe = store
    source = store.clock_metadata("b")
    store.put(recipe, "b", make_track(4, seed=9), source)
    assert len(store.get(recipe, "b")) == 4
    folder = store.folder(recipe)
    pack(store.root, folder, ["b"])
    assert len(packs_in(folder)) == 1
    assert [len(store.get(recipe, clip_id)) for clip_id in CLIPS] == [10, 4, 10]


def test_a_removed_file_is_gone_and_the_others_stay(store):
    store, recipe = store
    remove_file(store.root, store.track_path(recipe, "b"))
    assert [store.has(recipe, clip_id) for clip_id in CLIPS] == [True, False, True]
    for clip_id in ("a", "c"):
        remove_file(store.root, store.track_path(recipe, clip_id))
    assert packs_in(store.folder(recipe)) == []


def test_prune_removes_named_features_and_tracks_of_other_media(store):
    store, recipe = store
    store.put_clock("b", make_clock(), {"source": "other"})
    report = prune(store, yes=True)
    assert f"{store.folder(recipe).name}/b.safetensors" in [each.path for each in report.removals]
    assert not store.has(recipe, "b")
    prune(store, [recipe["name"]], yes=True)
    assert not store.folder(recipe).exists()
    assert is_stored(store.clock_path("a"))


def test_a_changed_bit_in_a_pack_is_found(store):
    store, recipe = store
    (path,) = packs_in(store.folder(recipe))
    data = bytearray(path.read_bytes())
    data[-3] ^= 1  # in the values of the last clip
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"c.safetensors is damaged"):
        store.get(recipe, "c")
    assert len(store.get(recipe, "a")) == 10
    assert verify(store).faults


def test_a_file_that_was_not_written_whole_is_not_packed(tmp_path):
    store = make_store(tmp_path, CLIPS)
    recipe = next(iter(store.recipes().values()))
    path = store.track_path(recipe, "a")
    path.write_bytes(path.read_bytes()[:-8] + bytes(8))
    pack(store.root, store.folder(recipe), CLIPS)
    assert [store.has(recipe, clip_id) for clip_id in CLIPS] == [False, True, True]

"""`abaw store prune`: what is of no use is removed, and nothing else."""

import fcntl
import os
import time

import numpy as np
import pytest

from abaw.dataset.clip import Clip
from abaw.dataset.layout import Dataset
from abaw.files.temporary import temporary_path
from extract.store.leases import Leases
from extract.store.prune import prune
from extract.store.store import Failure, read_failures
from extract.store.verify import verify
from tests.support.stores import FACE, VOICE, make_clock, make_store, make_track


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def make_temporary(folder, name="12-24-1920x1080.safetensors"):
    """A temporary file that no process is writing."""
    path = temporary_path(folder / name)
    path.write_bytes(b"half")
    return path


def make_old_temporary(folder, age_s):
    """A temporary file as earlier versions named it."""
    path = folder / ".far-away-77-12-24-1920x1080.safetensors"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def test_stale_temporary_files_are_removed_and_those_of_a_running_process_stay(store):
    dead = make_temporary(store.folder(FACE))
    in_clock = make_temporary(store.root / "clock")
    live = make_temporary(store.folder(FACE))
    os.utime(live, (0, 0))
    with live.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        shown = prune(store)
        assert {each.path for each in shown.removals} == {
            path.relative_to(store.root).as_posix() for path in (dead, in_clock)
        }
        assert dead.exists()  # nothing is touched before --yes
        said = list[tuple[str, int, int]]()
        assert prune(store, yes=True, progress=lambda *each: said.append(each)).num_bytes == 8
        assert {name.partition(" ")[0] for name, _, _ in said} == {"searching", "removing"}
        assert [step[1:] for step in said if step[0].startswith("removing")] == [(0, 2), (1, 2)]
    assert (dead.exists(), in_clock.exists(), live.exists()) == (False, False, True)
    assert "kept, because a process may be writing them" in str(shown)


def test_temporary_files_of_earlier_versions_are_removed_after_a_day(store):
    young = make_old_temporary(store.folder(FACE), age_s=3600)
    old = make_old_temporary(store.folder(VOICE), age_s=25 * 3600)
    prune(store, yes=True)
    assert (young.exists(), old.exists()) == (True, False)


def test_temporary_files_of_another_machine_are_removed_after_a_day(store, monkeypatch):
    young, old = make_temporary(store.folder(FACE)), make_temporary(store.folder(VOICE))
    os.utime(old, (0, 0))
    monkeypatch.setattr("abaw.files.temporary.boot", lambda: "another0")
    monkeypatch.setattr("abaw.files.temporary.LOCAL_TYPES", frozenset())
    assert len(prune(store, yes=True).kept) == 1
    assert (young.exists(), old.exists()) == (True, False)


def test_a_clip_that_is_being_extracted_keeps_its_tracks_and_their_recipe(store):
    with Leases(store.root / ".leases") as leases:
        leases.acquire("a")
        pruned = prune(store, ["mel"], yes=True)
    folder = store.folder(VOICE)
    assert {path.name for path in folder.iterdir()} == {"a.safetensors", "recipe.json"}
    assert [each.path for each in pruned.removals] == [f"{folder.name}/b.safetensors"]
    assert set(pruned.kept) == {f"{folder.name}/a.safetensors", f"{folder.name}/recipe.json"}
    prune(store, ["mel"], yes=True)
    assert not folder.exists()


def test_a_track_that_is_finished_after_its_recipe_was_removed_brings_it_back(store):
    with store.writer(VOICE, "c", 4) as writer:
        prune(store, ["mel"], yes=True)
        writer.finish(np.zeros(0), np.zeros(0, bool), {})
    assert store.find("mel") == VOICE


def test_hidden_files_of_other_programs_and_complete_tracks_stay(store):
    kept = [store.folder(FACE) / ".DS_Store", store.folder(FACE) / ".nfs-note", store.root / ".leases" / "1-a"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))
    before = sorted(store.root.rglob("*"))
    assert prune(store, yes=True).removals == []
    assert sorted(store.root.rglob("*")) == before
    assert str(prune(store)).endswith("nothing to remove")


def test_named_features_are_removed_completely(store):
    folder = store.folder(VOICE)
    pruned = prune(store, ["mel"], yes=True)
    assert not folder.exists()
    assert {each.path for each in pruned.removals} == {
        f"{folder.name}/{name}" for name in ("a.safetensors", "b.safetensors", "recipe.json")
    }
    assert verify(store).faults == []
    assert store.folder(FACE).exists()


def test_files_of_other_programs_stay_in_the_folder_of_named_features(store):
    (store.folder(VOICE) / "notes.txt").write_text("mine")
    prune(store, [store.folder(VOICE).name], yes=True)
    assert [path.name for path in store.folder(VOICE).iterdir()] == ["notes.txt"]


def test_a_name_that_matches_no_features_or_several_is_refused(store):
    store.put({**FACE, "version": 2}, "a", make_track(), {"source": "of a"})
    with pytest.raises(ValueError, match=r"2 recipes named 'hog': write one of hog-\w{10}, hog-\w{10}"):
        prune(store, ["hog"], yes=True)
    with pytest.raises(ValueError, match=r"no features named 'mal' in .*did you mean 'mel'\? there are: "):
        prune(store, ["mal"], yes=True)
    assert len(list(store.root.rglob("*.safetensors"))) == 7


def test_tracks_that_training_could_not_read_are_removed(store):
    store.put_clock("a", make_clock(), {"source": "new"})
    (store.clock_path("b")).unlink()
    store.put(FACE, "a", make_track(), {"source": "new"})
    store.track_path(VOICE, "a").write_bytes(b"cut")
    pruned = prune(store, yes=True)
    assert {(each.path.split("-")[0], each.path.split("/")[1], each.reason) for each in pruned.removals} == {
        ("hog", "b.safetensors", "its clip has no clock"),
        ("mel", "b.safetensors", "its clip has no clock"),
        ("mel", "a.safetensors", "damaged"),
    }
    assert store.track_path(FACE, "a").exists()


def test_outdated_tracks_are_removed(store):
    store.put_clock("a", make_clock(), {"source": "new"})
    assert {each.reason for each in prune(store).removals} == {"made from other media than its clip's clock"}


def test_tracks_of_a_damaged_clock_stay(store):
    store.clock_path("a").write_bytes(b"cut")
    assert prune(store).removals == []


def test_clips_that_the_data_set_does_not_have_are_removed(store, tmp_path):
    pruned = prune(store, dataset=Dataset(tmp_path, {"a": Clip("a")}), yes=True)
    assert {each.reason for each in pruned.removals} == {"its clip is not in the data set"}
    assert {path.name for path in store.root.rglob("*.safetensors")} == {"a.safetensors"}
    assert not (store.clock_path("b")).exists()


def test_a_data_set_with_none_of_the_clips_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"none of the 2 clips in .* is in .*\(a, b\): is it the right data set"):
        prune(store, dataset=Dataset(tmp_path, {"x": Clip("x")}), yes=True)


def test_a_track_that_was_made_again_in_the_meantime_stays(store, monkeypatch):
    path = store.track_path(FACE, "a")
    path.write_bytes(b"cut")

    def extract_again(store, path):  # called between the search for useless tracks and their removal
        store.put(FACE, "a", make_track(), {"source": "of a"})
        return path.name

    monkeypatch.setattr("extract.store.prune._relative", extract_again)
    assert [each.reason for each in prune(store, yes=True).removals] == ["damaged"]
    assert len(store.get(FACE, "a")) == 10


def test_failures_of_clips_that_the_data_set_does_not_have_are_removed(store, tmp_path):
    for clip_id in ("a", "x"):
        store.record_failure(FACE, Failure(clip_id, "decode", "empty"))
    dataset = Dataset(tmp_path, {"a": Clip("a"), "b": Clip("b")})
    prune(store, dataset=dataset)
    assert [failure.clip for failure in read_failures(store.folder(FACE))] == ["a", "x"]
    prune(store, dataset=dataset, yes=True)
    assert [failure.clip for failure in read_failures(store.folder(FACE))] == ["a"]

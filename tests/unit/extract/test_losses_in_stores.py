"""What of a clip was lost is in the store where something was, and info, verify and prune know it."""

import json

import pytest

from abaw.dataset.clip import Clip
from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from extract.losses import ClipLosses, FaceLosses, PictureLosses, SoundLosses
from extract.store.export import export
from extract.store.info import info
from extract.store.prune import prune
from extract.store.verify import verify
from tests.support.stores import make_clock, make_store

SILENT = ClipLosses(PictureLosses(10), SoundLosses("silent", clip_s=1.0))


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def test_losses_are_read_as_they_were_written_and_info_and_verify_say_the_same_line(store):
    store.add_losses("a", "of a", SILENT)
    assert str(store.losses("a")) == "the sound is silent"
    assert not store.losses("b")
    for report in (info(store), verify(store)):
        assert {clip: str(lost) for clip, lost in report.losses.items()} == {"a": "the sound is silent"}
        assert "1 of 2 clips have losses: silent sound 1\n  a: the sound is silent\n" in str(report)


def test_a_clip_without_losses_has_no_file(store):
    store.add_losses("a", "of a", ClipLosses(PictureLosses(10), SoundLosses(clip_s=1.0)))
    assert not store.losses_path("a").exists()
    store.add_losses("a", "of a", SILENT)
    store.add_losses("a", "of a", ClipLosses(sound=SoundLosses(clip_s=1.0)))
    assert not store.losses_path("a").exists()


def test_losses_of_parts_read_later_are_added_and_those_of_other_media_forgotten(store):
    store.add_losses("a", "of a", SILENT)
    store.add_losses("a", "of a", ClipLosses(faces={"images": FaceLosses("images", 10, 9)}))
    assert str(store.losses("a")) == "the sound is silent; a face image in only 9 of 10 frames (90.0 %)"
    store.put_clock("a", make_clock(), {"source": "another", "num_frames": "10"})
    with pytest.raises(InputError, match=r"a.losses.json is about other media than the clip's clock: run abaw extract"):
        store.losses("a")
    assert [fault.file for fault in verify(store).faults if "losses" in fault.file] == ["clock/a.losses.json"]
    store.add_losses("a", "another", ClipLosses(faces={"images": FaceLosses("images", 10, 9)}))
    assert str(store.losses("a")) == "a face image in only 9 of 10 frames (90.0 %)"


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"source": "of a", "losses": {"sound": {"loud": 1}}}', '{"source": "of a", "losses": 3}']
)
def test_a_damaged_file_is_a_fault_that_names_it_and_is_written_anew(store, text):
    store.losses_path("a").write_text(text)
    with pytest.raises(InputError, match=r"a.losses.json: not readable as"):
        store.losses("a")
    (fault,) = verify(store).faults
    assert fault.file == "clock/a.losses.json"
    assert info(store).losses == {}
    store.add_losses("a", "of a", SILENT)
    assert str(store.losses("a")) == "the sound is silent"


def test_a_missing_file_is_a_fault_where_the_clock_says_that_something_was_lost(store):
    store.put_clock("a", make_clock(), {"source": "of a", "num_frames": "10", "has_losses": "1"})
    with pytest.raises(InputError, match=r"a.losses.json is missing, which says what of the clip was lost"):
        store.losses("a")
    assert [fault.file for fault in verify(store).faults] == ["clock/a.losses.json"]


def test_a_clock_of_an_earlier_version_says_what_it_counted(store):
    store.put_clock("a", make_clock(), {"source": "of a", "num_frames": "10", "num_corrupt_packets": "2"})
    assert str(info(store).losses["a"]) == "2 corrupt packets"


def test_prune_removes_the_losses_of_clips_that_are_gone(store, tmp_path):
    for clip_id in "ab":
        store.add_losses(clip_id, f"of {clip_id}", SILENT)
    store.add_losses("c", "of c", SILENT)  # a clip without a clock
    prune(store, dataset=Dataset(tmp_path, {"a": Clip("a")}), yes=True)
    assert sorted(path.name for path in (store.root / "clock").iterdir()) == ["a.losses.json", "a.safetensors"]


def test_an_export_names_what_was_lost(store, tmp_path):
    path = tmp_path / "out/hog.about/losses.json"
    export(store, tmp_path / "out", "hog")
    assert not path.exists()
    store.add_losses("a", "of a", SILENT)
    export(store, tmp_path / "out", "hog")
    assert json.loads(path.read_text()) == {"a": "the sound is silent"}


def test_a_clip_named_recipe_is_no_folder_of_features(store):
    store.put_clock("recipe", make_clock(), {"source": "of it"})
    store.add_losses("recipe", "of it", SILENT)
    (store.root / "media").mkdir()
    (store.root / "media" / "recipe.json").write_text("{}")
    assert len(store.recipes()) == len(info(store).features) == 2

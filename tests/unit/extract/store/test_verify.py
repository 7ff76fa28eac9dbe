"""`abaw store verify`: every kind of damage is a fault, and a sound store has none."""

import json

import numpy as np
import pytest

from abaw.tracks import Clock, Track
from extract.store import track_file
from extract.store.store import Failure
from extract.store.verify import verify
from tests.support.stores import FACE, VOICE, make_clock, make_store, make_track, rewrite

TUBE = {"name": "tube", "encoder": "hf_vision", "settings": {"span": None, "stride": None}, "version": 1}


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def faults(store, dataset=None):
    return {(fault.file.split("/")[-1], fault.message) for fault in verify(store, dataset).faults}


def the_fault(store, recipe=FACE, clip_id="a", dataset=None):
    """The message of the only fault, which must be of this track."""
    (fault,) = verify(store, dataset).faults
    assert fault.file == store.track_path(recipe, clip_id).relative_to(store.root).as_posix()
    return fault.message


def test_a_sound_store_has_no_faults(store):
    report = verify(store)
    assert (report.faults, report.num_clocks, report.num_tracks, report.num_unchecked) == ([], 2, 4, 0)
    assert str(report).endswith("2 clocks and 4 tracks checked, no faults")


@pytest.mark.parametrize("tensor", ["values", "times_s", "observed"])
def test_a_changed_byte_is_a_fault(store, tensor):
    path = store.track_path(FACE, "a")
    whole = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:start])
    whole[start + header[tensor]["data_offsets"][0]] ^= 1  # the last bit of the first number
    path.write_bytes(whole)
    assert any("SHA-256" in what for name, what in faults(store) if name == "a.safetensors")


def test_a_changed_clock_is_a_fault(store):
    path = store.clock_path("a")
    whole = bytearray(path.read_bytes())
    whole[8 + int.from_bytes(whole[:8], "little")] ^= 1
    path.write_bytes(whole)
    assert any("SHA-256" in what for name, what in faults(store))


def test_a_track_without_a_checksum_is_counted_and_is_no_fault(store):
    rewrite(store.track_path(FACE, "a"), {"sha256": None})
    report = verify(store)
    assert (report.num_unchecked, report.faults) == (1, [])
    assert "no checksum recorded in 1 of 4 tracks" in str(report)


def test_a_truncated_file_is_a_fault_and_the_others_are_checked(store):
    path = store.track_path(FACE, "a")
    path.write_bytes(path.read_bytes()[:-7])
    store.track_path(VOICE, "b").write_bytes(b"")
    assert {(name, what.split(":")[0]) for name, what in faults(store)} == {
        ("a.safetensors", "cannot be read"),
        ("b.safetensors", "cannot be read"),
    }


@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        ({"observed": np.ones(9, bool)}, r"observed has the shape (9,)"),
        ({"times_s": np.arange(11.0)}, r"times_s has the shape (11,)"),
        ({"times_s": np.arange(10, dtype=np.float32) / 10}, "times_s has the shape (10,) and type float32"),
        ({"filled": np.ones(3, bool)}, "filled has the shape (3,)"),
        ({"values": np.zeros(10, np.float16)}, "values have the shape (10,)"),
        (
            {"times_s": np.array([0, 0.1, 0.1, *np.arange(3, 10) / 10])},
            "times do not increase strictly, first at row 2",
        ),
        ({"times_s": np.array([np.nan, *np.arange(1, 10) / 10])}, "times do not increase strictly, first at row "),
        ({"observed": None}, "has no tensor 'observed'"),
    ],
)
def test_tensors_that_do_not_match_are_a_fault(store, tensors, what):
    rewrite(store.track_path(FACE, "a"), **tensors)
    assert any(what in fault for _, fault in faults(store)), faults(store)


def test_values_in_another_number_format_than_the_recipes_are_a_fault(store):
    rewrite(store.track_path(VOICE, "a"), {"sha256": None}, values=make_track(40, 4).values.astype(np.float16))
    assert the_fault(store, VOICE) == "values are float16, but the recipe's stored_dtype is float32"


def test_another_number_of_rows_than_was_written_is_a_fault(store):
    rewrite(store.track_path(FACE, "a"), {"rows": "12"})
    assert the_fault(store) == "10 rows, but 12 were written"


@pytest.mark.parametrize(
    ("row", "value", "what"),
    [(7, np.nan, "row 7 is observed, but not finite"), (8, 5.0, "row 8 is not observed, but not zero")],
)
def test_observed_rows_must_be_finite_and_the_others_zero(store, row, value, what, monkeypatch):
    monkeypatch.setattr(track_file, "BLOCK_BYTES", 3 * 3 * 2)  # three rows a block: the row is counted from the first
    values = make_track().values.astype(np.float16)
    values[3] = 0
    values[8] = 0
    values[row, 1] = value
    rewrite(store.track_path(FACE, "a"), {"sha256": None}, values=values)
    assert the_fault(store) == what


def test_a_track_wider_than_the_others_of_its_folder_is_a_fault(store):
    store.put_clock("c", make_clock(), {"source": "of c"})
    store.put(FACE, "c", make_track(dim=4), {"source": "of c"})
    assert the_fault(store, FACE, "c") == "dim is 4, but 3 in the other tracks of its folder"


def test_a_recipe_that_was_edited_is_a_fault(store):
    path = store.folder(FACE) / "recipe.json"
    path.write_text(path.read_text().replace("112", "96"))
    ((name, what),) = faults(store)
    assert name == "recipe.json"
    assert "its hash is that of hog-" in what


@pytest.mark.parametrize("text", [None, "{", "[1, 2]", '{"nobody": 1}'])
def test_a_missing_or_broken_recipe_is_a_fault(store, text):
    path = store.folder(FACE) / "recipe.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert {name for name, _ in faults(store)} == {"recipe.json"}


def test_a_track_without_a_clock_is_a_fault(store):
    store.clock_path("a").unlink()
    assert faults(store) == {("a.safetensors", "its clip has no clock")}


def test_a_track_of_other_media_than_its_clock_is_a_fault(store):
    rewrite(store.track_path(FACE, "a"), {"source": "else"})
    assert the_fault(store) == "it was made from other media than its clip's clock: run abaw extract again"


def test_a_damaged_clock_is_one_fault(store):
    path = store.clock_path("a")
    path.write_bytes(path.read_bytes()[:50])
    (fault,) = verify(store).faults
    assert fault.file == "clock/a.safetensors"
    assert "damaged" in fault.message


def test_a_clock_that_marks_other_frames_as_decoded_than_were_is_a_fault(store):
    store.put_clock("a", make_clock(num_undecoded=1), {"source": "of a", "num_frames": "10"})
    assert ("a.safetensors", "9 frames are marked as decoded, but 10 were decoded") in faults(store)


def test_pictures_that_cannot_be_decoded_have_rows_and_frames_that_labels_added_have_none(store):
    decoded = np.array([True, False, True, True, False, False])
    clock = Clock(np.arange(1, 7), np.arange(6) * 0.1, decoded)
    store.put_clock("a", clock, {"source": "of a", "num_frames": "3"})
    for num, is_whole in ((3, False), (4, True), (5, True), (6, True)):
        store.put(FACE, "a", make_track(num), {"source": "of a"})
        found = {message for _, message in faults(store)}
        assert found == (set() if is_whole else {"3 rows, expected 4 at the times of the 4 decoded frames"})


def test_a_lost_row_of_a_per_frame_encoder_is_a_fault(store):
    whole = make_track()
    for lost in (0, 4, 9):
        kept = np.arange(10) != lost
        short = Track(whole.values[kept], whole.times_s[kept], whole.observed[kept])
        store.put(FACE, "a", short, {"source": "of a"})
        assert the_fault(store) == "9 rows, expected 10 at the times of the 10 decoded frames"
        store.put(FACE, "a", short, {"source": "of a", "crops": "organisers"})  # these have gaps
        assert faults(store) == set()


def test_frames_past_the_decoded_end_need_no_row(store):
    store.put_clock("a", make_clock(12, num_undecoded=2), {"source": "of a"})
    assert faults(store) == set()


def test_a_row_between_the_frames_is_a_fault(store):
    shifted = make_track(start_s=0.02)
    store.put(FACE, "a", shifted, {"source": "of a", "crops": "organisers"})
    assert the_fault(store) == "row 0, at 0.02 s, is not at a frame of the clock"


@pytest.mark.parametrize(("span", "stride"), [(4, 2), (3, 1), (1, 1), (10, 5), (16, 8)])
def test_rows_of_a_video_model_are_at_the_middles_of_their_spans(store, span, stride):
    frames_s = make_clock().times_s
    middles_s = np.array([(frames_s[i] + frames_s[i + span - 1]) / 2 for i in range(0, 11 - span, stride)])
    tubes = Track(np.ones((len(middles_s), 2), np.float32), middles_s, np.ones(len(middles_s), bool))
    store.put(TUBE, "a", tubes, {"source": "of a"})
    assert faults(store) == set()
    if len(middles_s) > 2:
        kept = np.arange(len(middles_s)) != 1
        lost = Track(tubes.values[kept], middles_s[kept], tubes.observed[kept])
        store.put(TUBE, "a", lost, {"source": "of a"})
        assert "expected" in the_fault(store, TUBE)


def test_spans_of_a_known_length_give_as_many_rows_as_the_frames_allow(store):
    strided = {**TUBE, "settings": {"span": 4, "stride": 3}}
    frames_s = make_clock().times_s
    middles_s = np.array([(frames_s[i] + frames_s[i + 3]) / 2 for i in (0, 3, 6)])
    for num, sound in ((3, True), (2, False), (0, False)):
        store.put(
            strided, "a", Track(np.ones((num, 2), np.float32), middles_s[:num], np.ones(num, bool)), {"source": "of a"}
        )
        assert (faults(store) == set()) is sound
    store.put_clock("a", make_clock(3), {"source": "of a"})  # shorter than a span
    (store.folder(FACE) / "a.safetensors").unlink()
    assert faults(store) == set()


def test_failures_and_temporary_files_are_counted_and_are_no_faults(store):
    store.record_failure(FACE, Failure("c", "decode", "empty"))
    (store.folder(FACE) / ".host-12-a.safetensors").write_bytes(b"half")
    report = verify(store)
    assert (report.faults, report.num_failed, report.num_temporary_files) == ([], 1, 1)

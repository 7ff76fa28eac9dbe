"""What a store is said to hold, every kind of damage to it, two stores side by side, and what may go."""

import hashlib
import json
import os
import socket
import time

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from abaw.dataset.layout import Clip, Dataset
from abaw.tracks import Clock, Track
from extract.store import diff, info, listing, prune, verify
from extract.store.fingerprint import fingerprint
from extract.store.store import Failure, FeatureStore

FACE = {"name": "hog", "encoder": "face_hog", "settings": {"crop_px": 112}, "version": 1, "crop": {"size_px": 112}}
VOICE = {"name": "mel", "encoder": "voice_mel", "settings": {}, "version": 1, "stored_dtype": "float32"}
TUBE = {"name": "tube", "encoder": "hf_vision", "settings": {"span": None, "stride": None}, "version": 1}


def clock(num=10, step_s=0.1, beyond=0):
    decoded = np.arange(num) < num - beyond
    return Clock(np.arange(1, num + 1), np.arange(num) * step_s, decoded)


def track(num=10, dim=3, step_s=0.1, seed=0, start_s=0.0):
    values = np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float16).astype(np.float32)
    return Track(values, start_s + np.arange(num) * step_s, np.arange(num) % 5 != 3)


def fill(root, clips=("a", "b"), seed=0):
    store = FeatureStore(root)
    for clip_id in clips:
        about = {"source": f"of {clip_id}"}
        store.put_clock(clip_id, clock(), about | {"num_frames": "10"})
        store.put(FACE, clip_id, track(seed=seed), about)
        store.put(VOICE, clip_id, track(40, 4, 0.025, seed), about)
    return store


@pytest.fixture
def store(tmp_path):
    return fill(tmp_path / "store")


def rewrite(path, metadata=None, **tensors):
    """Put other tensors, or other words, in a track's file."""
    with safe_open(path, framework="numpy") as file:
        names = file.keys()
        known = {name: file.get_tensor(name) for name in names}
        about = dict(file.metadata())
    kept = {name: value for name, value in (known | tensors).items() if value is not None}
    about = {key: text for key, text in (about | (metadata or {})).items() if text is not None}
    save_file(kept, path, about)
    if "sha256" in about and "sha256" not in (metadata or {}):  # as one would who writes it on purpose
        save_file(kept, path, about | {"sha256": hashlib.sha256(body(path)).hexdigest()})


def body(path):
    """What follows the header."""
    content = path.read_bytes()
    return content[8 + int.from_bytes(content[:8], "little") :]


def of(store, recipe, clip_id):
    return store.folder(recipe) / f"{clip_id}.safetensors"


def faults(store, dataset=None):
    return {(fault.file.split("/")[-1], fault.what) for fault in verify.verify(store, dataset).faults}


def the_fault(store, recipe=FACE, clip_id="a", dataset=None):
    """What is wrong, where just one thing is."""
    (fault,) = verify.verify(store, dataset).faults
    assert fault.file == of(store, recipe, clip_id).relative_to(store.root).as_posix()
    return fault.what


# info


def test_info_tells_what_each_folder_holds(store):
    store.settle(FACE, "c", Failure("c", "decode", "empty"))
    face, voice = info.info(store).features
    assert (face.folder, face.name, face.modality, face.dim, face.dtype) == (
        store.folder(FACE).name,
        "hog",
        "vision",
        3,
        "float16",
    )
    assert (face.clips, face.rows, face.observed, face.rates_hz) == (2, 20, 16, (10.0, 10.0))
    assert face.failed == {"c": "decode: empty"}
    assert face.bytes == sum(path.stat().st_size for path in store.folder(FACE).glob("*.safetensors"))
    assert "face_hog crop_px=112" in face.recipe
    assert (voice.modality, voice.dim, voice.dtype, voice.rates_hz) == ("audio", 4, "float32", (40.0, 40.0))


def test_info_tells_of_the_clocks(store):
    store.put_clock("c", clock(20, beyond=5), {"assumed_fps": "10"})
    clocks = info.info(store).clocks
    assert (clocks.clips, clocks.frames, clocks.decoded, clocks.assumed) == (3, 40, 35, ["c"])
    assert clocks.seconds == pytest.approx(0.9 + 0.9 + 1.9)


def test_info_does_not_count_a_track_of_other_media_as_there(store, tmp_path):
    store.put_clock("a", clock(), {"source": "another"})
    of(store, VOICE, "b").write_bytes(b"cut")
    found = info.info(store, Dataset(tmp_path, {clip_id: Clip(clip_id) for clip_id in "abc"}))
    assert [(each.stale, each.damaged) for each in found.features] == [(["a"], []), (["a"], ["b"])]
    missing = {row.folder: row.missing for row in found.coverage}
    assert missing == {"clock": ["c"], store.folder(FACE).name: ["a", "c"], store.folder(VOICE).name: ["a", "b", "c"]}


def test_info_tells_how_much_of_each_split_is_there(store, tmp_path):
    (tmp_path / "list.txt").write_text("b\nd\n")
    labels = {"VA_Estimation_Challenge": {"train": {"a": tmp_path}, "validation": {"b": tmp_path, "c": tmp_path}}}
    dataset = Dataset(tmp_path, {}, challenges=labels, test_lists={"VA_Estimation_Challenge": tmp_path / "list.txt"})
    rows = [row for row in info.info(store, dataset).coverage if row.folder == store.folder(FACE).name]
    assert [(row.task, row.split, row.clips, row.missing) for row in rows] == [
        ("all", "all", 0, []),
        ("va", "train", 1, []),
        ("va", "validation", 2, ["c"]),
        ("va", "test", 2, ["d"]),
    ]


def test_boxes_of_found_faces_are_told_of_but_not_expected_of_every_clip(store, tmp_path):
    boxes = {"name": "faces", "stored_dtype": "float32", "finder": "haar", "settings": {}, "version": 1}
    store.put(boxes, "a", track(), {"source": "of a"})
    found = info.info(store, Dataset(tmp_path, {clip_id: Clip(clip_id) for clip_id in "ab"}))
    assert {each.name: each.modality for each in found.features} == {"faces": "vision", "hog": "vision", "mel": "audio"}
    assert all(row.missing == [] for row in found.coverage)
    assert faults(store) == set()


def test_info_shows_a_few_of_many_missing_clips_and_counts_the_others(store, tmp_path):
    names = [f"m{i}" for i in range(8)]
    told = str(info.info(store, Dataset(tmp_path, {name: Clip(name) for name in ["a", *names]})))
    assert "1 of 9; missing: m0, m1, m2, m3, m4 and 3 more" in told
    assert told.splitlines()[-1].startswith(f"{store.root}: 2 folders of features, ")


def test_a_folder_where_every_clip_failed_is_told_of(store):
    failed = {**FACE, "name": "broken"}
    store.settle(failed, "a", Failure("a", "encode", "no weights"))
    assert [each.name for each in info.info(store).features if each.failed] == [store.folder(failed).name]


def test_a_track_without_a_clock_is_not_counted_as_there(store):
    store.put(FACE, "c", track())
    assert info.info(store).features[0].stale == ["c"]


@pytest.mark.parametrize(
    ("num", "told"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (7e12, "7.0 TB"), (2e15, "2000.0 TB")],
)
def test_sizes_are_told_as_people_say_them(num, told):
    assert listing.size(num) == told


def test_what_is_no_store_says_which_command_makes_one(tmp_path):
    for work in (info.info, verify.verify, prune.prune):
        with pytest.raises(FileNotFoundError, match=r"no store at .*abaw extract"):
            work(FeatureStore(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"no store at .*none: run abaw extract"):
        diff.diff(fill(tmp_path / "one"), FeatureStore(tmp_path / "none"))


def test_a_list_of_failures_that_is_cut_short_is_named(store):
    (store.folder(FACE) / "failed.jsonl").write_text('{"clip": "x"')
    with pytest.raises(ValueError, match=r"failed.jsonl: not readable as a list of failures"):
        info.info(store)
    assert any(name == "failed.jsonl" for name, _ in faults(store))


# verify


def test_a_sound_store_has_no_faults(store):
    report = verify.verify(store)
    assert (report.faults, report.clocks, report.tracks, report.unchecked) == ([], 2, 4, 0)
    assert str(report).endswith("2 clocks and 4 tracks looked at, all sound")


@pytest.mark.parametrize("tensor", ["values", "times_s", "observed"])
def test_what_was_changed_on_disk_is_seen(store, tensor):
    path = of(store, FACE, "a")
    whole = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(whole[:8], "little")
    header = json.loads(whole[8:start])
    whole[start + header[tensor]["data_offsets"][0]] ^= 1  # the last bit of the first number
    path.write_bytes(whole)
    assert any("sha256" in what for name, what in faults(store) if name == "a.safetensors")


def test_a_clock_that_was_changed_on_disk_is_seen(store):
    path = store.root / "clock" / "a.safetensors"
    whole = bytearray(path.read_bytes())
    whole[8 + int.from_bytes(whole[:8], "little")] ^= 1
    path.write_bytes(whole)
    assert any("sha256" in what for name, what in faults(store))


def test_a_track_without_a_checksum_is_counted_and_is_no_fault(store):
    rewrite(of(store, FACE, "a"), {"sha256": None})
    report = verify.verify(store)
    assert (report.unchecked, report.faults) == (1, [])
    assert "no checksum recorded: 1 of 4 tracks" in str(report)


def test_a_file_cut_short_is_named_and_the_others_are_looked_at(store):
    path = of(store, FACE, "a")
    path.write_bytes(path.read_bytes()[:-7])
    of(store, VOICE, "b").write_bytes(b"")
    assert {(name, what.split(":")[0]) for name, what in faults(store)} == {
        ("a.safetensors", "cannot be read"),
        ("b.safetensors", "cannot be read"),
    }


@pytest.mark.parametrize(
    ("tensors", "what"),
    [
        ({"observed": np.ones(9, bool)}, r"observed has the shape (9,)"),
        ({"times_s": np.arange(11.0)}, r"times_s has the shape (11,)"),
        ({"times_s": np.arange(10, dtype=np.float32) / 10}, "times_s has the shape (10,) in float32"),
        ({"filled": np.ones(3, bool)}, "filled has the shape (3,)"),
        ({"values": np.zeros(10, np.float16)}, "values have the shape (10,)"),
        (
            {"times_s": np.array([0, 0.1, 0.1, *np.arange(3, 10) / 10])},
            "times do not increase strictly, first at row 2",
        ),
        ({"times_s": np.array([np.nan, *np.arange(1, 10) / 10])}, "times do not increase strictly, first at row "),
        ({"observed": None}, "is no track: it has no observed"),
    ],
)
def test_tensors_that_do_not_agree_are_a_fault(store, tensors, what):
    rewrite(of(store, FACE, "a"), **tensors)
    assert any(what in fault for _, fault in faults(store)), faults(store)


def test_values_in_another_number_format_than_the_recipes_are_a_fault(store):
    rewrite(of(store, VOICE, "a"), {"sha256": None}, values=track(40, 4).values.astype(np.float16))
    assert the_fault(store, VOICE) == "values are float16, the recipe says float32"


def test_another_number_of_rows_than_was_written_is_a_fault(store):
    rewrite(of(store, FACE, "a"), {"rows": "12"})
    assert the_fault(store) == "10 rows, 12 were written"


@pytest.mark.parametrize(
    ("row", "value", "what"),
    [(7, np.nan, "row 7 is observed, but not finite"), (8, 5.0, "row 8 is not observed, but not zero")],
)
def test_rows_that_say_more_or_less_than_they_may_are_a_fault(store, row, value, what, monkeypatch):
    monkeypatch.setattr(listing, "BLOCK_BYTES", 3 * 3 * 4)  # three rows a block: the row is counted from the first
    values = track().values.astype(np.float16)
    values[3] = 0
    values[8] = 0
    values[row, 1] = value
    rewrite(of(store, FACE, "a"), {"sha256": None}, values=values)
    assert the_fault(store) == what


def test_a_track_wider_than_the_others_of_its_folder_is_a_fault(store):
    store.put_clock("c", clock(), {"source": "of c"})
    store.put(FACE, "c", track(dim=4), {"source": "of c"})
    assert the_fault(store, FACE, "c") == "4 numbers a row, the other tracks of its folder have 3"


def test_a_recipe_that_was_edited_is_a_fault(store):
    path = store.folder(FACE) / "recipe.json"
    path.write_text(path.read_text().replace("112", "96"))
    ((name, what),) = faults(store)
    assert name == "recipe.json"
    assert "its hash is that of hog-" in what


@pytest.mark.parametrize("text", [None, "{", "[1, 2]", '{"nobody": 1}'])
def test_a_recipe_that_is_gone_or_broken_is_a_fault(store, text):
    path = store.folder(FACE) / "recipe.json"
    path.unlink()
    if text is not None:
        path.write_text(text)
    assert {name for name, _ in faults(store)} == {"recipe.json"}


def test_a_track_without_a_clock_is_a_fault(store):
    (store.root / "clock" / "a.safetensors").unlink()
    assert faults(store) == {("a.safetensors", "its clip has no clock")}


def test_a_track_of_other_media_than_its_clock_is_a_fault(store):
    rewrite(of(store, FACE, "a"), {"source": "else"})
    assert the_fault(store) == "it is of other media than its clip's clock: run abaw extract again"


def test_a_damaged_clock_is_told_once(store):
    path = store.root / "clock" / "a.safetensors"
    path.write_bytes(path.read_bytes()[:50])
    (fault,) = verify.verify(store).faults
    assert fault.file == "clock/a.safetensors"
    assert "damaged" in fault.what


def test_a_clock_that_marks_other_frames_as_decoded_than_were_is_a_fault(store):
    store.put_clock("a", clock(beyond=1), {"source": "of a", "num_frames": "10"})
    assert ("a.safetensors", "9 frames are marked as decoded, 10 were") in faults(store)


def test_a_lost_row_of_a_per_frame_encoder_is_a_fault(store):
    whole = track()
    for lost in (0, 4, 9):
        kept = np.arange(10) != lost
        short = Track(whole.values[kept], whole.times_s[kept], whole.observed[kept])
        store.put(FACE, "a", short, {"source": "of a"})
        assert the_fault(store) == "9 rows, expected 10 at the times of the 10 frames that were decoded"
        store.put(FACE, "a", short, {"source": "of a", "crops": "organisers"})  # whose crops have gaps
        assert faults(store) == set()


def test_frames_past_the_decoded_end_need_no_row(store):
    store.put_clock("a", clock(12, beyond=2), {"source": "of a"})
    assert faults(store) == set()


def test_a_row_between_the_frames_is_a_fault(store):
    shifted = track(start_s=0.02)
    store.put(FACE, "a", shifted, {"source": "of a", "crops": "organisers"})
    assert the_fault(store) == "row 0, at 0.02 s, is of no frame of the clock"


@pytest.mark.parametrize(("span", "stride"), [(4, 2), (3, 1), (1, 1), (10, 5), (16, 8)])
def test_tubes_of_a_video_model_have_the_times_of_their_middles(store, span, stride):
    frames_s = clock().times_s
    middles_s = np.array([(frames_s[i] + frames_s[i + span - 1]) / 2 for i in range(0, 11 - span, stride)])
    tubes = Track(np.ones((len(middles_s), 2), np.float32), middles_s, np.ones(len(middles_s), bool))
    store.put(TUBE, "a", tubes, {"source": "of a"})
    assert faults(store) == set()
    if len(middles_s) > 2:
        kept = np.arange(len(middles_s)) != 1
        lost = Track(tubes.values[kept], middles_s[kept], tubes.observed[kept])
        store.put(TUBE, "a", lost, {"source": "of a"})
        assert "expected" in the_fault(store, TUBE)


def test_tubes_of_a_known_span_have_as_many_rows_as_the_frames_give(store):
    told = {**TUBE, "settings": {"span": 4, "stride": 3}}
    frames_s = clock().times_s
    middles_s = np.array([(frames_s[i] + frames_s[i + 3]) / 2 for i in (0, 3, 6)])
    for num, sound in ((3, True), (2, False), (0, False)):
        store.put(
            told, "a", Track(np.ones((num, 2), np.float32), middles_s[:num], np.ones(num, bool)), {"source": "of a"}
        )
        assert (faults(store) == set()) is sound
    store.put_clock("a", clock(3), {"source": "of a"})  # shorter than a tube
    (store.folder(FACE) / "a.safetensors").unlink()
    assert faults(store) == set()


def test_verify_notes_failures_and_litter_without_calling_them_faults(store):
    store.settle(FACE, "c", Failure("c", "decode", "empty"))
    (store.folder(FACE) / ".host-12-a.safetensors").write_bytes(b"half")
    report = verify.verify(store)
    assert (report.faults, report.failed, report.stale_files) == ([], 1, 1)


# verify, against the media


@pytest.fixture
def filmed(tmp_path):
    """A store of clips whose media lie beside it."""
    clips = {}
    store = FeatureStore(tmp_path / "store")
    for clip_id in ("a", "b"):
        path = tmp_path / f"{clip_id}.mp4"
        path.write_bytes(clip_id.encode() * 100)
        clips[clip_id] = Clip(clip_id, path)
        about = {"source": fingerprint(clips[clip_id], [])}
        store.put_clock(clip_id, clock(), about)
        store.put(FACE, clip_id, track(), about)
    return store, Dataset(tmp_path, clips)


def test_media_that_are_the_same_are_no_fault(filmed):
    assert faults(*filmed) == set()


def test_an_assumed_frame_rate_in_the_stamp_is_no_change_of_the_media(filmed):
    store, dataset = filmed
    about = {"source": f"{store.clock_metadata('a')['source']} at 29.97 fps"}
    store.put_clock("a", clock(), about)
    store.put(FACE, "a", track(), about)
    assert faults(store, dataset) == set()


def test_media_that_changed_after_extraction_are_a_fault(filmed):
    store, dataset = filmed
    dataset.clips["b"].media.write_bytes(b"c" * 100)
    ((name, what),) = faults(store, dataset)
    assert name == "b.safetensors"
    assert "b.mp4 is not what it was extracted from: run abaw extract again" in what
    assert faults(store) == set()  # which only the media tell


def test_media_that_are_gone_are_a_fault(filmed):
    store, dataset = filmed
    gone = Dataset(dataset.root, {"a": dataset.clips["a"]})
    ((name, what),) = faults(store, gone)
    assert (name, what) == ("b.safetensors", f"no media and no images of this clip in {dataset.root}")


def test_rows_of_sound_past_the_sounds_end_are_a_fault(tmp_path):
    from extract.media import Sound
    from extract.synthetic.write_clip import write_clip

    path = tmp_path / "a.mp4"
    pictures = [np.zeros((64, 64, 3), np.uint8)] * 10
    write_clip(path, pictures, np.arange(10) / 10, Sound(np.zeros(16000, np.float32), 16000, 0.0))
    clip = Clip("a", path)
    store, about = FeatureStore(tmp_path / "store"), {"source": fingerprint(clip, [])}
    store.put_clock("a", clock(), about)
    store.put(VOICE, "a", track(40, 4, 0.025), about)
    dataset = Dataset(tmp_path, {"a": clip})
    assert faults(store, dataset) == set()
    store.put(VOICE, "a", track(40, 4, 0.05), about)  # a wrong hop
    assert the_fault(store, VOICE, "a", dataset).startswith(
        "its rows are of 0.000 to 1.950 s, the clip's sound of 0.000"
    )

    store.put(VOICE, "a", track(20, 4, 0.05, start_s=-0.5), about)
    assert the_fault(store, VOICE, "a", dataset).startswith(
        "its rows are of -0.500 to 0.450 s, the clip's sound of 0.0"
    )


def test_rows_of_sound_of_a_clip_without_sound_are_a_fault(tmp_path):
    from extract.synthetic.write_clip import write_clip

    path = tmp_path / "a.mp4"
    write_clip(path, [np.zeros((64, 64, 3), np.uint8)] * 10, np.arange(10) / 10, None)
    clip = Clip("a", path)
    store, about = FeatureStore(tmp_path / "store"), {"source": fingerprint(clip, [])}
    store.put_clock("a", clock(), about)
    store.put(VOICE, "a", track(0, 4), about)
    dataset = Dataset(tmp_path, {"a": clip})
    assert faults(store, dataset) == set()
    store.put(VOICE, "a", track(4, 4), about)
    assert the_fault(store, VOICE, "a", dataset) == "4 rows of a clip without sound"


# diff


def test_a_store_equals_its_copy(tmp_path):
    found = diff.diff(fill(tmp_path / "one"), fill(tmp_path / "two"))
    assert found.equal
    assert [(pair.clips, pair.different, pair.largest) for pair in found.pairs] == [(2, [], 0.0)] * 2
    assert found.pairs[0].cosine_least == pytest.approx(1)
    assert str(found).endswith("are equal")


def test_the_largest_difference_is_told_with_its_place(tmp_path):
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    other = track()
    other.values[6, 2] = np.nextafter(np.float16(other.values[6, 2]), np.float16(99))
    two.put(FACE, "b", other, {"source": "of b"})
    found = diff.diff(one, two)
    assert not found.equal
    face, voice = found.pairs
    (clip,) = face.different
    assert (clip.clip, clip.place, clip.largest_steps) == ("b", (6, 2), 1)
    assert clip.largest == pytest.approx(abs(float(other.values[6, 2]) - float(track().values[6, 2])))
    assert face.largest == clip.largest
    assert 0 < 1 - face.cosine_least < 1e-5
    assert face.cosine_least < face.cosine_mean < 1
    assert voice.different == []


@pytest.mark.parametrize(
    ("a", "b", "steps"),
    [(1.0, 1.0, 0), (1.0, 1.0009765625, 1), (0.0, -0.0, 0), (-6e-8, 6e-8, 2), (65504, 1e6, 1), (2.0, 4.0, 1024)],
)
def test_float16_steps_count_the_numbers_between(a, b, steps):
    assert diff.float16_steps(np.array([a], np.float32), np.array([b], np.float32)) == steps


def test_rows_that_only_one_store_observed_are_counted_and_not_compared(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), fill(tmp_path / "two", ["a"])
    same = track()
    two.put(FACE, "a", Track(same.values, same.times_s, np.ones(10, bool)), {"source": "of a"})
    (clip,) = diff.diff(one, two).pairs[0].different
    assert (clip.observed, clip.compared, clip.largest) == (2, 8, 0.0)


def test_tracks_of_other_lengths_are_matched_by_time(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), fill(tmp_path / "two", ["a"])
    whole, kept = track(), np.arange(10) != 0
    two.put(FACE, "a", Track(whole.values[kept], whole.times_s[kept], whole.observed[kept]), {"source": "of a"})
    (clip,) = diff.diff(one, two).pairs[0].different
    assert (clip.rows, clip.compared, clip.largest) == ((10, 9), 7, 0.0)


def test_times_that_differ_are_told(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), fill(tmp_path / "two", ["a"])
    two.put(FACE, "a", track(start_s=0.04), {"source": "of a"})
    found = diff.diff(one, two)
    assert found.pairs[0].times_s == pytest.approx(0.04)
    assert not found.equal


def test_a_track_that_cannot_be_read_is_a_difference(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), fill(tmp_path / "two", ["a"])
    of(two, FACE, "a").write_bytes(b"cut")
    values = track(40, 4).values
    values[0] = np.nan
    rewrite(of(two, VOICE, "a"), values=values)
    found = diff.diff(one, two)
    assert not found.equal
    assert "damaged" in found.pairs[0].broken["a"]
    assert found.pairs[1].broken["a"] == "row 0 is observed, but not finite"


def test_recipes_of_one_name_are_compared_key_by_key(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), FeatureStore(tmp_path / "two")
    two.put_clock("a", clock(), {"source": "of a", "num_frames": "10"})
    base = {**FACE, "weights": {"model.safetensors": "abc"}}
    half = {**base, "settings": {"crop_px": 112, "precision": "bf16"}}
    one = FeatureStore(tmp_path / "three")
    one.put_clock("a", clock(), {"source": "of a", "num_frames": "10"})
    one.put(base, "a", track(), {"source": "of a"})
    two.put(half, "a", track(), {"source": "of a"})
    found = diff.diff(one, two)
    (pair,) = found.pairs
    assert pair.keys == {"settings.precision": (None, "bf16")}
    assert pair.note == "the weights' hashes agree"
    assert pair.different == []
    assert not found.equal  # same numbers, but not the same recipe
    assert "settings.precision: None and 'bf16'" in str(found)


def test_of_several_recipes_of_a_name_the_nearest_belong_together(tmp_path):
    one, two = FeatureStore(tmp_path / "one"), FeatureStore(tmp_path / "two")
    far = {**FACE, "settings": {"crop_px": 96}, "version": 3}
    for store, recipe in ((one, FACE), (one, far), (two, {**far, "version": 4}), (two, FACE)):
        store.put_clock("a", clock(), {"source": "s"})
        store.put(recipe, "a", track(), {"source": "s"})
    keys = {pair.a: pair.keys for pair in diff.diff(one, two).pairs}
    assert keys == {one.folder(FACE).name: {}, one.folder(far).name: {"version": (3, 4)}}


def test_a_folder_belongs_to_one_other_only(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), fill(tmp_path / "two", ["a"])
    newer = {**FACE, "version": 2}
    one.put(newer, "a", track(), {"source": "of a"})
    found = diff.diff(one, two)
    assert found.only_a == [one.folder(newer).name]
    assert all(pair.keys == {} for pair in found.pairs)


def test_one_more_clock_or_folder_is_a_difference(tmp_path):
    one = fill(tmp_path / "one")
    two, three = fill(tmp_path / "two"), fill(tmp_path / "three")
    two.put_clock("c", clock(), {})
    three.put({**FACE, "name": "more", "version": 2}, "a", track(), {"source": "of a"})
    for other in (two, three):
        assert not diff.diff(one, other).equal
        assert not diff.diff(other, one).equal


def test_the_largest_difference_is_over_all_blocks(tmp_path, monkeypatch):
    monkeypatch.setattr(diff, "BLOCK_ROWS", 3)
    one, two = fill(tmp_path / "one", ["a"]), fill(tmp_path / "two", ["a"])
    other = track()
    other.values[4, 1] += 1
    other.values[6, 0] += 0.5
    two.put(FACE, "a", other, {"source": "of a"})
    (clip,) = diff.diff(one, two).pairs[0].different
    assert (clip.place, clip.compared) == ((4, 1), 8)
    assert clip.largest == pytest.approx(1, abs=2e-3)


def test_a_recipe_under_another_name_is_found(tmp_path):
    one, two = fill(tmp_path / "one", ["a"]), FeatureStore(tmp_path / "two")
    two.put_clock("a", clock(), {"source": "of a", "num_frames": "10"})
    two.put({**FACE, "name": "mine"}, "a", track(), {"source": "of a"})
    found = diff.diff(one, two)
    assert [pair.keys for pair in found.pairs] == [{"name": ("hog", "mine")}]
    assert found.only_a == [one.folder(VOICE).name]


def test_clips_and_clocks_of_one_store_alone_are_told(tmp_path):
    one, two = fill(tmp_path / "one", ["a", "b"]), fill(tmp_path / "two", ["b", "c"])
    two.put_clock("b", clock(11), {"source": "of b"})
    found = diff.diff(one, two)
    assert (found.clocks_only_a, found.clocks_only_b) == (["a"], ["c"])
    assert found.clocks == {"b": "10 and 11 frames"}
    assert [(pair.only_a, pair.only_b) for pair in found.pairs] == [(["a"], ["c"])] * 2


def test_some_clips_alone_can_be_compared(tmp_path):
    one, two = fill(tmp_path / "one"), fill(tmp_path / "two")
    two.put(FACE, "b", track(seed=1), {"source": "of b"})
    assert diff.diff(one, two, ["a"]).equal
    assert not diff.diff(one, two, ["b"]).equal
    with pytest.raises(ValueError, match=r"no clip 'z' in .*one or .*two; check its name"):
        diff.diff(one, two, ["a", "z"])


# prune


def left(path, host=None, pid=None, age_s=0.0):
    """A file that a process left aside; the process is one that has just ended, where not said."""
    pid = _dead() if pid is None else pid
    path = path / f".{host or socket.gethostname()}-{pid}-12-24-1920x1080.safetensors"
    path.write_bytes(b"half")
    os.utime(path, (time.time() - age_s,) * 2)
    return path


def _dead():
    pid = os.spawnlp(os.P_NOWAIT, "true", "true")
    os.waitpid(pid, 0)
    return pid


def test_leavings_of_a_process_that_ended_go_and_those_of_a_running_one_stay(store):
    dead = left(store.folder(FACE))
    in_clock = left(store.root / "clock")
    live = left(store.folder(FACE), pid=os.getpid(), age_s=1e6)
    shown = prune.prune(store)
    assert {each.path for each in shown.removals} == {
        path.relative_to(store.root).as_posix() for path in (dead, in_clock)
    }
    assert dead.exists()  # nothing is touched before --yes
    assert prune.prune(store, yes=True).bytes == 8
    assert (dead.exists(), in_clock.exists(), live.exists()) == (False, False, True)
    assert "kept, their processes may still run" in str(shown)


def test_leavings_of_another_host_go_when_they_are_a_day_old(store):
    young = left(store.folder(FACE), host="far-away", pid=77, age_s=3600)
    old = left(store.folder(VOICE), host="far-away", pid=77, age_s=25 * 3600)
    prune.prune(store, yes=True)
    assert (young.exists(), old.exists()) == (True, False)


def test_hidden_files_of_others_and_whole_tracks_stay(store):
    kept = [store.folder(FACE) / ".DS_Store", store.folder(FACE) / ".nfs-note", store.root / ".claims" / "1-a"]
    for path in kept:
        path.parent.mkdir(exist_ok=True)
        path.write_text("mine")
        os.utime(path, (0, 0))
    before = sorted(store.root.rglob("*"))
    assert prune.prune(store, yes=True).removals == []
    assert sorted(store.root.rglob("*")) == before
    assert str(prune.prune(store)).endswith("nothing to remove")


def test_named_features_go_altogether(store):
    folder = store.folder(VOICE)
    pruned = prune.prune(store, ["mel"], yes=True)
    assert not folder.exists()
    assert {each.path for each in pruned.removals} == {
        f"{folder.name}/{name}" for name in ("a.safetensors", "b.safetensors", "recipe.json")
    }
    assert verify.verify(store).faults == []
    assert store.folder(FACE).exists()


def test_a_folder_with_files_of_others_keeps_them(store):
    (store.folder(VOICE) / "notes.txt").write_text("mine")
    prune.prune(store, [store.folder(VOICE).name], yes=True)
    assert [path.name for path in store.folder(VOICE).iterdir()] == ["notes.txt"]


def test_a_name_of_no_features_or_of_several_is_refused(store):
    store.put({**FACE, "version": 2}, "a", track(), {"source": "of a"})
    with pytest.raises(ValueError, match=r"2 recipes named 'hog': write one of hog-\w{10}, hog-\w{10}"):
        prune.prune(store, ["hog"], yes=True)
    with pytest.raises(ValueError, match=r"no features named 'mal' in .*did you mean 'mel'\? there are: "):
        prune.prune(store, ["mal"], yes=True)
    assert len(list(store.root.rglob("*.safetensors"))) == 7


def test_tracks_that_no_training_reads_go(store):
    store.put_clock("a", clock(), {"source": "new"})
    (store.root / "clock" / "b.safetensors").unlink()
    store.put(FACE, "a", track(), {"source": "new"})
    of(store, VOICE, "a").write_bytes(b"cut")
    pruned = prune.prune(store, yes=True)
    assert {(each.path.split("-")[0], each.path.split("/")[1], each.why) for each in pruned.removals} == {
        ("hog", "b.safetensors", "its clip has no clock"),
        ("mel", "b.safetensors", "its clip has no clock"),
        ("mel", "a.safetensors", "damaged"),
    }
    assert of(store, FACE, "a").exists()


def test_tracks_whose_clock_is_of_other_media_go(store):
    store.put_clock("a", clock(), {"source": "new"})
    assert {each.why for each in prune.prune(store).removals} == {"of other media than its clip's clock"}


def test_tracks_of_a_damaged_clock_stay(store):
    (store.root / "clock" / "a.safetensors").write_bytes(b"cut")
    assert prune.prune(store).removals == []


def test_clips_that_a_data_set_does_not_have_go(store, tmp_path):
    pruned = prune.prune(store, dataset=Dataset(tmp_path, {"a": Clip("a")}), yes=True)
    assert {each.why for each in pruned.removals} == {"a clip that is not in the data set"}
    assert {path.name for path in store.root.rglob("*.safetensors")} == {"a.safetensors"}
    assert not (store.root / "clock" / "b.safetensors").exists()


def test_a_data_set_with_none_of_the_clips_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"none of the 2 clips in .* is in .*\(a, b\): is it the right data set"):
        prune.prune(store, dataset=Dataset(tmp_path, {"x": Clip("x")}), yes=True)

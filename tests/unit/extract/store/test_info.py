"""`abaw store info`: folders, clocks, coverage of a data set."""

import json

import pytest

from abaw.dataset.clip import Clip
from abaw.dataset.layout import Dataset
from extract.store.info import info
from extract.store.store import Failure
from tests.support.stores import FACE, VOICE, make_clock, make_store, make_track


@pytest.fixture
def store(tmp_path):
    return make_store(tmp_path / "store")


def test_info_describes_each_folder(store):
    store.record_failure(FACE, Failure("c", "decode", "empty"))
    face, voice = info(store).features
    assert (face.folder, face.name, face.modality, face.dim, face.dtype) == (
        store.folder(FACE).name,
        "hog",
        "vision",
        3,
        "float16",
    )
    assert (face.num_clips, face.num_rows, face.num_observed, face.rates_hz) == (2, 20, 16, (10.0, 10.0))
    assert face.failed == {"c": "decode: empty"}
    assert face.num_bytes == sum(path.stat().st_size for path in store.folder(FACE).glob("*.safetensors"))
    assert "face_hog crop_px=112" in face.recipe
    assert (voice.modality, voice.dim, voice.dtype, voice.rates_hz) == ("audio", 4, "float32", (40.0, 40.0))


@pytest.mark.parametrize("damage", [{"settings": []}, {"span": "1.0"}, {"name": 3}, {"assumed_clock": "25"}])
def test_a_recipe_with_a_value_of_another_type_is_described_as_none(store, damage):
    path = store.folder(FACE) / "recipe.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **damage}))
    described = {each.folder: each.recipe for each in info(store).features}
    assert described[store.folder(FACE).name] == "no recipe"
    assert described[store.folder(VOICE).name].startswith("voice_mel")


def test_info_sums_up_the_clocks(store):
    store.put_clock("c", make_clock(20, num_undecoded=5), {"assumed_fps": "10"})
    clocks = info(store).clocks
    assert (clocks.num_clips, clocks.num_frames, clocks.num_decoded, clocks.assumed) == (3, 40, 35, ["c"])
    assert clocks.seconds == pytest.approx(0.9 + 0.9 + 1.9)


def test_an_outdated_or_damaged_track_is_missing_in_the_coverage(store, tmp_path):
    store.put_clock("a", make_clock(), {"source": "another"})
    store.track_path(VOICE, "b").write_bytes(b"cut")
    found = info(store, Dataset(tmp_path, {clip_id: Clip(clip_id) for clip_id in "abc"}))
    assert [(each.outdated, each.damaged) for each in found.features] == [(["a"], []), (["a"], ["b"])]
    missing = {row.folder: row.missing for row in found.coverage}
    assert missing == {"clock": ["c"], store.folder(FACE).name: ["a", "c"], store.folder(VOICE).name: ["a", "b", "c"]}


def test_info_gives_the_coverage_of_each_split(store, tmp_path):
    (tmp_path / "list.txt").write_text("b\nd\n")
    labels = {"VA_Estimation_Challenge": {"train": {"a": tmp_path}, "validation": {"b": tmp_path, "c": tmp_path}}}
    dataset = Dataset(tmp_path, {}, challenges=labels, test_lists={"VA_Estimation_Challenge": tmp_path / "list.txt"})
    rows = [row for row in info(store, dataset).coverage if row.folder == store.folder(FACE).name]
    assert [(row.task, row.split, row.num_clips, row.missing) for row in rows if row.task in ("all", "va")] == [
        ("all", "all", 0, []),
        ("va", "train", 1, []),
        ("va", "validation", 2, ["c"]),
        ("va", "test", 2, ["d"]),
    ]


def test_boxes_of_detected_faces_are_listed_but_not_part_of_the_coverage(store, tmp_path):
    boxes = {"name": "faces", "stored_dtype": "float32", "finder": "haar", "settings": {}, "version": 1}
    store.put(boxes, "a", make_track(), {"source": "of a"})
    found = info(store, Dataset(tmp_path, {clip_id: Clip(clip_id) for clip_id in "ab"}))
    assert {each.name: each.modality for each in found.features} == {"faces": "vision", "hog": "vision", "mel": "audio"}
    assert all(row.missing == [] for row in found.coverage)


def test_the_text_names_a_few_missing_clips_and_counts_the_others(store, tmp_path):
    names = [f"m{i}" for i in range(8)]
    text = str(info(store, Dataset(tmp_path, {name: Clip(name) for name in ["a", *names]})))
    assert "1 of 9; missing: m0, m1, m2, m3, m4 and 3 more" in text
    assert text.splitlines()[-1].startswith(f"{store.root}: 2 folders of features, ")


def test_a_folder_in_which_every_clip_failed_is_listed(store):
    failed = {**FACE, "name": "broken"}
    store.record_failure(failed, Failure("a", "encode", "no weights"))
    assert [each.name for each in info(store).features if each.failed] == [store.folder(failed).name]


def test_a_track_without_a_clock_is_outdated(store):
    store.put(FACE, "c", make_track())
    assert info(store).features[0].outdated == ["c"]


def test_a_damaged_list_of_failures_is_an_error_that_names_it(store):
    (store.folder(FACE) / "failed.jsonl").write_text('{"clip": "x"')
    with pytest.raises(ValueError, match=r"failed.jsonl: not readable as a list of failures"):
        info(store)

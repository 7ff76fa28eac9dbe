"""When a stage runs again, and which existing runs a recipe accepts."""

import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from abaw.competition.stages import Stage
from abaw.competition.state import StageState, back_up_changed_tables, depends, facts, made_from
from abaw.dataset.layout import open_dataset
from abaw.errors import InputError
from abaw.results.runs import labels_hash
from abaw.tasks import TASKS
from extract.store.tensor_file import Tensor, write_tensors
from tests.support.recipes import HOG, change_labels, is_trained, job, of_kind, planned, stored, trained_run


def made_stage(tmp_path, **settings):
    (tmp_path / "in").mkdir(exist_ok=True)
    (tmp_path / "in/a.txt").write_text("1")
    (tmp_path / "out.txt").write_text("2")
    return Stage("fit", "why", (tmp_path / "in",), (tmp_path / "out.txt",), settings)


def test_a_stage_is_done_until_a_setting_an_input_or_its_output_changes(tmp_path):
    state, stage = StageState(tmp_path), made_stage(tmp_path, bias=True)
    assert not state.is_done(stage)
    state.record(stage, made_from(stage))
    assert state.is_done(stage)
    assert not state.is_done(made_stage(tmp_path, bias=False))
    stage = made_stage(tmp_path, bias=True)
    state.record(stage, made_from(stage))
    (tmp_path / "in/.b.txt").write_text("a temporary file of another process")
    (tmp_path / "in/a.txt.bak").write_text("a backup")
    os.utime(tmp_path / "in/a.txt")
    os.utime(tmp_path / "out.txt")
    assert state.is_done(stage)
    assert state.why_again(stage) is None
    (tmp_path / "in/b.txt").write_text("3")
    assert state.why_again(stage) == f"{tmp_path / 'in'} has changed"
    (tmp_path / "in/b.txt").unlink()
    assert state.is_done(stage)
    (tmp_path / "out.txt").unlink()
    assert state.why_again(stage) == f"{tmp_path / 'out.txt'} is missing"
    assert not state.is_done(stage)


def test_an_output_is_noticed_where_one_byte_of_it_changed_whatever_its_size_and_time(tmp_path):
    state, stage = StageState(tmp_path), made_stage(tmp_path)
    out = tmp_path / "tables"
    (out / "va").mkdir(parents=True)
    (out / "va/a.parquet").write_bytes(bytes(1000))
    stage = replace(stage, outputs=(out, tmp_path / "out.txt"))
    state.record(stage, made_from(stage))
    before = (out / "va/a.parquet").stat()
    (out / "va/a.parquet").write_bytes(bytes(500) + b"\1" + bytes(499))
    os.utime(out / "va/a.parquet", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert state.why_again(stage) == f"{out / 'va/a.parquet'} has changed since it was made"
    (out / "va/a.parquet").write_bytes(bytes(1000))
    assert state.is_done(stage)
    (out / "va/b.parquet").write_bytes(b"")
    assert state.why_again(stage) == f"{out / 'va/b.parquet'} was added"


def test_what_a_user_changed_is_kept_beside_what_is_made_again(tmp_path):
    state, stage = StageState(tmp_path), made_stage(tmp_path)
    for number, kept in enumerate(["out.txt.bak", "out.txt.bak1"]):
        state.record(stage, made_from(stage))
        (tmp_path / "out.txt").write_text(f"by hand {number}")
        assert state.invalidate(stage) == [(tmp_path / "out.txt", tmp_path / kept)]
        assert (tmp_path / kept).read_text() == f"by hand {number}"
        assert not state.is_done(stage)
        (tmp_path / "out.txt").write_text("2")
    state.record(stage, made_from(stage))
    assert state.invalidate(stage) == []  # it is as it was made


def test_the_store_counts_by_the_files_that_were_there(tmp_path):
    store = tmp_path / "store"
    (store / "clock").mkdir(parents=True)
    for name in ("clock/a.safetensors", "clock/lock"):
        (store / name).write_bytes(b"12")
    state, stage = StageState(tmp_path), Stage("extract", "", (), (store / "clock",))
    state.record(stage, made_from(stage))
    (store / "hog").mkdir()
    (store / "hog/a.safetensors").write_bytes(b"")
    (store / "clock/lock").unlink()
    assert state.is_done(stage)
    (store / "clock/a.safetensors").write_bytes(b"1")
    assert state.why_again(stage) == f"{store / 'clock/a.safetensors'} has changed since it was made"
    (store / "clock/a.safetensors").unlink()
    assert state.why_again(stage) == f"{store / 'clock/a.safetensors'} is missing"
    assert state.invalidate(stage) == []


def test_a_damaged_file_of_the_store_with_its_size_unchanged_is_named_and_a_copied_one_is_verified_once(tmp_path):
    state, stage = StageState(tmp_path), Stage("extract", "", (), (tmp_path / "store/clock",))
    path = tmp_path / "store/hog-0123456789/a.safetensors"
    (tmp_path / "store/clock").mkdir(parents=True)
    write_tensors(path, {"values": Tensor.of(np.arange(20.0))}, {})
    state.record(stage, made_from(stage))
    os.utime(path, ns=(5, 5))  # as if it was copied
    assert state.is_done(stage)
    state.record_verified(stage)
    record = (tmp_path / "recipe.json").read_bytes()
    state.record_verified(stage)
    assert (tmp_path / "recipe.json").read_bytes() == record
    assert f"{path.stat().st_size} 5".encode() in record
    content = path.read_bytes()
    about = path.with_name("recipe.json")
    about.write_text("{}")
    state.record(stage, made_from(stage))
    about.write_text("{ ")
    assert state.why_again(stage) == f"{about} has changed since it was made"
    about.write_text("{}")
    for place in (-1, -100, 30):  # the values, and the header
        path.write_bytes(content[:place] + bytes([content[place] ^ 2]) + content[place:][1:])
        with pytest.raises(InputError, match=rf"{re.escape(str(path))} is damaged \(.*: delete it and run the same"):
            state.is_done(stage)


def test_a_record_of_an_older_version_is_no_record_and_a_damaged_one_is_named(tmp_path):
    state, stage = StageState(tmp_path), made_stage(tmp_path)
    (tmp_path / "recipe.json").write_text('{"fit": "0123456789abcdef"}')
    assert not state.is_done(stage)
    assert state.why_again(stage) is None
    for text, words in {"[1]": "expected a JSON object: delete it", "{": "not readable as JSON: .*: delete it"}.items():
        (tmp_path / "recipe.json").write_text(text)
        with pytest.raises(ValueError, match=rf"recipe\.json: {words}"):
            state.is_done(stage)


def test_a_replaced_image_of_a_folder_changes_the_facts(data):
    (data / "cropped/a").mkdir(parents=True)
    image = data / "cropped/a/00001.jpg"
    image.write_bytes(b"1")
    before = facts(open_dataset(data))
    image.write_bytes(b"22")
    assert facts(open_dataset(data)) != before


def test_a_folder_and_a_path_inside_it_depend_on_each_other():
    inner, outer = Path("a/b"), Path("a")
    reads, makes = (lambda path: Stage("x", "", (path,), ())), (lambda path: Stage("y", "", (), (path,)))
    assert depends(reads(inner), makes(outer))
    assert depends(reads(outer), makes(inner))
    assert not depends(reads(Path("ab")), makes(outer))


def test_other_labels_lists_or_images_change_the_facts_of_a_data_set(data):
    before = facts(open_dataset(data))
    assert facts(open_dataset(data)) == before
    label = data / "annotations/VA_Estimation_Challenge/Train_Set/a.txt"
    label.write_text(label.read_text() + "0.1,0.1\n")
    longer = facts(open_dataset(data))
    assert longer != before
    (data / "cropped/a").mkdir(parents=True)
    (data / "cropped/a/00001.jpg").touch()
    assert facts(open_dataset(data)) != longer


def test_options_that_change_features_make_extraction_run_again(tmp_path):
    def extract_of(**options):
        return made_from(of_kind(planned("encoders=[face_hog]", options=options), "extract")[0])

    assert extract_of(faces="haar") == extract_of(faces="haar") != extract_of(faces="mtcnn")
    assert made_from(of_kind(planned("encoders=[voice_mel]"), "extract")[0]) != extract_of()


@pytest.mark.parametrize("split", ["Train_Set", "Validation_Set"])
@pytest.mark.parametrize("state", ["complete", "begun"])
def test_a_run_of_other_labels_is_refused_before_the_first_stage(data, tmp_path, split, state):
    trained_run(data, tmp_path, state=state)
    assert is_trained(job(data, tmp_path)) == [False, False, state == "complete", False, False, False]
    change_labels(data, split)
    message = "runs/synthetic-gru-fold1 was trained on other labels than exist now: delete that folder, or give"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)


def test_a_run_that_records_no_labels_is_accepted(data, tmp_path):
    trained_run(data, tmp_path, without=("labels",))
    change_labels(data, "Train_Set")
    assert any(is_trained(job(data, tmp_path)))


def test_a_run_of_other_features_is_refused(data, tmp_path):
    trained_run(data, tmp_path)
    assert any(is_trained(job(data, tmp_path)))  # nothing is extracted yet
    stored(tmp_path, found_at=["file"], settings={"crop_px": 8, "file": "a.onnx"})
    message = r"fold1 was trained on other features face_hog \(found_at, settings\) than exist now: delete"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)
    change_labels(data, "Train_Set")
    with pytest.raises(ValueError, match=r"fold1 .* other labels and features face_hog \("):
        job(data, tmp_path)


def test_the_place_where_weights_were_found_makes_no_other_features(data, tmp_path):
    of = {"found_at": ["file"], "settings": {"crop_px": 8, "file": "a.onnx"}}
    trained_run(data, tmp_path, recipes={"face_hog": {**HOG, **of}})
    stored(tmp_path, found_at=["file"], settings={"crop_px": 8, "file": "b.onnx"})
    assert any(is_trained(job(data, tmp_path)))


def test_a_complete_run_without_its_weights_or_with_others_is_refused(data, tmp_path):
    weights = trained_run(data, tmp_path).folder / "weights/model.safetensors"
    weights.write_bytes(b"other")
    with pytest.raises(ValueError, match=r"model\.safetensors is damaged or of another training"):
        job(data, tmp_path)
    weights.unlink()
    message = "runs/synthetic-gru-fold1 is damaged: its weights are missing: delete that folder"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("d.parquet", None, "has no table of clip 'd', which it had"),
        ("predictions.json", None, r"predictions\.json is missing"),
        ("d.parquet", b"PAR1", r"d\.parquet: it has changed since it was written"),
        ("predictions.json", b'{"task": "va", "tables": {}}', r"predictions\.json has changed since it was written"),
        ("predictions.json", b"{", r"predictions\.json: not readable as JSON"),
    ],
)
def test_a_complete_run_with_damaged_tables_has_to_predict_them_again(data, tmp_path, name, content, why):
    run = trained_run(data, tmp_path)
    path = run.predictions("validation") / "va" / name
    path.unlink() if content is None else path.write_bytes(content)
    found = job(data, tmp_path)
    stage = of_kind(found.stages, "train")[2]
    assert not found.is_trained(stage)
    assert re.search(why, found.why_again(stage))
    moved = back_up_changed_tables(run)
    assert [kept.name for _, kept in moved] == ([] if content is None else [f"{name}.bak"])


def test_the_hash_of_labels_depends_on_every_value_and_not_on_the_order(data):
    va = TASKS.build("va")
    read_all = va.read_labels(open_dataset(data), "train")
    here = labels_hash({"train": {"va": read_all}, "validation": {}})
    assert labels_hash({"validation": {}, "train": {"va": dict(reversed(read_all.items()))}}) == here
    a = read_all["a"]
    others = [
        replace(a, scored=~a.scored),
        replace(a, values=a.values + 1),
        replace(a, values=a.values.T.reshape(2, 2)),
    ]
    hashes = [labels_hash({"train": {"va": {**read_all, "a": other}}}) for other in others]
    moved = [{"validation": {"va": read_all}}, {"train": {"expr": read_all}}, {"train": {"va": {"x": a}}}]
    assert len({here, *hashes, *map(labels_hash, moved)}) == 7

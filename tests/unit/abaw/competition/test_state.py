"""When a stage runs again, and which existing runs a recipe accepts."""

from dataclasses import replace
from pathlib import Path

import pytest

from abaw.competition.stages import Stage
from abaw.competition.state import StageState, depends, facts, made_from
from abaw.dataset.layout import open_dataset
from abaw.results.runs import labels_hash
from abaw.tasks import TASKS
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
    assert state.is_done(stage)
    (tmp_path / "in/b.txt").write_text("3")
    assert not state.is_done(stage)
    (tmp_path / "in/b.txt").unlink()
    assert state.is_done(stage)
    (tmp_path / "out.txt").unlink()
    assert not state.is_done(stage)


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


@pytest.mark.parametrize(
    ("gone", "what"),
    [
        ("weights/model.safetensors", "weights"),
        ("predictions/validation/va/d.parquet", "held-out predictions of va"),
        ("predictions/validation/va/predictions.json", "held-out predictions of va"),
    ],
)
def test_a_complete_run_that_lacks_weights_or_predictions_is_refused(data, tmp_path, gone, what):
    run = trained_run(data, tmp_path)
    (run.folder / gone).unlink()
    message = f"runs/synthetic-gru-fold1 is damaged: its {what} are missing: delete that folder"
    with pytest.raises(ValueError, match=message):
        job(data, tmp_path)


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

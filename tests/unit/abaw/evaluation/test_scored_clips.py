"""Which clips of a folder are scored: held-out tables, folds, official splits."""

import json

import numpy as np
import pytest

from abaw.dataset.layout import open_dataset
from abaw.files import write_json
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from tests.support.abaw.reports import BOX, KNOWN, POOLED, TRAIN, VALIDATION, scores_of, text_of, write_tables


def test_a_held_out_folder_is_scored_on_every_labelled_clip_and_by_fold(tmp_path, data):
    made_by = dict.fromkeys(VALIDATION, "runs/a-fold0") | dict.fromkeys(TRAIN, "runs/a-fold1")
    runs = {"run": ["runs/a-fold0", "runs/a-fold1"], "videos_seen": [*KNOWN["videos_seen"], "10", "11"]}
    about = {**KNOWN, **runs, "held_out": True, "made_by": made_by}
    where = write_tables(tmp_path / "a", data, clips=VALIDATION + TRAIN, **about)
    found = scores_of(where, data, "held-out")
    assert set(found["clips"]) == {*VALIDATION, *TRAIN}
    assert set(found["folds"]) == {"runs/a-fold0", "runs/a-fold1"}
    assert found["folds"]["runs/a-fold0"] == scores_of(where, data)["scores"]
    assert found["folds"]["runs/a-fold1"] == scores_of(where, data, "train")["scores"]
    assert scores_of(where, data, "train")["remarks"] == []  # held out: no run was trained on them
    assert "runs/a-fold1 " in text_of(where, data=data, split="held-out")


def test_a_held_out_folder_that_does_not_record_its_runs_has_no_folds(tmp_path, data):
    where = write_tables(tmp_path / "a", data, clips=VALIDATION + TRAIN, **POOLED)
    assert scores_of(where, data, "held-out")["folds"] == {}


def test_a_missing_table_of_an_official_split_is_named(tmp_path, data):
    where = write_tables(tmp_path / "a", data, clips=VALIDATION[1:], **KNOWN)
    with pytest.raises(FileNotFoundError, match="no va predictions for clip '10_left'"):
        scores_of(where, data)


@pytest.fixture
def fold_run(tmp_path, data):
    """A run that held out fold 1: part of the training clips; trained on the others and the official validation."""
    run = tmp_path / "runs/a-fold1"
    write_tables(run / "predictions/validation/va", data, clips=TRAIN[:2], run=["runs/moved"], held_out=True)
    seen = sorted({"22", *(clip_id.split("_")[0] for clip_id in VALIDATION)})
    about = {"name": "a-fold1", "seed": 7, "commit": "abc", "label_tasks_seen": ["va"], "folds": {"num": 2, "fold": 1}}
    write_json(run / "run.json", {**about, "videos": {"train": seen, "validation": ["20", "21"]}})
    write_json(run / "post_processing.json", {})
    return run


def test_a_run_of_another_fold_is_scored_on_what_it_held_out(fold_run, data):
    found = scores_of(fold_run, data)
    assert set(found["clips"]) == {"20", "21_left"}
    assert found["provenance"]["seeds"] == [7]
    (fold_run / "predictions/validation/va/20.parquet").unlink()
    with pytest.raises(FileNotFoundError, match="clip '20'"):
        scores_of(fold_run, data)


def test_a_runs_own_post_processing_is_applied_where_its_tables_record_none(fold_run, data):
    before = scores_of(fold_run, data)
    write_json(fold_run / "post_processing.json", {"va": BOX})
    found = scores_of(fold_run, data)
    assert found["raw"]["scores"] == before["scores"]
    assert found["scores"] != before["scores"]
    write_json(fold_run / "post_processing.json", {"va": {"width": 2}})
    with pytest.raises(
        ValueError, match=r"post_processing.json, va: post-processing: width is 2, expected an odd number"
    ):
        scores_of(fold_run, data)


def test_a_run_whose_tables_say_nothing_is_checked_by_its_own_record(fold_run, data):
    tables = fold_run / "predictions/validation/va"
    for about in ({}, {"videos_seen": None, "seeds": None}, {"held_out": True}):
        predictions.write_metadata(tables, {"task": "va", **about})
        found = scores_of(fold_run, data)
        assert (found["remarks"], found["provenance"]["seeds"]) == ([], [7])
    document = json.loads((fold_run / "run.json").read_text())
    document["videos"]["train"].append("21")
    write_json(fold_run / "run.json", document)
    for about in ({}, {"held_out": True}):  # of one run there is no other that may have seen it
        predictions.write_metadata(tables, {"task": "va", **about})
        with pytest.raises(ValueError, match=r"a leak: the training \(.*\) has seen video '21'"):
            scores_of(fold_run, data)


@pytest.fixture
def own(tmp_path):
    """A manifest with labels of two of its three test clips, and tables of these."""
    rows = ["c1,happy,train", "c2,sad,train", "c3,happy,test", "c4,sad,test", "c5,,test"]
    (tmp_path / "clips.csv").write_text("path,emotion,split\n" + "\n".join(f"{row[:2]}.wav{row[2:]}" for row in rows))
    (tmp_path / "clips.yaml").write_text("manifest: clips.csv\nclasses: {column: emotion, names: [happy, sad]}\n")
    for i in range(1, 6):
        (tmp_path / f"c{i}.wav").touch()
    task = TASKS.build("classes").for_dataset(open_dataset(tmp_path / "clips.yaml"))
    for clip_id, values in {"c3": [0.9, 0.1], "c4": [0.8, 0.2]}.items():
        table = Table(np.arange(1, 3), np.arange(2.0), np.ones(2, bool), np.float32([values] * 2), task.columns)
        predictions.write_table(tmp_path / "p", clip_id, table, task)
    settings = {"task": "classes", "split": "test", "task_settings": task.settings(), "held_out": False}
    predictions.write_metadata(tmp_path / "p", {**KNOWN, **settings, "videos_seen": ["c1", "c2"]})
    return tmp_path


@pytest.mark.parametrize("split", ["test", None])
def test_test_clips_of_a_manifest_are_scored_where_they_have_labels(own, split):
    found = scores_of(own / "p", own / "clips.yaml", split, "classes")
    assert (found["split"], set(found["clips"]), found["scores"]["n"]) == ("test", {"c3", "c4"}, 2)
    assert found["scores"]["accuracy"] == 0.5


def test_test_clips_that_were_trained_on_are_a_leak(own):
    predictions.write_metadata(own / "p", {**predictions.read_metadata(own / "p"), "videos_seen": ["c1", "c3"]})
    with pytest.raises(ValueError, match="c3.*score it on clips that it was not trained on"):
        scores_of(own / "p", own / "clips.yaml", "test", "classes")


def test_a_manifest_without_labels_of_test_clips_has_none_to_score(own):
    (own / "clips.csv").write_text("path,emotion,split\nc1.wav,happy,train\nc2.wav,sad,train\nc3.wav,,test\n")
    with pytest.raises(ValueError, match="has no test labels for classes"):
        scores_of(own / "p", own / "clips.yaml", "test", "classes")

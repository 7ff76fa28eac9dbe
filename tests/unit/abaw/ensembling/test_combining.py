"""Ensembles of prediction folders: what is written, what it records, and what is refused."""

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from abaw.ensembling.combining import combine
from abaw.files import write_json
from abaw.postprocessing import PostProcessing, fitted_document
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from tests.support.abaw.ensembles import about_of, recorded
from tests.support.fitted import table_of, write_dataset, write_folder
from tests.support.owners import held_elsewhere

VA, EXPR = TASKS.build("va"), TASKS.build("expr")
CLIPS = {"t1": "train", "t2_left": "train", "t2_right": "train", "t3": "train", "v1": "validation", "v2": "validation"}


def test_weights_are_kept_only_where_they_clearly_gain_by_cross_fitting(job):
    report = run_combine(job, fit=True, data=job / "data")
    result, ensemble = report.results["va"], about_of(job / "both")["ensemble"]
    assert 0.5 < ensemble["weights"][1] < 1, "b has less noise"
    assert result.scores["weighted"] > result.scores["mean"]
    assert re.search(r"fitted weights gain \+0.\d+ \(standard error .*; [01].\d\d of their difference", str(report))
    assert "va gain to expect on other videos: +" in str(report)
    write_folder(job / "c", CLIPS, noise=0.4, seed=3, **recorded())
    report = run_combine(job, "b", "c", out="alike", fit=True, data=job / "data")
    ensemble = about_of(job / "alike")["ensemble"]
    assert ensemble["weights"] == [0.5, 0.5]
    assert ensemble["fitted_on"], "the labels decided it in either case"
    assert "not more than that error: the mean is kept" in str(report)
    assert "gain to expect on other videos: none, because nothing is changed" in str(report)


def test_an_ensemble_is_not_written_over_the_one_whose_weights_it_takes(job):
    run_combine(job, fit=True, data=job / "data")
    with pytest.raises(ValueError, match="is the ensemble whose weights are taken: give another --out"):
        run_combine(job, like=job / "both")


@pytest.fixture
def job(tmp_path):
    """A data set, and two members' held-out tables of all its clips."""
    write_dataset(tmp_path / "data", CLIPS)
    write_folder(tmp_path / "a", CLIPS, noise=0.9, seed=1, **recorded())
    write_folder(tmp_path / "b", CLIPS, noise=0.4, seed=2, **recorded(run=["s"], seeds=[1]))
    return tmp_path


def run_combine(job, *folders, out="both", **more):
    return combine([job / each for each in folders or ("a", "b")], job / out, **more)


def test_a_mean_of_folders_is_a_folder_that_says_what_it_is_made_of(job, capsys):
    report = run_combine(job)
    about = about_of(job / "both")
    strength = about["ensemble"].pop("strength")
    assert [each["member"] for each in strength["members"]] == about["ensemble"]["members"]
    assert about["ensemble"] == {
        "how": "mean",
        "members": [str(job / "a/va"), str(job / "b/va")],
        "weights": [0.5, 0.5],
    }
    assert (about["run"], about["seeds"], about["held_out"], about["post_processing"]) == (["r", "s"], [0, 1], True, {})
    for clip_id in CLIPS:
        a, b = (predictions.read_table(job / each / "va", clip_id, VA).values for each in "ab")
        found = predictions.read_table(job / "both/va", clip_id, VA)
        np.testing.assert_allclose(found.values, (a.astype(float) + b) / 2, atol=1e-7)
    assert report.num_tables == report.results["va"].num_tables == len(CLIPS)
    assert f"va weight 0.500 (mean): {job / 'a/va'}" in str(report)
    assert str(report).endswith(f"{job / 'both'}: 6 tables")
    assert capsys.readouterr().out == ""


def test_fitted_weights_are_kept_with_their_videos_and_taken_over_for_other_tables(job):
    report = run_combine(job, fit=True, data=job / "data", exclude_split="validation")
    ensemble = about_of(job / "both")["ensemble"]
    weights = ensemble["weights"]
    assert weights[1] > weights[0]
    assert ensemble["fitted_on"] == ["t1", "t2", "t3"]
    scores = report.results["va"].scores
    assert list(scores) == [str(job / "a/va"), str(job / "b/va"), "mean", "weighted"]
    assert scores["weighted"] > scores["mean"]
    assert f"va ensemble, mean: CCC {scores['mean']:.4f}" in str(report)
    assert f"va ensemble, weighted: CCC {scores['weighted']:.4f} (cross-fitted)" in str(report)
    for name in "ab":
        write_folder(job / f"test_{name}", {"x": None}, seed=ord(name))
    run_combine(job, "test_a", "test_b", like=job / "both", out="test")
    other = about_of(job / "test")
    assert other["ensemble"]["weights"] == weights
    assert other["ensemble"]["fitted_on"] == ["t1", "t2", "t3"]
    a, b = (predictions.read_table(job / f"test_{each}/va", "x", VA).values.astype(float) for each in "ab")
    found = predictions.read_table(job / "test/va", "x", VA).values
    np.testing.assert_allclose(found, weights[0] * a + weights[1] * b, atol=1e-6)


def test_a_centred_ensemble_of_other_tables_is_the_same_map(job):
    run_combine(job, how="centred")
    first = about_of(job / "both")["ensemble"]
    write_folder(job / "test_a", {"x": None}, seed=5)
    write_folder(job / "test_b", {"x": None}, seed=6)
    run_combine(job, "test_a", "test_b", like=job / "both", out="test")
    second = about_of(job / "test")["ensemble"]
    assert {**second, "members": 0, "strength": 0} == {**first, "members": 0, "strength": 0}


def test_an_ensemble_in_an_ensemble_keeps_the_videos_its_weights_were_fitted_on(job):
    run_combine(job, fit=True, data=job / "data")
    run_combine(job, "both", "a", out="nested")
    about = about_of(job / "nested")
    assert about["ensemble"]["how"] == "mean"
    assert about["ensemble"]["fitted_on"] == ["t1", "t2", "t3", "v1", "v2"]


def test_post_processing_goes_with_the_tables_which_stay_raw(job):
    post_processing = PostProcessing(smoother="box", width=5, fitted_on=("t1",))
    (job / "d.json").write_text(json.dumps({"va": post_processing.document()}))
    run_combine(job, "a", post_processing=job / "d.json")
    assert predictions.post_processing_of(job / "both/va") == post_processing
    np.testing.assert_array_equal(
        predictions.read_table(job / "both/va", "t1", VA).values, predictions.read_table(job / "a/va", "t1", VA).values
    )


def test_tables_made_elsewhere_need_their_task_named_and_leave_the_provenance_unknown(job):
    for name in "ab":
        (job / name / "va/predictions.json").unlink()
    with pytest.raises(ValueError, match="has no predictions.json that names its task: name the task"):
        run_combine(job, "a/va", "b/va")
    run_combine(job, "a/va", "b/va", task="va")
    about = about_of(job / "both")
    assert about["label_tasks_seen"] is None
    assert about["held_out"] is None
    with pytest.raises(ValueError, match="does not say whether its runs were trained on these videos"):
        run_combine(job, "a/va", "b/va", task="va", fit=True, data=job / "data")
    run_combine(job, "a/va", "b/va", task="va", fit=True, data=job / "data", trust=True)
    assert about_of(job / "both")["ensemble"]["fitted_on"]


WRONG_USE = {
    "unknown": ({"how": "median"}, "no ensemble 'median': --how is one of mean, weighted, centred"),
    "weighted by nothing": ({"how": "weighted"}, "--how weighted needs --fit"),
    "mean fitted": ({"how": "mean", "fit": True}, "--fit is for --how weighted: mean needs no labels"),
    "like and how": ({"how": "mean", "like": "a"}, "--like takes everything from the other ensemble"),
    "trust for nothing": ({"trust": True}, "members are dropped by: give --fit or --drop-useless with them"),
    "like and dropping": ({"like": "a", "drop_useless": True}, "leave out --how, --fit and --drop-useless"),
    "dropping without labels": ({"drop_useless": True}, "does not say which run made it|does not exist"),
    "like no ensemble": ({"like": "a"}, "a/va is no ensemble: --like takes a folder that abaw combine made"),
    "post-processing that is not there": (
        {"post_processing": "x.json"},
        "no post-processing at .*x.json: fit one with abaw fit",
    ),
}


@pytest.mark.parametrize("fault", WRONG_USE)
def test_wrong_use_is_an_error(job, fault):
    given, words = WRONG_USE[fault]
    given = {key: job / value if key in ("like", "post_processing") else value for key, value in given.items()}
    with pytest.raises((ValueError, FileNotFoundError), match=words):
        run_combine(job, **given)
    assert not (job / "both").exists()


def test_members_that_do_not_agree_are_named_and_nothing_is_written(job):
    write_folder(job / "fewer", list(CLIPS)[1:])
    with pytest.raises(ValueError, match="a/va has clip 't1', .*fewer/va has not: predict the same clips with all"):
        run_combine(job, "a", "fewer")
    with pytest.raises(ValueError, match="a/va has clip 't1', .*fewer/va has not"):
        run_combine(job, "fewer", "a")
    write_folder(job / "longer", CLIPS, num=201)
    with pytest.raises(ValueError, match=r"clip 't1': .*a/va has 200 frames of 2 columns, .*longer/va has 201 of 2"):
        run_combine(job, "a", "longer")
    with pytest.raises(ValueError, match="a folder is given twice"):
        run_combine(job, "a", "b", "a/va")
    with pytest.raises(ValueError, match="a/va is a member itself: give another --out"):
        run_combine(job, "a", "b", out="a")
    predictions.write_metadata(job / "e/expr", {"task": "expr"})
    with pytest.raises(FileNotFoundError, match="no va predictions in .*e: it has expr"):
        run_combine(job, "a", "e")
    with pytest.raises(ValueError, match="e/expr holds no table at all"):
        run_combine(job, "e")
    with pytest.raises(FileNotFoundError, match="no predictions at .*nowhere"):
        run_combine(job, "nowhere")
    run_combine(job)
    with pytest.raises(ValueError, match="both/va has 2 members, 1 folders are given: give them in its order"):
        run_combine(job, "a", like=job / "both", out="one")
    assert {path.name for path in job.iterdir()} == {"a", "b", "both", "data", "e", "fewer", "longer"}


def test_centred_is_for_values(tmp_path):
    for name in "ab":
        folder = tmp_path / name / "expr"
        values = EXPR.probabilities(np.zeros((3, 8)))
        predictions.write_table(
            folder, "1", Table(np.arange(1, 4), np.arange(3.0), np.ones(3, bool), values, EXPR.columns), EXPR
        )
        predictions.write_metadata(folder, {"task": "expr"})
    with pytest.raises(ValueError, match="expr: centred is for values, as of va: take mean or weighted for expr"):
        combine([tmp_path / "a", tmp_path / "b"], tmp_path / "both", how="centred")
    assert not (tmp_path / "both").exists()


def test_a_combine_that_is_killed_leaves_a_folder_that_is_refused_and_the_next_one_is_whole(job):
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from abaw.results import predictions\n"
        "from abaw.cli import app\n"
        "real = predictions.write_table\n"
        "def stop(folder, clip, table, task):\n"
        "    real(folder, clip, table, task)\n"
        "    if clip == 't3':\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "predictions.write_table = stop\n"
        "app(sys.argv[1:])\n"
    )
    words = ["combine", str(job / "a"), str(job / "b"), "--out", str(job / "both")]
    done = subprocess.run([sys.executable, "-c", code, *words])
    assert done.returncode == -signal.SIGKILL
    assert predictions.clip_ids(job / "both/va") == ["t1", "t2_left", "t2_right", "t3"]
    with pytest.raises(ValueError, match="both/va is not complete because its abaw predict or combine was stopped"):
        predictions.resolve(job / "both", "va")
    run_combine(job)
    assert predictions.clip_ids(predictions.resolve(job / "both", "va")) == sorted(CLIPS)


def test_a_second_process_that_would_write_to_the_same_folder_is_refused(job):
    refused = pytest.raises(ValueError, match=r"abaw predict or combine is running in .*both/va \(process")
    with held_elsewhere(job / "both/va"), refused:
        run_combine(job)
    assert not list((job / "both/va").glob("*.parquet"))
    run_combine(job)
    assert about_of(job / "both")["task"] == "va"


def test_frames_that_no_member_observed_are_reported_with_their_clips(tmp_path):
    for name, seen in {"a": [1, 0, 0, 1], "b": [1, 1, 0, 0]}.items():
        values = np.zeros((4, 2), np.float32)
        table = Table(np.arange(1, 5), np.arange(4.0), np.array(seen, bool), values, VA.columns)
        predictions.write_table(tmp_path / name / "va", "x", table, VA)
        predictions.write_metadata(tmp_path / name / "va", {"task": "va"})
    found = combine([tmp_path / "a", tmp_path / "b"], tmp_path / "both")
    assert found.results["va"].remarks == ("nothing observed: 1 frame of 1 clip ('x' 1 of 4)",)
    assert "va nothing observed: 1 frame of 1 clip ('x' 1 of 4)" in str(found)


def write_folds(where, clips):
    """A member's tables of two folds, and beside them their mean, whose spread is less."""
    for clip_id in clips:
        singles = [table_of(clip_id, noise=0.5, seed=seed) for seed in (7, 8)]
        mean = replace(singles[0], values=(singles[0].values + singles[1].values) / 2)
        for folder, table in ((where, mean), *((where / "folds" / str(i), each) for i, each in enumerate(singles))):
            predictions.write_table(folder, clip_id, table, VA)
    for folder, more in ((where / "folds/0", {}), (where / "folds/1", {}), (where, {"folds": [0, 1]})):
        predictions.write_metadata(folder, {"task": "va", **recorded(), **more})


def test_scale_and_bias_are_matched_from_the_mean_of_folds_to_single_folds(job):
    write_folds(job / "c/va", CLIPS)
    fitted = PostProcessing(scale=(1.5, 2.0), bias=(0.0, 0.1))
    write_json(job / "p.json", fitted_document({"va": fitted}))
    report = run_combine(job, "c", post_processing=job / "p.json")
    found = predictions.post_processing_of(job / "both/va")
    mean, *singles = (
        np.concatenate([predictions.read_table(job / "c/va" / place, c, VA).values for c in CLIPS]).astype(float)
        for place in ("", "folds/0", "folds/1")
    )
    both = np.concatenate(singles)
    np.testing.assert_allclose(found.match_scale, both.std(axis=0) / mean.std(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found.match_bias, both.mean(axis=0) - found.match_scale * mean.mean(axis=0), atol=1e-6)
    assert (found.scale, found.bias) == (fitted.scale, fitted.bias)
    assert "va mean and spread of 2 folds' mean are matched to those of single folds" in str(report)
    run_combine(job, "a", "b", out="runs", post_processing=job / "p.json")
    assert predictions.post_processing_of(job / "runs/va") == fitted, "single runs, as it was fitted on"
    report = run_combine(job, "a", "c", out="mixed", post_processing=job / "p.json")
    assert predictions.post_processing_of(job / "mixed/va") == fitted
    assert "cannot be matched to this mean, because the members have different folds" in str(report)

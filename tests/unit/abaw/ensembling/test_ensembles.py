"""Ensembles: how members are weighted, that they must agree, and that their origin is not lost."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from abaw.calibration import fitting
from abaw.challenge import rules
from abaw.dataset.annotations import Labels
from abaw.ensembling import selection, weights
from abaw.ensembling.combining import combine
from abaw.ensembling.weights import EnsembleWeights, read_weights
from abaw.evaluation import leaks
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.metrics import concordance
from abaw.pipelines.prediction import predict
from abaw.postprocessing import PostProcessing
from abaw.results import predictions, provenance
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from tests.support.fitted import table_of, write_dataset, write_folder

VA, EXPR = TASKS.build("va"), TASKS.build("expr")
XY = ("x", "y")
CLIPS = {"t1": "train", "t2_left": "train", "t2_right": "train", "t3": "train", "v1": "validation", "v2": "validation"}


def test_a_mean_is_the_mean_and_is_observed_where_any_member_is():
    one = Table(np.array([1, 2]), np.array([0, 0.1]), np.array([True, False]), np.array([[0.0, 1], [0.5, 0]], "f4"), XY)
    two = Table(one.frames, one.times_s, np.array([False, False]), np.array([[1.0, 0], [0.5, 1]], "f4"), XY)
    both = weights.mean(2).table([one, two])
    assert both.values.tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert both.observed.tolist() == [True, False]
    assert both.values.dtype == np.float32
    assert np.array_equal(weights.mean(1).table([one]).values, one.values)
    with pytest.raises(ValueError, match="an ensemble needs at least one table"):
        weights.mean(0)


def test_members_that_differ_in_frames_columns_or_times_are_an_error_with_the_first_difference():
    one, late = table_of("t1"), table_of("t1")
    late.times_s[40:] += 0.01
    wide = Table(one.frames, one.times_s, one.observed, np.zeros((200, 8), np.float32), EXPR.columns)
    with pytest.raises(ValueError, match="A has 200 frames of 2 columns, B has 199 of 2: predict all of them with one"):
        weights.check_agreement([one, table_of("t1", 199)], ["A", "B"])
    with pytest.raises(ValueError, match="A has 200 frames of 2 columns, C has 200 of 8"):
        weights.check_agreement([one, table_of("t1"), wide], ["A", "B", "C"])
    with pytest.raises(ValueError, match=r"frame 41 is at 1.333 s in A and at 1.343 s in B: predict all of them with"):
        weights.check_agreement([one, late], ["A", "B"])


def test_weights_scale_and_bias_are_each_members():
    ensemble = EnsembleWeights("x", np.array([[0.25], [0.75]]), np.array([[2.0], [1.0]]), np.array([[0.0], [1.0]]))
    np.testing.assert_allclose(ensemble.values([np.ones((3, 2)), np.ones((3, 2)) * 4]), 0.25 * 2 + 0.75 * 5)


@pytest.mark.parametrize("given", [[0.5, 0.6], [1.5, -0.5], [float("nan"), 1.0]])
def test_weights_are_0_or_more_and_sum_to_1(given):
    with pytest.raises(ValueError, match="weights of an ensemble must be"):
        weights.weighted(given)


def test_an_ensemble_is_read_back_from_json_and_a_broken_one_is_an_error():
    rng = np.random.default_rng(0)
    for ensemble in (weights.weighted([0.3, 0.7], ["v1"]), weights.centre(list(rng.normal(size=(3, 50, 2))))):
        read = read_weights(json.loads(json.dumps(ensemble.document("abc"[: len(ensemble.weights)]))), "x")
        assert (read.how, read.fitted_on) == (ensemble.how, ensemble.fitted_on)
        for key in ("weights", "scale", "bias"):
            np.testing.assert_array_equal(getattr(read, key), getattr(ensemble, key))
    for broken in ({"how": "mean"}, {"how": "x", "weights": [0.5]}, {"how": "x", "weights": "a"}, [1]):
        with pytest.raises(ValueError, match="p.json: not an ensemble as abaw combine writes it"):
            read_weights(broken, "p.json")


def test_centred_members_have_one_mean_and_spread_and_weigh_what_they_agree():
    rng = np.random.default_rng(0)
    truth = rng.normal(size=(400, 1))
    members = [truth + rng.normal(size=(400, 1)) * 0.3, 1.5 * truth + 0.3, -0.2 * truth]
    found = weights.centre(members)
    pairs = [[concordance(a[:, 0], b[:, 0]) for b in members if b is not a] for a in members]
    agreement = np.maximum(0, np.mean(pairs, axis=1))
    np.testing.assert_allclose(found.weights[:, 0], agreement / agreement.sum())
    assert found.weights[2, 0] == 0
    brought = [scale * each + bias for each, scale, bias in zip(members, found.scale, found.bias, strict=True)]
    assert np.ptp([each.mean() for each in brought]) < 1e-12
    assert np.ptp([each.std() for each in brought]) < 1e-12
    assert brought[0].mean() == pytest.approx((agreement * [m.mean() for m in members]).sum() / agreement.sum())


def test_centred_members_that_are_constant_or_do_not_agree_at_all_count_alike():
    found = weights.centre([np.zeros((9, 1)), np.ones((9, 1))])
    assert found.weights.ravel().tolist() == [0.5, 0.5]
    np.testing.assert_allclose(found.values([np.zeros((9, 1)), np.ones((9, 1))]), 0.5)
    alone = weights.centre([np.arange(4.0)[:, None]])
    np.testing.assert_allclose(alone.values([np.arange(4.0)[:, None]]), np.arange(4.0)[:, None])


def held_out(noises, num_clips=4):
    """Members with so much noise each, and the truth."""
    members = [{} for _ in noises]
    for i in range(num_clips):
        for member, noise in enumerate(noises):
            table = table_of(f"c{i}", noise=noise, seed=member)
            labels = Labels(table_of(f"c{i}", noise=0).values, np.ones(200, bool))
            members[member][f"c{i}"] = LabelledTable(table.values, table.observed, labels)
    return members


def test_fitted_weights_favour_the_better_member_and_score_higher_than_the_mean_and_than_each():
    members = held_out([0.3, 0.9, 0.5])
    found = selection.fit_weights(VA, members)
    best = fitting.rank(VA, selection.combined(VA, members, found))
    assert found.weights[0] > found.weights[2] > found.weights[1]
    assert best > fitting.rank(VA, selection.combined(VA, members, weights.mean(3)))
    assert best > max(fitting.rank(VA, selection.combined(VA, [each], weights.mean(1))) for each in members)
    assert found.fitted_on == ("c0", "c1", "c2", "c3")


def test_where_no_weights_are_better_the_mean_is_kept():
    members = held_out([0.3])
    assert selection.fit_weights(VA, [members[0], members[0]]).weights.ravel().tolist() == [0.5, 0.5]


def test_weights_of_classes_are_fitted_on_the_scored_frames_alone():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 8, 300)
    scored = np.arange(300) < 200
    good, bad = np.eye(8)[truth], np.eye(8)[(truth + 1) % 8]
    labels = Labels(truth[:, None].astype(np.float32), scored)
    where = scored[:, None]
    members = [
        {"a": LabelledTable(np.where(where, values, other).astype(np.float32), np.ones(300, bool), labels)}
        for values, other in ((bad, good), (good, bad))
    ]
    assert selection.fit_weights(EXPR, members).weights.ravel()[1] > 0.5


def test_cross_fitted_weights_are_those_of_the_other_groups_and_a_video_in_two_is_a_leak():
    members = held_out([0.3, 0.9])
    groups = {"c0": 0, "c1": 0, "c2": 1, "c3": 1}
    found = selection.cross_fit_weights(VA, members, groups)
    others = selection.fit_weights(VA, [{c: each[c] for c in ("c2", "c3")} for each in members])
    expected = selection.combined(VA, [{c: each[c] for c in ("c0", "c1")} for each in members], others)
    np.testing.assert_array_equal(found["c0"].prediction, expected["c0"].prediction)
    assert list(found) == list(groups)
    sides = [
        {f"v{side}": clip for side, clip in zip(("_left", "_right"), each.values(), strict=False)} for each in members
    ]
    with pytest.raises(ValueError, match="a leak: the weights fitted on the other groups has seen video 'v'"):
        selection.cross_fit_weights(VA, sides, {"v_left": 0, "v_right": 1})


def recorded(**more):
    known = {"run": ["r"], "commit": "c", "seeds": [0], "label_tasks_seen": ["va"], "videos_seen": ["1"]}
    return {**known, "subject_adapted": False, "held_out": True, "made_by": {"x": "r0", "y": "r1"}, **more}


def test_provenance_of_members_is_merged():
    other = recorded(run=["s"], commit="d", seeds=[1], label_tasks_seen=["expr", "va"], videos_seen=["2"])
    other |= {"subject_adapted": True, "held_out": False, "made_by": {"x": "s0", "y": "s1"}}
    assert provenance.merged([recorded(), other]) == {
        "run": ["r", "s"],
        "commit": "c, d",
        "seeds": [0, 1],
        "label_tasks_seen": ["expr", "va"],
        "videos_seen": ["1", "2"],
        "subject_adapted": True,
        "held_out": False,
        "made_by": {"x": "r0 + s0", "y": "r1 + s1"},
        "incomplete": [],
    }
    assert provenance.merged([recorded()]) == recorded(incomplete=[])


@pytest.mark.parametrize(
    "key", ["run", "commit", "seeds", "label_tasks_seen", "videos_seen", "subject_adapted", "held_out"]
)
def test_what_one_member_does_not_record_is_incomplete_and_what_the_others_record_still_counts(key):
    for unknown in (recorded(**{key: None}), {name: value for name, value in recorded().items() if name != key}):
        about = provenance.merged([recorded(), unknown])
        assert about["incomplete"] == [key]
        assert about[key] == (None if key in ("subject_adapted", "held_out") else recorded()[key])
        assert provenance.merged([recorded(), about])["incomplete"] == [key], "once lost it stays so"


def test_a_member_of_unknown_origin_does_not_hide_what_another_has_seen(tmp_path):
    about = provenance.merged([recorded(held_out=False, label_tasks_seen=["expr", "va"]), {}])
    with pytest.raises(ValueError, match="a leak: the training .* has seen video '1'"):
        leaks.check_unseen(tmp_path, "validation", ["1_left"], about, None)
    assert "are not recorded" in leaks.check_unseen(tmp_path, "validation", ["2"], about, None)[0]
    lines = rules.provenance(about, "va")
    assert "does not say commit, label_tasks_seen" in lines[0].replace("run, ", "")
    assert any("uni-task rule" in line for line in lines)


@pytest.mark.parametrize(("gains", "kept"), [(True, [0.25, 0.75]), (False, [0.5, 0.5])])
def test_weights_are_kept_only_where_they_gain_by_cross_fitting(gains, kept, job, monkeypatch):
    """The weights fitted on all clips are fixed here; what they gain on clips they were not fitted on is not."""

    def cross_fitted(task, members, groups):
        found = selection.combined(task, members, weights.mean(2))
        right = {clip: each.labels.values if gains else -each.prediction for clip, each in found.items()}
        return {clip: replace(each, prediction=right[clip]) for clip, each in found.items()}

    monkeypatch.setattr(selection, "cross_fit_weights", cross_fitted)
    monkeypatch.setattr(selection, "fit_weights", lambda *_: weights.weighted([0.25, 0.75], {"t1"}))
    report = run_combine(job, fit=True, data=job / "data")
    ensemble = about_of(job / "both")["ensemble"]
    assert ensemble["weights"] == kept
    assert ensemble["fitted_on"], "the labels decided it in either case"
    assert ("the mean is kept" in str(report)) is not gains


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


def about_of(folder):
    return predictions.read_metadata(folder / "va")


def test_a_mean_of_folders_is_a_folder_that_says_what_it_is_made_of(job, capsys):
    report = run_combine(job)
    about = about_of(job / "both")
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
    assert f"va mean 0.500 {job / 'a/va'}" in str(report)
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
    assert f"va mean {scores['mean']:.4f}" in str(report)
    assert f"va weighted {scores['weighted']:.4f} (cross-fitted)" in str(report)
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
    assert {**second, "members": 0} == {**first, "members": 0}


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
    "data for nothing": ({"trust": True}, "say what weights are fitted on: give --fit with them"),
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
    waiting = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    writer = {"host": os.uname().nodename, "pid": waiting.pid}
    predictions.write_metadata(job / "both/va", {"complete": False, "writer": writer})
    with pytest.raises(
        ValueError, match=f"process {waiting.pid} is writing to .*both/va: wait for it, or give another"
    ):
        run_combine(job)
    waiting.communicate(b"\n")
    run_combine(job)
    assert about_of(job / "both")["task"] == "va"


def write_run(folder, train, held_out, seed=0, **facts):
    """As much of a complete run as concerns its predictions."""
    write_folder(folder / "predictions/validation", held_out, seed=seed, split=None, commit="abc")
    videos = {"train": list(train), "validation": list(held_out)}
    known = {
        "seed": seed,
        "tasks": {"va": {}},
        "recipes": {},
        "scores": {},
        "label_tasks_seen": ["va"],
        "videos": videos,
    }
    (folder / "run.json").write_text(json.dumps({**known, **facts}))
    return folder


def run_predict(folders, out, **more):
    predict(folders, out, held_out=True, **more)
    return about_of(out)


def test_what_folds_held_out_is_pooled_and_says_which_run_it_is_by(tmp_path):
    runs = [write_run(tmp_path / f"r{i}", "21"[i], "12"[i], seed=i) for i in (0, 1)]
    about = run_predict(runs, tmp_path / "held")
    assert about == {
        "task": "va",
        "split": None,
        "run": [str(run) for run in runs],
        "commit": "abc",
        "seeds": [0, 1],
        "label_tasks_seen": ["va"],
        "videos_seen": ["1", "2"],
        "subject_adapted": False,
        "held_out": True,
        "made_by": {"1": str(runs[0]), "2": str(runs[1])},
        "incomplete": [],
        "post_processing": {},
        "ensemble": {},
    }
    for run, clip_id in zip(runs, "12", strict=True):
        mine = predictions.read_table(tmp_path / "held/va", clip_id, VA)
        np.testing.assert_array_equal(
            mine.values, predictions.read_table(run / "predictions/validation/va", clip_id, VA).values
        )


def test_a_run_from_before_videos_were_recorded_leaves_unknown_whether_its_tables_are_held_out(tmp_path):
    run = write_run(tmp_path / "r", "2", "1")
    document = json.loads((run / "run.json").read_text())
    del document["videos"]
    (run / "run.json").write_text(json.dumps(document))
    about = run_predict([run], tmp_path / "held")
    assert (about["held_out"], about["videos_seen"], about["made_by"]) == (None, None, {})


def test_runs_whose_held_out_clips_overlap_or_were_trained_on_or_are_none_are_refused(tmp_path):
    one, two = (write_run(tmp_path / name, "2", "1") for name in ("r0", "r1"))
    with pytest.raises(
        ValueError, match="clip '1' was held out by .*r0 and by .*r1: name the runs of one set of folds"
    ):
        run_predict([one, two], tmp_path / "held")
    leaky = write_run(tmp_path / "r2", ["3"], ["3_left"])
    with pytest.raises(ValueError, match="a leak: the training of .*r2 has seen video '3', which is scored here"):
        run_predict([leaky], tmp_path / "held")
    (tmp_path / "r3").mkdir()
    (tmp_path / "r3/run.json").write_text((one / "run.json").read_text())
    with pytest.raises(ValueError, match="r3 has no tables of clips that it held out: name the runs of the folds"):
        run_predict([one, tmp_path / "r3"], tmp_path / "held")
    with pytest.raises(ValueError, match="already holds these tables: give another --out"):
        run_predict([one], one / "predictions/validation")
    with pytest.raises(ValueError, match="give either --split NAME or --clips ID .*, or --held-out: one"):
        run_predict([one], tmp_path / "held", split="test")
    assert not (tmp_path / "held").exists()


def test_a_single_runs_own_post_processing_is_taken_along_a_file_goes_first_and_of_several_runs_none(tmp_path):
    one, two = (write_run(tmp_path / f"r{i}", "21"[i], "12"[i]) for i in (0, 1))
    own, other = PostProcessing(smoother="box", width=5), PostProcessing(smoother="median", width=7)
    (one / "post_processing.json").write_text(json.dumps({"va": own.document()}))
    (tmp_path / "d.json").write_text(json.dumps({"va": other.document()}))
    assert run_predict([one], tmp_path / "held")["post_processing"] == own.document()
    assert (
        run_predict([one], tmp_path / "held", post_processing=tmp_path / "d.json")["post_processing"]
        == other.document()
    )
    assert run_predict([one, two], tmp_path / "held")["post_processing"] == {}
    (one / "post_processing.json").write_text(json.dumps({"va": {"width": 2}}))
    with pytest.raises(
        ValueError, match=r"r0/post_processing.json, va: post-processing: width is 2, expected an odd number"
    ):
        run_predict([one], tmp_path / "other")
    (one / "post_processing.json").write_text(json.dumps({"va": PostProcessing(bias=(1.0,) * 8).document()}))
    with pytest.raises(
        ValueError, match=r"r0/post_processing.json, va: post-processing: bias has 8 numbers, va has 2 logits"
    ):
        run_predict([one], tmp_path / "other")
    assert not (tmp_path / "other").exists()

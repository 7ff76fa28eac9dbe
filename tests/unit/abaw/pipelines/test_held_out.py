"""The tables that folds held out are pooled, with the run that made each of them."""

import json

import numpy as np
import pytest

from abaw.pipelines.prediction import predict
from abaw.postprocessing import PostProcessing
from abaw.results import predictions
from abaw.tasks import TASKS
from tests.support.abaw.ensembles import about_of
from tests.support.fitted import write_folder
from tests.support.owners import held_elsewhere

VA = TASKS.build("va")


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
        "epoch_chosen_on": ["1", "2"],
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


def test_a_second_process_that_pools_into_the_same_folder_is_refused(tmp_path):
    run = write_run(tmp_path / "r", "2", "1")
    refused = pytest.raises(ValueError, match=r"is running in .*held/va \(process \d+ on host")
    with held_elsewhere(tmp_path / "held/va"), refused:
        predict([run], tmp_path / "held", held_out=True)
    assert not (tmp_path / "held").exists()

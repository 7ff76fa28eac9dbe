"""The commands one after the other on a very small data set, as a user gives them."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as parquet
import pytest
import torch

from abaw.errors import InputError
from abaw.pipelines.analysis.analyzing import analyze
from fusion.module import FusionModule
from tests.support.abaw.commands import abaw

ROOT = Path(__file__).resolve().parents[2]
SMALL = ["model.hidden_dim=8", "trainer.max_epochs=2", "window.length=40", "window.stride=20"]


@pytest.fixture(scope="module")
def job(tmp_path_factory):
    """A folder with a data set, a store, a trained run and predictions, each made by its command."""
    cwd = tmp_path_factory.mktemp("job")
    abaw("synth", "work/synthetic", "--clips", 14, "--seconds", 3, cwd=cwd)
    abaw(
        "extract", "work/synthetic", "--store", "work/store", "--encoder", "face_hog", "--encoder", "voice_mel", cwd=cwd
    )
    trained = abaw("train", ROOT / "abaw/configs/synthetic.yaml", *SMALL, cwd=cwd)
    assert trained.stdout.splitlines()[-1] == "runs/synthetic"
    abaw("predict", "runs/synthetic", "--split", "test", "--out", "work/predictions", cwd=cwd)
    return cwd


def template(job, name):
    return job / f"work/synthetic/test_set/ABAW_{name}_test_set_sample.txt"


@pytest.mark.parametrize("name", ["VA", "EXPR"])
def test_the_submission_has_the_templates_rows_and_is_verified(job, name):
    out = job / f"work/{name}.txt"
    output = abaw("submit", "work/predictions", "--template", template(job, name), "--out", out, cwd=job).stdout
    given, asked = out.read_text().splitlines(), template(job, name).read_text().splitlines()
    assert given[0] == asked[0]
    assert [row.split(",")[0] for row in given] == [row.split(",")[0] for row in asked]
    assert f"{len(asked) - 1} rows" in output
    done = abaw("verify", out, "--template", template(job, name), "--task", name.lower(), cwd=job)
    assert done.stdout == f"{out} verified\n"
    out.write_text("\n".join(given[:-1]) + "\n")
    done = abaw("verify", out, "--template", template(job, name), cwd=job, code=1)
    assert "is missing at the end" in done.stdout


def test_the_row_beyond_the_clips_end_holds_the_last_value_and_is_counted(job):
    done = abaw("submit", "work/predictions", "--template", template(job, "VA"), "--out", "work/b.txt", cwd=job)
    assert "1 beyond the clip's end" in done.stdout


def test_what_is_done_is_not_done_again(job):
    words = ["extract", "work/synthetic", "--store", "work/store", "--encoder", "face_hog", "--encoder", "voice_mel"]
    assert "0 clips extracted, 14 done before, 0 failed" in abaw(*words, cwd=job).stdout
    assert "complete already" in abaw("train", ROOT / "abaw/configs/synthetic.yaml", *SMALL, cwd=job).stderr
    before = (job / "work/synthetic/synth.json").stat().st_mtime_ns
    abaw("synth", "work/synthetic", "--clips", 14, "--seconds", 3, cwd=job)
    assert (job / "work/synthetic/synth.json").stat().st_mtime_ns == before


def test_a_run_says_what_it_was_made_of(job):
    run = json.loads((job / "runs/synthetic/run.json").read_text())
    assert run["label_tasks_seen"] == ["expr", "va"]
    assert run["recipes"]["face_hog"]["faces"]["finder"] == "centerface"
    assert run["splits"]["train"]["va"]["scored"] <= run["splits"]["train"]["va"]["frames"]
    assert len(run["tasks"]["expr"]["class_weights"]) == 8
    assert {"torch", "python"} <= run["versions"].keys()
    assert sorted(path.name for path in (job / "runs/synthetic").iterdir() if "events" not in path.name) == [
        ".abaw.json", "config.yaml", "curves.csv", "post_processing.json", "predictions", "run.json", "weights",
    ]  # fmt: skip


def test_score_gives_the_scores_the_run_recorded(job):
    found = json.loads(abaw("score", "runs/synthetic", "--json", cwd=job).stdout)["results"]
    recorded = json.loads((job / "runs/synthetic/run.json").read_text())["scores"]
    assert {each["task"]: each["scores"] for each in found} == recorded
    assert (
        abaw("score", "runs/synthetic", "--task", "va", cwd=job).stdout.splitlines()[-1].startswith("runs/synthetic va")
    )


def test_a_run_reads_features_converted_to_int8_and_says_so(job, tmp_path):
    store, out = tmp_path / "store", tmp_path / "predictions"
    shutil.copytree(job / "work/store", store)
    for name in ("face_hog", "voice_mel"):
        said = abaw("store", "convert", store, "--encoder", name, cwd=job).stdout.splitlines()
        assert "% of the size in float16" in said[0]
        abaw(*said[-1].partition(" by abaw ")[2].split(), cwd=job)
    done = abaw("predict", "runs/synthetic", "--split", "test", "--out", out, "--store", store, cwd=job)
    note = "runs/synthetic was trained on face_hog in float16, and reads it in int8_from_float16"
    assert note in done.stdout.splitlines()
    about = json.loads((out / "va/predictions.json").read_text())
    assert about["types_read"]["runs/synthetic"]["voice_mel"] == {"trained": "float16", "read": "int8_from_float16"}
    for path in sorted((out / "va").glob("*.parquet")):
        one, other = (parquet.read_table(each).to_pandas() for each in (path, job / "work/predictions/va" / path.name))
        np.testing.assert_allclose(one["valence"], other["valence"], atol=0.02)


def test_two_runs_are_an_ensemble_of_the_mean(job):
    abaw("train", ROOT / "abaw/configs/synthetic.yaml", *SMALL, "name=second", "training.seed=1", cwd=job)
    for name, runs in (("one", ["runs/second"]), ("both", ["runs/synthetic", "runs/second"])):
        abaw("predict", *runs, "--split", "test", "--out", f"work/{name}", cwd=job)
    clip = next((job / "work/both/va").glob("*.parquet")).name
    first, second, both = (
        parquet.read_table(job / f"work/{each}/va/{clip}")["arousal"].to_numpy()
        for each in ("predictions", "one", "both")
    )
    assert both == pytest.approx((first + second) / 2, abs=1e-6)


def test_single_clips_are_predicted_by_name(job):
    abaw("predict", "runs/synthetic", "--clips", "102", "--out", "work/single", cwd=job)
    assert [path.name for path in (job / "work/single/expr").glob("*.parquet")] == ["102.parquet"]
    done = abaw("predict", "runs/synthetic", "--clips", "nobody", "--out", "work/none", cwd=job, code=2)
    assert "no clip 'nobody'" in done.stderr


def test_analyze_gives_a_row_a_frame_in_parquet_and_csv(job):
    video = next((job / "work/synthetic/videos").rglob("451.*"))
    abaw("analyze", video, "--run", "runs/synthetic", "--out", "work/analysis", cwd=job)
    with pytest.raises(InputError, match=r"--faces haar is not how .* \(centerface\).*: leave --faces out"):
        analyze(video, job / "runs/synthetic", job / "work/other", faces="haar")
    frames = parquet.read_table(job / "work/analysis/451.parquet")
    assert frames.column_names[:6] == ["frame", "time_s", "observed", "face_seen", "voice_heard", "face_x_px"]
    assert {"valence", "arousal", "p_Neutral", "p_Other", "expression"} <= set(frames.column_names)
    assert len((job / "work/analysis/451.csv").read_text().splitlines()) == len(frames) + 1
    assert frames["face_x_px"].null_count < len(frames) / 4


def test_analyze_takes_the_good_of_a_folder_and_lists_the_bad(job, media):
    words = ["analyze", media / "clips/single_face.mp4", media / "nasty/zero_length.mp4", "--run", "runs/synthetic"]
    refused = abaw(*words, "--out", "work/mixed", cwd=job, code=2).stderr
    assert "runs/synthetic was trained on the synthetic data set" in refused
    assert "about real people mean nothing" in refused
    assert not (job / "work/mixed").exists()
    done = abaw(*words, "--out", "work/mixed", "--anyway", cwd=job, code=1)
    assert "mean nothing" in done.stdout.splitlines()[0]
    about = json.loads((job / "work/mixed/analysis.json").read_text())
    assert about["runs"][0]["data"] == {"path": "work/synthetic", "kind": "synthetic"}
    assert about["warnings"]
    assert "zero_length: decode:" in done.stderr
    frames = parquet.read_table(job / "work/mixed/single_face.parquet")
    assert len(frames) == 72
    assert frames["face_x_px"].null_count <= 2
    times_s = frames["time_s"].to_pylist()
    assert times_s == sorted(set(times_s))
    assert all(-1 <= each <= 1 for each in frames["valence"].to_pylist() if each is not None)
    assert not (job / "work/mixed/zero_length.parquet").exists()


def test_check_shows_its_findings_and_strict_makes_it_an_error(job):
    output = abaw("check", "work/synthetic", cwd=job).stdout
    assert "14 clips" in output
    abaw("check", "work/synthetic", "--strict", cwd=job, code=1)
    assert json.loads(abaw("check", "work/synthetic", "--json", cwd=job).stdout)


def test_a_template_clip_without_predictions_is_named_and_nothing_is_written(job):
    shutil.copytree(job / "work/predictions/va", job / "work/partial")
    (job / "work/partial/451.parquet").unlink()
    done = abaw("submit", "work/partial", "--template", template(job, "VA"), "--out", "work/no.txt", cwd=job, code=2)
    assert "'451'" in done.stderr
    assert not (job / "work/no.txt").exists()


def test_a_run_of_another_task_is_refused_for_a_template(job):
    done = abaw("submit", "work/predictions/va", "--template", template(job, "EXPR"), "--out", "x.txt", cwd=job, code=2)
    assert "expr" in done.stderr
    assert not (job / "x.txt").exists()


def test_a_run_of_face_and_voice_answers_for_both_persons_of_a_clip(job, media, monkeypatch):
    """Seconds: a face is found in 75 frames of a real clip, and two persons are encoded."""
    heard, real = [], FusionModule.outputs
    monkeypatch.setattr(FusionModule, "outputs", lambda self, batch: heard.append(batch.signals) or real(self, batch))
    monkeypatch.chdir(job)
    name = "two_faces_audio_of_left"
    found = analyze(media / f"nasty/{name}.mp4", "runs/synthetic", "work/both", persons="all", anyway=True)
    table = found.table(name).to_numpy()
    assert set(table["person"]) == {0, 1}
    rows = {person: table["frame"][table["person"] == person].tolist() for person in (0, 1)}
    assert rows[0] == rows[1] == list(range(1, len(rows[0]) + 1))
    assert [set(table["other_persons"][table["person"] == person]) for person in (0, 1)] == [{"1"}, {"0"}]
    by_person = {person: {key: each[table["person"] == person] for key, each in table.items()} for person in (0, 1)}
    assert (by_person[0]["face_x_px"] + by_person[0]["face_width_px"] < by_person[1]["face_x_px"]).all()
    assert by_person[0]["voice_heard"].any()
    assert by_person[0]["voice_heard"].tolist() == by_person[1]["voice_heard"].tolist()
    assert (by_person[0]["valence"] != by_person[1]["valence"]).all()
    one, other = np.array_split(np.arange(len(heard)), 2)
    for first, second in zip(one, other, strict=True):
        voices, faces = ([heard[i][each].values for i in (first, second)] for each in ("voice_mel", "face_hog"))
        assert torch.equal(*voices)
        assert not torch.equal(*faces)
    assert "the voice features (voice_mel) are the same for all persons of a clip" in str(found)


def test_a_training_that_is_killed_goes_on_and_ends_as_the_unbroken_one(job):
    words = ["train", ROOT / "abaw/configs/synthetic.yaml", *SMALL, "trainer.max_epochs=4"]
    abaw(*words, "name=whole", cwd=job)
    killed = subprocess.Popen([sys.executable, "-m", "abaw", *map(str, words), "name=broken"], cwd=job)
    while killed.poll() is None and not (job / "runs/broken/resume.ckpt").exists():
        time.sleep(0.01)
    killed.kill()
    killed.wait()
    done = abaw("predict", "runs/broken", "--split", "test", "--out", "work/x", cwd=job, code=2)
    assert "is not complete: continue it with abaw train" in done.stderr
    abaw(*words, "name=broken", cwd=job)
    whole, broken = ((job / f"runs/{name}/weights/model.safetensors").read_bytes() for name in ("whole", "broken"))
    assert whole == broken
    assert not (job / "runs/broken/resume.ckpt").exists()


def test_a_run_stopped_between_training_and_scoring_is_not_trained_again(job, monkeypatch, caplog):
    from abaw.pipelines import prediction, training

    caplog.set_level("INFO", logger="abaw")
    monkeypatch.chdir(job)
    settings = [*SMALL, "name=unscored"]
    with monkeypatch.context() as patch:
        patch.setattr(prediction, "write_predictions", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            training.train(ROOT / "abaw/configs/synthetic.yaml", settings)
    assert "epoch 2/2" in caplog.text
    caplog.clear()
    run = training.train(ROOT / "abaw/configs/synthetic.yaml", settings)
    assert "epoch" not in caplog.text
    assert set(run.finished()["scores"]) == {"va", "expr"}
    assert not (run.folder / "resume.ckpt").exists()


def test_a_refused_training_leaves_nothing_that_blocks_the_next(job):
    words = ["train", ROOT / "abaw/configs/synthetic.yaml", *SMALL, "name=refused"]
    for wrong in ("trainer.precision=foo", "trainer.strategy=none_such", "losses.x=1"):
        done = abaw(*words, wrong, cwd=job, code=2)
        assert done.stderr.startswith("abaw: ") or "\nabaw: " in done.stderr
        assert not (job / "runs/refused").exists()


def test_a_terminated_training_says_so_and_goes_on_for_longer(job):
    words = [sys.executable, "-m", "abaw", "train", str(ROOT / "abaw/configs/synthetic.yaml"), *SMALL, "name=stopped"]
    stopped = subprocess.Popen([*words, "trainer.max_epochs=500"], cwd=job, stderr=subprocess.PIPE, text=True)
    while stopped.poll() is None and not (job / "runs/stopped/resume.ckpt").exists():
        time.sleep(0.01)
    stopped.terminate()
    _, said = stopped.communicate()
    assert stopped.returncode == 143
    assert "stopped: the same command goes on from here, after the last complete epoch" in said
    done = abaw(*words[3:], "trainer.max_epochs=3", cwd=job)
    assert done.stdout.splitlines()[-1] == "runs/stopped"


def test_a_folder_that_is_no_run_is_neither_written_to_nor_removed(job):
    (job / "runs/mine").mkdir()
    (job / "runs/mine/notes.txt").write_text("keep")
    words = ["train", ROOT / "abaw/configs/synthetic.yaml", *SMALL, "name=mine", "losses.x=1"]
    done = abaw(*words, cwd=job, code=2)
    assert "holds notes.txt, not written by a training: give the run another name" in done.stderr
    assert [path.name for path in (job / "runs/mine").iterdir()] == ["notes.txt"]

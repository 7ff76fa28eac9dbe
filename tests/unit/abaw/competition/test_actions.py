"""What the stages of a recipe do, and running them in order."""

import subprocess
from dataclasses import replace

import pytest

from abaw.challenge import submission, verification
from abaw.competition.actions import ACTIONS, run_job
from abaw.competition.state import StageState, made_from
from abaw.errors import InputError
from abaw.pipelines import extraction, training
from abaw.progress import silent
from extract.engine.run import ExtractionReport
from extract.store.store import Failure
from tests.support.recipes import CONFIG, job, of_kind, only, stored, trained_run


def test_runs_are_checked_against_the_features_that_this_recipe_extracts(data, tmp_path, monkeypatch):
    trained_run(data, tmp_path)
    stored(tmp_path)
    found = job(data, tmp_path, "encoders=['face_hog:crop_px=16']")
    begun = []

    def extract(*_, **__):
        stored(tmp_path, settings={"crop_px": 16})
        return ExtractionReport(["d"])

    monkeypatch.setattr(extraction, "extract", extract)
    monkeypatch.setattr(training, "train", lambda *_, **__: begun.append(1))
    chosen = [stage for stage in found.stages if stage.kind in ("extract", "train")]
    message = "fold1 was trained on features that cannot be compared .* 2 recipes named 'face_hog'"
    with pytest.raises(ValueError, match=message):
        run_job(replace(found, stages=chosen))
    assert not begun


def test_a_stage_that_is_stopped_is_not_done_even_if_it_was_done_before(data, tmp_path, monkeypatch):
    def stopped(*_):
        raise SystemExit(143)

    found = only(job(data, tmp_path), "check")
    run_job(found)
    (stage,), state = found.stages, StageState(found.places.work)
    assert state.is_done(stage)
    changed = replace(stage, settings={"clips": "others"})
    with monkeypatch.context() as patch:
        patch.setitem(ACTIONS, "check", stopped)
        with pytest.raises(SystemExit):
            run_job(replace(found, stages=[changed]))
    assert not state.is_done(stage)  # its output may be half of another one
    run_job(found)
    assert state.is_done(stage)


def test_a_damaged_record_of_the_config_is_written_again(data, tmp_path):
    found = only(job(data, tmp_path), "check")
    run_job(found)
    before = found.record.read_bytes()
    found.record.write_bytes(before[:40] + b"\xe7" + before[41:])
    run_job(found)
    assert found.record.read_bytes() == before


def test_two_recipes_at_once_in_one_folder_are_refused(data, tmp_path, monkeypatch):
    found = only(job(data, tmp_path), "check")
    monkeypatch.setitem(ACTIONS, "check", lambda *_: run_job(found))
    with pytest.raises(
        ValueError, match=r"a recipe is running in .*work/synthetic \(process \d+ .*\): wait until it has finished, or"
    ):
        run_job(found)


def test_clips_that_fail_do_not_stop_the_recipe_and_are_tried_again(data, tmp_path, monkeypatch, caplog):
    calls = []

    def failing(*_, **__):
        calls.append(1)
        (tmp_path / "store/clock").mkdir(parents=True, exist_ok=True)
        return ExtractionReport(["d"], [], [Failure("e", "decode", "no frames")])

    monkeypatch.setattr(extraction, "extract", failing)
    found = only(job(data, tmp_path, "encoders=[face_hog]", f"store={tmp_path / 'store'}"), "extract")
    for num in (1, 2):
        run_job(found)
        assert len(calls) == num
        assert "continuing without the clips that failed" in caplog.text


def test_training_on_several_devices_is_a_command_of_its_own(data, tmp_path, monkeypatch):
    commands, trained = [], []

    def run(words, **_):
        commands.append(words)
        return subprocess.CompletedProcess(words, len(commands) - 1)

    monkeypatch.setattr(training, "train", lambda *words, **_: trained.append(words))
    monkeypatch.setattr(subprocess, "run", run)
    for devices, num in ((1, 0), (2, 1)):
        found = job(data, tmp_path, f"trainer.devices={devices}")
        assert ACTIONS["train"](found, of_kind(found.stages, "train")[3], silent)
        assert (len(commands), len(trained)) == (num, 1)
    assert commands[0][1:4] == ["-m", "abaw", "train"]
    assert commands[0][-4:] == ["name=synthetic-big-fold1", "folds.fold=1", "--runs", str(tmp_path / "runs")]
    with pytest.raises(InputError, match="training synthetic-gru fold 0 ended with exit code 1"):
        ACTIONS["train"](found, of_kind(found.stages, "train")[0], silent)


def test_a_challenge_file_that_is_not_verified_stops_the_recipe(data, tmp_path, monkeypatch):
    found = job(data, tmp_path)
    (stage,) = of_kind(found.stages, "submit")
    monkeypatch.setattr(submission, "submit", lambda *_, **__: "summary")
    monkeypatch.setattr(verification, "verify", lambda *_, **__: ["sample.txt:2: a row is missing"])
    with pytest.raises(ValueError, match="does not have what .*sample.txt asks for:\n.*:2: a row is missing"):
        ACTIONS["submit"](found, stage, silent)


def test_run_sh_full_needs_a_data_set():
    root = CONFIG.parents[2]
    done = subprocess.run(["bash", str(root / "run.sh"), "full"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "full AFFWILD2_ROOT" in done.stderr


def test_the_recipes_limits_of_held_and_filled_rows_reach_the_challenge_file_and_nothing_else(
    data, tmp_path, monkeypatch
):
    given = {}
    monkeypatch.setattr(submission, "submit", lambda *_, **words: given.update(words))
    monkeypatch.setattr(verification, "verify", lambda *_, **__: [])
    stages = {}
    for share in (0.01, 0.25):
        found = job(data, tmp_path, f"submission.max_held={share}")
        (stage,) = of_kind(found.stages, "submit")
        assert ACTIONS["submit"](found, stage, silent)
        assert given == {"task": "va", "max_held": share, "max_filled": 0.5}
        stages[share] = {each.name: made_from(each) for each in found.stages}
    assert [name for name in stages[0.01] if stages[0.01][name] != stages[0.25][name]] == ["submit sample"]
    with pytest.raises(InputError, match="max_held"):
        job(data, tmp_path, "submission.max_held=2")

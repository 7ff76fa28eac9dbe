"""Training on two devices: two processes, one training."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

from abaw.tasks.base import PredictionPair
from fusion.checkpoint import load_module
from fusion.predict import predict
from tests.support.abaw.speakers import write_data, write_store
from tests.support.memory import LENGTHS, make_config, make_labels, make_source, make_tasks, with_training

TWO = {"devices": 2, "strategy": "ddp"}


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """A config that chooses the epoch on an inner part, so that its processes train twice."""
    root = tmp_path_factory.mktemp("own")
    config = {
        "name": "own",
        "data": str(write_data(root / "data")),
        "store": str(write_store(root / "store").root),
        "tasks": {"classes": {}},
        "features": {"clear": {}},
        "model": {"name": "pooled"},
        "window": {"length": 50, "stride": 50},
        "folds": {"num": 4},
        "training": {"loggers": [], "learning_rate": 0.02, "schedule": "cosine"},
        "trainer": {"max_epochs": 2, "accelerator": "cpu", **TWO},
    }
    (root / "own.yaml").write_text(json.dumps(config))
    return root / "own.yaml"


@pytest.fixture(scope="module")
def run(tmp_path_factory, own):
    """Config, folder and log of a run on two devices, in processes that have trained ``own`` before.

    Batches of two, so that some have no label of a task; an odd number of validation windows.
    """
    folder = tmp_path_factory.mktemp("two")
    config = make_config(max_epochs=3, **TWO)
    config = with_training(config, batch_size=2, ema_decay=0.5, sampling="balanced")
    command = [
        sys.executable,
        "-m",
        "tests.support.processes",
        str(folder),
        config.model_dump_json(),
        "--before",
        str(own),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=250)
    assert done.returncode == 0, done.stderr
    return config, folder, done.stderr


def test_one_process_and_two_give_the_same_scores(run):
    config, folder, _ = run
    source, tasks = make_source(LENGTHS), make_tasks()
    truth, module = make_labels(source)["validation"], load_module(folder, config, tasks)
    predicted = {clip: raw for clip, raw, _ in predict(module, source, ["val_both", "val_va"], config.window)}
    for name, task in tasks.items():
        clips = {
            clip: PredictionPair(task.to_labels(task.probabilities(predicted[clip][name])), each)
            for clip, each in truth[name].items()
        }
        assert task.score(clips) == pytest.approx(module.scores[name], abs=1e-6)


def test_every_process_computes_the_same_score(run):
    _, folder, _ = run
    first, second = (json.loads((folder / f"scores-{rank}.json").read_text()) for rank in (0, 1))
    assert first == second


def test_only_the_first_process_writes_and_logs(run):
    _, folder, said = run
    names = sorted(path.name.split(".")[0] for path in folder.iterdir())
    assert "Warning" not in said
    assert "recommended" not in said
    assert names == ["curves", "events", "resume", "scores-0", "scores-1", "weights", "wrote-0"]
    assert [line.split(":")[0] for line in said.splitlines() if line.startswith("epoch")] == [
        f"epoch {number}/3" for number in (1, 2, 3)
    ]


def test_two_processes_choose_the_same_epoch_and_train_on_with_it(run, own):
    """The second part of the training finds the first one's processes."""
    recorded = json.loads((own.parent / "runs/own/run.json").read_text())
    assert recorded["selection"]["select_on"] == "inner"
    assert recorded["selection"]["epochs"] == recorded["selection"]["epochs_trained"]
    assert recorded["scores"]["classes"]["n"] == 9


def children_of(pid):
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split()] if path.exists() else []


def is_training(pid):
    """Whether a process is one that Lightning has started, and has begun its own training."""
    try:
        return b"LOCAL_RANK=" in Path(f"/proc/{pid}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):  # a helper of the interpreter that has ended meanwhile
        return False


@pytest.mark.skipif(sys.platform != "linux", reason="finds the child in /proc")
def test_the_second_process_ends_when_the_first_is_killed_before_its_first_epoch(tmp_path):
    config = make_config(max_epochs=3, devices=2, strategy="ddp")
    words = [sys.executable, "-m", "tests.support.processes", str(tmp_path), config.model_dump_json()]
    with subprocess.Popen(words, stderr=subprocess.PIPE) as first:
        while not [pid for pid in children_of(first.pid) if is_training(pid)]:
            assert first.poll() is None
            time.sleep(0.05)
        first.kill()
        first.stderr.read()  # it ends when the second process, which has the same, has ended
    assert not (tmp_path / "weights").exists()

"""A run that was stopped goes on, and ends as an unbroken one."""

import contextlib
import signal
import subprocess
import sys

import pytest
import torch

from abaw.configs.sections import WindowConfig
from fusion.data import ClipDataModule
from fusion.module import FusionModule
from fusion.train import train
from tests.support.memory import make_config, make_tasks, replace_training, with_training


@pytest.fixture(autouse=True)
def every_epoch_reads(monkeypatch):
    """No window stays in memory, so that the source can fail in any epoch."""
    monkeypatch.setattr("fusion.data.MAX_KEPT_BYTES", 0)


@pytest.mark.parametrize("model", ["concat", "bigru", "attention"])
def test_a_run_that_was_stopped_ends_with_the_weights_of_an_unbroken_one(model, source, labels, tmp_path):
    config, tasks = make_config(model, max_epochs=5), make_tasks()
    train(config, tasks, labels, source, tmp_path / "unbroken")
    num_reads = 10**9 - source.reads_left
    weights = (tmp_path / "unbroken" / "weights" / "model.safetensors").read_bytes()
    for share in (0.5, 0.75):
        folder = tmp_path / str(share)
        source.reads_left = int(num_reads * share)
        with pytest.raises(OSError, match="the power went"):
            train(config, tasks, labels, source, folder)
        assert (folder / "resume.ckpt").exists()
        source.reads_left = 10**9
        train(config, tasks, labels, source, folder)
        assert (folder / "weights" / "model.safetensors").read_bytes() == weights
        assert (folder / "curves.csv").read_bytes() == (tmp_path / "unbroken/curves.csv").read_bytes()


def test_the_last_weights_of_a_stopped_run_are_those_of_an_unbroken_one(source, labels, tmp_path, monkeypatch):
    # the best epoch may lie before the stop; the state at the very end shows every epoch
    ends = []
    monkeypatch.setattr(
        FusionModule, "on_fit_end", lambda self: ends.append({k: v.clone() for k, v in self.state_dict().items()})
    )
    config, tasks = make_config(max_epochs=4), make_tasks()
    train(config, tasks, labels, source, tmp_path / "unbroken")
    source.reads_left = (10**9 - source.reads_left) // 2
    with pytest.raises(OSError, match="the power went"):
        train(config, tasks, labels, source, tmp_path / "stopped")
    source.reads_left = 10**9
    train(config, tasks, labels, source, tmp_path / "stopped")
    assert len(ends) == 2
    for key, value in ends[0].items():
        assert torch.equal(value, ends[1][key]), key


@pytest.mark.parametrize("max_epochs", [2, 30])
def test_a_run_stopped_after_its_last_epoch_does_not_train_on(
    max_epochs, source, labels, tmp_path, monkeypatch, caplog
):
    caplog.set_level("INFO", logger="abaw")
    config = make_config(max_epochs=max_epochs)
    config = config.model_copy(update={"training": replace_training(config, patience_epochs=2, learning_rate=1e-12)})
    with monkeypatch.context() as patch:
        patch.setattr(FusionModule, "on_fit_end", power_cut)
        with pytest.raises(OSError, match="the power went"):
            train(config, make_tasks(), labels, source, tmp_path)
    weights = (tmp_path / "weights" / "model.safetensors").read_bytes()
    assert "epoch 2" in caplog.text
    caplog.clear()
    train(config, make_tasks(), labels, source, tmp_path)
    assert caplog.text == ""
    assert (tmp_path / "weights" / "model.safetensors").read_bytes() == weights


def power_cut(_):
    raise OSError("the power went")


def test_a_resume_file_of_another_config_is_refused(source, labels, tmp_path):
    config = make_config()
    source.reads_left = 60
    with pytest.raises(OSError, match="the power went"):
        train(config, make_tasks(), labels, source, tmp_path)
    source.reads_left = 10**9
    other = config.model_copy(update={"window": WindowConfig(length=10, stride=10)})
    with pytest.raises(ValueError, match=r"resume.ckpt belongs to a run with another config: delete it"):
        train(other, make_tasks(), labels, source, tmp_path)


SETTINGS = {
    "a schedule": {"warmup_epochs": 2, "schedule": "cosine"},
    "averaged weights": {"ema_decay": 0.9},
    "balanced windows": {"sampling": "balanced"},
    "shifted labels": {"label_shift": 3},
}


@pytest.mark.parametrize("settings", SETTINGS.values(), ids=SETTINGS)
def test_a_run_with_these_settings_that_was_stopped_ends_as_an_unbroken_one(settings, source, labels, tmp_path):
    config = with_training(make_config(max_epochs=5, accumulate_grad_batches=2), **settings)
    train(config, make_tasks(), labels, source, tmp_path / "unbroken")
    plain = with_training(config, warmup_epochs=0, schedule="constant", ema_decay=0.0, sampling="shuffled")
    train(with_training(plain, label_shift=0), make_tasks(), labels, source, tmp_path / "plain")
    source.reads_left = (10**9 - source.reads_left) // 4
    with pytest.raises(OSError, match="the power went"):
        train(config, make_tasks(), labels, source, tmp_path / "stopped")
    source.reads_left = 10**9
    train(config, make_tasks(), labels, source, tmp_path / "stopped")
    one, two, other = (tmp_path / name / "weights" / "model.safetensors" for name in ("unbroken", "stopped", "plain"))
    assert one.read_bytes() == two.read_bytes()
    assert one.read_bytes() != other.read_bytes()  # the settings do something


def test_a_stopped_run_goes_on_counting_to_its_plateau(source, labels, tmp_path, monkeypatch):
    monkeypatch.setattr("fusion.module.PLATEAU", 1)
    monkeypatch.setattr("fusion.module.score", lambda *_: {"expr": {"F1": 0.3}})
    config = with_training(make_config(max_epochs=6), schedule="plateau", patience_epochs=20)
    train(config, make_tasks(), labels, source, tmp_path / "unbroken")
    source.reads_left = (10**9 - source.reads_left) // 3
    with pytest.raises(OSError, match="the power went"):
        train(config, make_tasks(), labels, source, tmp_path / "stopped")
    source.reads_left = 10**9
    train(config, make_tasks(), labels, source, tmp_path / "stopped")
    ends = [torch.load(tmp_path / name / "resume.ckpt", weights_only=True) for name in ("unbroken", "stopped")]
    rate, again = (end["optimizer_states"][0]["param_groups"][0]["lr"] for end in ends)
    assert rate == again == pytest.approx(1e-4)  # a tenth after epochs 3 and 5
    assert all(torch.equal(value, ends[1]["state_dict"][name]) for name, value in ends[0]["state_dict"].items())


def test_a_killed_process_goes_on_and_ends_with_the_bits_of_an_unbroken_one(source, labels, tmp_path):
    config = make_config(max_epochs=4, accumulate_grad_batches=2)
    settings = {"ema_decay": 0.9, "sampling": "balanced", "schedule": "cosine", "warmup_epochs": 1, "num_workers": 2}
    config, folder = with_training(config, **settings), tmp_path / "killed"
    train(config, make_tasks(), labels, source, tmp_path / "unbroken")
    command = ["-m", "tests.support.processes", str(folder), config.model_dump_json(), "--kill-at", "2", "1"]
    killed = subprocess.run([sys.executable, *command], capture_output=True, text=True, timeout=200)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert "epoch 2/4" in killed.stderr
    assert "epoch 3/4" not in killed.stderr
    train(config, make_tasks(), labels, source, folder)
    train(with_training(config, num_workers=0), make_tasks(), labels, source, tmp_path / "alone")
    names = ("unbroken", "killed", "alone")
    one, two, three = ((tmp_path / name / "weights" / "model.safetensors").read_bytes() for name in names)
    assert one == two == three
    states = [torch.load(tmp_path / name / "resume.ckpt", weights_only=True) for name in ("unbroken", "killed")]
    for key in ("state_dict", "current_model_state"):  # the very end; the best epoch may lie before the kill
        ours, theirs = (state[key] for state in states)
        assert all(torch.equal(ours[name], theirs[name]) for name in ours)
        assert ours.keys() == theirs.keys()


@pytest.mark.parametrize(("schedule", "fits"), [("cosine", False), ("constant", True)])
def test_a_cosine_cannot_be_bent_to_another_end_but_a_constant_rate_may_go_on(
    schedule, fits, source, labels, tmp_path, monkeypatch
):
    config = with_training(make_config(max_epochs=2), schedule=schedule)
    train(config, make_tasks(), labels, source, tmp_path)
    longer = config.model_copy(update={"trainer": {**config.trainer, "max_epochs": 3}})
    steps = 2 * len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader())
    refused = pytest.raises(
        ValueError, match=rf"a cosine schedule over {steps} steps and cannot resume with {steps * 3 // 2}"
    )
    with contextlib.nullcontext() if fits else refused:
        train(longer, make_tasks(), labels, source, tmp_path)
        assert torch.load(tmp_path / "resume.ckpt", weights_only=True)["epoch"] == 2


def test_a_damaged_resume_file_is_set_aside_with_a_word_and_training_begins_again(source, labels, tmp_path, caplog):
    config, tasks = make_config(max_epochs=2), make_tasks()
    train(config, tasks, labels, source, tmp_path)
    resume, weights = tmp_path / "resume.ckpt", tmp_path / "weights/model.safetensors"
    content, before = bytearray(resume.read_bytes()), weights.read_bytes()
    content[len(content) // 2] ^= 1
    for damaged in (content, content[: len(content) // 2]):  # a flipped bit, a file that was cut
        resume.write_bytes(damaged)
        caplog.clear()
        train(config, tasks, labels, source, tmp_path)
        (said,) = [message for message in caplog.messages if "resume.ckpt is damaged" in message]
        assert said.endswith("renamed to resume.ckpt.damaged; training starts from the beginning")
        assert (tmp_path / "resume.ckpt.damaged").read_bytes() == damaged
        assert resume.is_file()
        assert weights.read_bytes() == before

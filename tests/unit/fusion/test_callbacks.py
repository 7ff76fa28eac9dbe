"""Callbacks: best weights, patience, averaged weights, progress."""

import csv
import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from abaw.configs.sections import TrainingConfig
from abaw.tasks.base import PredictionPair
from fusion.callbacks import TrainingCost, TrainingProgress, WeightAveraging
from fusion.data import ClipDataModule, loader
from fusion.module import FusionModule
from fusion.predict import predict
from fusion.train import train
from tests.support.memory import make_config, make_tasks, replace_training, with_training


def test_what_is_logged_is_the_official_score_of_the_best_epoch(source, labels, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    module = train(make_config(), make_tasks(), labels, source, tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"train/loss", "train/va", "train/expr", "validation/va/CCC", "validation/expr/F1"} <= set(
        events.Tags()["scalars"]
    )
    losses = {
        name: [e.value for e in events.Scalars(f"validation/{name}")] for name in ("loss", "loss/va", "loss/expr")
    }
    assert losses["loss"][-1] < losses["loss"][0]
    logged = [event.value for event in events.Scalars("validation/score")]
    assert len(logged) == 4
    for name in set(events.Tags()["scalars"]) - {"epoch"}:
        in_file = [float(row[name]) for row in curves_of(tmp_path)]
        assert in_file == pytest.approx([event.value for event in events.Scalars(name)], rel=1e-6), name
    best = (module.scores["va"]["CCC"] + module.scores["expr"]["F1"]) / 2
    assert max(logged) == pytest.approx(best, abs=1e-6)
    with safetensors.safe_open(tmp_path / "weights" / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["module"])["epoch"] == int(np.argmax(logged))
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["curves", "events", "resume", "weights"]

    data = ClipDataModule(make_config(), module.tasks, labels, source)
    found, task = [], module.tasks["va"]
    module.eval()
    for batch in loader(data.validation, make_config().training.batch_size):
        if "va" in batch.scored:
            with torch.no_grad():
                loss = task.loss(module(batch)[0]["va"], batch.target["va"], batch.scored["va"])
            found.append((float(loss), int(batch.scored["va"].any(1).sum())))
    values, nums = zip(*found, strict=True)
    assert losses["loss/va"][int(np.argmax(logged))] == pytest.approx(np.average(values, weights=nums), rel=1e-4)


def curves_of(folder):
    return list(csv.DictReader((folder / "curves.csv").read_text().splitlines()))


def test_the_curve_file_has_a_row_an_epoch_and_no_score_where_nothing_was_validated(source, labels, tmp_path, caplog):
    caplog.set_level("INFO", logger="abaw")
    config = with_training(make_config(max_epochs=4, check_val_every_n_epoch=2), loggers=[], warmup_epochs=1)
    train(config, make_tasks(), labels, source, tmp_path)
    rows = curves_of(tmp_path)
    assert list(rows[0])[:3] == ["epoch", "learning_rate", "train/loss"]
    assert [row["epoch"] for row in rows] == ["1", "2", "3", "4"]
    assert [bool(row["validation/score"]) for row in rows] == [False, True, False, True]
    assert [", score " in line for line in caplog.messages if line.startswith("epoch ")] == [False, True, False, True]
    rates = [float(row["learning_rate"]) for row in rows]
    steps = len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader())
    full = config.training.learning_rate
    assert rates == pytest.approx([full * steps / (steps + 1), full, full, full])


def test_training_stops_after_the_patience_and_logs_a_line_per_epoch(source, labels, tmp_path, capfd, caplog):
    caplog.set_level("INFO", logger="abaw")
    config = make_config(max_epochs=30)
    config = config.model_copy(update={"training": replace_training(config, patience_epochs=2, learning_rate=1e-12)})
    train(config, make_tasks(), labels, source, tmp_path)
    lines = [message for message in caplog.messages if message.startswith("epoch ")]
    assert 3 <= len(lines) < 30
    assert lines[0].startswith("epoch 1/30: loss ")
    assert "(best " in lines[-1]
    assert capfd.readouterr() == ("", ""), "a library prints nothing"


def test_a_run_too_short_for_a_validation_leaves_its_last_weights(source, labels, tmp_path):
    module = train(make_config(max_epochs=1, max_steps=2), make_tasks(), labels, source, tmp_path)
    assert module.scores == {}


def noted_states(monkeypatch):
    """The module's weights after every optimizer step."""
    states, step = [], FusionModule.optimizer_step

    def noted(self, *given, **named):
        step(self, *given, **named)
        states.append({key: value.clone() for key, value in self.state_dict().items()})

    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    return states


def average(states, decay):
    """What an exponential mean over these is."""
    mean = states[0]
    for state in states[1:]:
        mean = {key: decay * mean[key] + (1 - decay) * state[key] for key in mean}
    return mean


@pytest.mark.parametrize("holds_out", [True, False])
def test_averaged_weights_are_scored_and_kept(holds_out, source, labels, tmp_path, monkeypatch):
    states, config = noted_states(monkeypatch), with_training(make_config(max_epochs=4), ema_decay=0.9)
    given = labels if holds_out else {**labels, "validation": {}}
    module = train(config, make_tasks(), given, source, tmp_path)
    with safetensors.safe_open(tmp_path / "weights" / "model.safetensors", "pt") as file:
        epoch = json.loads(file.metadata()["module"])["epoch"]
    num_steps = len(states) // 4 * (epoch + 1)
    expected = average(states[:num_steps], 0.9)
    for key, value in module.state_dict().items():
        torch.testing.assert_close(value, expected[key], rtol=1e-5, atol=1e-7)
    assert not torch.allclose(module.heads["va"].weight, states[num_steps - 1]["heads.va.weight"], rtol=1e-3)
    assert torch.equal(
        module.input_stage.channels[0].std, states[0]["input_stage.channels.0.std"]
    )  # what is no weight stays
    if holds_out:
        assert score_of(module, source, labels, config) == pytest.approx(module.scores["va"], abs=1e-6)


def score_of(module, source, labels, config, task="va"):
    truth = labels["validation"][task]
    return module.tasks[task].score(
        {
            clip: PredictionPair(module.tasks[task].to_labels(module.tasks[task].probabilities(raw[task])), truth[clip])
            for clip, raw, _ in predict(module, source, list(truth), config.window)
        }
    )


@pytest.mark.parametrize("none", [{}, {"va": {}, "expr": {}}])
def test_without_a_validation_the_last_weights_are_kept(none, source, labels, tmp_path, monkeypatch, caplog):
    states = noted_states(monkeypatch)
    config = with_training(make_config(max_epochs=3), patience_epochs=1)
    with caplog.at_level("INFO", logger="abaw"):
        module = train(config, make_tasks(), {**labels, "validation": none}, source, tmp_path)
    assert module.scores == {}
    assert all(torch.equal(value, states[-1][key]) for key, value in module.state_dict().items())
    assert "no validation split: the last weights are kept, training.patience_epochs has no effect" in caplog.text
    per_epoch = len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader())
    assert len(states) == 3 * per_epoch  # all three: nothing stopped it


def test_by_default_weights_are_not_averaged(source, labels, tmp_path, monkeypatch):
    """The default of training.ema_decay: the weights of the last step are kept, bit by bit."""
    states, config = noted_states(monkeypatch), make_config(max_epochs=1)
    assert TrainingConfig().ema_decay == config.training.ema_decay == 0
    module = train(config, make_tasks(), {**labels, "validation": {}}, source, tmp_path)
    assert all(torch.equal(value, states[-1][key]) for key, value in module.state_dict().items())


@pytest.mark.parametrize("decay", [0.0, 0.5, 0.999])
def test_one_update_of_the_average_is_decay_times_the_old_weights(decay):
    old, new = torch.tensor([1.0, 2.0]), torch.tensor([5.0, -2.0])
    average = WeightAveraging(decay)._kwargs["avg_fn"](old, new, 1)
    torch.testing.assert_close(average, decay * old + (1 - decay) * new)


# ---- progress and cost


def test_every_batch_is_reported_up_to_the_last_epoch_that_is_possible(source, labels, tmp_path):
    said = []
    config = make_config(max_epochs=3)
    progress = TrainingProgress(lambda *given: said.append(given), "va")
    train(config, make_tasks(), labels, source, tmp_path, callbacks=[progress])
    num_batches = said[-1][2] // 3
    assert {total for _, _, total in said} == {3 * num_batches}
    counts = [done for _, done, _ in said]
    assert counts == sorted(counts)
    assert set(counts) == set(range(3 * num_batches + 1))
    assert said[0] == ("va, epoch 1 of 3", 0, 3 * num_batches)
    assert any(", validation" in item for item, _, _ in said)
    assert said[-1][0].startswith("va, epoch 3 of 3, ")
    assert "loss" in said[-1][0]


def test_without_a_last_epoch_the_batches_are_those_of_the_current_one(source, labels, tmp_path):
    said = []
    config = with_training(make_config(max_epochs=-1, max_steps=3), patience_epochs=100)
    train(
        config,
        make_tasks(),
        labels,
        source,
        tmp_path,
        callbacks=[TrainingProgress(lambda *given: said.append(given))],
    )
    assert all(done <= total for _, done, total in said)
    assert said[0][0] == "epoch 1"


def test_the_cost_of_a_stopped_training_goes_on_where_it_was(source, labels, tmp_path, monkeypatch):
    now_s = [0.0]
    monkeypatch.setattr("fusion.callbacks.time.perf_counter", lambda: now_s[0])
    first = TrainingCost()
    first.on_fit_start()
    now_s[0] = 50.0
    kept = first.state_dict()  # at the end of an epoch, before the process ends
    assert kept["training_s"] == 50.0
    second = TrainingCost()
    second.load_state_dict(kept)
    now_s[0] = 5000.0  # a pause
    second.on_fit_start()
    now_s[0] = 5007.5
    second.on_fit_end()
    now_s[0] = 6000.0
    found = second.record()
    assert found["training_s"] == 57.5
    assert found["peak_memory_bytes"] >= kept["peak_memory_bytes"] > 1e7
    assert found["peak_gpu_bytes"] is None or torch.cuda.is_initialized()


def test_the_cost_is_in_the_file_that_a_stopped_training_goes_on_from(source, labels, tmp_path):
    cost = TrainingCost()
    train(make_config(max_epochs=2), make_tasks(), labels, source, tmp_path, callbacks=[cost])
    saved = torch.load(tmp_path / "resume.ckpt", weights_only=True)["callbacks"]["TrainingCost"]
    assert 0 < saved["training_s"] <= cost.record()["training_s"]

"""A run from its first batch to its best weights."""

import json

import numpy as np
import pytest
import safetensors
import safetensors.torch
import torch

from abaw.configs.sections import FeatureConfig
from abaw.dataset.annotations import Labels
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from fusion.checkpoint import build_module
from fusion.data import ClipDataModule
from fusion.module import FusionModule
from fusion.predict import predict
from fusion.train import train
from tests.support.memory import Mood, make_config, make_tasks, replace_training, with_training


def mean_loss(module, data):
    losses = []
    for batch in data.train_dataloader():
        raw, _ = module.eval()(batch)
        losses += [
            task.loss(raw[name], batch.target[name], batch.scored[name]).item()
            for name, task in module.tasks.items()
            if name in batch.target
        ]
    return np.mean(losses)


@pytest.mark.parametrize("model", ["concat", "bigru", "attention"])
def test_the_loss_falls_and_the_scores_of_predictions_are_those_of_validation(model, source, labels, tmp_path):
    config, tasks = make_config(model, max_epochs=8), make_tasks()
    module = train(config, tasks, labels, source, tmp_path)
    data = ClipDataModule(config, make_tasks(), labels, source)
    fresh = build_module(config, tasks, module.dims)
    fresh.input_stage.load_state_dict(module.input_stage.state_dict())
    assert mean_loss(module, data) < 0.9 * mean_loss(fresh, data)
    predicted = {
        clip: raw for clip, raw, _ in predict(module, source, ["val_both", "val_va"], config.window, batch_size=3)
    }
    for name, task in tasks.items():
        scored = {
            clip: PredictionPair(task.to_labels(task.probabilities(predicted[clip][name])), each)
            for clip, each in data.truth[name].items()
        }
        assert task.score(scored) == pytest.approx(module.scores[name], abs=1e-6)


def test_what_is_logged_is_the_official_score_of_the_best_epoch(source, labels, tmp_path):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    module = train(make_config(), make_tasks(), labels, source, tmp_path)
    events = EventAccumulator(str(tmp_path))
    events.Reload()
    assert {"train/loss", "train/va", "train/expr", "validation/va/CCC", "validation/expr/F1"} <= set(
        events.Tags()["scalars"]
    )
    logged = [event.value for event in events.Scalars("validation/score")]
    assert len(logged) == 4
    best = (module.scores["va"]["CCC"] + module.scores["expr"]["F1"]) / 2
    assert max(logged) == pytest.approx(best, abs=1e-6)
    with safetensors.safe_open(tmp_path / "weights" / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["module"])["epoch"] == int(np.argmax(logged))
    assert sorted(path.name.split(".")[0] for path in tmp_path.iterdir()) == ["events", "resume", "weights"]


def test_training_stops_when_the_score_has_not_risen_for_long(source, labels, tmp_path, capfd):
    config = make_config(max_epochs=30)
    config = config.model_copy(update={"training": replace_training(config, patience_epochs=2, learning_rate=1e-12)})
    train(config, make_tasks(), labels, source, tmp_path)
    out, err = capfd.readouterr()
    lines = err.strip().splitlines()
    assert 3 <= len(lines) < 30
    assert lines[0].startswith("epoch 1/30: loss ")
    assert "(best " in lines[-1]
    assert out == ""


def test_a_run_too_short_for_a_validation_leaves_its_last_weights(source, labels, tmp_path):
    module = train(make_config(max_epochs=1, max_steps=2), make_tasks(), labels, source, tmp_path)
    assert module.scores == {}


def test_training_leaves_the_callers_random_state_alone(source, labels, tmp_path):
    torch.manual_seed(5)
    before = torch.get_rng_state()
    train(make_config(max_epochs=1), make_tasks(), labels, source, tmp_path)
    assert torch.equal(torch.get_rng_state(), before)


def rates(module):
    """The learning rate of every optimizer step of a run."""
    seen = []
    step = type(module).optimizer_step

    def noted(self, epoch, batch, optimizer, closure=None):
        seen.append(optimizer.param_groups[0]["lr"])
        step(self, epoch, batch, optimizer, closure)

    return seen, noted


@pytest.mark.parametrize(("schedule", "shape"), [("constant", [0.5, 1, 1, 1]), ("cosine", [0.5, 1, 0.75, 0.25])])
def test_the_learning_rate_warms_up_and_follows_its_schedule(schedule, shape, source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=4)
    config = config.model_copy(
        update={"training": replace_training(config, warmup_epochs=1, schedule=schedule, batch_size=1000)}
    )
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    assert seen == pytest.approx([0.01 * share for share in shape])


def test_the_warm_up_counts_optimizer_steps_not_batches(source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=3, accumulate_grad_batches=2)
    config = config.model_copy(update={"training": replace_training(config, warmup_epochs=2)})
    of_epoch = -(-len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader()) // 2)
    assert of_epoch > 1
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    shares = [min(1.0, (step + 1) / (2 * of_epoch + 1)) for step in range(3 * of_epoch)]
    assert seen == pytest.approx([0.01 * share for share in shares])


def test_adam_decays_by_the_gradient_and_adamw_by_itself(source, labels, tmp_path):
    kinds = []
    for name in ("adam", "adamw"):
        config = make_config()
        config = config.model_copy(update={"training": replace_training(config, optimizer=name, weight_decay=1e-5)})
        kinds.append(build_module(config, make_tasks(), {"face": 3, "voice": 2}).configure_optimizers())
    assert [type(kind) for kind in kinds] == [torch.optim.Adam, torch.optim.AdamW]
    assert all(kind.param_groups[0]["weight_decay"] == 1e-5 for kind in kinds)


def test_the_fronts_spread_is_the_training_splits(source, labels, tmp_path):
    from fusion.input_stage import measure_statistics

    module = train(make_config(), make_tasks(), labels, source, tmp_path)
    expected = measure_statistics(source, ["both", "only_va", "only_expr"])
    other = measure_statistics(source, ["val_both", "val_va"])
    for name, layer in zip(module.input_stage.names, module.input_stage.channels, strict=True):
        assert layer.mean.numpy() == pytest.approx(expected[name].mean, rel=1e-5)
        assert layer.mean.numpy() != pytest.approx(other[name].mean, rel=1e-5)


def test_no_spread_is_measured_where_none_is_used(source, labels, tmp_path):
    features = dict.fromkeys(("face", "voice"), FeatureConfig(normalise="learned"))
    before = source.reads_left
    train(make_config(max_epochs=1), make_tasks(), labels, source, tmp_path / "split")
    between = source.reads_left
    config = make_config(max_epochs=1).model_copy(update={"features": features})
    train(config, make_tasks(), labels, source, tmp_path / "learned")
    assert before - between - (between - source.reads_left) == 2 * 3  # two tracks of three clips


# ---- averaged weights


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
    assert torch.equal(module.input_stage.channels[0].std, states[0]["front.channels.0.std"])  # what is no weight stays
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


# ---- labels that lag


def lagged(labels, lag):
    """The same labels, written down ``lag`` frames later."""
    return {
        split: {
            task: {
                clip: Labels(np.roll(each.values, lag, 0), np.roll(each.scored, lag) & (np.arange(len(each)) >= lag))
                for clip, each in clips.items()
            }
            for task, clips in by_task.items()
        }
        for split, by_task in labels.items()
    }


def test_where_labels_lag_the_shift_that_undoes_it_wins(source, labels, tmp_path):
    scores = {}
    for shift in (0, 3, 6):
        config = make_config("concat", tasks=["va"], max_epochs=12)
        config = with_training(config, label_shift=shift, learning_rate=0.03)
        late = lagged({split: {"va": by_task["va"]} for split, by_task in labels.items()}, 3)
        module = train(config, make_tasks("va"), late, source, tmp_path / str(shift))
        scores[shift] = module.scores["va"]["CCC"]
        assert score_of(module, source, late, config) == pytest.approx(module.scores["va"], abs=1e-6)
    assert scores[3] > 0.6
    assert max(scores[0], scores[6]) < 0.4


# ---- clip-level tasks, and training without a validation


def test_a_task_of_one_label_a_clip_trains_beside_one_a_frame(source, labels, tmp_path):
    moods = {
        split: {
            clip: Labels(np.array([[float(len(clip) % 2)]], np.float32), np.ones(1, bool)) for clip in by_task["va"]
        }
        for split, by_task in labels.items()
    }
    config = make_config()
    config = config.model_copy(update={"tasks": {"va": config.tasks["va"], "mood": config.tasks["va"]}})
    given = {split: {"va": by_task["va"], "mood": moods[split]} for split, by_task in labels.items()}
    module = train(config, {"va": TASKS.build("va"), "mood": Mood()}, given, source, tmp_path)
    assert module.scores["mood"]["n"] == 2
    assert score_of(module, source, given, config, "mood") == module.scores["mood"]


@pytest.mark.parametrize("none", [{}, {"va": {}, "expr": {}}])
def test_without_a_validation_the_last_weights_are_kept(none, source, labels, tmp_path, monkeypatch, caplog):
    states = noted_states(monkeypatch)
    config = with_training(make_config(max_epochs=3), patience_epochs=1)
    with caplog.at_level("INFO", logger="abaw"):
        module = train(config, make_tasks(), {**labels, "validation": none}, source, tmp_path)
    assert module.scores == {}
    assert all(torch.equal(value, states[-1][key]) for key, value in module.state_dict().items())
    assert "nothing is held out: the last weights are kept, training.patience_epochs has no effect" in caplog.text
    per_epoch = len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader())
    assert len(states) == 3 * per_epoch  # all three: nothing stopped it


# ---- what goes to the Trainer as it is


def test_a_profilers_report_lies_in_the_runs_folder(source, labels, tmp_path):
    train(make_config(max_epochs=1, profiler="simple"), make_tasks(), labels, source, tmp_path)
    assert "run_training_epoch" in (tmp_path / "fit-profile.txt").read_text()


def test_settings_of_lightnings_trainer_reach_it(source, labels, tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr(FusionModule, "on_fit_start", lambda self: seen.update(vars(self.trainer)))
    trainer = {"gradient_clip_val": 0.5, "accumulate_grad_batches": 3, "precision": "bf16-mixed", "max_epochs": 1}
    module = train(make_config(**trainer), make_tasks(), labels, source, tmp_path)
    assert (seen["gradient_clip_val"], seen["accumulate_grad_batches"]) == (0.5, 3)
    assert np.isfinite(module.scores["va"]["CCC"])

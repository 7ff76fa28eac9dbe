"""Predictions of whole clips."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair
from fusion.checkpoint import build_module
from fusion.data import ClipDataModule
from fusion.predict import predict
from fusion.train import train
from fusion.validation import state_key
from tests.support.memory import Mood, make_config, make_tasks, with_training


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


def score_of(module, source, labels, config, task="va"):
    truth = labels["validation"][task]
    return module.tasks[task].score(
        {
            clip: PredictionPair(module.tasks[task].to_labels(module.tasks[task].probabilities(raw[task])), truth[clip])
            for clip, raw, _ in predict(module, source, list(truth), config.window)
        }
    )


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


@pytest.mark.parametrize("model", ["concat", "bigru"])
def test_states_are_what_the_last_layer_gets_so_that_it_gives_the_outputs(model, source, labels, tmp_path):
    config, tasks = make_config(model, max_epochs=1), make_tasks()
    module = train(config, tasks, labels, source, tmp_path)
    clips = ["val_both", "val_va"]
    plain = {clip: raw for clip, raw, _ in predict(module, source, clips, config.window)}
    for clip, raw, _ in predict(module, source, clips, config.window, states_of=["va"]):
        layer = module.last_layer("va")
        weight, bias = layer.weight.detach().numpy(), layer.bias.detach().numpy()
        assert raw[state_key("va")] @ weight.T + bias == pytest.approx(raw["va"], abs=1e-5)
        assert (raw["va"] == plain[clip]["va"]).all()
        assert state_key("expr") not in raw

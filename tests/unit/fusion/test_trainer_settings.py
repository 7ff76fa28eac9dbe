"""What a config's trainer and training may say."""

import pytest

from abaw.configs.sections import FoldsConfig
from fusion.train import train
from fusion.trainer_settings import find_config_errors, find_trainer_errors
from tests.support.memory import make_config, make_tasks, with_training


@pytest.mark.parametrize(
    "key", ["callbacks", "logger", "default_root_dir", "enable_checkpointing", "limit_val_batches", "fast_dev_run"]
)
def test_what_is_ours_in_the_trainer_is_refused_with_the_reason(key):
    ((found, message),) = find_trainer_errors({"max_epochs": 3, key: 1})
    assert found == key
    assert message.startswith(f"trainer.{key} cannot be set: ")


def test_an_unknown_trainer_argument_names_the_nearest():
    ((key, message),) = find_trainer_errors({"max_epoch": 3})
    assert key == "max_epoch"
    assert "has no argument 'max_epoch'; did you mean 'max_epochs'? known: accelerator" in message


def test_a_trainer_argument_that_lightning_refuses_is_a_value_error(source, labels, tmp_path):
    with pytest.raises(ValueError, match=r"lightning.Trainer refuses the settings under trainer: "):
        train(make_config(strategy="nonsense"), make_tasks(), labels, source, tmp_path)
    with pytest.raises(ValueError, match=r"refuses the settings under trainer: .*limit_train_batches"):
        train(make_config(limit_train_batches=0.0001), make_tasks(), labels, source, tmp_path)
    with pytest.raises(ValueError, match="did you mean 'max_epochs'"):
        train(make_config(max_epoch=3), make_tasks(), labels, source, tmp_path)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [({"precision": "bf16-true"}, "use bf16-mixed"), ({"max_epochs": 0}, "nothing would be trained")],
)
def test_a_trainer_that_could_not_train_is_refused(trainer, message):
    ((key, said),) = find_trainer_errors(trainer)
    assert key in trainer
    assert message in said


WRONG_VALUES = {
    "max_epochs": ("ten", "expected Optional[int]"),
    "min_epochs": (True, "expected Optional[int]"),
    "max_steps": (None, "expected int"),
    "accumulate_grad_batches": (0, "expected 1 or more"),
    "check_val_every_n_epoch": (0, "expected 1 or more"),
    "gradient_clip_val": (-1, "expected 0 or more"),
    "profiler": (["simple"], "expected Union["),
    "max_time": ([1], "expected Union[str, "),
    "benchmark": ("abc", "expected Optional[bool]"),
    "precision": ("17-mixed", "expected "),
}


@pytest.mark.parametrize("key", WRONG_VALUES)
def test_a_value_that_lightning_does_not_document_is_refused_with_what_it_expects(key):
    value, expected = WRONG_VALUES[key]
    ((found, message),) = find_trainer_errors({key: value})
    assert found == key
    assert message.startswith(f"trainer.{key} is {value!r}: {expected}")
    config = make_config().model_copy(update={"trainer": {key: value}})
    assert find_config_errors(config) == [(("trainer", key), message)]


@pytest.mark.parametrize(
    "trainer",
    [
        {"max_epochs": 3, "gradient_clip_val": 1, "accelerator": "cpu", "max_time": {"seconds": 60}},
        {"precision": "bf16-mixed", "devices": 2, "strategy": "ddp", "profiler": "simple"},
        {"devices": [0, 1], "precision": 16, "limit_train_batches": 0.5, "max_epochs": -1, "max_steps": 10},
    ],
)
def test_values_that_lightning_documents_pass(trainer):
    assert find_trainer_errors(trainer) == []


def test_a_cosine_without_an_end_is_an_error(source, labels, tmp_path):
    config = make_config(max_epochs=-1)
    config = with_training(config, schedule="cosine")
    with pytest.raises(ValueError, match="training.schedule: a cosine schedule needs an end: set trainer.max_epochs"):
        train(config, make_tasks(), labels, source, tmp_path)


PLATEAUS = {
    "training.patience_epochs: training stops after 11 epochs without a better score, before schedule: plateau lowers "
    r"the learning rate \(after 11\): set it to 12 or more": {"patience_epochs": 11},
    "training.schedule: plateau follows the score on the held-out clips, but select_on is inner": {
        "patience_epochs": 12,
        "select_on": "inner",
    },
    "training.warmup_epochs: schedule: plateau has no warm-up": {"warmup_epochs": 1, "patience_epochs": 12},
}


@pytest.mark.parametrize("message", PLATEAUS)
def test_a_plateau_that_cannot_be_reached_is_an_error(message, source, labels, tmp_path):
    config = with_training(make_config(), schedule="plateau", **PLATEAUS[message])
    with pytest.raises(ValueError, match=message):
        train(config, make_tasks(), labels, source, tmp_path)


def test_a_plateau_needs_a_validation_split(source, labels, tmp_path):
    config = with_training(make_config(), schedule="plateau", patience_epochs=12)
    with pytest.raises(ValueError, match=r"training.schedule is plateau, but there is no validation split: give const"):
        train(config, make_tasks(), {**labels, "validation": {}}, source, tmp_path)
    config = config.model_copy(update={"folds": config.folds.model_copy(update={"refit": True})})
    with pytest.raises(ValueError, match="training.schedule: plateau needs a validation split, which folds.refit"):
        train(config, make_tasks(), labels, source, tmp_path)


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed_stage_2", "model_parallel"])
def test_strategies_that_spread_a_model_are_refused(strategy):
    ((key, message),) = find_trainer_errors({"strategy": strategy})
    assert key == "strategy"
    assert (
        message == f"trainer.strategy is {strategy!r}, which splits a model over devices and is not supported: use ddp"
    )
    assert find_trainer_errors({"strategy": "ddp", "devices": 2}) == []


@pytest.mark.parametrize("end", [{}, {"max_epochs": -1}, {"max_epochs": None}])
def test_training_on_everything_needs_an_end(end):
    config = make_config()
    config = config.model_copy(update={"folds": FoldsConfig(refit=True), "trainer": end})
    assert [keys for keys, _ in find_config_errors(config)] == [("folds", "refit")]
    assert "training cannot stop by itself: set trainer.max_epochs" in find_config_errors(config)[0][1]
    for fine in ({"max_epochs": 3}, {"max_steps": 30}, {"max_time": "00:01:00:00"}):
        assert find_config_errors(config.model_copy(update={"trainer": fine})) == []

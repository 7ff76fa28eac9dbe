"""What a config's trainer and training may say."""

import pytest

from abaw.config import FoldsConfig
from fusion.loggers import _is_installed
from fusion.settings import config_errors, trainer_errors
from fusion.train import train
from tests.memory import LENGTHS, make_config, make_labels, make_source, make_tasks, with_training


@pytest.fixture
def source():
    return make_source(LENGTHS)


@pytest.fixture
def labels(source):
    return make_labels(source)


@pytest.mark.parametrize(
    "key", ["callbacks", "logger", "default_root_dir", "enable_checkpointing", "limit_val_batches", "fast_dev_run"]
)
def test_what_is_ours_in_the_trainer_is_refused_with_the_reason(key):
    ((found, message),) = trainer_errors({"max_epochs": 3, key: 1})
    assert found == key
    assert message.startswith(f"trainer.{key} is not free: ")


def test_an_unknown_trainer_argument_names_the_nearest():
    ((key, message),) = trainer_errors({"max_epoch": 3})
    assert key == "max_epoch"
    assert "has no argument 'max_epoch'; did you mean 'max_epochs'? known: accelerator" in message


def test_a_trainer_argument_that_lightning_refuses_is_a_value_error(source, labels, tmp_path):
    with pytest.raises(ValueError, match=r"lightning.Trainer refuses the settings under trainer: "):
        train(make_config(precision="17-mixed"), make_tasks(), labels, source, tmp_path)
    with pytest.raises(ValueError, match="did you mean 'max_epochs'"):
        train(make_config(max_epoch=3), make_tasks(), labels, source, tmp_path)


@pytest.mark.parametrize(
    ("trainer", "message"),
    [({"precision": "bf16-true"}, "take bf16-mixed"), ({"max_epochs": 0}, "nothing would be trained")],
)
def test_a_trainer_that_could_not_train_is_refused(trainer, message):
    ((key, said),) = trainer_errors(trainer)
    assert key in trainer
    assert message in said


def test_a_cosine_without_an_end_is_an_error(source, labels, tmp_path):
    config = make_config(max_epochs=-1)
    config = with_training(config, schedule="cosine")
    with pytest.raises(ValueError, match="training.schedule: a cosine needs an end: set trainer.max_epochs"):
        train(config, make_tasks(), labels, source, tmp_path)


@pytest.mark.parametrize("strategy", ["fsdp", "deepspeed_stage_2", "model_parallel"])
def test_strategies_that_spread_a_model_are_refused(strategy):
    ((key, message),) = trainer_errors({"strategy": strategy})
    assert key == "strategy"
    assert message == f"trainer.strategy is {strategy!r}: it spreads a model over devices; take ddp"
    assert trainer_errors({"strategy": "ddp", "devices": 2}) == []


@pytest.mark.parametrize("end", [{}, {"max_epochs": -1}])
def test_training_on_everything_needs_an_end(end):
    config = make_config()
    config = config.model_copy(update={"folds": FoldsConfig(refit=True), "trainer": end})
    assert [keys for keys, _ in config_errors(config)] == [("folds", "refit")]
    assert "nothing is held out that could say when to stop: set trainer.max_epochs" in config_errors(config)[0][1]
    for fine in ({"max_epochs": 3}, {"max_steps": 30}, {"max_time": "00:01:00:00"}):
        assert config_errors(config.model_copy(update={"trainer": fine})) == []


def test_a_logger_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr("fusion.loggers._is_installed", lambda name: name == "tensorboard")
    config = with_training(make_config(), loggers=["tensorboard", "wandb", "mlflow"])
    (one, why), (two, _) = config_errors(config)
    assert one == two == ("training", "loggers")
    assert why == "wandb is not installed: pip install 'abaw[wandb]', or take it out of training.loggers"


def test_a_folder_of_a_loggers_name_is_no_logger(tmp_path, monkeypatch):
    (tmp_path / "nobody-made-this").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not _is_installed("nobody-made-this")
    assert _is_installed("tensorboard")


@pytest.mark.filterwarnings("ignore")  # what these packages use themselves is deprecated
def test_wandb_and_mlflow_write_into_the_runs_folder_only(source, labels, tmp_path, monkeypatch):
    pytest.importorskip("wandb")
    pytest.importorskip("mlflow")
    monkeypatch.chdir(tmp_path)
    config = with_training(make_config(max_epochs=1), loggers=["wandb", "mlflow"])
    for name in ("run", "other"):  # one after the other in one process, as folds are
        train(config, make_tasks(), labels, source, tmp_path / name)
        assert len(list((tmp_path / name / "wandb").glob("offline-run-*"))) == 1
        assert (tmp_path / name / "mlflow.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]


def test_without_loggers_nothing_is_logged(source, labels, tmp_path):
    train(with_training(make_config(max_epochs=1), loggers=[]), make_tasks(), labels, source, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["resume.ckpt", "weights"]

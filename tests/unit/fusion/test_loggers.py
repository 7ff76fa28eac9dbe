"""Loggers of training curves."""

import pytest

from fusion.loggers import _is_installed
from fusion.train import train
from fusion.trainer_settings import find_config_errors
from tests.support.memory import make_config, make_tasks, with_training


def test_a_logger_that_is_not_installed_names_the_extra(monkeypatch):
    monkeypatch.setattr("fusion.loggers._is_installed", lambda name: name == "tensorboard")
    config = with_training(make_config(), loggers=["tensorboard", "wandb", "mlflow"])
    (one, why), (two, _) = find_config_errors(config)
    assert one == two == ("training", "loggers")
    assert why == "wandb is not installed: pip install 'wandb<0.31,>=0.19', or remove it from training.loggers"


def test_a_folder_of_a_loggers_name_is_no_logger(tmp_path, monkeypatch):
    (tmp_path / "nobody-made-this").mkdir()
    monkeypatch.syspath_prepend(tmp_path)
    assert not _is_installed("nobody-made-this")
    assert _is_installed("tensorboard")


@pytest.mark.filterwarnings("ignore")  # what these packages use themselves is deprecated
def test_wandb_and_mlflow_write_into_the_runs_folder_only(source, labels, tmp_path, monkeypatch):
    pytest.importorskip("wandb", reason="the extra wandb is not installed")
    pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.chdir(tmp_path)
    config = with_training(make_config(max_epochs=1), loggers=["wandb", "mlflow"])
    for name in ("run", "other"):  # one after the other in one process, as folds are
        train(config, make_tasks(), labels, source, tmp_path / name)
        assert len(list((tmp_path / name / "wandb").glob("offline-run-*"))) == 1
        assert (tmp_path / name / "mlflow.db").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other", "run"]


def test_without_loggers_nothing_is_logged(source, labels, tmp_path):
    train(with_training(make_config(max_epochs=1), loggers=[]), make_tasks(), labels, source, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["curves.csv", "resume.ckpt", "weights"]

"""Loggers for training curves: TensorBoard, Weights & Biases, MLflow."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from abaw.configs.sections import Config
from abaw.optional import install_command

DISTRIBUTIONS = {"mlflow": "mlflow-skinny"}  # the package mlflow depends on it
TRACKING = "MLFLOW_TRACKING_URI"


def find_logger_errors(config: Config) -> Iterator[str]:
    """An error message for each of ``training.loggers`` that is not installed, with the command that installs it."""
    for name in config.training.loggers:
        if not _is_installed(name):
            yield f"{name} is not installed: {install_command(name, name)}, or remove it from training.loggers"


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """The config's loggers. They write into the run's folder unless environment variables choose a server.

    Weights & Biases runs offline unless WANDB_MODE is set (``wandb sync`` uploads a run later). MLflow writes to a file
    unless MLFLOW_TRACKING_URI is set.
    """
    return [_make(name, config, folder) for name in config.training.loggers]


@contextmanager
def log_run(loggers: Sequence[Logger], config: Config) -> Iterator[None]:
    """Record the config with the loggers, and close their runs at the end of the block.

    The next training in the same process then starts runs of its own.
    """
    has_tracking_uri = TRACKING in os.environ
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(config.model_dump(mode="json"))
    try:
        yield
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()
        if not has_tracking_uri:  # MLflow sets it to the file of this run
            os.environ.pop(TRACKING, None)


def _make(name: str, config: Config, folder: Path) -> Logger:
    if name == "tensorboard":
        return _Events(folder, name="", version="")
    if name == "wandb":
        return WandbLogger(config.name, save_dir=folder, project="abaw", offline="WANDB_MODE" not in os.environ)
    # SQLite, because MLflow deprecates its plain folders
    uri = os.environ.get(TRACKING) or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    return MLFlowLogger("abaw", run_name=config.name, tracking_uri=uri, artifact_location=str(folder / "mlruns"))


class _Events(TensorBoardLogger):
    """Writes TensorBoard events only, without Lightning's hparams.yaml: a run has its own config.yaml."""

    def save(self) -> None:
        self.experiment.flush()


def _is_installed(package: str) -> bool:
    # not by importing: a folder named "wandb", which the package creates, would be found as a module
    try:
        version(DISTRIBUTIONS.get(package, package))
    except PackageNotFoundError:
        return False
    return True

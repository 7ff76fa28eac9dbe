"""Where the curves of a training go: TensorBoard, Weights & Biases, MLflow."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from lightning.pytorch.loggers import Logger, MLFlowLogger, TensorBoardLogger, WandbLogger

from abaw.configs.sections import Config

DISTRIBUTIONS = {"mlflow": "mlflow-skinny"}  # of which the whole mlflow is made too
TRACKING = "MLFLOW_TRACKING_URI"


def logger_errors(config: Config) -> Iterator[str]:
    """What of ``training.loggers`` is not installed, and how it would be."""
    for name in config.training.loggers:
        if not _is_installed(name):
            yield f"{name} is not installed: pip install 'abaw[{name}]', or take it out of training.loggers"


def make_loggers(config: Config, folder: Path) -> list[Logger]:
    """The config's loggers; they write into the run's folder and nowhere else, unless the environment says otherwise.

    Weights & Biases is offline (``wandb sync`` sends a run) where WANDB_MODE is not set, MLflow in a file where
    MLFLOW_TRACKING_URI is not.
    """
    return [_make(name, config, folder) for name in config.training.loggers]


@contextmanager
def told(loggers: Sequence[Logger], config: Config) -> Iterator[None]:
    """Loggers that keep a config get this one; what they began ends with the block, so that another may begin."""
    is_free = TRACKING in os.environ
    for logger in loggers:
        if not isinstance(logger, TensorBoardLogger):
            logger.log_hyperparams(config.model_dump(mode="json"))
    try:
        yield
    finally:
        for logger in loggers:
            if isinstance(logger, WandbLogger):
                logger.experiment.finish()
        if not is_free:  # MLflow notes there where this run went
            os.environ.pop(TRACKING, None)


def _make(name: str, config: Config, folder: Path) -> Logger:
    if name == "tensorboard":
        return _Events(folder, name="", version="")
    if name == "wandb":
        is_free = "WANDB_MODE" in os.environ
        return WandbLogger(config.name, save_dir=folder, project="abaw", offline=not is_free)
    # a data base in one file: MLflow's plain folders are on their way out
    place = os.environ.get(TRACKING) or f"sqlite:///{(folder / 'mlflow.db').resolve()}"
    return MLFlowLogger("abaw", run_name=config.name, tracking_uri=place, artifact_location=str(folder / "mlruns"))


class _Events(TensorBoardLogger):
    """TensorBoard events and nothing else: Lightning's hparams.yaml would be empty, a run has its config.yaml."""

    def save(self) -> None:
        self.experiment.flush()


def _is_installed(package: str) -> bool:
    # not by importing: a folder of that name, as these packages make them, would do for a module
    try:
        version(DISTRIBUTIONS.get(package, package))
    except PackageNotFoundError:
        return False
    return True

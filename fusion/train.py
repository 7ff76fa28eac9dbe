"""A training run: Lightning's Trainer with our callbacks, in a run's folder."""

import contextlib
import inspect
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.loggers import TensorBoardLogger

from abaw.batches import FeatureSource
from abaw.config import Config
from abaw.registry import nearest
from abaw.runs import RESUME
from abaw.tasks.base import Task
from fusion.callbacks import BestWeights, EpochLines, Resumable
from fusion.data import ClipDataModule, LabelsByTask, clips_of
from fusion.front import measure_spread
from fusion.module import FusionModule
from fusion.weights import build_module, load_module

LOG = logging.getLogger("abaw")

_WHOLE = "the score that chooses the weights is the official one, over the whole validation split, once an epoch"
OURS = {
    "callbacks": "abaw keeps the best weights, stops by training.patience_epochs and resumes by itself",
    "logger": "abaw writes TensorBoard events into the run's folder",
    "default_root_dir": "abaw writes into the run's folder only",
    "enable_checkpointing": "abaw keeps the best weights and resume.ckpt itself",
    "use_distributed_sampler": "abaw's own sampler orders the windows by seed and epoch",
    "reload_dataloaders_every_n_epochs": "abaw's own sampler orders the windows by seed and epoch",
    "barebones": "it turns validation and logging off; set max_epochs for a short run",
    "fast_dev_run": "it turns logging off; set max_epochs: 1 and limit_train_batches for a short run",
    "limit_val_batches": _WHOLE,
    "overfit_batches": _WHOLE,
    "num_sanity_val_steps": _WHOLE,
}


def config_errors(config: Config) -> list[tuple[tuple[str, ...], str]]:
    """What only training can find wrong with a config: keys and message; empty where nothing is."""
    errors: list[tuple[tuple[str, ...], str]] = [(("trainer", key), why) for key, why in trainer_errors(config.trainer)]
    training, max_epochs = config.training, _max_epochs(config.trainer)
    is_endless = (max_epochs or -1) < 0 and config.trainer.get("max_steps", -1) < 0
    if training.schedule == "cosine" and is_endless:
        why = "a cosine needs an end: set trainer.max_epochs or trainer.max_steps, or schedule: constant"
        errors.append((("training", "schedule"), why))
    if training.warmup_epochs and 0 < (max_epochs or 0) <= training.warmup_epochs:
        why = (
            f"a warm-up of {training.warmup_epochs} epochs is not over after {max_epochs}: give fewer, or train longer"
        )
        errors.append((("training", "warmup_epochs"), why))
    return errors


def _max_epochs(trainer: Mapping[str, Any]) -> int | None:
    """As given, else 100, else None where steps or time end the training."""
    return trainer.get("max_epochs", None if trainer.keys() & {"max_steps", "max_time"} else 100)


def trainer_errors(trainer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What is wrong with a config's ``trainer``: key and message; empty where nothing is."""
    known = [key for key in inspect.signature(lightning.Trainer).parameters if key not in OURS]
    errors = []
    for key in trainer:
        if key in OURS:
            errors.append((key, f"trainer.{key} is not free: {OURS[key]}; remove the key"))
        elif key == "precision" and str(trainer[key]).endswith("-true") and trainer[key] != "32-true":
            errors.append(
                (key, f"trainer.precision is {trainer[key]!r}: times need float64; take {trainer[key][:-5]}-mixed")
            )
        elif key in ("max_epochs", "max_steps", "limit_train_batches") and trainer[key] == 0:
            errors.append((key, f"trainer.{key} is 0: nothing would be trained; give 1 or more"))
        elif key not in known:
            message = f"lightning.Trainer has no argument {key!r}{nearest(key, known)} known: {', '.join(known)}"
            errors.append((key, message))
    return errors


def train(
    config: Config, tasks: Mapping[str, Task], labels: Mapping[str, LabelsByTask], source: FeatureSource, folder: Path
) -> FusionModule:
    """Train until ``trainer`` or patience ends it; the module with the best weights, also in ``folder/weights``.

    ``labels``: split ("train", "validation") -> task -> clip -> labels. A run that was stopped goes on from
    ``folder/resume.ckpt`` and ends with the very weights of an unbroken one (on the CPU to the bit). The file stays, so
    that a run that ended is not trained again, until ``Run.finish`` takes it away. Raises ValueError for settings,
    labels or a resume.ckpt that do not fit.
    """
    for keys, message in config_errors(config):
        raise ValueError(f"{'.'.join(keys)}: {message}")
    folder.mkdir(parents=True, exist_ok=True)
    resume = folder / RESUME
    run = config.model_dump_json(exclude={"trainer"})  # a stopped run may go on for longer, or on another device
    with torch.random.fork_rng(devices=[]), _quiet():
        data = ClipDataModule(config, labels, source)
        module = build_module(config, tasks, {name: source.dim(name) for name in source.names()})
        if resume.exists():
            _check_resume(resume, run)
        else:
            module.front.set_spread(measure_spread(source, clips_of(labels["train"])))
        trainer = _trainer(config, folder, run, num_batches=len(data.train_dataloader()))
        try:
            trainer.fit(module, datamodule=data, ckpt_path=resume if resume.exists() else None, weights_only=True)
        except SystemExit as stop:  # Lightning's answer to SIGTERM (no code, which would say "done") and to SIGINT (1)
            LOG.warning("stopped: the same command goes on from the last whole epoch")
            raise SystemExit(130 if stop.code else 143) from stop
    return load_module(folder, config, tasks)


class _Events(TensorBoardLogger):
    """TensorBoard events and nothing else: Lightning's hparams.yaml would be empty, a run has its config.yaml."""

    def save(self) -> None:
        self.experiment.flush()


def _trainer(config: Config, folder: Path, run: str, *, num_batches: int) -> lightning.Trainer:
    best = BestWeights(folder, config.training.patience_epochs)
    is_terminal = sys.stderr.isatty()
    # the accelerator: Apple's has no float64, in which times are
    defaults: dict[str, Any] = {
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": 1,
        "max_epochs": _max_epochs(config.trainer),
        "log_every_n_steps": min(50, num_batches),
        "enable_model_summary": False,
        "enable_progress_bar": is_terminal,
    }
    ours: dict[str, Any] = {
        "callbacks": [best, *([] if is_terminal else [EpochLines(best)]), Resumable(folder / RESUME, run)],
        "logger": _Events(folder, name="", version=""),
        "default_root_dir": folder,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
    }
    try:
        trainer = lightning.Trainer(**{**defaults, **config.trainer}, **ours)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise ValueError(f"lightning.Trainer refuses the settings under trainer: {error}") from error
    if trainer.world_size > 1:
        raise ValueError(f"training runs on one device, not on {trainer.world_size}: set trainer.devices to 1")
    return trainer


def _check_resume(path: Path, run: str) -> None:
    known = torch.load(path, map_location="cpu", weights_only=True).get("config")
    if known != run:
        raise ValueError(
            f"{path} is of a run with another config: delete it to start anew, or give the run another name"
        )


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Lightning's advertisements and device reports go; its warnings stay. What it prints goes to stderr."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            # a window is a few rows of a mapped file: a worker process costs more than it saves
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6 walks its loaders with a class that torch 2.14 renames: theirs to mend, nobody here can
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

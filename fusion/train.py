"""A training run: Lightning's Trainer with our callbacks, in a run's folder."""

import contextlib
import logging
import sys
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from abaw.batches import FeatureSource
from abaw.configs.sections import UNTRAINED, Config
from abaw.errors import InputError
from abaw.results.runs import RESUME
from abaw.tasks.base import Task
from fusion.callbacks import Averaged, BestWeights, EpochLines, Resumable
from fusion.checkpoint import build_module, load_module
from fusion.data import ClipDataModule
from fusion.front import measure_statistics
from fusion.loggers import make_loggers, told
from fusion.module import FusionModule
from fusion.targets import LabelsByTask, clips_of
from fusion.trainer_settings import config_errors, max_epochs_of

LOG = logging.getLogger("abaw")

PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def is_first_process() -> bool:
    """Whether this process writes files: the one that was started, or of several for one training the first."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def train(
    config: Config, tasks: Mapping[str, Task], labels: Mapping[str, LabelsByTask], source: FeatureSource, folder: Path
) -> FusionModule:
    """Train until ``trainer`` or patience ends it; the module with the best weights, also in ``folder/weights``.

    ``labels``: split ("train", "validation") -> task -> clip -> labels; without any of "validation" the last weights
    are kept. A run that was stopped goes on from ``folder/resume.ckpt`` and ends with the very weights of an unbroken
    one (on the CPU to the bit). The file stays, so that a run that ended is not trained again, until ``Run.finish``
    takes it away. On several devices every process comes here and ends with the same module; the first writes
    (``is_first_process``). Raises ValueError for settings, labels or a resume.ckpt that do not fit.
    """
    for keys, message in config_errors(config):
        raise InputError(f"{'.'.join(keys)}: {message}")
    folder.mkdir(parents=True, exist_ok=True)
    resume = folder / RESUME
    run = config.model_dump_json(exclude={"trainer", *UNTRAINED})  # it may go on for longer, or on another device
    with torch.random.fork_rng(devices=[]), _quiet():
        epochs_done = _epochs_done(resume, run)
        data = ClipDataModule(config, tasks, labels, source, epoch=epochs_done)
        if not data.holds_out:
            LOG.info("nothing is held out: the last weights are kept, training.patience_epochs has no effect")
        module = build_module(config, tasks, {name: source.dim(name) for name in source.names()})
        if not epochs_done and any(each.normalise == "split" for each in config.features.values()):
            module.front.set_spread(measure_statistics(source, clips_of(labels["train"])))
        trainer = _trainer(config, folder, run, validates=data.holds_out)
        try:
            with told(trainer.loggers, config):
                trainer.fit(module, datamodule=data, ckpt_path=resume if epochs_done else None, weights_only=True)
        except MisconfigurationException as error:
            raise InputError(f"lightning.Trainer refuses the settings under trainer: {str(error).strip()}") from error
        except SystemExit as stop:  # Lightning's answer to SIGTERM (no code, which would say "done") and to SIGINT (1)
            LOG.warning("stopped: the same command goes on from the last whole epoch")
            raise SystemExit(130 if stop.code else 143) from stop
    return load_module(folder, config, tasks)


def _trainer(config: Config, folder: Path, run: str, *, validates: bool) -> lightning.Trainer:
    best, decay = BestWeights(folder, config.training.patience_epochs), config.training.ema_decay
    is_terminal = sys.stderr.isatty()
    # the accelerator: Apple's has no float64, in which times are; curves have a point an epoch, so that the interval of
    # steps only matters to those who set it
    defaults: dict[str, Any] = {
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": 1,
        "max_epochs": max_epochs_of(config.trainer),
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "enable_progress_bar": is_terminal,
    }
    # the order counts: averaged weights are given back when the best were written
    callbacks = [best, *([Averaged(decay)] if decay else []), *([] if is_terminal else [EpochLines(best)])]
    ours: dict[str, Any] = {
        "callbacks": [*callbacks, Resumable(folder / RESUME, run)],
        "logger": make_loggers(config, folder),
        "default_root_dir": folder,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        **({} if validates else {"limit_val_batches": 0}),
    }
    given = dict(config.trainer)
    if given.get("profiler") in PROFILERS:  # Lightning would print it where nobody looks
        given["profiler"] = PROFILERS[given["profiler"]](dirpath=folder, filename="profile")
    try:
        return lightning.Trainer(**{**defaults, **given}, **ours)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise InputError(f"lightning.Trainer refuses the settings under trainer: {error}") from error


def _epochs_done(resume: Path, run: str) -> int:
    """How many epochs of this very run lie in a resume file; ValueError where it is another run's."""
    if not resume.exists():
        return 0
    known = torch.load(resume, map_location="cpu", weights_only=True)
    if known.get("config") != run:
        raise InputError(
            f"{resume} is of a run with another config: delete it to start anew, or give the run another name"
        )
    return known["epoch"] + 1


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

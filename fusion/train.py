"""A training run: Lightning's Trainer with the project's callbacks, in the folder of a run."""

import contextlib
import logging
import signal
import sys
import threading
import warnings
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.profilers import AdvancedProfiler, Profiler, PyTorchProfiler, SimpleProfiler
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from abaw.batches import FeatureSource
from abaw.configs.optional_sections import HiddenConfig
from abaw.configs.sections import UNTRAINED, Config
from abaw.errors import AbawError, InputError
from abaw.processes import end_with_parent_if_any, parent_of_trainings
from abaw.results.runs import RESUME
from abaw.tasks.base import Task
from fusion.adaptation.inner_loop import AdaptiveModel
from fusion.callbacks import BestWeights, CurveFile, EpochLogger, ResumeCheckpoint, WeightAveraging
from fusion.checkpoint import build_module, find_context, load_module
from fusion.continuing.anchors import Anchors
from fusion.data import ClipDataModule, loader
from fusion.layers.heads.hidden_stage import check_cutoffs
from fusion.loggers import log_run, make_loggers
from fusion.module import FusionModule
from fusion.normalisation.group_source import GroupSource, standardise_groups
from fusion.normalisation.statistics import FeatureStatistics, measure_statistics
from fusion.targets import LabelsByTask, list_clips
from fusion.trainer_settings import find_config_errors, get_max_epochs

LOG = logging.getLogger("abaw")

PROFILERS: dict[str, type[Profiler]] = {
    "simple": SimpleProfiler,
    "advanced": AdvancedProfiler,
    "pytorch": PyTorchProfiler,
}


def is_first_process() -> bool:
    """Whether this process writes files: the only one, or the first of several that train together (DDP)."""
    return bool(rank_zero_only.rank == 0)  # type: ignore[attr-defined]


def train(
    config: Config,
    tasks: Mapping[str, Task],
    labels: Mapping[str, LabelsByTask],
    source: FeatureSource,
    folder: Path,
    *,
    epochs: int | None = None,
    anchors: Anchors | None = None,
    state: Mapping[str, Tensor] | None = None,
    callbacks: Sequence[lightning.Callback] = (),
) -> FusionModule:
    """Train a model and return the module with the best weights, which are also saved in ``folder/weights``.

    Training ends after the number of epochs, steps or the time in ``config.trainer``, or when the validation score has
    not improved for ``training.patience_epochs``. ``labels`` maps split ("train", "validation") -> task -> clip ->
    labels; without validation labels the last weights are kept. ``epochs``: end after so many epochs, with the learning
    rate that these epochs have in a longer training. ``anchors`` and ``state``: of a training that continues another
    run, what its weights stay near, and the state that the module starts from, instead of random weights and statistics
    of its own training clips. ``callbacks``: further ones of Lightning's.

    A stopped run resumes from ``folder/resume.ckpt`` and ends with the same weights as an uninterrupted one (on the CPU
    bit by bit). The file stays until ``Run.finish`` removes it, so that a finished run is not trained again. With
    several devices every process calls this function and returns the same module; only the first one writes.

    Raises InputError where settings or labels cannot be used, or resume.ckpt belongs to another config.
    """
    end_with_parent_if_any()  # of several processes (DDP) the first one has started the others
    for keys, message in find_config_errors(config):
        raise InputError(f"{'.'.join(keys)}: {message}")
    folder.mkdir(parents=True, exist_ok=True)
    resume = folder / RESUME
    run = config.model_dump_json(exclude={"trainer", *UNTRAINED})  # the trainer's settings may change on resuming
    run += "" if epochs is None else f", {epochs} epochs"
    with torch.random.fork_rng(devices=[]), _quiet():
        epochs_done = _epochs_done(resume, run)
        source = _within_groups(config, labels, source)
        data = ClipDataModule(config, tasks, labels, source, epoch=epochs_done)
        if not data.holds_out and config.training.schedule == "plateau":
            raise InputError("training.schedule is plateau, but there is no validation split: give constant or cosine")
        if not data.holds_out and epochs is None and config.training.select_on != "last":
            LOG.info("no validation split: the last weights are kept, training.patience_epochs has no effect")
        module = build_module(config, tasks, {name: source.dim(name) for name in source.names()})
        if isinstance(module.model, AdaptiveModel):
            module.persons = _persons(labels["train"])
            data.keep_persons_together(module.persons, config.adaptation.num_windows)
        if getattr(module.model, "modality_dropout", 0) and any(f.modality_dropout for f in config.features.values()):
            LOG.warning(
                "modalities are dropped twice: by features.*.modality_dropout and by model.modality_dropout of %s; "
                "set one of them to 0",
                config.model.name,
            )
        clip_ids = {clip_id for by_task in labels.values() for clip_id in list_clips(by_task)}
        cutoffs = module.model.cutoff_hz, module.hidden_stage.cutoff_hz
        remarks = check_cutoffs(*cutoffs, source, sorted(clip_ids), config.window.length)
        for remark in [*remarks, *_context_remarks(config)]:
            LOG.warning("%s", remark)
        module.anchors = anchors
        if not epochs_done and state is not None:
            _load_state(module, state)
        elif not epochs_done:
            module.input_stage.set_statistics(_statistics(config, source, list_clips(labels["train"])))
            module.measure(loader(data.train, config.training.batch_size))
        trainer = _trainer(config, folder, run, epochs, validates=data.holds_out)
        trainer.callbacks.extend(callbacks)  # type: ignore[attr-defined]
        try:
            with log_run(trainer.loggers, config), _default_sigterm(), parent_of_trainings(), errors_of_workers():
                trainer.fit(module, datamodule=data, ckpt_path=resume if epochs_done else None, weights_only=True)
        except MisconfigurationException as error:
            raise InputError(f"lightning.Trainer refuses the settings under trainer: {str(error).strip()}") from error
        except SystemExit as stop:  # raised by Lightning: without a code on SIGTERM, with 1 on SIGINT
            raise SystemExit(130 if stop.code else 143) from stop
    return load_module(folder, config, tasks)


def _context_remarks(config: Config) -> Iterator[str]:
    """What must be known where the config takes a model that looks at the past alone, and adds attention to it."""
    without = config.model_copy(update={"hidden": HiddenConfig()})
    if find_context(without) != find_context(config):
        yield (
            f"hidden.frequency_attention reads the whole window: outputs of {config.model.name} now depend on later "
            f"frames, too (context {find_context(config)} instead of {find_context(without)})"
        )


def _load_state(module: FusionModule, state: Mapping[str, Tensor]) -> None:
    """Raises InputError where the state is of another module."""
    try:
        module.load_state_dict(state)
    except RuntimeError as error:
        raise InputError(
            f"the weights of the continued run do not fit this model ({error}): give the settings of that run"
        ) from error


def _persons(labels: LabelsByTask) -> dict[str, str]:
    """Clip -> its group, of the clips whose labels name one."""
    return {clip_id: each.group for clips in labels.values() for clip_id, each in clips.items() if each.group}


def _within_groups(config: Config, labels: Mapping[str, LabelsByTask], source: FeatureSource) -> FeatureSource:
    """The source with every clip's group measured; without a data set that names them, each clip is its own."""
    found = standardise_groups(source, config.features, {})
    if isinstance(found, GroupSource) and not found.fallback:
        clips = {split: list_clips(by_task) for split, by_task in labels.items()}
        found.prepare([clip_id for each in clips.values() for clip_id in each], clips["train"])
    return found


def _statistics(config: Config, source: FeatureSource, clip_ids: list[str]) -> dict[str, FeatureStatistics]:
    """What the input stage standardises with, and what groups with too little material are standardised with."""
    names = [name for name, each in config.features.items() if each.normalise == "split"]
    fallback = source.fallback if isinstance(source, GroupSource) else {}
    return {**fallback, **(measure_statistics(source, clip_ids, names) if names else {})}


@contextlib.contextmanager
def errors_of_workers() -> Iterator[None]:
    """Raise an error of a process that reads windows as it was there; torch passes it on as text with a traceback."""
    try:
        yield
    except AbawError as error:
        _, is_passed_on, text = str(error).rpartition(f"{type(error).__module__}.{type(error).__qualname__}: ")
        if is_passed_on and str(error).startswith("Caught "):
            raise type(error)(text.strip()) from error
        raise


def _trainer(config: Config, folder: Path, run: str, epochs: int | None, *, validates: bool) -> lightning.Trainer:
    best, decay = BestWeights(folder, config.training.patience_epochs, epochs), config.training.ema_decay
    defaults: dict[str, Any] = {
        # not "auto": Apple's accelerator has no float64, which times need
        "accelerator": "cuda" if torch.cuda.is_available() else "cpu",
        "devices": 1,
        "max_epochs": get_max_epochs(config.trainer),
        "log_every_n_steps": 1,
        "enable_model_summary": False,
        "enable_progress_bar": False,  # callers have their own, see ``TrainingProgress``
    }
    # the order matters: WeightAveraging restores the original weights after BestWeights has saved
    callbacks = [best, *([WeightAveraging(decay)] if decay else []), EpochLogger(best)]
    ours: dict[str, Any] = {
        "callbacks": [*callbacks, CurveFile(folder), ResumeCheckpoint(folder / RESUME, run)],
        "logger": make_loggers(config, folder),
        "default_root_dir": folder,
        "enable_checkpointing": False,
        "num_sanity_val_steps": 0,
        "use_distributed_sampler": False,
        **({} if validates else {"limit_val_batches": 0}),
    }
    given = dict(config.trainer)
    if epochs is not None:  # they would make training go on
        given = {key: value for key, value in given.items() if key not in ("min_epochs", "min_steps")}
    if given.get("profiler") in PROFILERS:  # Lightning would print the report to stdout
        given["profiler"] = PROFILERS[given["profiler"]](dirpath=folder, filename="profile")
    try:
        return lightning.Trainer(**{**defaults, **given}, **ours)
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise InputError(f"lightning.Trainer refuses the settings under trainer: {error}") from error


def _epochs_done(resume: Path, run: str) -> int:
    """Number of complete epochs in a resume file; 0 where there is none, or a damaged one, which is set aside.

    Raises InputError where it belongs to another config.
    """
    if not resume.exists():
        return 0
    try:
        known = _read_resume(resume)
        epochs_done, config = known["epoch"] + 1, known["config"]
    except Exception as error:  # a damaged file can raise anything
        if isinstance(error, OSError):  # it cannot be read at all now: no sign of damage
            raise
        aside = resume.with_name(f"{RESUME}.damaged")
        LOG.warning("%s is damaged (%s): renamed to %s; training starts from the beginning", resume, error, aside.name)
        if is_first_process():
            resume.replace(aside)
        return 0
    if config != run:
        raise InputError(
            f"{resume} belongs to a run with another config: delete it to start again, or give the run another name"
        )
    return int(epochs_done)


def _read_resume(resume: Path) -> Any:
    """The content of a resume file. Raises an error of some type where it is damaged."""
    with zipfile.ZipFile(resume) as file:  # torch does not compare the checksums
        if (name := file.testzip()) is not None:
            raise ValueError(f"the checksum of {name} differs")
    return torch.load(resume, map_location="cpu", weights_only=True)


@contextlib.contextmanager
def _default_sigterm() -> Iterator[None]:
    """Set aside the caller's handler of SIGTERM: Lightning's own ends a training at the end of a step."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's tips and device reports, keep its warnings, and send what it prints to stderr."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.WARNING)
        with warnings.catch_warnings(), contextlib.redirect_stdout(sys.stderr):
            # reading a window from a memory-mapped file is cheap: worker processes cost more than they save
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            # Lightning 2.6 uses a class that torch 2.14 deprecates
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)

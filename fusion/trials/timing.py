"""How long training takes on this machine, measured by training for a few seconds on random features."""

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np

from abaw.batches import windows
from abaw.configs.sections import OWN_RATE, Config
from abaw.errors import InputError
from abaw.tasks.base import Task
from abaw.tracks import Clock, Track
from fusion.data import ClipDataModule
from fusion.targets import LabelsByTask, list_clips
from fusion.train import train
from fusion.trainer_settings import get_max_epochs

FRAME_S = 1 / 30
OWN_ROWS_HZ = 50.0  # of a feature that is read at its own rate
NUM_BATCHES = 4  # of an epoch of the trial
MAX_WINDOWS = 16  # of a clip in the trial


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured: the seconds of a training batch, of a validation batch, and before the first batch.

    ``num_train`` and ``num_validation``: batches of an epoch over all labels. ``max_epochs``: as the config says;
    ``min_epochs``: the fewest with which ``training.patience_epochs`` can end. ``num_bytes``: of the weights.
    """

    train_s: float
    validation_s: float
    start_s: float
    num_train: int
    num_validation: int
    min_epochs: int
    max_epochs: int
    num_bytes: int

    def run_s(self, epochs: int) -> float:
        """The seconds of a run of so many epochs, with its predictions of what it holds out."""
        epoch_s = self.num_train * self.train_s + self.num_validation * self.validation_s
        return self.start_s + epochs * epoch_s + self.num_validation * self.validation_s


def time_training(
    config: Config, tasks: Mapping[str, Task], labels: Mapping[str, LabelsByTask], dims: Mapping[str, int], for_s: float
) -> TrialResult:
    """Train with the labels' first clips and random features for about ``for_s`` seconds; nothing of it is kept.

    ``dims``: the number of values of each feature. Reading features from a store is not part of it: they are in memory.
    """
    epochs = get_max_epochs(config.trainer)
    if epochs is None:
        raise InputError("trainer ends training by max_steps or max_time: epochs are not what it costs")
    # without workers, whose start would be most of so short a training
    trial = config.model_copy(update={"training": config.training.model_copy(update={"num_workers": 0, "loggers": []})})
    trial = trial.model_copy(update={"trainer": {**config.trainer, "max_epochs": 1000, "max_steps": -1}})
    own_rate = {name for name, feature in config.features.items() if feature.align == OWN_RATE}
    whole = ClipDataModule(config, tasks, labels, RandomFeatures(dims, _lengths(labels), own_rate))
    few = {split: _few(by_task, config) for split, by_task in labels.items()}
    timer, start_s = _Timer(for_s), time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="abaw-trial-") as folder:
        fitted = {name: task.fitted(few["train"][name]) for name, task in tasks.items()}
        module = train(
            trial, fitted, few, RandomFeatures(dims, _lengths(few), own_rate), Path(folder), callbacks=[timer]
        )
    size = config.training.batch_size
    return TrialResult(
        timer.seconds("train"),
        timer.seconds("validation"),
        timer.begun_s - start_s,
        -(-len(whole.train) // size),
        -(-len(whole.validation) // size),
        min(epochs, config.training.patience_epochs + 1),
        epochs,
        4 * sum(parameter.numel() for parameter in module.parameters()),
    )


class RandomFeatures:
    """A source of features that are noise, observed at each of 30 frames a second."""

    def __init__(self, dims: Mapping[str, int], num_frames: Mapping[str, int], own_rate: set[str]) -> None:
        self._dims, self._num_frames, self._own_rate = dict(dims), num_frames, own_rate
        rng = np.random.default_rng(0)
        self._values = {name: rng.normal(size=(2048, dim)).astype(np.float16) for name, dim in dims.items()}

    def names(self) -> tuple[str, ...]:
        return tuple(self._dims)

    def dim(self, name: str) -> int:
        return self._dims[name]

    def is_on_clock(self, name: str) -> bool:
        return name not in self._own_rate

    def clock(self, clip_id: str) -> Clock:
        num = self._num_frames[clip_id]
        return Clock(np.arange(1, num + 1), np.arange(num) * FRAME_S, np.ones(num, bool))

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        if name in self._own_rate:
            times_s = np.arange(np.ceil(start_s * OWN_ROWS_HZ), np.floor(stop_s * OWN_ROWS_HZ) + 1) / OWN_ROWS_HZ
        else:
            every = self.clock(clip_id).times_s
            times_s = every[(every >= start_s) & (every <= stop_s)]
        rows = np.arange(len(times_s)) % len(self._values[name])
        return Track(self._values[name][rows], times_s, np.ones(len(times_s), bool))


class _Timer(lightning.Callback):
    """Times batches, and ends training at the end of an epoch once the time is over."""

    def __init__(self, for_s: float) -> None:
        self._for_s, self.begun_s, self._last_s = for_s, 0.0, 0.0
        self._found: dict[str, list[float]] = {"train": [], "validation": []}

    def seconds(self, kind: str) -> float:
        """The mean of the batches after the first, which warms up; of all where there is one."""
        found = self._found[kind]
        return float(np.mean(found[1:] or found or [0.0]))

    def on_train_start(self, *_: Any) -> None:
        self.begun_s = self._last_s = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        self._last_s = time.perf_counter()

    def on_validation_start(self, *_: Any) -> None:
        self._last_s = time.perf_counter()

    def on_train_batch_end(self, *_: Any) -> None:
        self._add("train")

    def on_validation_batch_end(self, *_: Any) -> None:
        self._add("validation")

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        trainer.should_stop |= time.perf_counter() - self.begun_s > self._for_s

    def _add(self, kind: str) -> None:
        now_s = time.perf_counter()
        self._found[kind].append(now_s - self._last_s)
        self._last_s = now_s


def _lengths(labels: Mapping[str, LabelsByTask]) -> dict[str, int]:
    """The number of frames of each clip."""
    found: dict[str, int] = {}
    for by_task in labels.values():
        for by_clip in by_task.values():
            for clip_id, each in by_clip.items():
                found[clip_id] = max(found.get(clip_id, 0), len(each))
    return found


def _few(labels: LabelsByTask, config: Config) -> LabelsByTask:
    """The first frames of the first clips: as many as ``NUM_BATCHES`` have, and one scored clip for each task."""
    window, wanted = config.window, NUM_BATCHES * config.training.batch_size
    most = window.length + (MAX_WINDOWS - 1) * window.stride
    cut = {
        task: {
            clip_id: replace(each, values=each.values[:most], scored=each.scored[:most])
            for clip_id, each in by_clip.items()
        }
        for task, by_clip in labels.items()
    }
    kept = {next((clip_id for clip_id, each in by_clip.items() if each.scored.any()), "") for by_clip in cut.values()}
    num = 0
    for clip_id in list_clips(cut):
        if num >= wanted:
            break
        kept.add(clip_id)
        num_frames = max(len(by_clip[clip_id]) for by_clip in cut.values() if clip_id in by_clip)
        num += len(windows(num_frames, window.length, window.stride))
    return {
        task: {clip_id: each for clip_id, each in by_clip.items() if clip_id in kept} for task, by_clip in cut.items()
    }

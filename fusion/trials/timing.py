"""How long training takes on this machine, measured by training for a few seconds."""

import math
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch

from abaw.batches import FeatureSource, windows
from abaw.configs.sections import Config
from abaw.dataset.annotations import Labels, TimedLabels
from abaw.tasks.base import Task
from fusion.data import MAX_WORKERS, ClipDataModule, loader
from fusion.normalisation.statistics import measure_statistics
from fusion.targets import LabelsByTask, list_clips
from fusion.train import train
from fusion.trials.sizes import RunSize, loosen

NUM_BATCHES = 3  # of an epoch of the trial, at most
MAX_WINDOWS = 8  # of a clip in the trial
MEASURED = ("split", "group")  # normalisations for which every training clip is read once before training
# what would end the trial, make it go on, or start other processes
OF_TRIAL = {"max_epochs": 1000, "max_steps": -1, "devices": 1, "strategy": "auto", "check_val_every_n_epoch": 1}
LEFT_OUT = ("max_time", "min_epochs", "min_steps", "limit_train_batches", "num_nodes", "profiler")


@dataclass(frozen=True)
class TrialResult:
    """What a trial measured, in seconds: before the first batch, and of statistics for each frame; reading a full
    batch of windows; training on one, and validating on one, without reading; the rest of an epoch, such as saving.

    ``num_bytes``: of the weights.
    """

    start_s: float
    statistics_s: float
    read_s: float
    train_s: float
    validation_s: float
    epoch_s: float
    num_bytes: int

    def run_s(self, size: RunSize, epochs: float, num_workers: int = 0) -> float:
        """The seconds of a training of so many epochs, while ``num_workers`` processes read windows (0: itself)."""
        if math.isinf(epochs):
            return size.max_s
        wait_s = max(0.0, self.read_s / num_workers - self.train_s) if num_workers else self.read_s
        num_batches = size.num_train + size.num_validation
        epoch_s = size.num_train * self.train_s + size.num_validation * self.validation_s + self.epoch_s
        reading_s = num_batches * (self.read_s if size.is_kept else epochs * wait_s)
        before_s = self.start_s + size.num_frames * self.statistics_s
        return min(size.max_s, before_s + epochs * epoch_s + reading_s)

    def prediction_s(self, num_batches: float) -> float:
        """The seconds of predictions for so many batches of windows, which are read in the same process."""
        return num_batches * (self.validation_s + self.read_s)


def select_trial(
    config: Config, tasks: Mapping[str, Task], labels: Mapping[str, LabelsByTask], num_frames: Mapping[str, int]
) -> tuple[dict[str, dict[str, dict[str, Labels]]], dict[str, int]]:
    """The labels of the first frames of the first clips of each split, and how many frames of each clip are taken.

    ``num_frames``: of each clip. As many clips as ``NUM_BATCHES`` batches need, and a scored one for each task.
    """
    window, found = config.window, {}
    most = window.length + (MAX_WINDOWS - 1) * window.stride
    for split, by_task in labels.items():
        cut = {
            task: {clip_id: _first(each, most, tasks[task]) for clip_id, each in by_clip.items()}
            for task, by_clip in loosen(by_task).items()
        }
        scored = [next((c for c, each in by_clip.items() if each.scored.any()), "") for by_clip in cut.values()]
        kept, num = set(scored), 0
        for clip_id in list_clips(cut):
            if num >= NUM_BATCHES * config.training.batch_size:
                break
            kept.add(clip_id)
            num += len(windows(min(most, num_frames.get(clip_id, 0)), window.length, window.stride))
        found[split] = {
            task: {clip_id: each for clip_id, each in by_clip.items() if clip_id in kept}
            for task, by_clip in cut.items()
        }
    chosen = {clip_id for by_task in found.values() for clip_id in list_clips(by_task)}
    return found, {clip_id: min(most, num_frames[clip_id]) for clip_id in sorted(chosen)}


def time_training(
    config: Config, tasks: Mapping[str, Task], labels: Mapping[str, LabelsByTask], source: FeatureSource, for_s: float
) -> TrialResult:
    """Train on these labels, of ``select_trial``, for about ``for_s`` seconds on one device; nothing of it is kept."""
    training = config.training.model_copy(
        update={"num_workers": 0, "loggers": [name for name in config.training.loggers if name == "tensorboard"]}
    )
    trainer = {key: value for key, value in config.trainer.items() if key not in LEFT_OUT}
    trial = config.model_copy(update={"training": training, "trainer": trainer | OF_TRIAL})
    fitted = {name: task.fitted(labels["train"][name]) for name, task in tasks.items()}
    data = ClipDataModule(trial, fitted, labels, source)
    num_train, num_validation = (len(each) / training.batch_size for each in (data.train, data.validation))
    first_s, again_s = (_seconds(loader(data.train, training.batch_size)) / num_train for _ in range(2))
    read_s = first_s - again_s if data.train.is_kept else first_s  # kept windows are collated again in every epoch
    timer = _Timer(for_s)
    with tempfile.TemporaryDirectory(prefix="abaw-trial-") as folder:
        start_s = time.perf_counter()
        module = train(trial, fitted, labels, source, Path(folder), callbacks=[timer])
    read_again_s = 0.0 if data.train.is_kept else read_s
    return TrialResult(
        timer.begun_s - start_s,
        _time_statistics(config, source, list_clips(labels["train"])),
        max(0.0, read_s),
        max(0.0, timer.batches_s("train") / num_train - read_again_s),
        max(0.0, timer.batches_s("validation") / num_validation - read_again_s),
        timer.rest_s(),
        4 * sum(parameter.numel() for parameter in module.parameters()),
    )


def count_workers(config: Config, size: RunSize) -> int:
    """How many processes a training of this size would read windows with on this machine."""
    given = config.training.num_workers
    on_gpu = torch.cuda.is_available() and config.trainer.get("accelerator") != "cpu"
    return given if given != "auto" else MAX_WORKERS * (on_gpu and not size.is_kept)


def _time_statistics(config: Config, source: FeatureSource, clip_ids: list[str]) -> float:
    """The seconds for each frame that measuring means and deviations takes, where the config asks for them."""
    names = [name for name, feature in config.features.items() if feature.normalise in MEASURED]
    if not names:
        return 0.0
    start_s = time.perf_counter()
    measure_statistics(source, clip_ids, names)
    return (time.perf_counter() - start_s) / sum(len(source.clock(clip_id)) for clip_id in clip_ids)


def _seconds(batches: Any) -> float:
    start_s = time.perf_counter()
    for _ in batches:
        pass
    return time.perf_counter() - start_s


class _Timer(lightning.Callback):
    """Times batches and epochs, and ends training after an epoch once the time is over."""

    def __init__(self, for_s: float) -> None:
        self._for_s, self.begun_s, self._last_s = for_s, 0.0, 0.0
        self._batches: dict[str, list[list[float]]] = {"train": [], "validation": []}  # by epoch
        self._begins: list[float] = []  # of epochs, and the end of the last

    def batches_s(self, kind: str) -> float:
        """The mean time of an epoch's batches, without the first epoch, which warms up, unless it is the only one."""
        sums = [sum(batches) for batches in self._batches[kind]]
        return float(np.mean(sums[1:] or sums))

    def rest_s(self) -> float:
        """The mean, over the same epochs, of what is left of an epoch's time without its batches."""
        inside = np.array([sum(each) for each in self._batches["train"]])
        inside[: len(self._batches["validation"])] += [sum(each) for each in self._batches["validation"]]
        rest = np.diff(self._begins) - inside
        return max(0.0, float(np.mean(rest[1:] if len(rest) > 1 else rest)))

    def on_train_start(self, *_: Any) -> None:
        self.begun_s = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        self._begins.append(self._begin("train"))

    def on_validation_start(self, *_: Any) -> None:
        self._begin("validation")

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._add("train", trainer)

    def on_validation_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._add("validation", trainer)

    def on_train_epoch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        trainer.should_stop |= time.perf_counter() - self.begun_s > self._for_s

    def on_train_end(self, *_: Any) -> None:
        self._begins.append(time.perf_counter())

    def _begin(self, kind: str) -> float:
        self._batches[kind].append([])
        self._last_s = time.perf_counter()
        return self._last_s

    def _add(self, kind: str, trainer: lightning.Trainer) -> None:
        if trainer.strategy.root_device.type == "cuda":  # its work is only queued
            torch.cuda.synchronize(trainer.strategy.root_device)
        now_s = time.perf_counter()
        self._batches[kind][-1].append(now_s - self._last_s)
        self._last_s = now_s


def _first(labels: Labels, num_frames: int, task: Task) -> Labels:
    """The labels of the first frames, where they are of frames."""
    if isinstance(labels, TimedLabels) or task.resolution != "frame":
        return labels
    return replace(labels, values=labels.values[:num_frames], scored=labels.scored[:num_frames])

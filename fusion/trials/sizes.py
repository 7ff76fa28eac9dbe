"""How much a training has to do: its batches, and the fewest and the most epochs that it can take."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np

from abaw.configs.sections import OWN_RATE, Config
from abaw.dataset.annotations import Labels, TimedLabels
from abaw.errors import InputError
from abaw.tasks.base import Task
from abaw.tracks import Clock, Track
from fusion.data import ClipDataModule
from fusion.targets import LabelsByTask, list_clips
from fusion.trainer_settings import get_max_epochs

FRAME_S = 1 / 30  # between frames whose times are not known


@dataclass(frozen=True)
class RunSize:
    """One training: the batches of an epoch, the last as a fraction, and the frames of the training clips.

    ``is_kept``: windows are read once and stay in memory. ``max_epochs``: infinite where only the patience, or a time,
    ends training. ``max_s``: the time that ends it, infinite where none does.
    """

    num_train: float
    num_validation: float
    num_frames: int
    is_kept: bool
    min_epochs: float
    max_epochs: float
    max_s: float


class ClockSource:
    """The frame timestamps of clips whose features are not there: enough to count windows, not to read them."""

    def __init__(self, config: Config, dims: Mapping[str, int], num_frames: Mapping[str, int]) -> None:
        self._dims, self._num_frames = dict(dims), num_frames
        self._own_rate = {name for name, feature in config.features.items() if feature.align == OWN_RATE}

    def names(self) -> tuple[str, ...]:
        return tuple(self._dims)

    def dim(self, name: str) -> int:
        return self._dims[name]

    def is_on_clock(self, name: str) -> bool:
        return name not in self._own_rate

    def clock(self, clip_id: str) -> Clock:
        if clip_id not in self._num_frames:
            raise InputError(f"the length of clip {clip_id!r} is not known before it is extracted")
        num = self._num_frames[clip_id]
        return Clock(np.arange(1, num + 1), np.arange(num) * FRAME_S, np.ones(num, bool))

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        raise InputError(f"{name} of clip {clip_id!r} is not extracted")


def size_run(
    config: Config, tasks: Mapping[str, Task], labels: Mapping[str, LabelsByTask], source: ClockSource
) -> RunSize:
    """The size of a training on these labels by split and task; "validation" may be empty. No features are read.

    Raises InputError where the length of a clip is not known, or labels cannot be used.
    """
    labels = {split: loosen(by_task) for split, by_task in labels.items()}
    data, size = ClipDataModule(config, tasks, labels, source), config.training.batch_size
    clip_ids, num_train = list_clips(labels["train"]), len(data.train) / size
    return RunSize(
        limit(config.trainer.get("limit_train_batches"), num_train),
        len(data.validation) / size,
        sum(len(source.clock(clip_id)) for clip_id in clip_ids),
        data.train.is_kept and data.validation.is_kept,
        *bound_epochs(config, num_train, holds_out=data.holds_out),
        _max_s(config.trainer.get("max_time")),
    )


def limit(given: Any, num_batches: float) -> float:
    """The batches of an epoch with ``trainer.limit_train_batches``: a number of batches, or a share of them."""
    if given is None:
        return num_batches
    return min(num_batches, given if isinstance(given, int) else max(1.0, num_batches * given))


def bound_epochs(config: Config, num_train: float, *, holds_out: bool = True) -> tuple[float, float]:
    """The fewest and the most epochs: where the first is the best until the patience ends, and as many as allowed.

    Without held-out clips every epoch is trained. The most are infinite where ``trainer`` sets no number of epochs or
    steps.
    """
    trainer, patience = config.trainer, config.training.patience_epochs
    given = get_max_epochs(trainer)
    epochs = float("inf") if given is None or given < 0 else float(given)
    steps = trainer.get("max_steps", -1)
    if steps > 0:
        num_batches = math.ceil(limit(trainer.get("limit_train_batches"), num_train))
        epochs = min(epochs, math.ceil(steps / math.ceil(num_batches / trainer.get("accumulate_grad_batches", 1))))
    if not holds_out:
        return epochs, epochs
    every = trainer.get("check_val_every_n_epoch") or 1
    patient = every * (1 + math.ceil(patience / every))
    return min(epochs, max(patient, trainer.get("min_epochs") or 0)), epochs


def _max_s(given: Any) -> float:
    """The seconds of ``trainer.max_time``: DD:HH:MM:SS, a mapping of days, hours and so on, or a timedelta."""
    if given is None:
        return float("inf")
    if isinstance(given, str):
        days, hours, minutes, seconds = map(int, given.split(":"))
        given = timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
    return float((given if isinstance(given, timedelta) else timedelta(**given)).total_seconds())


def loosen(labels: LabelsByTask) -> dict[str, dict[str, Labels]]:
    """The same labels; those with times are not compared with the ends of clips, which are not known exactly."""
    return {
        task: {
            clip_id: each.of_unknown_end() if isinstance(each, TimedLabels) else each for clip_id, each in clips.items()
        }
        for task, clips in labels.items()
    }

"""Windows of clips for training and validation, read from a FeatureSource when they are needed."""

from collections.abc import Mapping, Sequence

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from abaw.batches import FeatureSource, Window, collate, windows
from abaw.configs.sections import Config, WindowConfig
from abaw.errors import InputError
from abaw.tasks.base import Task
from abaw.tracks import Track
from fusion.sampling import Order, Share, balanced, balancing_weights, in_order, shuffled
from fusion.targets import LabelsByTask, clips_of, fit_to_clock, scored_labels, training_targets

__all__ = ["ClipDataModule", "LabelsByTask", "WindowDataset", "clips_of", "fit_to_clock", "loader"]


class WindowDataset(Dataset[Window]):
    """The windows of some clips, clip by clip and in order. A window reads only its own rows.

    ``labels`` are as long as each clip's clock (``fit_to_clock``); a clip may have them for any of the tasks. With
    ``only_scored``, a window in which no step of any task is scored is left out.
    """

    def __init__(
        self,
        source: FeatureSource,
        clip_ids: Sequence[str],
        labels: LabelsByTask,
        window: WindowConfig,
        *,
        only_scored: bool = False,
    ) -> None:
        self._source, self._labels = source, labels
        spans = [
            (clip_id, start, stop)
            for clip_id in clip_ids
            for start, stop in windows(len(source.clock(clip_id)), window.length, window.stride)
        ]
        self.spans = [span for span in spans if self._is_scored(*span)] if only_scored else spans

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> Window:
        clip_id, start, stop = self.spans[index]
        times_s = self._source.clock(clip_id).times_s[start:stop]
        labels = {task: clips[clip_id] for task, clips in self._labels.items() if clip_id in clips}
        return Window(
            clip_id=clip_id,
            first_step=start,
            times_s=torch.tensor(times_s),
            signals={name: self._read(name, clip_id, times_s) for name in self._source.names()},
            target={task: torch.tensor(each.values[start:stop], dtype=torch.float32) for task, each in labels.items()},
            scored={task: torch.tensor(each.scored[start:stop]) for task, each in labels.items()},
        )

    def _read(self, name: str, clip_id: str, times_s: np.ndarray) -> Track:
        track = self._source.read(name, clip_id, times_s[0], times_s[-1])
        if self._source.is_on_clock(name) and not np.array_equal(track.times_s, times_s):
            raise InputError(
                f"{name} of clip {clip_id!r} has {len(track)} rows from {times_s[0]:g} to {times_s[-1]:g} s, expected "
                f"one at each of {len(times_s)} steps of the clock: the source must be aligned to the clock"
            )
        return track

    def _is_scored(self, clip_id: str, start: int, stop: int) -> bool:
        return any(clips[clip_id].scored[start:stop].any() for clips in self._labels.values() if clip_id in clips)


class ClipDataModule(lightning.LightningDataModule):
    """Training windows as the config's sampling draws them; every validation window, in order.

    ``labels``: split ("train", "validation") -> task -> clip -> labels; without any of "validation" nothing is held
    out. ``truth`` are the official labels of the held-out clips. ``epoch`` is the first that will be asked for: workers
    read ahead before Lightning says which it is. Raises ValueError where a task has no scored frame in
    one of the two, or a clip has more labels than frames.
    """

    def __init__(
        self,
        config: Config,
        tasks: Mapping[str, Task],
        labels: Mapping[str, LabelsByTask],
        source: FeatureSource,
        *,
        epoch: int = 0,
    ) -> None:
        super().__init__()
        self._training, self._epoch = config.training, epoch
        self.holds_out = any(labels["validation"].values())
        targets = training_targets(labels["train"], source, tasks, config.training.label_shift)
        self.truth = scored_labels(labels["validation"] if self.holds_out else {}, source, tasks)
        for split, by_task in {"train": targets, "validation": self.truth}.items():
            _check_scored(split, by_task, config.training.label_shift)
        self.train = WindowDataset(source, clips_of(targets), targets, config.window, only_scored=True)
        # what is scored is a whole clip: its windows need no labels
        self.validation = WindowDataset(source, clips_of(self.truth), {}, config.window)
        self._order = self._sampling(targets, tasks)

    def _sampling(self, targets: LabelsByTask, tasks: Mapping[str, Task]) -> Order:
        if self._training.sampling == "balanced":
            return balanced(balancing_weights(self.train.spans, targets, tasks), self._training.seed)
        return shuffled(len(self.train), self._training.seed)

    def train_dataloader(self) -> DataLoader[Window]:
        return self._loader(self.train, self._order)

    def val_dataloader(self) -> DataLoader[Window]:
        return self._loader(self.validation, in_order(len(self.validation)))

    def _loader(self, dataset: WindowDataset, order: Order) -> DataLoader[Window]:
        rank, num_ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = Share(order, len(dataset), rank, num_ranks)
        share.set_epoch(self._epoch)
        return loader(dataset, self._training.batch_size, share, self._training.num_workers)


def loader(
    dataset: WindowDataset, batch_size: int, sampler: Sampler[int] | None = None, num_workers: int = 0
) -> DataLoader[Window]:
    """Batches of windows; without a sampler in order. ``num_workers`` processes read them, and stay between epochs."""
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        persistent_workers=num_workers > 0,
        # its own: a loader draws a number whenever it is iterated, which must not shift anybody else's noise
        generator=torch.Generator(),
    )


def _check_scored(split: str, labels: LabelsByTask, shift: int) -> None:
    for task, clips in labels.items():
        if not any(each.scored.any() for each in clips.values()):
            raise InputError(
                f"no frame of the {split} split is scored for {task}: check the labels with abaw check DATA"
                + f", or training.label_shift, {shift} frames, is too long" * (shift > 0)
            )

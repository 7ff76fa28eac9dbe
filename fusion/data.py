"""Windows of clips for training and validation, read lazily from a FeatureSource."""

import logging
import os
import shutil
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Literal

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from abaw.batches import Batch, FeatureSource, Window, collate, windows
from abaw.configs.sections import Config, WindowConfig
from abaw.errors import InputError
from abaw.processes import count_cores, end_with_parent
from abaw.tasks.base import Task
from abaw.tracks import Track
from fusion.sampling import (
    EpochOrder,
    RankSampler,
    compute_balancing_weights,
    keep_together,
    make_balanced_order,
    make_sequential_order,
    make_shuffled_order,
)
from fusion.targets import LabelsByTask, list_clips, make_scored_labels, make_training_targets

MAX_WORKERS = 4  # that "auto" starts: each reads about 400 windows of 300 frames and 1,800 features a second
MAX_KEPT_BYTES = 256 * 2**20  # of the features of all windows together: as many stay in memory once they were read
NUM_PREFETCHED = 2  # batches that wait in shared memory for each worker
SHARED_MEMORY = Path("/dev/shm")

LOG = logging.getLogger("abaw")


class WindowDataset(Dataset[Window]):
    """The windows of the given clips, clip by clip and in order of time. Each window reads only its own rows.

    Where the features of all windows take at most ``MAX_KEPT_BYTES``, each window is read once and kept; not without
    ``keep``, for windows that are used once.

    ``labels`` have as many rows as the clip has frames (see ``fit_to_clock``); a clip may have labels for any of the
    tasks. ``only_scored`` leaves out windows without a scored frame of any task.
    """

    def __init__(
        self,
        source: FeatureSource,
        clip_ids: Sequence[str],
        labels: LabelsByTask,
        window: WindowConfig,
        *,
        only_scored: bool = False,
        keep: bool = True,
    ) -> None:
        self._source, self._labels = source, labels
        spans = [
            (clip_id, start, stop)
            for clip_id in clip_ids
            for start, stop in windows(len(source.clock(clip_id)), window.length, window.stride)
        ]
        self.spans = [span for span in spans if self._is_scored(*span)] if only_scored else spans
        self._kept: dict[int, Window] | None = {} if keep and self._num_bytes() <= MAX_KEPT_BYTES else None

    @property
    def is_kept(self) -> bool:
        """Whether windows stay in memory once they were read."""
        return self._kept is not None

    def __len__(self) -> int:
        return len(self.spans)

    def __getitem__(self, index: int) -> Window:
        if self._kept is None:
            return self._window(index)
        if index not in self._kept:
            self._kept[index] = self._window(index)
        return self._kept[index]

    def longest_bytes(self) -> int:
        """The size of the longest window's features in memory, which it reads; 0 without windows."""
        if not self.spans:
            return 0
        longest = self[max(range(len(self)), key=lambda index: self.spans[index][2] - self.spans[index][1])]
        return sum(4 * track.values.size for track in longest.signals.values())

    def _num_bytes(self) -> float:
        """The size of the features of all windows in memory; infinite where tracks have a rate of their own."""
        names = self._source.names()
        if not all(map(self._source.is_on_clock, names)):
            return float("inf")
        row_bytes = 4 * sum(map(self._source.dim, names))
        return row_bytes * sum(stop - start for _, start, stop in self.spans)

    def _window(self, index: int) -> Window:
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
                f"one at each of the {len(times_s)} frames: the source must align its tracks to the frame timestamps"
            )
        return track

    def _is_scored(self, clip_id: str, start: int, stop: int) -> bool:
        return any(clips[clip_id].scored[start:stop].any() for clips in self._labels.values() if clip_id in clips)


class ClipDataModule(lightning.LightningDataModule):
    """Training windows in the order of the config's ``sampling``, and all validation windows in order.

    ``labels`` maps split ("train", "validation") -> task -> clip -> labels; without validation labels nothing is held
    out. ``truth`` holds the official labels of the held-out clips. ``epoch`` is the epoch at which training starts:
    workers prefetch before Lightning announces it.

    Raises InputError where a task has no scored frame in a split, or a clip has more labels than frames.
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
        targets = make_training_targets(labels["train"], source, tasks, config.training.label_shift)
        self.truth = make_scored_labels(labels["validation"] if self.holds_out else {}, source, tasks)
        for split, by_task in {"train": targets, "validation": self.truth}.items():
            _check_scored(split, by_task, config.training.label_shift)
        self.train = WindowDataset(source, list_clips(targets), targets, config.window, only_scored=True)
        # whole clips are scored, with or without labels in a window, which are for the loss alone
        held_out = labels["validation"] if self.holds_out else {}
        losses_of = make_training_targets(held_out, source, tasks, config.training.label_shift)
        self.validation = WindowDataset(source, list_clips(self.truth), losses_of, config.window)
        self._order = self._sampling(targets, tasks)

    def _sampling(self, targets: LabelsByTask, tasks: Mapping[str, Task]) -> EpochOrder:
        if self._training.sampling == "balanced":
            labels = {name: by_clip for name, by_clip in targets.items() if name in tasks}
            weights = compute_balancing_weights(self.train.spans, labels, tasks)
            # windows with targets of teachers alone are drawn as often as others on average
            weights = np.where(weights > 0, weights, weights.sum() / max(1, np.count_nonzero(weights)))
            return make_balanced_order(weights, self._training.seed)
        return make_shuffled_order(len(self.train), self._training.seed)

    def keep_persons_together(self, persons: Mapping[str, str], num_windows: int) -> None:
        """From now on batches hold ``num_windows`` windows of a person; ``persons``: clip -> person, else the clip."""
        names = [persons.get(clip_id, clip_id) for clip_id, _, _ in self.train.spans]
        self._order = keep_together(self._order, names, num_windows)

    def train_dataloader(self) -> DataLoader[Window]:
        return self._loader(self.train, self._order)

    def val_dataloader(self) -> DataLoader[Window]:
        return self._loader(self.validation, make_sequential_order(len(self.validation)))

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch on the device. Lightning's own copy would wait for a batch that is not a tensor itself.

        To a GPU the loader's batches lie in pinned memory, so that the copy runs while Python goes on; what computes
        with it is queued behind it.
        """
        return batch.to(device, non_blocking=device.type == "cuda")

    def _loader(self, dataset: WindowDataset, order: EpochOrder) -> DataLoader[Window]:
        rank, num_ranks = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        share = RankSampler(order, len(dataset), rank, num_ranks)
        share.set_epoch(self._epoch)
        on_gpu = self.trainer is not None and self.trainer.strategy.root_device.type == "cuda"
        num_here = self.trainer.num_devices if self.trainer else 1
        batch_size = self._training.batch_size
        num = _num_workers(self._training.num_workers, on_gpu and not dataset.is_kept, num_here)
        if num and self._training.num_workers == "auto":
            num = _fit_shared_memory(num, num_here * batch_size * dataset.longest_bytes())
        return loader(dataset, batch_size, share, num, pin_memory=on_gpu)


def loader(
    dataset: WindowDataset,
    batch_size: int,
    sampler: Sampler[int] | None = None,
    num_workers: int = 0,
    *,
    pin_memory: bool = False,
) -> DataLoader[Window]:
    """Batches of windows, in the sampler's order or sequentially, read by ``num_workers`` persistent processes."""
    return DataLoader(
        dataset,
        batch_size,
        sampler=sampler,
        collate_fn=collate,
        num_workers=num_workers,
        pin_memory=pin_memory,
        persistent_workers=num_workers > 0,
        prefetch_factor=NUM_PREFETCHED if num_workers else None,
        worker_init_fn=partial(_end_with_training, os.getpid()),
        # its own generator: a loader draws a number each time it is iterated, which must not affect dropout
        generator=torch.Generator(),
    )


def _num_workers(given: int | Literal["auto"], waits: bool, num_processes: int = 1) -> int:
    """``waits``: whether training waits for windows; on the CPU it computes instead, and kept windows take no time.

    ``num_processes``: how many train together on this machine; each leaves one core of its share to itself.
    """
    if given != "auto":
        return given
    return max(0, min(MAX_WORKERS, count_cores() // num_processes - 1)) * waits


def _fit_shared_memory(num_workers: int, batch_bytes: int) -> int:
    """As many workers as there is shared memory for their batches, of which a container often has only 64 MB.

    Where it does not last, a worker is killed, and so is the training. ``batch_bytes``: of all processes together.
    """
    if not batch_bytes or not SHARED_MEMORY.is_dir():
        return num_workers
    free_bytes = shutil.disk_usage(SHARED_MEMORY).free
    fitting = min(num_workers, free_bytes // (NUM_PREFETCHED * batch_bytes))
    if fitting < num_workers:
        LOG.warning(
            "%d instead of %d processes read windows: %s has %.0f MB free, each needs %.0f MB; in a container give it "
            "more (--shm-size), or set training.num_workers",
            fitting,
            num_workers,
            SHARED_MEMORY,
            free_bytes / 1e6,
            NUM_PREFETCHED * batch_bytes / 1e6,
        )
    return fitting


def _end_with_training(parent: int, _: int) -> None:
    end_with_parent(parent)


def _check_scored(split: str, labels: LabelsByTask, shift: int) -> None:
    for task, clips in labels.items():
        if not any(each.scored.any() for each in clips.values()):
            raise InputError(
                f"no frame of the {split} split is scored for {task}: check the labels with abaw check DATA"
                + f"; training.label_shift of {shift} frames may be too long" * (shift > 0)
            )

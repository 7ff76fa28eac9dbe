"""Windows of clips for training and validation, read from a FeatureSource when they are needed."""

from collections.abc import Iterator, Mapping, Sequence

import lightning
import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from abaw.annotations import Labels
from abaw.batches import FeatureSource, Window, collate, windows
from abaw.config import Config, WindowConfig
from abaw.tracks import Track

LabelsByTask = Mapping[str, Mapping[str, Labels]]  # task -> clip -> labels


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
            raise ValueError(
                f"{name} of clip {clip_id!r} has {len(track)} rows from {times_s[0]:g} to {times_s[-1]:g} s, expected "
                f"one at each of {len(times_s)} steps of the clock: the source must be aligned to the clock"
            )
        return track

    def _is_scored(self, clip_id: str, start: int, stop: int) -> bool:
        return any(clips[clip_id].scored[start:stop].any() for clips in self._labels.values() if clip_id in clips)


def fit_to_clock(labels: LabelsByTask, source: FeatureSource) -> dict[str, dict[str, Labels]]:
    """Labels as long as each clip's clock: a frame without a line is unscored. ValueError where lines are more."""
    return {
        task: {clip_id: _padded(task, clip_id, each, len(source.clock(clip_id))) for clip_id, each in clips.items()}
        for task, clips in labels.items()
    }


def _padded(task: str, clip_id: str, labels: Labels, num_steps: int) -> Labels:
    missing = num_steps - len(labels)
    if missing < 0:
        raise ValueError(
            f"clip {clip_id!r} has {len(labels)} label lines for {task} and a clock of {num_steps} frames: "
            "run abaw extract again, so that its clock covers the labels"
        )
    return Labels(np.pad(labels.values, ((0, missing), (0, 0))), np.pad(labels.scored, (0, missing)))


def seed_of_epoch(seed: int, epoch: int) -> int:
    """One seed from two numbers: neighbouring seeds and epochs have nothing in common."""
    return int(np.random.SeedSequence([abs(seed), int(seed < 0), epoch]).generate_state(1, np.uint64)[0] >> 1)


class Shuffled(Sampler[int]):
    """An order that follows from the seed and the epoch alone, so that a resumed run sees what an unbroken one sees."""

    def __init__(self, num_items: int, seed: int) -> None:
        self._num_items, self._seed, self._epoch = num_items, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before every epoch."""
        self._epoch = epoch

    def __len__(self) -> int:
        return self._num_items

    def __iter__(self) -> Iterator[int]:
        yield from np.random.default_rng(seed_of_epoch(self._seed, self._epoch)).permutation(self._num_items).tolist()


class ClipDataModule(lightning.LightningDataModule):
    """Training windows in a new order every epoch; every validation window, in order.

    ``labels``: split ("train", "validation") -> task -> clip -> labels. Raises ValueError where a task has no scored
    frame in one of the two, or a clip has more labels than frames.
    """

    def __init__(self, config: Config, labels: Mapping[str, LabelsByTask], source: FeatureSource) -> None:
        super().__init__()
        self._batch_size, self._seed = config.training.batch_size, config.training.seed
        self.labels = {split: fit_to_clock(labels[split], source) for split in ("train", "validation")}
        for split, by_task in self.labels.items():
            _check_scored(split, by_task)
        train, validation = (clips_of(self.labels[split]) for split in ("train", "validation"))
        self.train = WindowDataset(source, train, self.labels["train"], config.window, only_scored=True)
        self.validation = WindowDataset(source, validation, self.labels["validation"], config.window)

    def train_dataloader(self) -> DataLoader[Window]:
        return loader(self.train, self._batch_size, Shuffled(len(self.train), self._seed))

    def val_dataloader(self) -> DataLoader[Window]:
        return loader(self.validation, self._batch_size)


def clips_of(labels: LabelsByTask) -> list[str]:
    """Every clip that has labels of any task, sorted."""
    return sorted({clip_id for clips in labels.values() for clip_id in clips})


def loader(dataset: WindowDataset, batch_size: int, sampler: Sampler[int] | None = None) -> DataLoader[Window]:
    """Batches of windows; without a sampler in order."""
    # its own generator: a loader draws a number whenever it is iterated, which must not shift anybody else's noise
    return DataLoader(dataset, batch_size, sampler=sampler, collate_fn=collate, generator=torch.Generator())


def _check_scored(split: str, labels: LabelsByTask) -> None:
    for task, clips in labels.items():
        if not any(each.scored.any() for each in clips.values()):
            raise ValueError(
                f"no frame of the {split} split is scored for {task}: check the labels with abaw check DATA"
            )

"""Which clips are trained on and which are held out: whole videos, and never one in both."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from abaw.configs.sections import FoldsConfig
from abaw.dataset.annotations import Labels
from abaw.dataset.names import video_of
from abaw.errors import InputError
from abaw.tasks.base import Task

ByTask = Mapping[str, Mapping[str, Labels]]  # task -> clip -> labels
NUMBER_WEIGHT = 0.3  # of the number of videos, against the number of frames and each stratum
LOG = logging.getLogger("abaw")


def check_apart(seen: Iterable[str], scored: Iterable[str], what: str) -> None:
    """Raises InputError where a clip of ``scored`` is of a video in ``seen``; ``what`` says what has seen them."""
    seen = set(seen)
    leaks = sorted({video_of(clip_id) for clip_id in scored} & seen)
    if leaks:
        others = f" and {len(leaks) - 1} more" if len(leaks) > 1 else ""
        raise InputError(f"a leak: {what} has seen video {leaks[0]!r}{others}, which is scored here")


def split_labels(
    labels: Mapping[str, ByTask], tasks: Mapping[str, Task], folds: FoldsConfig
) -> dict[str, dict[str, dict[str, Labels]]]:
    """The labels that one fold is trained on ("train") and scored on ("validation"), from those of the official split.

    Fold 0 is the official split. Every other fold holds out one part (``part_videos``) of the videos that some task
    trains on and none validates on, and is trained on all the rest, including the official validation videos.
    ``refit``: everything is trained on, and "validation" is empty. Raises InputError for a leak, for too few videos,
    and where a task has no scored frame to train on or, in any of the folds, none to be scored on.
    """
    train, validation = labels["train"], labels["validation"]
    # that one task trains on what another validates on matters only where the official split itself is scored
    as_official = not (folds.refit or folds.fold)
    for names in [list(tasks)] if as_official else [[name] for name in tasks]:
        train = _apart(train, {name: validation[name] for name in names}, folds.drop_leaks, among=names)
    rest = {name: {**train[name], **validation[name]} for name in tasks}
    if folds.refit:
        return {"train": rest, "validation": {}}
    held_out = videos_of(validation)
    if folds.num > 1:
        parts = part_videos(_only(rest, videos_of(rest) - held_out), tasks, folds)
        held_out = parts[folds.fold - 1] if folds.fold else held_out
    if folds.fold:
        train, validation = _only(rest, videos_of(rest) - held_out), _only(rest, held_out)
    for name, clips in train.items():
        if not _num_scored(clips):
            raise InputError(f"fold {folds.fold} of {folds.num}: no scored frame of {name} is left to train on")
    return {"train": _plain(train), "validation": _plain(validation)}


def videos_of(labels: ByTask) -> set[str]:
    """The videos of every clip, of any task."""
    return {video_of(clip_id) for clips in labels.values() for clip_id in clips}


def part_videos(labels: ByTask, tasks: Mapping[str, Task], folds: FoldsConfig) -> list[set[str]]:
    """The videos in ``num`` - 1 parts with about equal numbers of scored frames, of frames per stratum, and of videos.

    Greedy: one video after the other, those with the largest shares first, goes to the part in which its strata
    (``Task.strata``) are rarest so far; videos of about equal size (within a factor of two) are ordered by ``seed``. A
    stratum that occurs in a single video cannot be balanced and does not count. The order of clips changes nothing.
    Raises InputError where there are fewer videos than parts, or a part has no scored frame of a task.
    """
    videos, num = sorted(videos_of(labels)), folds.num - 1
    if len(videos) < num:
        raise InputError(
            f"folds.num is {folds.num}: {num} parts beside the official split need as many training videos, there are "
            f"{len(videos)}: set folds.num to {len(videos) + 1} or less"
        )
    shares = np.hstack([_shares(videos, labels[name], task) for name, task in tasks.items()])
    shares = np.hstack([shares, np.full((len(videos), 1), NUMBER_WEIGHT / len(videos))])
    size = -np.round(np.log2(np.square(shares).sum(axis=1)) / 2)
    order = np.lexsort((np.random.default_rng(folds.seed).permutation(len(videos)), size))
    load = np.zeros((num, shares.shape[1]))
    parts: list[set[str]] = [set() for _ in range(num)]
    for video in order:
        to = int(np.argmin(load @ shares[video]))  # where the sum of squared loads grows least
        load[to] += shares[video]
        parts[to].add(videos[video])
    _check_parts(parts, labels, folds)
    return parts


def _shares(videos: list[str], clips: Mapping[str, Labels], task: Task) -> np.ndarray:
    """Each video's share of the task's scored frames, and of each stratum; all strata together weigh as much."""
    counts: dict[str, Counter[int]] = {video: Counter() for video in videos}
    for clip_id, labels in clips.items():
        counts[video_of(clip_id)].update(task.strata(labels)[labels.scored].tolist())
    seen = Counter(stratum for each in counts.values() for stratum in each)
    strata = sorted(stratum for stratum, num_videos in seen.items() if num_videos > 1)
    frames = np.array([[sum(counts[video].values())] for video in videos], float)
    by_stratum = np.array([[counts[video][each] for each in strata] for video in videos], float)
    by_stratum = by_stratum.reshape(len(videos), -1)
    by_stratum /= by_stratum.sum(axis=0) * max(1, len(strata)) ** 0.5
    return np.hstack([frames / max(1, frames.sum()), by_stratum])


def _check_parts(parts: list[set[str]], labels: ByTask, folds: FoldsConfig) -> None:
    for fold, part in enumerate(parts, start=1):
        for name, clips in _only(labels, part).items():
            if not _num_scored(clips):
                raise InputError(
                    f"fold {fold} of {folds.num} would hold out no scored frame of {name}: set folds.num lower, or "
                    "another folds.seed"
                )


def _apart(train: ByTask, validation: ByTask, drop_leaks: bool, *, among: list[str]) -> ByTask:
    """``train`` without the clips, of tasks ``among``, of validation videos. InputError unless ``drop_leaks``."""
    held_out_by = {video_of(clip_id): (name, clip_id) for name, clips in validation.items() for clip_id in clips}
    leaks = {(name, clip_id) for name in among for clip_id in train[name] if video_of(clip_id) in held_out_by}
    if not leaks:
        return train
    videos = sorted({video_of(clip_id) for _, clip_id in leaks})
    if not drop_leaks:
        name, clip_id = min(leak for leak in leaks if video_of(leak[1]) == videos[0])
        other, other_id = held_out_by[videos[0]]
        others = f", and so are {len(videos) - 1} more" if len(videos) > 1 else ""
        raise InputError(
            f"a leak: video {videos[0]!r} is trained on ({name}, clip {clip_id!r}) and held out ({other}, clip "
            f"{other_id!r}){others}: set folds.drop_leaks to true to leave their clips out of training"
        )
    LOG.info("%d clips of %d held-out videos are left out of training", len(leaks), len(videos))
    return {
        name: {clip_id: each for clip_id, each in clips.items() if (name, clip_id) not in leaks}
        for name, clips in train.items()
    }


def _only(labels: ByTask, videos: set[str]) -> dict[str, dict[str, Labels]]:
    return {
        name: {clip_id: each for clip_id, each in clips.items() if video_of(clip_id) in videos}
        for name, clips in labels.items()
    }


def _plain(labels: ByTask) -> dict[str, dict[str, Labels]]:
    return {name: dict(clips) for name, clips in labels.items()}


def _num_scored(clips: Mapping[str, Labels]) -> int:
    return sum(int(each.scored.sum()) for each in clips.values())

"""Which clips are trained on and which are held out: whole videos, and never one on both sides."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping

import numpy as np

from abaw.configs.sections import FoldsConfig
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import video_of
from abaw.errors import InputError
from abaw.tasks.base import Task

ByTask = Mapping[str, Mapping[str, Labels]]  # task -> clip -> labels
NUMBER = 0.3  # how much a part's number of videos counts: less than its frames and its kinds
LOG = logging.getLogger("abaw")


def check_apart(seen: Iterable[str], judged: Iterable[str], what: str) -> None:
    """ValueError where a clip of ``judged`` is of one of the videos ``seen``; ``what`` says what saw them."""
    seen = set(seen)
    leaks = sorted({video_of(clip_id) for clip_id in judged} & seen)
    if leaks:
        others = f" and {len(leaks) - 1} more" if len(leaks) > 1 else ""
        raise InputError(f"a leak: {what} has seen video {leaks[0]!r}{others}, which is judged here")


def split_labels(
    labels: Mapping[str, ByTask], tasks: Mapping[str, Task], folds: FoldsConfig
) -> dict[str, dict[str, dict[str, Labels]]]:
    """The labels one fold is trained on ("train") and judged by ("validation"), from the official split's.

    Fold 0 is the official split. The others hold out one part each (``part_videos``) of the videos that some task
    trains on and none validates on, and are trained on all the rest, the official validation with it. ``refit``: all
    is trained on and nothing held out: "validation" is empty. Raises ValueError for a leak, for too few videos, and
    where a task has nothing scored to train on or, in any of the folds, nothing to be judged by.
    """
    train, judged = labels["train"], labels["validation"]
    # what one task trains on and another validates on is apart only where the official split itself is judged
    as_official = not (folds.refit or folds.fold)
    for names in [list(tasks)] if as_official else [[name] for name in tasks]:
        train = _apart(train, {name: judged[name] for name in names}, folds.drop_leaks, among=names)
    rest = {name: {**train[name], **judged[name]} for name in tasks}
    if folds.refit:
        return {"train": rest, "validation": {}}
    held_out = videos_of(judged)
    if folds.num > 1:
        parts = part_videos(_only(rest, videos_of(rest) - held_out), tasks, folds)
        held_out = parts[folds.fold - 1] if folds.fold else held_out
    if folds.fold:
        train, judged = _only(rest, videos_of(rest) - held_out), _only(rest, held_out)
    for name, clips in train.items():
        if not _num_scored(clips):
            raise InputError(f"fold {folds.fold} of {folds.num}: no scored frame of {name} is left to train on")
    return {"train": _plain(train), "validation": _plain(judged)}


def videos_of(labels: ByTask) -> set[str]:
    """The videos of every clip, of any task."""
    return {video_of(clip_id) for clips in labels.values() for clip_id in clips}


def part_videos(labels: ByTask, tasks: Mapping[str, Task], folds: FoldsConfig) -> list[set[str]]:
    """The videos in ``num`` - 1 parts: as even as can be in scored frames, in each kind (``Task.strata``), in number.

    Greedy: a video after the other, those with the largest shares first, goes where its kinds are rarest so far;
    alike ones (within a power of two) come in the order of ``seed``. A kind seen in a single video cannot be evened
    out and does not count. The clips' order has no say. ValueError where the videos are fewer than the parts, or a part
    has no scored frame of a task.
    """
    videos, num = sorted(videos_of(labels)), folds.num - 1
    if len(videos) < num:
        raise InputError(
            f"folds.num is {folds.num}: {num} parts beside the official split need as many training videos, there are "
            f"{len(videos)}: set folds.num to {len(videos) + 1} or less"
        )
    shares = np.hstack([_shares(videos, labels[name], task) for name, task in tasks.items()])
    shares = np.hstack([shares, np.full((len(videos), 1), NUMBER / len(videos))])
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
    """Of each video: its share in the task's scored frames and, all kinds together weighing as much, in each kind."""
    counts: dict[str, Counter[int]] = {video: Counter() for video in videos}
    for clip_id, labels in clips.items():
        counts[video_of(clip_id)].update(task.strata(labels)[labels.scored].tolist())
    seen = Counter(kind for each in counts.values() for kind in each)
    kinds = sorted(kind for kind, num_videos in seen.items() if num_videos > 1)
    frames = np.array([[sum(counts[video].values())] for video in videos], float)
    by_kind = np.array([[counts[video][kind] for kind in kinds] for video in videos], float).reshape(len(videos), -1)
    by_kind /= by_kind.sum(axis=0) * max(1, len(kinds)) ** 0.5
    return np.hstack([frames / max(1, frames.sum()), by_kind])


def _check_parts(parts: list[set[str]], labels: ByTask, folds: FoldsConfig) -> None:
    for fold, part in enumerate(parts, start=1):
        for name, clips in _only(labels, part).items():
            if not _num_scored(clips):
                raise InputError(
                    f"fold {fold} of {folds.num} would hold out no scored frame of {name}: set folds.num lower, or "
                    "another folds.seed"
                )


def _apart(train: ByTask, judged: ByTask, drop_leaks: bool, *, among: list[str]) -> ByTask:
    """``train`` without the clips, of tasks ``among``, whose video is judged. ValueError names one if not to drop."""
    judged_by = {video_of(clip_id): (name, clip_id) for name, clips in judged.items() for clip_id in clips}
    leaks = {(name, clip_id) for name in among for clip_id in train[name] if video_of(clip_id) in judged_by}
    if not leaks:
        return train
    videos = sorted({video_of(clip_id) for _, clip_id in leaks})
    if not drop_leaks:
        name, clip_id = min(leak for leak in leaks if video_of(leak[1]) == videos[0])
        other, judged_id = judged_by[videos[0]]
        others = f", and so are {len(videos) - 1} more" if len(videos) > 1 else ""
        raise InputError(
            f"a leak: video {videos[0]!r} is trained on ({name}, clip {clip_id!r}) and held out ({other}, clip "
            f"{judged_id!r}){others}: set folds.drop_leaks to true to leave their clips out of the training side"
        )
    LOG.info("%d clips of %d videos that are held out are left out of training", len(leaks), len(videos))
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

"""Which clips are trained on and which are held out: whole groups (speakers, sessions, subjects) or, where the data set
names none, whole videos; and never one on both sides."""

import logging
from collections import Counter
from collections.abc import Mapping
from itertools import chain

import numpy as np

from abaw.configs.sections import BY_GROUP, FoldsConfig
from abaw.dataset.annotations import Labels, group_of
from abaw.dataset.seen import Seen, unit_of
from abaw.errors import InputError
from abaw.numbers import format_count
from abaw.tasks.base import Task

ByTask = Mapping[str, Mapping[str, Labels]]  # task -> clip -> labels
NUM_INNER = 5  # parts of the training side, of which one is the inner part
NUMBER_WEIGHT = 0.3  # of the number of groups, against the number of frames and each stratum
LOG = logging.getLogger("abaw")


def check_apart(seen: Seen, scored: Mapping[str, str], what: str) -> None:
    """Raises InputError where a clip of ``scored`` (clip -> group, "" for none) is of a video or a group in ``seen``.

    ``what`` says what has seen them.
    """
    if leaks := sorted(set(seen.find(scored).values())):
        others = f" and {len(leaks) - 1} more, which are" if len(leaks) > 1 else ", which is"
        raise InputError(f"a leak: {what} has seen {leaks[0]}{others} scored here")


def split_labels(
    labels: Mapping[str, ByTask], tasks: Mapping[str, Task], folds: FoldsConfig
) -> dict[str, dict[str, dict[str, Labels]]]:
    """The labels that one fold is trained on ("train") and scored on ("validation"), from those of the official split.

    Fold 0 is the official split. Every other fold holds out one part (``part_groups``) of the groups that some task
    trains on and none validates on, and is trained on all the rest, including the official validation clips. Where
    there are no validation labels at all, every fold holds out a part, fold 0 too. ``refit``: everything is trained on,
    and "validation" is empty.

    Raises InputError for a leak, for a fold that does not exist, for too few groups, and where a task has no scored
    frame to train on or, in any of the folds, none to be scored on.
    """
    train, validation = labels["train"], labels["validation"]
    # that one task trains on what another validates on matters only where the official split itself is scored
    as_official = not (folds.refit or folds.fold)
    for names in [list(tasks)] if as_official else [[name] for name in tasks]:
        train = _apart(train, {name: validation[name] for name in names}, folds.drop_leaks, among=names)
    rest = {name: {**train[name], **validation[name]} for name in tasks}
    if folds.refit:
        return {"train": rest, "validation": {}}
    held_out, parts = groups_of(validation), _parts(rest, validation, tasks, folds)
    if folds.fold >= len(parts):
        raise InputError(f"folds.fold is {folds.fold}, but there are only the folds 0 to {len(parts) - 1}")
    if folds.fold or not held_out:
        held_out = parts[folds.fold]
        train, validation = _only(rest, groups_of(rest) - held_out), _only(rest, held_out)
    for name, clips in train.items():
        if not _num_scored(clips):
            raise InputError(f"fold {folds.fold} of {len(parts)}: no scored frame of {name} is left to train on")
    return {"train": _plain(train), "validation": _plain(validation)}


def split_inner(train: ByTask, tasks: Mapping[str, Task], seed: int) -> dict[str, dict[str, dict[str, Labels]]]:
    """The labels of a training side in two: an inner part ("validation"), about a fifth of its groups, and the rest.

    The parts are made as folds are (``part_groups``); of those that leave scored frames of every task on both sides the
    first is taken. Raises InputError where there is none.
    """
    groups = groups_of(train)
    if len(groups) > 1:
        divided = FoldsConfig(num=min(NUM_INNER, len(groups)), seed=seed)
        for part in part_groups(train, tasks, divided, has_official=False):
            rest, inner = _only(train, groups - part), _only(train, part)
            if all(_num_scored(clips) for side in (rest, inner) for clips in side.values()):
                return {"train": rest, "validation": inner}
    unit = unit_of(each.group for clips in train.values() for each in clips.values())
    raise InputError(
        f"training.select_on is inner, but the training side has {format_count(len(groups), unit)}, which cannot be "
        f"divided so that every task has labels in both parts: set training.select_on to last, or label more {unit}s"
    )


def count_folds(labels: Mapping[str, ByTask], tasks: Mapping[str, Task], folds: FoldsConfig) -> int:
    """How many folds there are: ``folds.num``, or as many as it takes to hold out every group once."""
    if folds.num != BY_GROUP:
        return folds.number
    rest = {name: {**labels["train"][name], **labels["validation"][name]} for name in tasks}
    return len(_parts(rest, labels["validation"], tasks, folds))


def groups_of(labels: ByTask) -> set[str]:
    """The groups of every clip, of any task; of a clip without one its video."""
    return {group_of(clip_id, each) for clips in labels.values() for clip_id, each in clips.items()}


def seen_in(labels: ByTask) -> Seen:
    """The videos and groups of every clip, of any task."""
    return Seen.in_labels(*labels.values())


def _parts(rest: ByTask, validation: ByTask, tasks: Mapping[str, Task], folds: FoldsConfig) -> list[set[str]]:
    """The groups that each fold holds out; the first are the official validation split's where there is one."""
    official = groups_of(validation)
    if folds.num == 1:
        if official:
            return [official]
        raise InputError(
            "no clip is in a validation split, and folds.num is 1: set folds.num to 5 say, or to groups (each group is "
            "held out once), or name validation clips in the data set; folds.refit holds nothing out"
        )
    free = _only(rest, groups_of(rest) - official)
    parts = _part_each(free, tasks) if folds.num == BY_GROUP else part_groups(free, tasks, folds, bool(official))
    parts = [official, *parts] if official else parts
    for fold, part in enumerate(parts):
        for name, clips in _only(free, part).items():
            if part is not official and not _num_scored(clips):
                raise InputError(
                    f"fold {fold} of {len(parts)} would hold out no scored frame of {name}: set folds.num lower, or "
                    "another folds.seed"
                )
    return parts


def _part_each(labels: ByTask, tasks: Mapping[str, Task]) -> list[set[str]]:
    """Every group on its own, in the order of their names; those without a scored frame of any task are in no part."""
    scored = {
        name: {clip_id: each for clip_id, each in labels[name].items() if each.count_frames().any()} for name in tasks
    }
    if len(found := sorted(groups_of(scored))) < 2:
        unit = unit_of(each.group for clips in labels.values() for each in clips.values())
        raise InputError(
            f"folds.num is {BY_GROUP}, but {format_count(len(found), unit)} can be held out, two are needed"
        )
    return [{group} for group in found]


def part_groups(
    labels: ByTask, tasks: Mapping[str, Task], folds: FoldsConfig, has_official: bool = True
) -> list[set[str]]:
    """The groups in ``num`` - 1 parts with about equal numbers of scored frames, of frames per stratum, and of groups.

    ``has_official``: fold 0 is the official split; without one there are ``num`` parts. Greedy: one group after the
    other, those with the largest shares first, goes to the part in which its strata (``Task.strata``) are rarest so
    far; groups of about equal size (within a factor of two) are ordered by ``seed``. A stratum that occurs in a single
    group cannot be balanced and does not count. The order of clips changes nothing. Raises InputError where there are
    fewer groups than parts.
    """
    groups, num = sorted(groups_of(labels)), folds.number - has_official
    if len(groups) < num:
        unit = unit_of(each.group for clips in labels.values() for each in clips.values())
        beside = ", one of them the official validation split" if has_official else ""
        kind = f"training {unit}" if has_official else unit
        if len(groups) + has_official < 2:
            raise InputError(
                f"all labels are of one {unit} ({', '.join(map(repr, groups))}), and no clip is in a validation split: "
                f"nothing can be held out; give labels of two or more {unit}s, or set folds.refit to true"
            )
        raise InputError(
            f"folds.num is {folds.num}{beside}, but only {format_count(len(groups), kind)} can be divided among the "
            f"{'others' if has_official else 'folds'}: set folds.num to {len(groups) + has_official} or less"
        )
    shares = np.hstack([_shares(groups, labels[name], task) for name, task in tasks.items()])
    shares = np.hstack([shares, np.full((len(groups), 1), NUMBER_WEIGHT / len(groups))])
    size = -np.round(np.log2(np.square(shares).sum(axis=1)) / 2)
    order = np.lexsort((np.random.default_rng(folds.seed).permutation(len(groups)), size))
    load = np.zeros((num, shares.shape[1]))
    parts_found: list[set[str]] = [set() for _ in range(num)]
    for group in order:
        to = int(np.argmin(load @ shares[group]))  # where the sum of squared loads grows least
        load[to] += shares[group]
        parts_found[to].add(groups[group])
    return parts_found


def _shares(groups: list[str], clips: Mapping[str, Labels], task: Task) -> np.ndarray:
    """Each group's share of the task's scored frames, and of each stratum; all strata together weigh as much."""
    counts: dict[str, Counter[int]] = {group: Counter() for group in groups}
    for clip_id, labels in clips.items():
        strata, frames = task.strata(labels), labels.count_frames()
        counts[group_of(clip_id, labels)].update(
            {each: int(frames[strata == each].sum()) for each in np.unique(strata[frames > 0]).tolist()}
        )
    seen = Counter(chain.from_iterable(counts.values()))
    shared = sorted(stratum for stratum, num_groups in seen.items() if num_groups > 1)
    of_group = np.array([[sum(counts[group].values())] for group in groups], float)
    by_stratum = np.array([[counts[group][each] for each in shared] for group in groups], float)
    by_stratum = by_stratum.reshape(len(groups), -1)
    by_stratum /= by_stratum.sum(axis=0) * max(1, len(shared)) ** 0.5
    return np.hstack([of_group / max(1, of_group.sum()), by_stratum])


def _apart(train: ByTask, validation: ByTask, drop_leaks: bool, *, among: list[str]) -> ByTask:
    """``train`` without the clips, of tasks ``among``, of validation groups. InputError unless ``drop_leaks``."""
    held_out_by = {
        group_of(clip_id, each): (name, clip_id)
        for name, clips in validation.items()
        for clip_id, each in clips.items()
    }
    leaks = {
        (name, clip_id): group
        for name in among
        for clip_id, each in train[name].items()
        if (group := group_of(clip_id, each)) in held_out_by
    }
    if not leaks:
        return train
    groups = sorted(set(leaks.values()))
    unit = unit_of(train[name][clip_id].group for name, clip_id in leaks)
    if not drop_leaks:
        name, clip_id = min(leak for leak, group in leaks.items() if group == groups[0])
        other, other_id = held_out_by[groups[0]]
        others = f", and so are {len(groups) - 1} more" if len(groups) > 1 else ""
        raise InputError(
            f"a leak: {unit} {groups[0]!r} is trained on ({name}, clip {clip_id!r}) and held out ({other}, clip "
            f"{other_id!r}){others}: set folds.drop_leaks to true to leave their clips out of training"
        )
    LOG.info("%d clips of %d held-out %ss are left out of training", len(leaks), len(groups), unit)
    return {
        name: {clip_id: each for clip_id, each in clips.items() if (name, clip_id) not in leaks}
        for name, clips in train.items()
    }


def _only(labels: ByTask, groups: set[str]) -> dict[str, dict[str, Labels]]:
    return {
        name: {clip_id: each for clip_id, each in clips.items() if group_of(clip_id, each) in groups}
        for name, clips in labels.items()
    }


def _plain(labels: ByTask) -> dict[str, dict[str, Labels]]:
    return {name: dict(clips) for name, clips in labels.items()}


def _num_scored(clips: Mapping[str, Labels]) -> int:
    return sum(int(each.count_frames().sum()) for each in clips.values())

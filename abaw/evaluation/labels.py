"""A task's labels of a split, as predictions are scored with them and post-processing is fitted on them."""

from collections.abc import Mapping

from abaw.dataset.annotations import Labels
from abaw.dataset.layout import SPLITS, Dataset
from abaw.dataset.seen import Seen, groups_in, groups_of
from abaw.errors import InputError
from abaw.tasks.base import Task

HELD_OUT = "held-out"  # every labelled clip of training and validation


def labels_of(dataset: Dataset, task: Task, split: str) -> dict[str, Labels]:
    """A task's labels in a split, by clip; of "held-out" those of training and validation.

    Raises InputError where it has none, as the test split of Aff-Wild2.
    """
    if split == HELD_OUT:
        return labels_to_fit_on(dataset, task)
    if split == "test" and dataset.manifest is None:
        raise InputError(
            f"{dataset.root} has no test labels: those of the challenge are not public; of your own data, a manifest "
            "gives them (docs/data/own_labels.md)"
        )
    if not (found := task.read_labels(dataset, split)):
        raise InputError(f"{dataset.root} has no {split} labels for {task.name}: expected {task.wanted(split)}")
    return found


def labels_by_task(dataset: Dataset, tasks: Mapping[str, Task], split: str) -> dict[str, dict[str, Labels]]:
    """The labels of a split by task and clip. Raises InputError where a task has none."""
    return {name: labels_of(dataset, task, split) for name, task in tasks.items()}


def official_labels(dataset: Dataset, tasks: Mapping[str, Task]) -> dict[str, dict[str, dict[str, Labels]]]:
    """The labels of "train" and "validation" by task and clip, from which folds are made (``split_labels``).

    Where a manifest puts no clip into validation, "validation" is empty for every task. Raises InputError where a task
    has no labels in a split that others have.
    """
    train = labels_by_task(dataset, tasks, "train")
    if not has_validation(dataset, tasks):
        return {"train": train, "validation": {name: {} for name in tasks}}
    return {"train": train, "validation": labels_by_task(dataset, tasks, "validation")}


def has_validation(dataset: Dataset, tasks: Mapping[str, Task]) -> bool:
    """Whether the data set has a validation split; Aff-Wild2 has one, and it is an error where it is not found."""
    return dataset.manifest is None or any(task.clips(dataset, "validation") for task in tasks.values())


def labels_to_fit_on(dataset: Dataset, task: Task, exclude: str | None = None) -> dict[str, Labels]:
    """Labels of both splits by clip, as held-out clips may be in either, without the videos and
    groups of the split ``exclude``.

    The labels of a clip in both splits are those of validation. Raises InputError where there are no labels, or for an
    unknown split.
    """
    if exclude is not None and exclude not in SPLITS:
        raise InputError(f"no split {exclude!r} to exclude: there are {', '.join(SPLITS)}")
    labels = {**task.read_labels(dataset, "train"), **task.read_labels(dataset, "validation")}
    if not labels:
        raise InputError(f"{dataset.root} has no labels for {task.name}: expected {task.wanted('validation')}")
    if exclude is None:
        return labels
    left_out = Seen.in_clips(groups_of(dataset, task.clips(dataset, exclude))).find(groups_in(labels))
    return {clip_id: each for clip_id, each in labels.items() if clip_id not in left_out}

"""What is predicted: one file per task."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from abaw.errors import InputError
from abaw.registry import Registry

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from abaw.tasks.base import Task

TASKS = Registry("task", __name__, symbol="TASKS", group="abaw.tasks", builds="abaw.tasks.base:Task")


def tasks_for(dataset: "Dataset") -> "dict[str, Task]":
    """Every task by name, as it is for this data set, without those whose columns it does not define."""
    found: dict[str, Task] = {name: TASKS.build(name).for_dataset(dataset) for name in TASKS.names()}
    return {name: task for name, task in found.items() if task.columns}


def _name(dataset: "Dataset") -> Path:
    return dataset.manifest.file if dataset.manifest else dataset.root


def _others(dataset: "Dataset") -> str:
    """What a data set file defines instead, as advice."""
    declared = [name for name in ("classes", "values") if getattr(dataset.manifest, name, None)]
    found = " and ".join(f"{name}: {{}}" for name in declared)
    return f"; for the labels that it has, write 'tasks: {{{found}}}' in a copy of the config" if found else ""


def for_dataset(tasks: "Mapping[str, Task]", dataset: "Dataset") -> "dict[str, Task]":
    """These tasks as they are for this data set. Raises InputError where it does not define the columns of one."""
    found = {name: task.for_dataset(dataset) for name, task in tasks.items()}
    for name, task in found.items():
        if not task.columns:
            raise InputError(
                f"{_name(dataset)} does not define {name}: expected {task.wanted('train')}{_others(dataset)}"
            )
    return found

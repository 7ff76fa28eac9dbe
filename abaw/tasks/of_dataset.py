"""What the tasks have in common whose names, levels and clips come from a data set file with a manifest."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.tasks.base import Task

Level = Literal["clip", "frame"]


class TaskOfDataset(Task):
    """A task of any labelled data set. ``level`` is that of its labels; before it is known, "clip"."""

    level: Level | None

    header = ""
    folders = ()
    test_lists = ()
    is_of_dataset = True

    @property
    def resolution(self) -> Level:  # type: ignore[override]
        return self.level or "clip"

    def clips(self, dataset: Dataset, split: str) -> tuple[str, ...]:
        return dataset.manifest.clips(split) if dataset.manifest is not None else ()

    def wanted(self, split: str) -> str:
        return f"a data set file with the keys manifest and {self.name}, and labels of {split} clips"


def check_names(what: str, names: Sequence[str]) -> None:
    """Raises InputError where a name is empty, is there twice, or cannot name a column of a table."""
    for i, name in enumerate(names):
        if name != name.strip() or not name.isprintable() or not name:
            raise InputError(f"{what}: {name!r} is empty, or has spaces around it or characters that cannot be printed")
        if name in names[:i]:
            raise InputError(f"{what}: {name!r} is there twice: remove one")


def check_level(what: str, given: Level | None, found: Level, file: Path) -> None:
    """Raises InputError where the data set has labels of another level than the task was made for."""
    if given not in (None, found):
        raise InputError(
            f"{file} has labels for every {found}, but {what} has level {given}: leave level out of a config, and "
            "score a run on a data set with labels of its level"
        )

"""The organisers' sample files that lie in a data set, found by their first line."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from abaw.clips import SPLIT_FOLDERS, Dataset
from abaw.tasks.base import Task


def templates_in(dataset: Dataset, tasks: Mapping[str, Task]) -> list[Path]:
    """Sample prediction files in a data set, by their first line; tasks whose files have none are never found."""
    headers = {task.header.replace(" ", "") for task in tasks.values() if task.header}
    labels = listed(dataset, ("train", "validation"))
    return [path for path in _texts(dataset) if path not in labels and _first_line(path) in headers]


def _texts(dataset: Dataset) -> Iterator[Path]:
    """Text files, sorted, but none of a clip: no folder of images or of labels is entered."""
    for folder, names, files in os.walk(dataset.root):
        is_full = Path(folder) in dataset.image_roots
        names[:] = [] if is_full else sorted(set(names) - set(SPLIT_FOLDERS) - {"videos"})
        yield from (Path(folder, name) for name in sorted(files) if name.endswith((".txt", ".csv")))


def _first_line(path: Path) -> str:
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return file.readline(1000).strip().replace(" ", "")


def listed(dataset: Dataset, splits: Sequence[str]) -> set[Path]:
    """Files that hold a whole split."""
    return {each.path for kind in dataset.listings.values() for split in splits for each in kind.get(split, ())}

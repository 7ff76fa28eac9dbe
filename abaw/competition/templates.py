"""The organisers' sample files: those that lie in a data set, found by their first line, and whether a recipe can fill
them."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from abaw.challenge.template import Template, read_template
from abaw.dataset.layout import SPLIT_FOLDERS, Dataset
from abaw.errors import InputError
from abaw.tasks.base import Task


def templates_in(dataset: Dataset, tasks: Mapping[str, Task]) -> list[Path]:
    """Sample prediction files in a data set, by their first line; tasks whose files have none are never found."""
    headers = {task.header.replace(" ", "") for task in tasks.values() if task.header}
    labels = listed(dataset, ("train", "validation"))
    return [path for path in _texts(dataset) if path not in labels and _first_line(path) in headers]


def check_templates(paths: Sequence[Path], dataset: Dataset, tasks: Mapping[str, Task]) -> None:
    """ValueError or FileNotFoundError where one is no template, or asks for a task or clips that are not predicted."""
    for path in paths:
        template = read_template(path, only(tasks))
        task = _source(template, tasks)
        known = set(task.clips(dataset, "test"))
        missing = [clip_id for clip_id in template.clips if clip_id not in known]
        if missing:
            raise InputError(
                f"{path} asks for {len(missing)} clips that are no test clips of {dataset.root}, as {missing[0]!r}: "
                f"expected those of {task.wanted('test')}: take the template and the list of one edition"
            )


def only(tasks: Mapping[str, Task]) -> str | None:
    """The name of the task where there is one alone: it settles whose a template without a header is."""
    return next(iter(tasks)) if len(tasks) == 1 else None


def _source(template: Template, tasks: Mapping[str, Task]) -> Task:
    """The task whose predictions fill a template; those of expressions serve for compound ones too."""
    name = template.task.name
    found = tasks.get(name) or (tasks.get("expr") if name == "ce" else None)
    if found is None:
        raise InputError(f"{template.path} is a template for {name}, the recipe has {', '.join(tasks)}: take another")
    return found


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

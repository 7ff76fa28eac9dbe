"""Whether a recipe can fill the organisers' templates: their tasks and clips are those that it predicts."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from abaw.challenge.own_files import is_data_set_file
from abaw.challenge.template import Template, read_template
from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.tasks.base import Task


def check_templates(paths: Sequence[Path], dataset: Dataset, tasks: Mapping[str, Task]) -> None:
    """Raise InputError where a file is no template, or asks for a task or clips that the recipe does not predict.

    Raises NotFoundError where a file does not exist.
    """
    for path in paths:
        if is_data_set_file(path):
            continue
        template = read_template(path, only(tasks))
        task = _source(template, tasks)
        known = set(task.clips(dataset, "test"))
        missing = [clip_id for clip_id in template.clips if clip_id not in known]
        if missing:
            raise InputError(
                f"{path} asks for {len(missing)} clips that are not among the test clips of {dataset.root}, such as "
                f"{missing[0]!r}: expected those of {task.wanted('test')}: give a template and a list of one edition"
            )


def only(tasks: Mapping[str, Task]) -> str | None:
    """The name of the only task, which a template without a header is then of; None where there are several."""
    return next(iter(tasks)) if len(tasks) == 1 else None


def _source(template: Template, tasks: Mapping[str, Task]) -> Task:
    """The task whose predictions fill a template: its own, or expr for a template of ce (compound expressions)."""
    name = template.task.name
    found = tasks.get(name) or (tasks.get("expr") if name == "ce" else None)
    if found is None:
        raise InputError(
            f"{template.path} is a template for {name}, but the recipe has {', '.join(tasks)}: give another one"
        )
    return found


def listed(dataset: Dataset, splits: Sequence[str]) -> set[Path]:
    """The files that hold a whole split."""
    return {each.path for kind in dataset.listings.values() for split in splits for each in kind.get(split, ())}

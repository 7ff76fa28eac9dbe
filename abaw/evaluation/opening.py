"""The tables of several folders with their labels, to be scored and compared."""

from collections.abc import Sequence
from pathlib import Path

from abaw.errors import InputError
from abaw.evaluation.labelled_tables import LabelledPredictions, open_labelled_predictions, tasks_in
from abaw.files import as_path, as_paths


def open_folders(
    folders: str | Path | Sequence[str | Path],
    *,
    split: str | None,
    task: str | None,
    data: str | Path | None,
    raw: bool,
) -> list[LabelledPredictions]:
    """Every task of every folder, in the order of the folders; the arguments and errors are those of ``score``."""
    several = as_paths(folders, "folders")
    if not several:
        raise InputError("no folder to score: give a run, or a folder of prediction tables")
    if len({each.resolve() for each in several}) < len(several):
        raise InputError(f"a folder is given twice: {', '.join(map(str, several))}; give each folder once")
    labels, opened = as_path(data, "data", optional=True), list[LabelledPredictions]()
    for folder in several:
        names = [task] if task else tasks_in(folder, split)
        opened += [open_labelled_predictions(folder, split, name, labels, raw=raw) for name in names]
    _check_same_tasks(several, opened)
    return opened


def _check_same_tasks(folders: Sequence[Path], opened: Sequence[LabelledPredictions]) -> None:
    of_folder = [[each.task.name for each in opened if each.folder == folder] for folder in folders]
    for folder, names in zip(folders, of_folder, strict=True):
        if set(names) != set(of_folder[0]):
            raise InputError(
                f"{folders[0]} has tables of {', '.join(of_folder[0])}, {folder} of {', '.join(names)}: name a task "
                "that all of them have (--task), or score them one by one"
            )

"""What ``curves.csv`` of a run says: losses, scores and learning rate of each epoch."""

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from abaw.errors import InputError, NotFoundError
from abaw.files.text import read_text
from abaw.results.runs import CURVES


def read_curves(folder: Path) -> dict[str, np.ndarray]:
    """The columns of a run's ``curves.csv`` by name, a value an epoch; NaN in an epoch without validation.

    Raises NotFoundError where there is none, InputError with the line where a cell is no number.
    """
    path = folder / CURVES
    if not path.is_file():
        raise NotFoundError(f"no {CURVES} in {folder}: no epoch of its training has ended, or the folder is no run")
    names, *rows = [*csv.reader(read_text(path).splitlines())] or [[]]
    if "epoch" not in names or not rows:
        raise InputError(f"{path}: expected a column epoch and a row for each epoch")
    values = np.empty((len(rows), len(names)))
    for i, row in enumerate(rows):
        try:
            values[i] = [float(cell) if cell else np.nan for cell in row]
        except ValueError as error:
            raise InputError(f"{path}:{i + 2}: expected {len(names)} numbers ({error})") from error
    return {name: values[:, i] for i, name in enumerate(names)}


def score_columns(curves: Mapping[str, np.ndarray]) -> dict[str, str]:
    """What is scored in each validation -> the column of its ranking score: "va CCC" -> "validation/va/CCC"."""
    found: dict[str, str] = {}
    for name in curves:
        parts = name.split("/")
        if len(parts) == 3 and parts[0] == "validation" and parts[1] != "loss":
            found.setdefault(parts[1], name)
    return {f"{key} {name.split('/')[2]}": name for key, name in found.items()}

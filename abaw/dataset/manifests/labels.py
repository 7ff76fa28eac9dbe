"""The labels of a manifest: of whole clips in the table itself, or of frames and spans in a file for each clip."""

from typing import Literal

import numpy as np

from abaw.dataset.annotations import Labels
from abaw.dataset.manifest import ClassColumns, Manifest, ValueColumns
from abaw.errors import InputError
from abaw.numbers import parse_number
from abaw.registry import nearest

MAX_SUM_ERROR = 0.02  # of soft labels: shares that were rounded to two decimals


def read_manifest_labels(manifest: Manifest, kind: Literal["classes", "values"], split: str) -> dict[str, Labels]:
    """The labels of every clip of a split, in the order of the table, with their groups.

    A class is its number in ``names`` (time 1), soft labels are a share for each class (time classes), values are
    (time values). Clip-level labels have one row; a clip without a label has an unscored one. Raises InputError with
    file and line where labels are wrong.
    """
    declared = manifest.classes if kind == "classes" else manifest.values
    if declared is None:
        raise InputError(f"{manifest.file}: the data set has no {kind}: add the key {kind}")
    return {clip_id: _read_clip(manifest, declared, clip_id) for clip_id in manifest.clips(split)}


def _read_clip(manifest: Manifest, declared: ClassColumns | ValueColumns, clip_id: str) -> Labels:
    row = manifest.rows[clip_id]
    label = parse_label(declared, [row.cells[name] for name in declared.label_columns])
    width = len(declared.label_columns)
    values = np.array([label or [0.0] * width], np.float32)
    return Labels(values, np.array([label is not None]), manifest.groups.get(clip_id, ""))


def parse_label(declared: ClassColumns | ValueColumns, cells: list[str]) -> list[float] | None:
    """The label in these cells; None where they are empty. Raises InputError saying what is wrong."""
    if not any(cells):
        return None
    if isinstance(declared, ClassColumns) and not declared.is_soft:
        return [float(_class_of(declared, cells[0]))]
    numbers: list[float] = []
    for name, cell in zip(declared.label_columns, cells, strict=True):
        if not cell:
            raise InputError(f"{name} is empty, but other columns of the label are not: give all or none")
        try:
            numbers.append(parse_number(cell))
        except InputError as error:
            raise InputError(f"{name}: {error}") from error
    ranges = declared.ranges if isinstance(declared, ValueColumns) else ((0.0, 1.0),) * len(numbers)
    for name, value, (low, high) in zip(declared.label_columns, numbers, ranges, strict=True):
        if not low <= value <= high:
            raise InputError(
                f"{name} is {value:g}, outside [{low:g}, {high:g}]: correct it, or leave the cell empty where there is "
                "no label"
            )
    if isinstance(declared, ClassColumns) and abs(sum(numbers) - 1) > MAX_SUM_ERROR:
        raise InputError(f"the shares of the classes add up to {sum(numbers):g}, expected 1")
    return numbers


def _class_of(declared: ClassColumns, cell: str) -> int:
    name = declared.aliases.get(cell, cell)
    if name not in declared.names:
        known = (
            f"{nearest(cell, [*declared.names, *declared.aliases])} the data set file has {', '.join(declared.names)}"
        )
        raise InputError(
            f"{cell!r} is no class{known}: correct the cell, leave it empty where there is no label, or add the class "
            "to names or an alias to aliases"
        )
    return declared.names.index(name)


def count_label_rows(manifest: Manifest, clip_id: str) -> int:
    """The number of the last frame with a label; 0 where labels are of the clip or of times."""
    return 0

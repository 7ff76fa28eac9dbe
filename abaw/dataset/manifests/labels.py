"""The labels of a manifest: of whole clips in the table itself, or of frames and spans in a file for each clip."""

from itertools import pairwise
from pathlib import Path
from typing import Literal

import numpy as np

from abaw.dataset.annotations import Labels, TimedLabels
from abaw.dataset.manifest import ROW_COLUMNS, ClassColumns, Declaration, Manifest
from abaw.dataset.manifests.text_table import TextTable, read_table
from abaw.errors import InputError
from abaw.files.names import first_few
from abaw.numbers import MAX_FRAME, MAX_TIME_S, NO_TIME, parse_integer, parse_number
from abaw.registry import nearest

MAX_SUM_ERROR = 0.02  # of soft labels: shares that were rounded to two decimals


def read_manifest_labels(manifest: Manifest, kind: Literal["classes", "values"], split: str) -> dict[str, Labels]:
    """The labels of the clips of a split that have some, in the order of the table, with their groups.

    A class is its number in ``names`` (time 1), soft labels are a share for each class (time classes), values are
    (time values). Clip-level labels have one row. Where a file of labels has times instead of frames, they are
    ``TimedLabels``, whose ``at`` gives one row per frame. Raises InputError with file and line where labels are wrong,
    or the data set has none of this kind.
    """
    declared = manifest.classes if kind == "classes" else manifest.values
    if declared is None:
        raise InputError(f"{manifest.file}:1: the data set file has no key {kind}: add it, or use a task of its labels")
    found = ((clip_id, read_clip_labels(manifest, declared, clip_id)) for clip_id in manifest.clips(split))
    return {clip_id: labels for clip_id, labels in found if labels is not None}


def read_clip_labels(manifest: Manifest, declared: Declaration, clip_id: str) -> Labels | None:
    """The labels of one clip, as ``read_manifest_labels`` gives them; None where it has none."""
    row, group = manifest.rows[clip_id], manifest.groups.get(clip_id, "")
    if declared.level == "clip":
        label = parse_label(declared, [row.cells[name] for name in declared.label_columns])
        return None if label is None else Labels(np.array([label], np.float32), np.ones(1, bool), group)
    if row.labels is None:
        return None
    table = _read_labels_file(manifest, row.labels, clip_id)
    lacking = next((name for name in declared.label_columns if name not in table.columns), None)
    if lacking is not None:
        listing = f"{nearest(lacking, table.columns)} it has {', '.join(table.columns)}"
        raise InputError(f"{table.place()}: the table has no column {lacking!r}{listing}: see {manifest.file}")
    values = np.zeros((len(table), len(declared.label_columns)), np.float32)
    scored = np.zeros(len(table), bool)
    for i in range(len(table)):
        cells = table.cells(i, declared.label_columns)
        try:
            label = parse_label(declared, cells)
        except InputError as error:
            raise InputError(f"{table.place(i)}: {error}") from error
        if label is not None:
            values[i], scored[i] = label, True
    if manifest.row_columns["frame"] in table.columns:
        frames = _frames(manifest, table)
        rows = np.zeros((frames.max(), values.shape[1]), np.float32), np.zeros(frames.max(), bool)
        rows[0][frames - 1], rows[1][frames - 1] = values, scored
        return Labels(*rows, group)
    is_at_times = manifest.row_columns["time_s"] in table.columns and not isinstance(declared, ClassColumns)
    return TimedLabels(
        values,
        scored,
        group,
        _spans(manifest, table),
        tuple(table.place(i) for i in range(len(table))),
        part_s=row.part_s,
        points_s=np.array(_times(manifest, table, "time_s")) if is_at_times else np.zeros(0),
    )


def count_label_rows(manifest: Manifest, clip_id: str) -> int:
    """The number of the last frame with a label; 0 where labels are of the clip or of times, or there are none."""
    row = manifest.rows[clip_id]
    if row.labels is None:
        return 0
    table = _read_labels_file(manifest, row.labels, clip_id)
    return int(_frames(manifest, table).max()) if manifest.row_columns["frame"] in table.columns else 0


def parse_label(declared: Declaration, cells: list[str]) -> list[float] | None:
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
    ranges = ((0.0, 1.0),) * len(numbers) if isinstance(declared, ClassColumns) else declared.ranges
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
        known = f"{nearest(cell, [*declared.names, *declared.aliases])} classes: {', '.join(declared.names)}"
        raise InputError(
            f"{cell!r} is no class{known}: correct the cell, leave it empty where there is no label, or add the class "
            "to names or an alias to aliases in the data set file"
        )
    return declared.names.index(name)


def _read_labels_file(manifest: Manifest, file: Path, clip_id: str) -> TextTable:
    """The rows of the clip; where the file has a column ``clip``, as that of ``suggest-labels``, those that name it."""
    table = read_table(file)
    if "clip" in table.columns and len(table):
        clips = table.column("clip")
        table = table.of_rows([i for i, each in enumerate(clips) if each == clip_id])
        if not len(table):
            raise InputError(
                f"{table.place()}: no row of the clip {clip_id!r}{nearest(clip_id, clips)} the column clip names "
                f"{first_few([*dict.fromkeys(clips)])}: empty the clip's cell labels in {manifest.path}, or rename "
                "the column clip where it names something else"
            )
    if not len(table):
        raise InputError(f"{table.place()}: the table has no row: give one for each frame, time or span with a label")
    for declared in (manifest.classes, manifest.values):
        if declared is None or declared.level == "frame":
            continue
        if twice := set(declared.label_columns) & set(table.columns):
            raise InputError(
                f"{table.place()}: {min(twice)!r} is a column of {manifest.path} as well: labels are of clips or of "
                "frames, not both: remove or rename one of the columns"
            )
    there = [key for key in ROW_COLUMNS if manifest.row_columns[key] in table.columns]
    if there not in (["frame"], ["time_s"], ["start_s", "stop_s"], ["frame", "time_s"]):
        raise InputError(
            f"{table.place()}: the columns are {', '.join(table.columns)}, expected a column frame (from 1), or "
            "time_s, or both start_s and stop_s, beside the labels"
        )
    return table


def _frames(manifest: Manifest, table: TextTable) -> np.ndarray:
    """The frame of each row. Raises InputError for a wrong number, or a frame with two rows."""
    first: dict[int, int] = {}
    for i, cell in enumerate(table.column(manifest.row_columns["frame"])):
        try:
            frame = parse_integer(cell)
        except InputError as error:
            raise InputError(f"{table.place(i)}: {error}") from error
        if not 1 <= frame <= MAX_FRAME:
            raise InputError(f"{table.place(i)}: frame {frame} is not one of 1 .. {MAX_FRAME}: frames count from 1")
        if frame in first:
            raise InputError(f"{table.place(i)}: frame {frame} has a row already, {table.place(first[frame])}")
        first[frame] = i
    return np.array(list(first), int)


def _spans(manifest: Manifest, table: TextTable) -> np.ndarray:
    """As ``_read_spans``. Raises InputError where a label ends before the file begins."""
    spans_s = _read_spans(manifest, table)
    if (spans_s[:, 1] <= 0).any():
        i = int(np.argmax(spans_s[:, 1] <= 0))
        raise InputError(f"{table.place(i)}: the label ends at {spans_s[i, 1]:g} s, expected a time after 0")
    return spans_s


def _read_spans(manifest: Manifest, table: TextTable) -> np.ndarray:
    """Start and stop of each row, in seconds; a row with one time reaches half-way to its neighbours (of values, these
    are interpolated: ``TimedLabels``).

    At the ends, and beside a longer gap, it reaches half a median interval.
    """
    if manifest.row_columns["time_s"] in table.columns:
        times_s = _times(manifest, table, "time_s")
        steps_s = np.diff(times_s)
        if (steps_s <= 0).any():
            i = int(np.argmax(steps_s <= 0)) + 1
            raise InputError(f"{table.place(i)}: the time {times_s[i]:g} s is not after that of the row before")
        if not len(steps_s):
            raise InputError(f"{table.place(0)}: one row with a time says nothing of its length: give start and stop")
        median_s = float(np.median(steps_s))
        reach_s = np.minimum(steps_s, median_s) / 2
        half_s = [median_s / 2]
        return np.stack([times_s - np.r_[half_s, reach_s], times_s + np.r_[reach_s, half_s]], axis=1)
    spans_s = np.stack([_times(manifest, table, "start_s"), _times(manifest, table, "stop_s")], axis=1)
    if (spans_s[:, 1] <= spans_s[:, 0]).any():
        i = int(np.argmax(spans_s[:, 1] <= spans_s[:, 0]))
        raise InputError(f"{table.place(i)}: the label stops at {spans_s[i, 1]:g} s and starts at {spans_s[i, 0]:g} s")
    order = np.argsort(spans_s[:, 0], kind="stable")
    for before, i in pairwise(order.tolist()):
        if spans_s[i, 0] < spans_s[before, 1]:
            raise InputError(
                f"{table.place(i)}: the label starts at {spans_s[i, 0]:g} s, inside that of "
                f"{table.place(before)}: a time can have one label only"
            )
    return spans_s


def _times(manifest: Manifest, table: TextTable, key: str) -> np.ndarray:
    column, times_s = manifest.row_columns[key], []
    for i, cell in enumerate(table.column(column)):
        try:
            time_s = parse_number(cell)
        except InputError as error:
            raise InputError(f"{table.place(i)}: {column}: {error}") from error
        if abs(time_s) > MAX_TIME_S:
            raise InputError(f"{table.place(i)}: {column} is {time_s:g}, {NO_TIME}")
        times_s.append(time_s)
    return np.array(times_s)

"""The tables of an analysis: one row a frame, or a person and frame, as Parquet and CSV, and what they say in short."""

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
import pyarrow as pa

from abaw.files import atomic_write
from abaw.files.csv_cells import guarded
from abaw.numbers import format_count
from abaw.results.deviations import post_process_deviations
from abaw.tasks.ranges import deviation_name, label_ranges, spread_name

if TYPE_CHECKING:
    from abaw.pipelines.analysis.presence import Boxes, Presence
    from abaw.postprocessing import PostProcessing
    from abaw.results.predictions import Table
    from abaw.tasks.base import Task

LOSSES_KEY, SOURCES_KEY = b"losses", b"predicted by"  # in the metadata of a table's Parquet file
SIDES = ("face_x_px", "face_y_px", "face_width_px", "face_height_px")
MIN_UNIT = 0.5  # mean probability from which a summary names an action unit


@dataclass(frozen=True)
class PersonTables:
    """What is predicted of one person in a clip: a table for each task, final values, and what is there.

    A table's ``observed`` says where there was something to predict from; other cells are written empty.
    ``person``: the number in the face track; None for the target of a clip, whose number can change.
    """

    person: int | None
    tables: "Mapping[str, Table]"
    presence: "Presence"

    @property
    def answered(self) -> np.ndarray:
        """The frames with a prediction of any task."""
        return np.any([table.observed for table in self.tables.values()], axis=0)


@dataclass(frozen=True)
class Summary:
    """What was predicted of a person over a clip: means over the frames with a prediction.

    ``leading``: task -> its most probable classes, best first, with their mean probabilities. ``means``: task -> means
    of values, and of action units whose mean is 0.5 or more. ``num_of_task``: in how many frames each task has a
    prediction, ``num_answered``: any task. ``person`` is None for the target.
    """

    person: int | None
    num_frames: int
    num_answered: int
    num_with_face: int | None
    num_with_voice: int
    leading: Mapping[str, Mapping[str, float]]
    means: Mapping[str, Mapping[str, float]]
    num_of_task: Mapping[str, int]

    def __str__(self) -> str:
        by_count: dict[int, list[str]] = {}
        for task, num in self.num_of_task.items():
            parts = by_count.setdefault(num, [])
            if shares := self.leading.get(task):
                best, *others = [f"{name} {share:.2f}" for name, share in shares.items()]
                parts.append(f"{best} (then {others[0]})" if others else best)
            parts += [f"{name} {mean:+.2f}" for name, mean in self.means.get(task, {}).items()]
        total = format_count(self.num_frames, "frame")
        return "; ".join(f"{', '.join(parts)}: means over {num} of {total}" for num, parts in by_count.items() if parts)


def final_table(task: "Task", table: "Table", kept: "PostProcessing | None") -> "Table":
    """The table after post-processing, with values inside the range of labels, which a linear head can leave."""
    from dataclasses import replace

    clip = (table.values, table.observed, table.times_s)
    final = kept.apply(task, *clip, modalities=table.modalities) if kept else table.values
    deviations = post_process_deviations(kept, task, table.deviations)
    return replace(table, values=within_range(task, final), deviations=deviations)


def spreads_of(task: "Task", tables: "Sequence[Table]") -> dict[str, np.ndarray]:
    """The standard deviation of each value and class probability over the members' tables (time), in float32.

    In each frame it is over the members that observed something, of values inside the range of labels and before
    post-processing; over these alone, so that it is divided by their number. NaN with fewer than two. {} of a single
    member, and for action units.
    """
    if len(tables) < 2:
        return {}
    values = np.stack([within_range(task, table.values) for table in tables]).astype(np.float64)
    counted = np.stack([table.observed for table in tables])[..., None]
    num = counted.sum(axis=0)
    mean = np.sum(values, axis=0, where=counted) / np.maximum(num, 1)
    spread = np.sqrt(np.sum(np.square(values - mean), axis=0, where=counted) / np.maximum(num, 1))
    spread = np.where(num > 1, spread, np.nan).astype(np.float32)
    shown = [column for kind, columns in blocks_of(task) if kind != "units" for column in columns]
    return {column: spread[:, task.columns.index(column)] for column in shown}


def blocks_of(task: "Task") -> list[tuple[str, tuple[str, ...]]]:
    """The kind and the columns of each block of a task; of a task without blocks, all are values."""
    found: list[tuple[str, tuple[str, ...]]] = []
    first = 0
    for kind, width in task.blocks or (("values", len(task.columns)),):
        found.append((kind, task.columns[first : first + width]))
        first += width
    return found


def within_range(task: "Task", values: np.ndarray) -> np.ndarray:
    """The values of a table, those that are no probabilities cut to the range of the task's labels."""
    if task.resolution == "frame" and task.blocks and all(kind == "values" for kind, _ in task.blocks):
        return task.to_labels(values)[:, : len(task.columns)].astype(values.dtype)
    found, first = values.copy(), 0
    for kind, width in task.blocks:
        if kind == "values":
            low, high = zip(*label_ranges(task)[first : first + width], strict=True)
            found[:, first : first + width] = np.clip(found[:, first : first + width], low, high)
        first += width
    return found


def write_frames(
    out: Path,
    clip_id: str,
    tasks: "Mapping[str, Task]",
    persons: Sequence[PersonTables],
    losses: str = "",
    sources: str = "",
    before_change: Callable[[], object] = lambda: None,
) -> None:
    """``<clip>.parquet`` and ``<clip>.csv``: one row a frame of the target, or one for each person seen in a frame.

    A frame in which none of several persons is seen has one row. ``losses``: the line of what of the clip was lost;
    ``sources``: what predicted. Both are kept in the metadata of the Parquet file. ``before_change`` is called before
    a table takes the place of one with other content.
    """
    from pyarrow import parquet

    made = [frames_of(tasks, each) for each in persons]
    if len(persons) > 1:
        made = _seen_rows(made, persons)
    frames = pa.concat_tables(made)
    if len(persons) > 1:
        frames = frames.sort_by([("frame", "ascending"), ("person", "ascending")])
    notes = {LOSSES_KEY: losses.encode(), SOURCES_KEY: sources.encode()}
    frames = frames.replace_schema_metadata({key: text for key, text in notes.items() if text} or None)
    # pyarrow gets open files: it would take a path with a colon for an address
    content, path = io.BytesIO(), out / f"{clip_id}.parquet"
    parquet.write_table(frames, content)
    if path.is_file() and path.read_bytes() != content.getvalue():
        before_change()
    with atomic_write(path) as temporary:
        temporary.write_bytes(content.getvalue())
    with atomic_write(out / f"{clip_id}.csv") as temporary, temporary.open("wb") as file:
        write_csv_rows(frames, file)


def write_csv_rows(frames: pa.Table, file: BinaryIO, *, has_header: bool = True) -> None:
    """Write rows as CSV in which no text or name of a column is computed by a spreadsheet."""
    from pyarrow import csv

    csv.write_csv(_guarded(frames), file, csv.WriteOptions(include_header=has_header))


def _guarded(frames: pa.Table) -> pa.Table:
    """The table with texts and names of columns that no spreadsheet computes."""
    for i, field in enumerate(frames.schema):
        if pa.types.is_string(field.type):
            texts = [each if each is None else guarded(each) for each in frames[i].to_pylist()]
            frames = frames.set_column(i, field, pa.array(texts, pa.string()))
    return frames.rename_columns([guarded(name) for name in frames.column_names])


def summarize(tasks: "Mapping[str, Task]", of_person: PersonTables) -> Summary:
    """The means of a person's tables over the frames with a prediction."""
    leading: dict[str, dict[str, float]] = {}
    means: dict[str, dict[str, float]] = {}
    counts: dict[str, int] = {}
    for name, table in of_person.tables.items():
        first, columns = 0, [column.removeprefix("p_") for column in table.columns]
        if not table.observed.any():
            continue
        counts[name] = int(table.observed.sum())
        mean = table.values[table.observed].astype(float).mean(axis=0)
        for kind, width in tasks[name].blocks or (("values", len(columns)),):
            places = range(first, first + width)
            if kind == "classes":
                best = sorted(places, key=lambda place: -mean[place])[:3]
                leading[name] = {columns[place]: float(mean[place]) for place in best}
            else:
                shown = [place for place in places if kind == "values" or mean[place] >= MIN_UNIT]
                means[name] = means.get(name, {}) | {columns[place]: float(mean[place]) for place in shown}
            first += width
    answered, seen = of_person.answered, of_person.presence.face_seen
    return Summary(
        of_person.person,
        len(answered),
        int(answered.sum()),
        None if seen is None else int(seen.sum()),
        int(of_person.presence.voice_heard.sum()),
        leading,
        means,
        counts,
    )


def frames_of(tasks: "Mapping[str, Task]", of_person: PersonTables) -> pa.Table:
    """All frames of one person."""
    first = next(iter(of_person.tables.values()))
    presence, num = of_person.presence, len(first.frames)
    seen = presence.face_seen
    columns: dict[str, Any] = {
        "frame": first.frames,
        "time_s": first.times_s,
        "observed": of_person.answered,
        "face_seen": pa.nulls(num, pa.bool_()) if seen is None else pa.array(seen),
        "voice_heard": presence.voice_heard,
    }
    columns |= _face_columns(first.times_s, presence.boxes)
    for name, table in of_person.tables.items():
        empty = ~table.observed
        columns |= {column: pa.array(table.values[:, i], mask=empty) for i, column in enumerate(table.columns)}
        columns |= {deviation_name(column): pa.array(sd, mask=empty) for column, sd in table.deviations.items()}
        columns |= {spread_name(column): _spread_cells(each, empty) for column, each in table.spreads.items()}
        for column, names in tasks[name].names(table.values).items():
            shown = [None if is_empty else name for name, is_empty in zip(names, empty.tolist(), strict=True)]
            columns[column] = pa.array(shown, pa.string())
    return pa.table(columns)


def _spread_cells(spread: np.ndarray, empty: np.ndarray) -> pa.Array:
    return pa.array(np.nan_to_num(spread), mask=empty | np.isnan(spread))


def _seen_rows(made: list[pa.Table], persons: Sequence[PersonTables]) -> list[pa.Table]:
    """Of each person the frames in which it is seen; of the first, without a number, also those without anybody."""
    seen = [np.asarray(each.presence.face_seen, bool) for each in persons]
    nobody = ~np.any(seen, axis=0)
    kept = [frames.filter(pa.array(rows)) for frames, rows in zip(made, seen, strict=True)]
    return [*kept, made[0].filter(pa.array(nobody))]


def _face_columns(times_s: np.ndarray, boxes: "Boxes | None") -> dict[str, Any]:
    num = len(times_s)
    values, found = np.zeros((num, 6), np.float32), np.zeros(num, bool)
    others: list[list[int]] = [[] for _ in range(num)]
    if boxes is not None:  # a row of the track is a decoded frame; the table has a row for every frame
        places = np.searchsorted(times_s, boxes.times_s)
        values[places], found[places] = boxes.values, boxes.observed
        persons = boxes.table("persons")
        for frame, person in () if persons is None else persons[:, [0, 5]].astype(int).tolist():
            if not found[frame - 1] or person != values[frame - 1, 4]:
                others[frame - 1].append(person)
    columns = {side: pa.array(values[:, i], mask=~found) for i, side in enumerate(SIDES)}
    columns["person"] = pa.array(values[:, 4].astype(np.int32), mask=~found)
    columns["other_persons"] = pa.array([" ".join(map(str, sorted(each))) for each in others])
    return columns

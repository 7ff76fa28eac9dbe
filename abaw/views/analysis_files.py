"""What ``analyze`` wrote into its folder, checked when it is read: analysis.json and the table of a clip."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pyarrow as pa
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from abaw.errors import InputError, NotFoundError
from abaw.files import read_json
from abaw.files.names import checked_name
from abaw.files.parquet import read_parquet, to_numpy
from abaw.tasks.ranges import deviation_name, spread_name

DOCUMENT = "analysis.json"
SIDES = ("face_x_px", "face_y_px", "face_width_px", "face_height_px")
CLASSES, VALUES, UNITS = "classes", "values", "units"
AGAIN = "the file is damaged or was edited: run the same abaw analyze again"
WORDS = {"missing": "is missing", "model_type": "is no object", "dict_type": "is no object"}  # of errors by pydantic


class _Read(BaseModel):
    """Keys that views do not read are kept as they are."""

    model_config = ConfigDict(extra="allow", strict=True)


class _Person(_Read):
    person: int | None


class _Clip(_Read):
    media: str | None
    table: str
    losses: str
    no_prediction: str | None
    persons: Annotated[list[_Person], Field(min_length=1)]


class _Block(_Read):
    task: str
    kind: Literal["classes", "values", "units"]
    columns: Annotated[list[str], Field(min_length=1)]
    ranges: list[Annotated[list[float], Field(min_length=2, max_length=2)]]
    chosen: str | None


class _Document(_Read):
    sources: list[str]
    warnings: list[str]
    blocks: list[_Block]
    clips: dict[str, _Clip]


def read_document(folder: Path) -> dict[str, Any]:
    """The content of the analysis.json of a folder.

    Raises NotFoundError where there is none, and InputError where it is damaged or an earlier version wrote it.
    """
    path = folder / DOCUMENT
    if not path.is_file():
        raise NotFoundError(f"{folder} has no {DOCUMENT}: give a folder that abaw analyze wrote")
    document = read_json(path)
    if isinstance(document, Mapping) and "blocks" not in document:
        raise InputError(f"{path} was written by an earlier version: run the same abaw analyze again")
    try:
        found = _Document.model_validate(document)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"])) or "it"
        fault = f"is {str(first['input'])[:80]!r}: {first['msg'][0].lower()}{first['msg'][1:]}"
        fault = WORDS.get(first["type"], fault)
        raise InputError(f"{path}: {key} {fault}; {AGAIN}") from error
    for block in found.blocks:
        if len(block.ranges) != len(block.columns) or any(not low < high for low, high in block.ranges):
            raise InputError(
                f"{path}: the ranges of {block.task} are {block.ranges}, expected a lower and a higher number for "
                f"each of {', '.join(block.columns)}; {AGAIN}"
            )
    for clip in found.clips.values():
        checked_name(clip.table, f"{path}: a table")
    return dict(document)


def read_columns(path: Path, blocks: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    """The columns of a table that views read, of the types that they expect.

    Raises InputError where the file is not readable, a column is missing or holds something else, or times do not
    increase from frame to frame.
    """
    try:
        table = read_parquet(path)
    except InputError as error:
        raise InputError(f"{error}; {AGAIN}") from error
    found = {name: _column(path, table, name, kind, can) for name, kind, can in _expected(table, blocks)}
    _check_times(path, found["frame"], found["time_s"])
    return found


def _expected(table: pa.Table, blocks: Sequence[Mapping[str, Any]]) -> list[tuple[str, pa.DataType, bool]]:
    """Name, type, and whether cells can be empty, of each column to read."""
    predicted = [name for block in blocks for name in block["columns"]]
    more = [name for each in predicted for name in (deviation_name(each), spread_name(each))]
    return [
        ("frame", pa.int64(), False),
        ("time_s", pa.float64(), False),
        ("person", pa.int64(), True),
        ("observed", pa.bool_(), False),
        ("face_seen", pa.bool_(), True),
        ("voice_heard", pa.bool_(), False),
        *((side, pa.float64(), True) for side in SIDES),
        *((name, pa.float32(), True) for name in predicted),
        *((name, pa.float32(), True) for name in more if name in table.column_names),
        *((block["chosen"], pa.string(), True) for block in blocks if block["chosen"] is not None),
    ]


def _column(path: Path, table: pa.Table, name: str, kind: pa.DataType, can_be_empty: bool) -> np.ndarray:
    if num := table.column_names.count(name) - 1:
        fault = "is missing" if num < 0 else "is there more than once"
        raise InputError(f"{path}: column {name!r} {fault}; {AGAIN}")
    column = table[name]
    if column.null_count and not can_be_empty:
        raise InputError(f"{path}: column {name!r} has {column.null_count} empty cells; {AGAIN}")
    try:
        return to_numpy(column.cast(kind))
    except pa.ArrowException as error:
        raise InputError(f"{path}: column {name!r} is {column.type}, expected {kind} ({error}); {AGAIN}") from error


def _check_times(path: Path, frames: np.ndarray, times_s: np.ndarray) -> None:
    first_rows = np.unique(frames, return_index=True)[1]
    times_s = times_s[first_rows]
    if not np.isfinite(times_s).all() or (np.diff(times_s) <= 0).any():
        raise InputError(f"{path}: column 'time_s' does not increase from frame to frame; {AGAIN}")

"""The table of a live analysis on disk: a line for each frame, complete as soon as it is written."""

import io
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError
from abaw.files.names import checked_name
from abaw.pipelines.analysis.tables import write_csv_rows

if TYPE_CHECKING:
    import pyarrow as pa

SUFFIXES = (".csv", ".jsonl")


def check_out(path: Path) -> Path:
    """The path of a table that does not exist yet. Raises InputError for another suffix, or where there is a file."""
    checked_name(path.name, "--out")
    if path.suffix not in SUFFIXES:
        raise InputError(f"--out is {path}, expected a name that ends with {' or '.join(SUFFIXES)}")
    for each in (path, document_path(path)):
        if each.exists():
            raise InputError(f"{each} is there already, and a live analysis replaces nothing: give another --out")
    return path


def document_path(path: Path) -> Path:
    """Where the explanation of a table's columns is written."""
    return path.with_name(f"{path.name}.json")


class RowFile:
    """Appends rows; each is a whole line in the file when ``add`` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._is_csv, self._has_header = path, path.suffix == ".csv", False
        self._file = path.open("xb", buffering=0)

    def add(self, row: "pa.Table") -> None:
        """Append a table of one row."""
        line = self._csv(row) if self._is_csv else json_line(row)
        self._file.write(line)

    def _csv(self, row: "pa.Table") -> bytes:
        to = io.BytesIO()
        write_csv_rows(row, to, has_header=not self._has_header)
        self._has_header = True
        return to.getvalue()

    def close(self) -> None:
        self._file.close()


def columns_of(row: "pa.Table") -> dict[str, Any]:
    """Column -> value of a table of one row; None in an empty cell."""
    found: dict[str, Any] = row.to_pylist()[0]
    return found


def json_line(row: "pa.Table") -> bytes:
    """A line of JSON; empty cells are null."""
    values = {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in columns_of(row).items()
    }
    return (json.dumps(values, ensure_ascii=False, allow_nan=False) + "\n").encode()

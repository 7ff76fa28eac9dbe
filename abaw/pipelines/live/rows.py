"""The table of a live analysis on disk: a line for each frame, complete as soon as it is written."""

import io
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.errors import InputError
from abaw.files import write_json
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
    """Appends rows; each is a whole line in the file when ``add`` returns, and what is no whole line is removed.

    ``explain`` writes the document beside it. A file without rows is removed at the end, so that its name is free.
    """

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._path, self._is_csv, self._num_bytes = path, path.suffix == ".csv", 0
        self._file = path.open("xb", buffering=0)

    def add(self, row: "pa.Table") -> None:
        """Append a table of one row. Raises OSError, with the name of the file, where the disk is full."""
        line = self._csv(row) if self._is_csv else json_line(row)
        rest = memoryview(line)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]  # a disk that becomes full takes a part
        except OSError as error:
            self._file.truncate(self._num_bytes)
            raise OSError(error.errno, error.strerror, str(self._path)) from error
        self._num_bytes += len(line)

    def _csv(self, row: "pa.Table") -> bytes:
        to = io.BytesIO()
        write_csv_rows(row, to, has_header=not self._num_bytes)
        return to.getvalue()

    def explain(self, document: Mapping[str, Any]) -> None:
        """Write what explains the columns."""
        write_json(document_path(self._path), document)

    def close(self) -> bool:
        """Close the file; whether it has rows, and so is left."""
        self._file.close()
        if not self._num_bytes:
            self._path.unlink(missing_ok=True)
            document_path(self._path).unlink(missing_ok=True)
        return self._num_bytes > 0


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

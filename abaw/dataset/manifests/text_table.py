"""Tables of text cells: CSV, TSV, JSON lines and Parquet, with the place of every row for messages."""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from abaw.errors import InputError, NotFoundError
from abaw.files.regular import check_regular
from abaw.files.text import read_text
from abaw.numbers import BLANKS

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
ADVICE = "save the table as UTF-8, or copy it again"


@dataclass(frozen=True)
class TextTable:
    """The cells of a table as text, without blanks around them; an empty cell is "".

    ``numbers``: of each row, its line in a text file, counted from 1, or its row in a Parquet file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: list[list[str]]
    numbers: list[int]

    def place(self, row: int | None = None) -> str:
        """The file and the line of a row, by default of the header, as errors name them."""
        if self.path.suffix.lower() in PARQUET:
            return str(self.path) if row is None else f"{self.path}, row {self.numbers[row]}"
        return f"{self.path}:{1 if row is None else self.numbers[row]}"

    def column(self, name: str) -> list[str]:
        """The cells of a column."""
        index = self.columns.index(name)
        return [row[index] for row in self.rows]


def read_table(path: Path, *, with_row_names: bool = False) -> TextTable:
    """Read a table; its suffix says what it is (.csv, .tsv, .jsonl, .parquet). Blank lines hold no row.

    CSV and TSV are UTF-8, with or without a byte-order mark, or UTF-16 with one. A .csv file may be separated by
    semicolons or tabs: its header decides. Raises NotFoundError where there is no file, InputError with file and line
    where it cannot be read, has no header, a column twice, or a row with fewer or more cells than the header.
    ``with_row_names``: the first column of a CSV file may have no name.
    """
    if not path.exists():
        raise NotFoundError(f"no table at {path}: give a .csv, .tsv, .jsonl or .parquet file")
    check_regular(path)
    suffix = path.suffix.lower()
    if suffix in PARQUET:
        columns, found = _read_parquet(path)
    elif suffix in JSON_LINES:
        columns, found = _read_json_lines(path)
    elif suffix in DELIMITERS:
        columns, found = _read_delimited(path, DELIMITERS[suffix], with_row_names)
    else:
        raise InputError(f"{path}: unknown type of table {suffix!r}: give a .csv, .tsv, .jsonl or .parquet file")
    numbers = [number for number, _ in found]
    table = TextTable(path, tuple(columns), [cells for _, cells in found], numbers)
    repeated = next((name for i, name in enumerate(columns) if name in columns[:i]), None)
    if repeated is not None:
        raise InputError(f"{table.place()}: the column {repeated!r} is there twice: rename or remove one")
    return table


Found = list[tuple[int, list[str]]]


def _read_delimited(path: Path, delimiter: str, with_row_names: bool) -> tuple[list[str], Found]:
    text = read_text(path, utf16=True, advice=ADVICE)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if delimiter not in first:
        delimiter = next((each for each in ",;\t" if each in first), delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    found: Found = []
    for number, raw in _numbered(reader, path):
        cells = [cell.strip(BLANKS) for cell in raw]
        if columns is None:
            columns = cells
            if "" in columns[with_row_names : len(columns) - 1]:
                raise InputError(f"{path}:{number}: a column of the header has no name: name every column")
        elif len(cells) != len(columns):
            raise InputError(
                f"{path}:{number}: {len(cells)} cells, but the header has {len(columns)} columns: add or remove cells, "
                f"or put a cell that contains {delimiter!r} in double quotes"
            )
        else:
            found.append((number, cells))
    if columns is None:
        raise InputError(
            f"{path}:1: the file is empty, expected a header with the names of columns: write or copy it again"
        )
    return columns, found


def _numbered(reader: Any, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The rows that are not blank, with the line on which each begins."""
    while True:
        number = reader.line_num + 1
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(f"{path}:{number}: not readable as a table ({error}): check the quotes") from error
        if any(cell.strip(BLANKS) for cell in row):
            yield number, row


def _read_json_lines(path: Path) -> tuple[list[str], Found]:
    objects: list[tuple[int, dict[str, str]]] = []
    for number, line in enumerate(read_text(path, utf16=True, advice=ADVICE).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line, parse_float=str, parse_int=str, parse_constant=_constant, object_pairs_hook=_pairs)
        except InputError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}:{number}: not readable as JSON ({error}): expected an object a line") from error
        if not isinstance(value, dict):
            raise InputError(f'{path}:{number}: not a JSON object: expected one such as {{"path": "a.mp4"}}')
        objects.append((number, {key: _text(each, f"{path}:{number}: {key}") for key, each in value.items()}))
    columns = list(dict.fromkeys(key for _, each in objects for key in each))
    if not columns:
        raise InputError(
            f"{path}:1: the file is empty, expected a JSON object for every row, one a line: write or copy it again"
        )
    return columns, [(number, [each.get(key, "") for key in columns]) for number, each in objects]


def _constant(name: str) -> str | None:
    return None if name == "NaN" else name


def _pairs(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in pairs:
        if key in found:
            raise InputError(f"{key!r} is given twice: remove one")
        found[key] = value
    return found


def _read_parquet(path: Path) -> tuple[list[str], Found]:
    try:
        with parquet.ParquetFile(path) as file:  # read_table fails where two columns have one name
            table = file.read()
        table.validate(full=True)  # of text that is not UTF-8
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: not readable as Parquet ({error}): write the file again") from error
    columns = list(table.column_names)
    cells = [
        [_text(value, f"{path}, row {row}: {name}") for row, value in enumerate(column.to_pylist(), start=1)]
        for name, column in zip(columns, table.columns, strict=True)
    ]
    return columns, [(row, list(each)) for row, each in enumerate(zip(*cells, strict=True), start=1)]


def _text(value: Any, place: str) -> str:
    """A value of JSON or Parquet as text; null and NaN, which pandas writes where nothing is, are empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # pandas makes a column of integers float where one is missing
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, str | int):
        text = str(value).strip(BLANKS)
        if any(each == "\0" or "\ud800" <= each <= "\udfff" for each in text):
            raise InputError(f"{place} is {text!r}, which contains a character that is no text: correct it")
        return text
    raise InputError(f"{place} is {type(value).__name__}, expected text or a number")

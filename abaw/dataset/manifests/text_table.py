"""Tables of text cells: CSV, TSV, JSON lines and Parquet, with the place of every row for messages."""

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa

from abaw.errors import InputError, NotFoundError
from abaw.files.csv_cells import unguarded
from abaw.files.parquet import read_parquet
from abaw.files.regular import check_regular
from abaw.files.text import read_text
from abaw.numbers import BLANKS

DELIMITERS = {".csv": ",", ".tsv": "\t", ".tab": "\t", ".txt": ","}
JSON_LINES = (".jsonl", ".ndjson")
PARQUET = (".parquet", ".pq")
ADVICE = "save the table as UTF-8, or copy it again"


NO_TEXT = re.compile("[\0\ud800-\udfff]")


@dataclass(frozen=True)
class TextTable:
    """The cells of a table as text, without blanks around them; an empty cell is "".

    Cells of JSON and Parquet become text when they are asked for: a column of lists that nobody uses is no error.
    ``numbers``: of each row, its line in a text file, counted from 1, or its row in a Parquet file. ``values``: the
    cells of each column as they were read.
    """

    path: Path
    columns: tuple[str, ...]
    numbers: list[int]
    values: list[Any] = field(repr=False)

    def __len__(self) -> int:
        return len(self.numbers)

    def place(self, row: int | None = None) -> str:
        """The file and the line of a row, by default of the header, as errors name them."""
        if self.path.suffix.lower() in PARQUET:
            return str(self.path) if row is None else f"{self.path}, row {self.numbers[row]}"
        return f"{self.path}:{1 if row is None else self.numbers[row]}"

    def cells(self, row: int, names: Sequence[str] | None = None) -> list[str]:
        """The cells of a row in these columns, by default in all. Raises InputError where one is no text or number."""
        names = self.columns if names is None else names
        return [_text(self._values_of(name)[row], f"{self.place(row)}: {name}") for name in names]

    def column(self, name: str) -> list[str]:
        """The cells of a column. Raises InputError as ``cells`` does."""
        return [_text(each, f"{self.place(row)}: {name}") for row, each in enumerate(self._values_of(name))]

    def of_rows(self, rows: Sequence[int]) -> "TextTable":
        """A table of some rows, which keep their places."""
        places = pa.array(rows, pa.int64())
        values = [
            each.take(places) if isinstance(each, pa.ChunkedArray) else [each[i] for i in rows] for each in self.values
        ]
        return replace(self, numbers=[self.numbers[i] for i in rows], values=values)

    def _values_of(self, name: str) -> list[Any]:
        index = self.columns.index(name)
        if isinstance(self.values[index], pa.ChunkedArray):
            try:
                self.values[index] = self.values[index].to_pylist()
            except (pa.ArrowException, ValueError, ArithmeticError, LookupError) as error:  # a time that Python lacks
                kind = self.values[index].type
                raise InputError(
                    f"{self.path}: the column {name!r} of {kind} is not readable ({error}): write it as text or numbers"
                ) from error
        return self.values[index]


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
    table = TextTable(path, tuple(columns), *found)
    repeated = next((name for i, name in enumerate(columns) if name in columns[:i]), None)
    if repeated is not None:
        raise InputError(f"{table.place()}: the column {repeated!r} is there twice: rename or remove one")
    return table


Found = tuple[list[int], list[Any]]  # the numbers of the rows, and the values of each column


def _read_delimited(path: Path, delimiter: str, with_row_names: bool) -> tuple[list[str], Found]:
    text = read_text(path, utf16=True, advice=ADVICE)
    first = next((line for line in text.splitlines() if line.strip()), "")
    if delimiter not in first:
        delimiter = next((each for each in ",;\t" if each in first), delimiter)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    numbers: list[int] = []
    rows: list[list[str]] = []
    for number, raw in _numbered(reader, path):
        cells = [unguarded(cell.strip(BLANKS)) for cell in raw]
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
            numbers.append(number)
            rows.append(cells)
    if columns is None:
        raise InputError(
            f"{path}:1: the file is empty, expected a header with the names of columns: write or copy it again"
        )
    return columns, (numbers, [list(each) for each in zip(*rows, strict=True)] or [[] for _ in columns])


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
    numbers: list[int] = []
    objects: list[dict[str, Any]] = []
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
        numbers.append(number)
        objects.append(value)
    columns = list(dict.fromkeys(key for each in objects for key in each))
    if not columns:
        raise InputError(
            f"{path}:1: the file is empty, expected a JSON object for every row, one a line: write or copy it again"
        )
    return columns, (numbers, [[each.get(key) for each in objects] for key in columns])


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
    table = read_parquet(path)
    try:
        table.validate(full=True)  # of text that is not UTF-8
    except pa.ArrowException as error:
        raise InputError(f"{path}: not readable as Parquet ({error}): write the file again") from error
    return list(table.column_names), (list(range(1, len(table) + 1)), list(table.columns))


def _text(value: Any, place: str) -> str:
    """A value of JSON or Parquet as text; null and NaN, which pandas writes where nothing is, are empty."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):  # pandas makes a column of integers float where one is missing
        return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
    if isinstance(value, str | int | Decimal):
        text = str(value).strip(BLANKS)
        if NO_TEXT.search(text):
            raise InputError(f"{place} is {text!r}, which contains a character that is no text: correct it")
        return text
    raise InputError(f"{place} is of type {type(value).__name__}, expected text or a number: correct it")

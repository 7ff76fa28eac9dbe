"""The contract of a corpus: its files and labels as the rows of a manifest.

A corpus is one file in ``abaw/corpora`` or a user's plug-in. The file contains

- the builder, a function decorated with ``@CORPORA.register``, which gets the ``folder`` in which the corpus was
  unpacked. Its other keyword-only arguments choose among what the corpus has (sound or video, a fold);
- ``FACTS``, a literal: ``licence``, ``source`` (the paper) and ``verified``: on what the layout was tested.
"""

import csv
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw.errors import InputError, NotFoundError
from abaw.numbers import parse_number

Row = dict[str, Any]  # column of the manifest -> value


@dataclass(frozen=True)
class Corpus:
    """What a manifest of the corpus holds.

    ``rows``: one for each clip that is on disk, with the columns ``path`` (relative to ``media``), ``split``, ``group``
    and those of the labels. ``labels``: the keys ``classes`` and ``values`` of the data set file. ``num_absent``: clips
    that the corpus lists and whose files are not on disk. ``notes``: what a user must know. ``frame_labels``: tables of
    the labels of frames; a row of the manifest names its table in the column ``labels``.
    """

    media: Path
    rows: Sequence[Row]
    labels: Mapping[str, Any]
    num_absent: int = 0
    notes: tuple[str, ...] = field(default=())
    frame_labels: Mapping[str, Sequence[Row]] = field(default_factory=dict)


def find_files(folder: Path, pattern: str, name: str, expected: str) -> list[tuple[Path, re.Match[str]]]:
    """The files below a folder that match a glob ``pattern`` and whose stems match ``name``, in order.

    Raises NotFoundError where there is none; ``expected`` says what the corpus has.
    """
    is_named = re.compile(name, re.ASCII)
    found = [(path, is_named.fullmatch(path.stem)) for path in sorted(folder.rglob(pattern)) if path.is_file()]
    matched = [(path, match) for path, match in found if match]
    if not matched:
        raise NotFoundError(f"no file of this corpus below {folder}: expected {expected}")
    return matched


def find_folder(folder: Path, names: Sequence[str], expected: str) -> Path:
    """The first of ``names`` that is a folder in ``folder``. Raises NotFoundError where none is."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise NotFoundError(f"{folder} has no folder {' or '.join(names)}: expected {expected}")


def read_table(
    path: Path, columns: Sequence[str], *, encoding: str = "utf-8-sig"
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their line numbers.

    Raises NotFoundError where it is missing, InputError with file and line where a column or a cell is missing.
    """
    if not path.is_file():
        raise NotFoundError(f"no file {path}: copy the corpus's label files into its folder")
    with path.open(encoding=encoding, newline="") as file:
        reader = csv.DictReader(file)
        try:
            lacking = [column for column in columns if column not in (reader.fieldnames or ())]
            if lacking:
                raise InputError(f"{path}:1: no column {lacking[0]}, found {', '.join(reader.fieldnames or ['none'])}")
            for row in reader:
                if None in row or any(row[column] is None for column in columns):
                    num = len(reader.fieldnames or ())
                    raise InputError(f"{path}:{reader.line_num}: another number of cells than the first line's {num}")
                yield reader.line_num, row
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}:{reader.line_num + 1}: cannot be read as CSV in {encoding} ({error})") from error


def looked_up(names: Mapping[str, str], code: str, place: str) -> str:
    """The class of a code. Raises InputError with the place where there is no such code."""
    if code not in names:
        raise InputError(f"{place}: {code!r} is no class of this corpus, expected one of {', '.join(names)}")
    return names[code]


def number_at(text: str, place: str) -> float:
    """A number of a label file. Raises InputError with the place."""
    try:
        return parse_number(text.strip())
    except InputError as error:
        raise InputError(f"{place}: {error}") from error


def only_present(
    media: Path, rows: Iterator[tuple[str | None, Row]], describe: Callable[[int], str]
) -> tuple[list[Row], int]:
    """The rows whose path exists below ``media``, which is added to each, and the number of those without a file.

    Raises NotFoundError where none exists; ``describe`` turns the number of listed clips into words.
    """
    kept, num_absent = [], 0
    for path, row in rows:
        if path is not None and (media / path).is_file():
            kept.append({"path": path, **row})
        else:
            num_absent += 1
    if not kept:
        raise NotFoundError(f"none of {describe(num_absent)} is below {media}: copy the corpus's media there")
    return kept, num_absent

"""The contract of a corpus: its files and labels as the rows of a manifest.

A corpus is one file in ``abaw/corpora`` or a user's plug-in. The file contains

- the builder, a function decorated with ``@CORPORA.register``, which gets the ``folder`` in which the corpus was
  unpacked. Its other keyword-only arguments choose among what the corpus has (sound or video, a fold);
- ``FACTS``, a literal: ``licence``, ``source`` (the paper) and ``verified``: on what the layout was tested.
"""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from abaw.dataset.manifests import text_table
from abaw.dataset.media_files import is_media
from abaw.errors import InputError, NotFoundError
from abaw.numbers import BLANKS, format_count, parse_number

Row = dict[str, Any]  # column of the manifest -> value
Listed = tuple[str | None, str, Row]  # path of a clip, None without one; file and line that list it; its columns
AGAIN = "correct it, or copy the file again"


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


def find_files(
    folder: Path, pattern: str, name: str, expected: str
) -> tuple[list[tuple[Path, re.Match[str]]], tuple[str, ...]]:
    """The files below a folder that match a glob ``pattern`` and whose stems match ``name``, in order, and notes.

    Only media files count. The notes say how many files with the same suffix have other names. Raises NotFoundError
    where no file matches; ``expected`` says what the corpus has. Raises InputError where two have one name.
    """
    is_named = re.compile(name, re.ASCII)
    found = [
        (path, is_named.fullmatch(path.stem))
        for path in sorted(folder.rglob(pattern))
        if path.is_file() and is_media(path)
    ]
    matched = [(path, match) for path, match in found if match]
    if not matched:
        raise NotFoundError(f"no file of this corpus below {folder}: expected {expected}")
    places: dict[str, Path] = {}
    for path, _ in matched:
        if (first := places.setdefault(path.stem, path)) != path:
            raise InputError(f"{path}: the clip is there twice, also as {first}: remove one, or give a folder with one")
    suffixes = {path.suffix for path, _ in matched}
    others = [path.name for path, match in found if not match and path.suffix in suffixes]
    if not others:
        return matched, ()
    num = format_count(len(others), f"other {'/'.join(sorted(suffixes))} file")
    return matched, (f"{num} left out, the first {others[0]}: expected {expected}",)


def find_folder(folder: Path, names: Sequence[str], expected: str) -> Path:
    """The first of ``names`` that is a folder in ``folder``. Raises NotFoundError where none is."""
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise NotFoundError(f"{folder} has no folder {' or '.join(names)}: expected {expected}")


def find_list(folder: Path, name: str) -> Path | None:
    """The label file ``name`` below a folder; None where there is none.

    Raises InputError where there are several that differ.
    """
    first, *others = [*sorted(path for path in folder.rglob(name) if path.is_file()), None]
    for other in others[:-1]:
        if first is not None and other is not None and other.read_bytes() != first.read_bytes():
            raise InputError(f"{other} differs from {first}: remove one, or give a folder with one of them")
    return first


def read_table(
    path: Path, columns: Sequence[str], *, with_row_names: bool = False
) -> Iterator[tuple[int, dict[str, str]]]:
    """The rows of a CSV file with their line numbers, without blanks around the cells.

    ``with_row_names``: the first column may have no name. Raises NotFoundError where the file is missing, InputError
    with file and line where it is not UTF-8, a column or a cell is missing, or there is no row.
    """
    if not path.is_file():
        raise NotFoundError(f"no file {path}: copy the corpus's label files into its folder")
    table = text_table.read_table(path, with_row_names=with_row_names)
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        raise InputError(
            f"{path}:1: no column {lacking[0]}, found {', '.join(table.columns)}: copy the file again, or check that "
            "it is the one of this corpus"
        )
    if not len(table):
        raise InputError(f"{path}:2: no row after the header, expected one for every label: copy the file again")
    for row, line in enumerate(table.numbers):
        yield line, dict(zip(table.columns, table.cells(row), strict=True))


def looked_up(names: Mapping[str, str], code: str, place: str) -> str:
    """The class of a code. Raises InputError with the place where there is no such code."""
    if code not in names:
        raise InputError(f"{place}: {code!r} is no class of this corpus, expected one of {', '.join(names)}: {AGAIN}")
    return names[code]


def number_at(text: str, place: str, lowest: float | None = None, highest: float | None = None) -> float:
    """A number of a label file. Raises InputError with the place where it is none, or outside its limits."""
    try:
        value = parse_number(text.strip(BLANKS))
    except InputError as error:
        raise InputError(f"{place}: {error}: {AGAIN}") from error
    if (lowest is not None and value < lowest) or (highest is not None and value > highest):
        expected = f"at least {lowest:g}" if highest is None else f"{lowest:g} to {highest:g}"
        raise InputError(f"{place}: the value {value:g}, expected {expected}: {AGAIN}")
    return value


def part_at(start: str, stop: str, place: str) -> Row:
    """The columns of a part of a media file. Raises InputError with the place where it does not end after its start."""
    start_s, stop_s = number_at(start, place, 0), number_at(stop, place, 0)
    if stop_s <= start_s:
        raise InputError(f"{place}: from {start_s:g} s to {stop_s:g} s, expected a stop after the start: {AGAIN}")
    return {"start_s": start_s, "stop_s": stop_s}


def only_present(
    media: Path, rows: Iterator[Listed], describe: Callable[[int], str]
) -> tuple[list[Row], int, tuple[str, ...]]:
    """The rows whose path exists below ``media``, which is added to each; the number of those without a file; notes.

    The notes say how many files beside those of the rows have no label. Raises NotFoundError where no path exists;
    ``describe`` turns the number of listed clips into words. Raises InputError where a clip is listed twice, or a path
    leads out of the folder.
    """
    kept, num_absent = [], 0
    places: dict[str, str] = {}
    for path, place, row in rows:
        if path is not None and (PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts):
            raise InputError(f"{place}: the path {path}, expected one inside the corpus's folder: {AGAIN}")
        name = row.get("clip") or path
        if name is not None and (first := places.setdefault(name, place)) != place:
            raise InputError(
                f"{place}: {name} is listed a second time, first in {first}: remove one, or copy the file again"
            )
        if path is not None and (media / path).is_file():
            kept.append({"path": path, **row})
        else:
            num_absent += 1
    if not kept:
        raise NotFoundError(f"none of {describe(num_absent)} is below {media}: copy the corpus's media there")
    return kept, num_absent, _without_label(media, {row["path"] for row in kept})


def _without_label(media: Path, listed: set[str]) -> tuple[str, ...]:
    """A note on the files in the folders of the listed ones, and of their types, that are not listed."""
    suffixes = {PurePosixPath(path).suffix.lower() for path in listed}
    num_listed = Counter(str(PurePosixPath(path).parent) for path in listed)
    num = 0
    for folder, count in num_listed.items():
        names = os.listdir(media / folder)
        num += sum(os.path.splitext(name)[1].lower() in suffixes for name in names) - count
    return (f"{format_count(num, 'file')} beside these left out: no label of this kind in the label files",) * bool(num)

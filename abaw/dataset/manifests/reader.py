"""Reads a manifest: a table with a row for each clip. Everything that is wrong with it is an error with its line."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from abaw.dataset.clip import Clip
from abaw.dataset.manifest import ROW_COLUMNS, ClassColumns, Manifest, ManifestRow, ValueColumns
from abaw.dataset.manifests.keys import COLUMNS, LABEL_COLUMNS, ManifestKeys
from abaw.dataset.manifests.labels import parse_label
from abaw.dataset.manifests.text_table import TextTable, read_table
from abaw.dataset.media_files import is_media, is_picture, name_problem, names_by_folder, stem_of
from abaw.dataset.names import split_side
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from abaw.numbers import MAX_TIME_S, NO_TIME, check_fps, parse_number
from abaw.registry import nearest

Declared = TypeVar("Declared", ClassColumns, ValueColumns)
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("validation", "val", "valid", "dev", "devel", "development"), "validation"),
    **dict.fromkeys(("test", "testing"), "test"),
}


@dataclass(frozen=True)
class _Row:
    """One row of the table. ``name``: the clip's, "" where it follows from the path."""

    place: str
    path: Path
    name: str
    split: str
    group: str
    fps: float | None
    start_s: float | None
    stop_s: float | None
    label: ManifestRow

    @property
    def part(self) -> tuple[Path, float | None, float | None]:
        return self.path, self.start_s, self.stop_s


def read_manifest(keys: ManifestKeys) -> tuple[Manifest, dict[str, Clip]]:
    """The manifest and its clips, in the order of the table.

    Raises InputError with file and line for a missing column, a path that is not there, two rows for one clip, an
    unknown split or class, a value out of range, and a group in two splits; NotFoundError where there is no table.
    """
    table = read_table(keys.manifest)
    if not len(table):
        raise InputError(f"{table.place()}: the table has no row: give one for each clip")
    columns = _columns(keys, table)
    classes, values = _with_level(keys, table, columns, keys.classes), _with_level(keys, table, columns, keys.values)
    _check_level(columns, (classes, values), table)
    rows = [_read_row(keys, table, columns, i, (classes, values)) for i in range(len(table))]
    names = _names(rows, keys.media)
    by_clip = dict(zip(names, rows, strict=True))
    manifest = Manifest(
        keys.manifest,
        keys.file,
        table.columns,
        {name: row.split for name, row in by_clip.items()},
        _groups(by_clip, has_column="group" in columns, media=keys.media),
        classes,
        values,
        {name: row.label for name, row in by_clip.items()},
        columns.get("group", "group"),
        {key: keys.columns.get(key, key) if key in LABEL_COLUMNS else key for key in ROW_COLUMNS},
    )
    _check_groups(manifest)
    return manifest, {name: _clip(name, row) for name, row in by_clip.items()}


def _columns(keys: ManifestKeys, table: TextTable) -> dict[str, str]:
    """The column of the table for each of ``COLUMNS`` that it has."""
    columns = {key: keys.columns.get(key, key) for key in COLUMNS}
    for key, name in keys.columns.items():
        if key in COLUMNS and name not in table.columns:
            raise InputError(f"{keys.place('columns', key)}: {_no_column(table, name)}")
    if columns["path"] not in table.columns:
        raise InputError(
            f"{_no_column(table, 'path')}; add the column, with the path of each clip's media file, or give the name "
            f"that it has: columns: {{path: {table.columns[0]}}} in {keys.file}"
        )
    return {key: name for key, name in columns.items() if name in table.columns}


def _no_column(table: TextTable, name: str) -> str:
    listing = f"{nearest(name, table.columns)} it has {', '.join(table.columns)}"
    return f"{table.place()}: the table has no column {name!r}{listing}"


def _with_level(
    keys: ManifestKeys, table: TextTable, columns: Mapping[str, str], declared: Declared | None
) -> Declared | None:
    """The declaration, with where its columns are: in this table, or in the files of labels."""
    if declared is None:
        return None
    here = [name for name in declared.label_columns if name in table.columns]
    if len(here) == len(declared.label_columns):
        return declared
    lacking = next(name for name in declared.label_columns if name not in table.columns)
    if here or "labels" not in columns:
        key = "classes" if isinstance(declared, ClassColumns) else "values"
        more = "" if here else "; labels of frames need a column labels with a file for each clip"
        raise InputError(f"{_no_column(table, lacking)}, but {keys.place(key)} names it: correct one of them{more}")
    return replace(declared, level="frame")


def _check_level(
    columns: Mapping[str, str], declared: tuple[ClassColumns | None, ValueColumns | None], table: TextTable
) -> None:
    """Raise InputError where clips have files of labels, but all labels are in the table itself."""
    known = [each for each in declared if each is not None]
    if "labels" in columns and known and all(each.level == "clip" for each in known):
        raise InputError(
            f"{table.place()}: the table has the labels of clips and the column {columns['labels']!r} with files of "
            "labels of frames: remove one of them"
        )


def _read_row(
    keys: ManifestKeys,
    table: TextTable,
    columns: Mapping[str, str],
    index: int,
    declared: tuple[ClassColumns | None, ValueColumns | None],
) -> _Row:
    place = table.place(index)
    given = dict.fromkeys(COLUMNS, "") | dict(zip(columns, table.cells(index, [*columns.values()]), strict=True))
    if not given["path"]:
        raise InputError(f"{place}: the path is empty: give the clip's media file, relative to {keys.media}")
    path = _find(keys.media, given["path"], f"{place}: path")
    if not path.is_dir() and not is_picture(path) and not is_media(path):
        raise InputError(f"{place}: {path} is neither a video, nor sound, nor a picture: correct the path")
    fps, start_s, stop_s = (_number(given[key], f"{place}: {columns.get(key)}") for key in ("fps", "start_s", "stop_s"))
    if fps is not None:
        check_fps(fps, f"{place}: {columns['fps']}")
    for key, time_s in (("start_s", start_s), ("stop_s", stop_s)):
        if time_s is not None and time_s > MAX_TIME_S:
            raise InputError(f"{place}: {columns[key]} is {time_s:g}, {NO_TIME}")
    if start_s is not None and start_s < 0:
        raise InputError(f"{place}: the clip starts at {start_s:g} s, expected 0 or later: correct the time")
    if stop_s is not None and not (start_s or 0) < stop_s:
        raise InputError(f"{place}: the clip stops at {stop_s:g} s and starts at {start_s or 0:g} s: correct the times")
    if (start_s, stop_s) != (None, None) and (path.is_dir() or is_picture(path)):
        raise InputError(f"{place}: {path} is no video or sound, so no part of it can be a clip: empty start and stop")
    labels = _find(keys.manifest.parent, given["labels"], f"{place}: labels") if given["labels"] else None
    if labels is not None and not labels.is_file():
        raise InputError(f"{place}: {labels} is no file: give the clip's table of labels")
    return _Row(
        place,
        path,
        given["clip"],
        _split(given["split"], place) if "split" in columns else "train",
        given["group"],
        fps,
        start_s,
        stop_s,
        ManifestRow(
            place,
            _label_cells(table, index, declared),
            labels,
            (start_s or 0.0, math.inf if stop_s is None else stop_s),
        ),
    )


def _find(folder: Path, name: str, what: str) -> Path:
    """The path that a cell names. Raises NotFoundError where nothing is there."""
    path = Path(os.path.normpath(folder / as_path(name, what)))
    if not path.exists() and "\\" in name:  # written on Windows
        path = Path(os.path.normpath(folder / name.replace("\\", "/")))
    if not path.exists():
        raise NotFoundError(
            f"{what} is {name!r}, but nothing is at {path}: correct the path, which is relative to {folder} (the "
            "key 'media' of the data set file names another folder), or remove the row"
        )
    return path


def _number(text: str, what: str) -> float | None:
    if not text:
        return None
    try:
        return parse_number(text)
    except InputError as error:
        raise InputError(f"{what}: {error}, or an empty cell") from error


def _split(word: str, place: str) -> str:
    split = SPLIT_WORDS.get(word.lower())
    if split is None:
        was = f"{word!r} is no split" if word else "the split is empty"
        raise InputError(f"{place}: {was}, expected train, validation (or val, valid, dev) or test")
    return split


def _label_cells(
    table: TextTable, index: int, declared: tuple[ClassColumns | None, ValueColumns | None]
) -> dict[str, str]:
    """The cells of the label columns, checked."""
    found: dict[str, str] = {}
    for each in declared:
        if each is not None and each.level == "clip":
            cells = table.cells(index, each.label_columns)
            try:
                parse_label(each, cells)
            except InputError as error:
                raise InputError(f"{table.place(index)}: {error}") from error
            found |= zip(each.label_columns, cells, strict=True)
    return found


def _names(rows: list[_Row], media: Path) -> list[str]:
    """The clip of each row: as the column says, else the name of the file, with the times of a part of it."""
    by_part: dict[object, _Row] = {}
    for row in rows:
        # two clips of one video may be two persons, as their names say
        other = by_part.setdefault((row.part, split_side(row.name)[1]), row)
        if other is not row:
            times = ", or give their rows different start and stop times" if not row.path.is_dir() else ""
            raise InputError(f"{row.place}: {row.path} has a row already, {other.place}: remove one of them{times}")
    given = {row.name for row in rows if row.name}
    by_stem: dict[str, list[Path]] = {}
    for path in dict.fromkeys(row.path for row in rows if not row.name):
        by_stem.setdefault(path.name if path.is_dir() else stem_of(path), []).append(path)
    stems: dict[Path, str] = {}
    taken = {*given, *by_stem}
    for stem, paths in by_stem.items():
        if len(paths) == 1:
            stems[paths[0]] = stem
        else:
            if stem not in given:
                taken.discard(stem)  # one of these files may have it
            stems |= {path: name for name, path in names_by_folder(stem, paths, media, taken).items()}
            taken |= {stem, *(stems[path] for path in paths)}
    names = [row.name or stems[row.path] + _times(row) for row in rows]
    seen: dict[str, _Row] = {}
    for name, row in zip(names, rows, strict=True):
        other = seen.setdefault(name, row)
        if other is not row:
            raise InputError(f"{row.place}: the clip {name!r} has a row already, {other.place}: name one differently")
    return names


def _times(row: _Row) -> str:
    if row.start_s is None and row.stop_s is None:
        return ""
    return f"_{row.start_s or 0:g}-" + ("end" if row.stop_s is None else f"{row.stop_s:g}")


def _groups(rows: Mapping[str, _Row], *, has_column: bool, media: Path) -> dict[str, str]:
    """The group of each clip; without a column, clips of one file are a group. Raises InputError for an empty cell."""
    if has_column:
        empty = next((row for row in rows.values() if not row.group), None)
        if empty is not None:
            raise InputError(f"{empty.place}: the group is empty: say whose clip it is (speaker, session or subject)")
        return {name: row.group for name, row in rows.items()}
    names: dict[Path, list[str]] = {}
    for name, row in rows.items():
        names.setdefault(row.path, []).append(name)
    shared = {path: clips for path, clips in names.items() if len(clips) > 1}
    return {name: os.path.relpath(path, media) for path, clips in shared.items() for name in clips}


def _check_groups(manifest: Manifest) -> None:
    """Raise InputError where a group is in two splits: a model would be scored on persons that it was trained on."""
    first: dict[str, str] = {}
    for clip_id, group in manifest.groups.items():
        other = first.setdefault(group, clip_id)
        split, others = manifest.splits[clip_id], manifest.splits[other]
        if split != others:
            raise InputError(
                f"{manifest.rows[clip_id].place}: the group {group!r} is in two splits: {clip_id!r} is in {split}, "
                f"{other!r} ({manifest.rows[other].place}) in {others}: put all clips of a group into one split"
            )


def _clip(name: str, row: _Row) -> Clip:
    problem = name_problem(name)
    media, images = (None, row.path) if row.path.is_dir() else (row.path, None)
    return Clip(
        name,
        media,
        images,
        problem=problem,
        fps=row.fps,
        start_s=row.start_s,
        stop_s=row.stop_s,
        is_series=images is not None,
    )

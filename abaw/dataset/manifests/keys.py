"""The keys of a data set file with a manifest: where the table and the media are, and what the columns mean."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from abaw.dataset.manifest import ClassColumns, ValueColumns
from abaw.dataset.media_files import Streams
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from abaw.files.yaml import Document, read_yaml
from abaw.registry import nearest

COLUMNS = ("path", "clip", "split", "group", "fps", "start_s", "stop_s", "labels")
LABEL_COLUMNS = ("frame", "time_s")  # of files of labels
KEYS = ("manifest", "media", "columns", "classes", "values", "video_stream", "audio_stream")
CLASS_KEYS, VALUE_KEYS = ("column", "names", "aliases", "columns"), ("columns", "range")
EXAMPLE = "classes: {column: emotion, names: [angry, happy, neutral]}"


@dataclass(frozen=True)
class ManifestKeys:
    """The keys of a data set file, checked. ``columns``: the names that the file gives for ``COLUMNS`` and, of
    files of labels, for ``LABEL_COLUMNS``.
    """

    file: Path
    manifest: Path
    media: Path
    document: Document
    columns: Mapping[str, str] = field(default_factory=dict)
    classes: ClassColumns | None = None
    values: ValueColumns | None = None
    streams: Streams = field(default_factory=Streams)

    def place(self, *keys: str) -> str:
        """The file and the line of a key, as errors name them."""
        return f"{self.file}:{self.document.lines.get(keys, 1)}"


def names_manifest(path: Path) -> bool:
    """Whether a data set file names a manifest. Raises InputError where it is no YAML."""
    values = read_yaml(path).values
    return isinstance(values, dict) and "manifest" in values


def read_manifest_keys(path: Path) -> ManifestKeys:
    """Read a data set file with a manifest.

    Raises InputError with file and line for an unknown key or a wrong value, NotFoundError where a file is missing.
    """
    document = read_yaml(path)
    keys = _Keys(path, document)
    values = keys.mapping(document.values, KEYS)
    manifest = _join(path.parent, keys.text(values["manifest"], "manifest"), f"{keys.at('manifest')}: manifest")
    if not manifest.is_file():
        raise NotFoundError(f"{keys.at('manifest')}: no table {manifest}: the path is relative to this file")
    media = _join(path.parent, keys.text(values.get("media", "."), "media"), f"{keys.at('media')}: media")
    if not media.is_dir():
        raise NotFoundError(f"{keys.at('media')}: no folder {media}: the path is relative to this file")
    columns = keys.mapping(values.get("columns", {}), (*COLUMNS, *LABEL_COLUMNS), "columns")
    columns = {key: keys.text(name, "columns", key) for key, name in columns.items()}
    classes = _classes(keys, values["classes"]) if "classes" in values else None
    of_values = _values(keys, values["values"]) if "values" in values else None
    streams = Streams(*(keys.stream(values.get(key), key) for key in ("video_stream", "audio_stream")))
    return ManifestKeys(path, manifest, media, document, columns, classes, of_values, streams)


def _classes(keys: "_Keys", given: Any) -> ClassColumns:
    values = keys.mapping(given, CLASS_KEYS, "classes")
    if ("column" in values) == ("columns" in values):
        raise keys.error(
            f"classes needs either column (of the class's name) or columns (a share for each class): {EXAMPLE}",
            "classes",
        )
    if "columns" in values:
        surplus = next((key for key in ("names", "aliases") if key in values), None)
        if surplus is not None:
            raise keys.error(f"{surplus} does not go with columns, which names the classes: remove it", "classes")
        if not isinstance(values["columns"], dict) or len(values["columns"]) < 2:
            raise keys.error(
                f"columns is {values['columns']!r}, expected two or more classes and their columns, such as "
                "{happy: p_happy, sad: p_sad}",
                "classes",
                "columns",
            )
        shares = keys.by_name(values["columns"], "classes", "columns")
        columns = tuple(keys.text(each, "classes", "columns", name) for name, each in shares.items())
        keys.different(columns, "classes", "columns")
        return ClassColumns(tuple(shares), columns=columns)
    names = keys.texts(values.get("names"), "classes", "names")
    if len(names) < 2:
        raise keys.error("names has one class, expected two or more", "classes", "names")
    aliases: dict[str, str] = {}
    for alias, value in keys.by_name(values.get("aliases", {}), "classes", "aliases").items():
        aliases[alias] = name = keys.text(value, "classes", "aliases", alias)
        if name not in names:
            raise keys.error(
                f"the alias {alias!r} stands for {name!r}{nearest(name, names)} classes: {', '.join(names)}",
                *("classes", "aliases", alias),
            )
        if alias in names:
            raise keys.error(f"the alias {alias!r} is the name of a class: remove it", "classes", "aliases", alias)
    return ClassColumns(names, keys.text(values["column"], "classes", "column"), aliases=aliases)


def _values(keys: "_Keys", given: Any) -> ValueColumns:
    values = keys.mapping(given, VALUE_KEYS, "values")
    columns = keys.texts(values.get("columns"), "values", "columns")
    found = values.get("range")
    if isinstance(found, dict):
        by_column = keys.by_name(found, "values", "range")
        keys.mapping(by_column, columns, "values", "range")
        lacking = next((column for column in columns if column not in by_column), None)
        if lacking is not None:
            raise keys.error(f"range has no entry for the column {lacking!r}: add one, as {lacking}: [-1, 1]", "values")
        ranges = tuple(keys.range(by_column[column], "values", "range", column) for column in columns)
    else:
        ranges = (keys.range(found, "values", "range"),) * len(columns)
    return ValueColumns(columns, ranges)


class _Keys:
    """Checks of values, with the file and the line of their keys in errors."""

    def __init__(self, path: Path, document: Document) -> None:
        self._path, self._document = path, document

    def at(self, *keys: str) -> str:
        while keys not in self._document.lines and keys:
            keys = keys[:-1]
        return f"{self._path}:{self._document.lines.get(keys, 1)}"

    def error(self, text: str, *keys: str) -> InputError:
        return InputError(f"{self.at(*keys)}: {text}")

    def by_name(self, value: Any, *keys: str) -> dict[str, Any]:
        """A mapping whose keys are names, as they are written: 01 is no number there."""
        num = len(keys)
        names = [each[num] for each in self._document.lines if len(each) == num + 1 and each[:num] == keys]
        found = self.mapping(value, None, *keys)
        if "<<" in names:  # another mapping is merged into this one
            names = [*map(str, found)]
        return dict(zip(names, found.values(), strict=True))

    def mapping(self, value: Any, known: tuple[str, ...] | None, *keys: str) -> dict[str, Any]:
        name = keys[-1] if keys else "a data set file"
        if not isinstance(value, dict):
            raise self.error(f"{name} is {value!r}, expected keys and values", *keys)
        for key in value:
            if known is not None and key not in known:
                listing = f"{nearest(str(key), known)} known: {', '.join(known)}"
                raise self.error(f"unknown key {key!r}{listing}", *keys, str(key))
        return value

    def text(self, value: Any, *keys: str) -> str:
        if not _is_text(value):
            raise self.error(f"{keys[-1]} is {value!r}, expected text", *keys)
        return self._as_written(value, *keys)

    def _as_written(self, value: str | int, *keys: str) -> str:
        """A name; the integer 01 is the text 01."""
        return value if isinstance(value, str) else self._document.written.get(keys, str(value))  # else: merged

    def texts(self, value: Any, *keys: str) -> tuple[str, ...]:
        if not isinstance(value, list) or not value:
            raise self.error(f"{keys[-1]} is {value!r}, expected a list of names", *keys)
        if others := [each for each in value if not _is_text(each)]:
            raise self.error(f"{keys[-1]} contains {others[0]!r}, which is no text: put it in quotes", *keys)
        names = tuple(self._as_written(each, *keys, str(i)) for i, each in enumerate(value))
        self.different(names, *keys)
        return names

    def different(self, names: tuple[str, ...], *keys: str) -> None:
        for i, name in enumerate(names):
            if name in names[:i]:
                raise self.error(f"{keys[-1]} has {name!r} twice: remove one", *keys)

    def range(self, value: Any, *keys: str) -> tuple[float, float]:
        is_pair = isinstance(value, list) and len(value) == 2
        if not is_pair or not all(isinstance(each, int | float) and not isinstance(each, bool) for each in value):
            raise self.error(f"range is {value!r}, expected the lowest and the highest value, such as [-1, 1]", *keys)
        low, high = value  # an integer may be too large for a float
        if not -1e30 < low < high < 1e30:
            raise self.error(f"range is {value!r}, expected the lowest value first and both finite", *keys)
        return float(low), float(high)

    def stream(self, value: Any, key: str) -> int | None:
        if value is None or (isinstance(value, int) and not isinstance(value, bool) and value >= 0):
            return value
        raise self.error(f"{key} is {value!r}, expected 0 for the first of its kind in a file, 1 for the second", key)


def _is_text(value: Any) -> bool:
    return isinstance(value, str | int) and not isinstance(value, bool) and bool(str(value).strip())


def _join(folder: Path, name: str, what: str) -> Path:
    """The path without ``..``, so that paths can be compared; ``what`` names it in errors."""
    return Path(os.path.normpath(folder / as_path(name, what)))

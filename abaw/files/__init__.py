"""Files that are complete or absent, whatever stops the process that writes them; reading JSON; hashes."""

import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, overload

from abaw.errors import InputError
from abaw.files.locks import locked
from abaw.files.temporary import atomic_write, remove_stale_files

__all__ = [
    "as_list",
    "as_path",
    "as_paths",
    "atomic_write",
    "locked",
    "parse_json",
    "read_json",
    "remove_stale_files",
    "sha256",
    "visible",
    "write_json",
]


MAX_NAME_BYTES = 255  # of one part of a path, on every usual file system


@overload
def as_path(given: str | Path, what: str) -> Path: ...
@overload
def as_path(given: str | Path | None, what: str, *, optional: bool) -> Path | None: ...
def as_path(given: str | Path | None, what: str, *, optional: bool = False) -> Path | None:
    """A path given by a caller. ``what`` names the argument in the message; ``optional``: None is None.

    ``~`` is the home folder. Raises InputError for other types, for an empty text, which pathlib would take for the
    current folder, for the home folder of a user that does not exist, and for names that no file can have.

    >>> as_path("", "store")
    Traceback (most recent call last):
    abaw.errors.InputError: store is '', expected a path as text or pathlib.Path
    """
    if given is None and optional:
        return None
    if not isinstance(given, str | Path) or not str(given) or "\0" in str(given):
        raise InputError(f"{what} is {given!r}, expected a path as text or pathlib.Path")
    try:
        path = Path(given).expanduser()
    except RuntimeError as error:
        raise InputError(f"{what} is {str(given)!r}: {error} (write ./~ for a file of that name)") from error
    try:
        longest = max(path.parts, key=lambda part: len(os.fsencode(part)), default="")
    except UnicodeEncodeError as error:
        raise InputError(f"{what} is {str(given)!r}: no name of a file can have such characters") from error
    if len(os.fsencode(longest)) > MAX_NAME_BYTES:
        raise InputError(f"{what} has the name {longest[:40]!r}...: file name too long: choose a shorter name")
    return path


def as_paths(given: str | Path | Iterable[str | Path], what: str) -> list[Path]:
    """One path, or several. Raises InputError as ``as_path`` does."""
    return [as_path(each, what) for each in as_list(given, what, "a path or a list of paths")]


def as_list(given: Any, what: str, expected: str) -> list[Any]:
    """The items of a list; a single text or path is a list of one. Raises InputError where it is no list."""
    if isinstance(given, str | Path):
        return [given]
    if isinstance(given, bytes) or not isinstance(given, Iterable):
        raise InputError(f"{what} is {given!r}, expected {expected}")
    return list(given)


def write_json(path: Path, document: Any) -> None:
    """Write a document as indented JSON; the file is complete or absent."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The document in a JSON file. Raises InputError with the file's name where it is not JSON."""
    return parse_json(path.read_bytes(), path)


def parse_json(content: bytes, path: Path) -> Any:
    """The document in the content of a JSON file. Raises InputError with the file's name where it is not JSON."""
    try:
        return json.loads(content.decode("utf-8-sig"))
    except ValueError as error:  # of the text, its encoding, or a number of thousands of digits
        raise InputError(f"{path}: not readable as JSON: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path}: not readable as JSON: nested too deeply") from error


def check_once(values: Sequence[Any], what: str) -> None:
    """Raise InputError where a value is given twice, paths also in two ways; ``what`` ("run") names it."""
    known = [value.resolve() if isinstance(value, Path) else value for value in values]
    for i, value in enumerate(known):
        if value in known[:i]:
            raise InputError(f"the {what} {values[i]} is given twice: remove one, as each counts once")


def visible(folder: Path, pattern: str) -> list[Path]:
    """Sorted paths in a folder that match a pattern, without hidden ones such as temporary files."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

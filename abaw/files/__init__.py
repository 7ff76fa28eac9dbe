"""Files that are complete or absent, whatever stops the process that writes them; reading JSON; locks and hashes."""

import errno
import hashlib
import json
import logging
import os
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, overload

from filelock import FileLock, Timeout

from abaw.errors import InputError

LOG = logging.getLogger("abaw")
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # how file systems without locks answer


@overload
def as_path(given: str | Path, what: str) -> Path: ...
@overload
def as_path(given: str | Path | None, what: str, *, optional: bool) -> Path | None: ...
def as_path(given: str | Path | None, what: str, *, optional: bool = False) -> Path | None:
    """A path given by a caller. ``what`` names the argument in the message; ``optional``: None is None.

    Raises InputError for other types and for an empty text, which pathlib would take for the current folder.

    >>> as_path("", "store")
    Traceback (most recent call last):
    abaw.errors.InputError: store is '', expected a path as text or pathlib.Path
    """
    if given is None and optional:
        return None
    if not isinstance(given, str | Path) or not str(given) or "\0" in str(given):
        raise InputError(f"{what} is {given!r}, expected a path as text or pathlib.Path")
    return Path(given)


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


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to, renamed to ``path`` when the block ends without an error.

    The folder is made where it is missing. The content is synced to the disk before the renaming; after an error the
    temporary file is removed and ``path`` is as it was. Raises IsADirectoryError where ``path`` is a folder.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{_prefix()}{os.getpid()}-{path.name}")  # same suffix: some writers need it
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_stale_files(folder: Path) -> None:
    """Remove the temporary files in a folder whose process ran on this host and has ended."""
    for path in folder.glob(f"{_prefix()}*"):
        pid = writer_pid(path)
        if pid is not None and not is_running(pid):
            path.unlink(missing_ok=True)


def writer_pid(path: Path) -> int | None:
    """The process of this host that made a temporary file; None for every other file."""
    if not path.name.startswith(_prefix()):
        return None
    pid, _, name = path.name.removeprefix(_prefix()).partition("-")
    return int(pid) if name and pid.isascii() and pid.isdecimal() else None


def _prefix() -> str:
    """How the names of this host's temporary files begin: hidden, and different on every host."""
    return f".{socket.gethostname()}-"


def is_running(pid: int) -> bool:
    """Whether a process of this host is running."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's process
        return True
    return True


def write_json(path: Path, document: Any) -> None:
    """Write a document as indented JSON; the file is complete or absent."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The document in a JSON file. Raises InputError with the file's name where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"))
    except ValueError as error:  # of the text, its encoding, or a number of thousands of digits
        raise InputError(f"{path}: not readable as JSON: {error}") from error
    except RecursionError as error:
        raise InputError(f"{path}: not readable as JSON: nested too deeply") from error


def visible(folder: Path, pattern: str) -> list[Path]:
    """Sorted paths in a folder that match a pattern, without hidden ones such as temporary files."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def sha256(path: Path) -> str:
    """The SHA-256 of a file's content in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def folder_lock(folder: Path, what: str, *, beside: bool = False) -> Iterator[None]:
    """Hold a folder for this process. The lock ends with the process. Its file lies in the folder, which is made where
    it is missing, or, hidden, ``beside`` it.

    Raises InputError where another process holds it. ``what`` names the work for that message, as "a search". On a file
    system without locks there is a warning instead.
    """
    path = folder.with_name(f".{folder.name}.lock") if beside else folder / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, blocking=False)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"{what} is running in {folder}: wait until it has finished, or give another name=..."
        ) from error
    except (NotImplementedError, OSError) as error:
        if getattr(error, "errno", errno.ENOSYS) not in NO_LOCKS:
            raise
        LOG.warning("%s is on a file system without locks: do not start two runs in it at once", folder)
    try:
        yield
    finally:
        lock.release()

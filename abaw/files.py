"""Writing so that a file is whole or absent, whatever stops the process."""

import hashlib
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from abaw.errors import InputError


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """A path beside ``path`` to write to; if the block ends well it is synced and takes the name, else it goes."""
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    # the suffix stays: some writers choose the format by it
    temporary = path.with_name(f".{socket.gethostname()}-{os.getpid()}-{path.name}")
    try:
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what processes of this host that are gone left aside in a folder."""
    mine = f".{socket.gethostname()}-"
    for path in folder.glob(f"{mine}*"):
        pid, _, name = path.name.removeprefix(mine).partition("-")
        if name and pid.isdigit() and not is_running(int(pid)):
            path.unlink(missing_ok=True)


def is_running(pid: int) -> bool:
    """Whether a process of this host lives."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        return True
    return True


def write_json(path: Path, document: Any) -> None:
    """A JSON document, indented, whole or absent."""
    with atomic_write(path) as temporary:
        temporary.write_text(json.dumps(document, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def read_json(path: Path) -> Any:
    """The document; ValueError with the file's name where it is not JSON."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not readable as JSON: {error}") from error


def visible(folder: Path, pattern: str) -> list[Path]:
    """Files of a folder, sorted, without hidden ones: those a stopped process left aside, or another system's."""
    return sorted(path for path in folder.glob(pattern) if not path.name.startswith("."))


def sha256(path: Path) -> str:
    """The file's hash in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def folder_lock(folder: Path, what: str) -> Iterator[None]:
    """Hold a folder, made where it is missing, for this process. The lock goes with the process, however it ends.

    Raises InputError where another process holds it; ``what`` says in words what it is doing ("a search").
    """
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / "lock", blocking=False)
    try:
        with lock:
            yield
    except Timeout as error:
        raise InputError(
            f"{what} is running in {folder}: wait until it has finished, or give another name=..."
        ) from error

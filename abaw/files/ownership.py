"""Folders that this project writes: one process at a time, and nothing is overwritten that was there before.

FOLDER/.abaw.json   the owner file: what the folder is for, and which process wrote it last
FOLDER/.abaw.lock   locked while a process writes; it stays only after a process was killed
"""

import errno
import logging
import os
import shlex
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from abaw.errors import InputError
from abaw.files import read_json, visible, write_json
from abaw.files.locks import NO_LOCKS
from abaw.files.names import first_few
from abaw.files.temporary import BOOT_ID

LOG = logging.getLogger("abaw")
OWNER, LOCK = ".abaw.json", ".abaw.lock"
BEAT_S, OBSERVE_S = 5.0, 20.0
Owner = dict[str, Any]


@contextmanager
def own_folder(
    folder: Path, purpose: str, work: str, find_foreign: Callable[[Owner], Sequence[str]], advice: str
) -> Iterator[None]:
    """Hold a folder for this process, and record in its owner file who writes it. The lock ends with the process.

    The folder is made where it is missing. A folder that this call made, or took over, and in which nothing visible was
    written is left as it was before. ``purpose`` ("run", "predictions") stands in the owner file. ``find_foreign``
    returns the names of files in the way that are not ours; it is given the owner file's content, {} where there is
    none of this purpose. ``work`` ("a training") and ``advice`` ("give another name=...") are for the messages.

    Raises InputError, before anything is written, where another process holds the folder or files are in the way.
    """

    def check() -> None:
        if (other := _holder(folder).get("purpose", purpose)) != purpose:
            raise InputError(f"{folder} is for another purpose ({other}, as its {OWNER} says): {advice}")
        if foreign := sorted(find_foreign(read_owner(folder, purpose))):
            raise InputError(
                f"{folder} holds {first_few(foreign, 3)}, not written by {work}: {advice}, or move them away"
            )

    check()
    with folder_lock(folder, work, advice):
        check()  # another process may have written meanwhile
        is_new = not read_owner(folder, purpose)
        try:
            record_owner(folder, purpose, work=work, **_this_process())
            yield
        finally:
            if is_new and not visible(folder, "*"):
                (folder / OWNER).unlink(missing_ok=True)


def read_owner(folder: Path, purpose: str) -> Owner:
    """The content of a folder's owner file; {} where there is none, or none of this purpose."""
    path = folder / OWNER
    if path.is_symlink() or not path.is_file():
        return {}
    try:
        owner = read_json(path)
    except InputError:  # damaged: it proves nothing
        return {}
    return owner if isinstance(owner, dict) and owner.get("purpose") == purpose else {}


def record_owner(folder: Path, purpose: str, **facts: Any) -> None:
    """Add facts to a folder's owner file."""
    write_json(folder / OWNER, {"purpose": purpose, **read_owner(folder, purpose), **facts})


@contextmanager
def folder_lock(folder: Path, work: str, advice: str = "give another name=...") -> Iterator[None]:
    """Hold a folder for this process. The lock ends with the process. A folder that was made for it is removed again
    where it stays empty.

    Raises InputError at once where another process holds it, and says which; ``work``, as "a search", and ``advice``
    are for that message. A lock may not reach other hosts: one that a process of another host has left is observed for
    ``OBSERVE_S`` seconds, in which a running process touches it. On a file system without locks there is a warning.
    """
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder} is a file, expected a folder for {work}: {advice}")
    path, made = folder / LOCK, [each for each in (folder, *folder.parents) if not each.exists()]
    try:
        lock, was_left = _acquire(path, work, advice)
        try:
            holder = _holder(folder)
            if was_left and holder.get("machine") not in (None, machine()):
                _check_has_ended(path, holder, work, advice)
            with _beating(path):
                yield
        finally:
            path.unlink(missing_ok=True)  # while it is locked: a process that waits for this file sees that it is gone
            lock.release()
    finally:
        for each in made:
            with suppress(OSError):  # not empty
                each.rmdir()


def machine() -> str:
    """What names this machine since it was started; containers on one kernel, which share its locks, share the name."""
    with suppress(OSError):
        return BOOT_ID.read_text(encoding="ascii").strip()
    return socket.gethostname()


def _acquire(path: Path, work: str, advice: str) -> tuple[FileLock, bool]:
    """The lock, and whether its file was there before."""
    for attempt in range(10):
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink():  # it could lead to another user's file
            raise InputError(f"{path} is a link, expected a lock file: remove it")
        was_left = path.exists()
        lock = FileLock(path, blocking=False)
        try:
            lock.acquire()
        except Timeout as error:
            raise InputError(_is_held(path.parent, work, advice)) from error
        except FileNotFoundError:  # a process that ended has just removed the folder
            if attempt == 9:
                raise
            continue
        except (NotImplementedError, OSError) as error:
            if getattr(error, "errno", errno.ENOSYS) not in NO_LOCKS:
                if not was_left:
                    path.unlink(missing_ok=True)
                raise
            LOG.warning("%s is on a file system without locks: do not start two runs in it at once", path.parent)
        break
    return lock, was_left


def _check_has_ended(path: Path, holder: Owner, work: str, advice: str) -> None:
    """Raises InputError where a process of another host touches the lock file."""
    before = path.stat().st_mtime_ns
    LOG.info(
        "%s was being written on host %s: waiting %g s for a sign of it", path.parent, holder.get("host"), OBSERVE_S
    )
    end = time.monotonic() + OBSERVE_S
    while time.monotonic() < end:
        time.sleep(min(1.0, OBSERVE_S / 10))
        with path.open("rb") as file:  # opened: network file systems then ask the server
            if os.fstat(file.fileno()).st_mtime_ns != before:
                raise InputError(_is_held(path.parent, work, advice))


@contextmanager
def _beating(path: Path) -> Iterator[None]:
    """Touch the lock file every ``BEAT_S`` seconds, for processes of hosts that the lock does not reach."""
    ended = threading.Event()

    def beat() -> None:
        while not ended.wait(BEAT_S):
            with suppress(OSError):
                os.utime(path)

    thread = threading.Thread(target=beat, daemon=True, name="folder lock")
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def _is_held(folder: Path, work: str, advice: str) -> str:
    who = _holder(folder)
    about = [str(who.get(key)) for key in ("pid", "host", "started", "command")]
    by = " (process {} on host {} since {}: {})".format(*about) if "pid" in who else ""
    return f"{who.get('work', work)} is running in {folder}{by}: wait until it has finished, or {advice}"


def _holder(folder: Path) -> Owner:
    """The owner file, whatever its purpose."""
    with suppress(InputError, OSError):
        owner = read_json(folder / OWNER)
        return owner if isinstance(owner, dict) else {}
    return {}


def _this_process() -> Owner:
    program = Path(sys.argv[0]).name
    return {
        "command": shlex.join(["abaw" if program == "__main__.py" else program, *sys.argv[1:]])[:1000],
        "host": socket.gethostname(),
        "machine": machine(),
        "pid": os.getpid(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }

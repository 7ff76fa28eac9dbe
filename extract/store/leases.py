"""Leases on clips: which process works on which clip, so that processes that share a store do no clip twice.

A lease is a file that its holder keeps locked. The operating system releases the lock when the process ends, however it
ends, so a lease of this host that can be locked has no holder. Locks may not reach other hosts: a lease of another host
counts until its file has not been touched for ``EXPIRY_S``.
"""

import fcntl
import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

EXPIRY_S = 600.0
RENEWAL_S = EXPIRY_S / 10


class Leases:
    """The leases that this process holds on the clips of a store; used in a ``with``, safe for several threads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}  # clip -> file descriptor
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> "Leases":
        self._folder.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._renew, daemon=True, name="leases").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for clip_id in list(self._held):
            self.release(clip_id)
        with suppress(OSError):  # not empty: other processes hold leases
            self._folder.rmdir()

    def acquire(self, clip_id: str) -> bool:
        """Take the lease on a clip; False where another process, or this one already, holds it.

        Raises OSError where the file system has no locks.
        """
        path = self._folder / clip_id
        with self._lock:
            if clip_id in self._held:
                return False
            file = _open_locked(path)
            if file is None:
                return False
            try:
                if _is_held_elsewhere(file):
                    os.close(file)
                    return False
                os.truncate(file, 0)
                os.pwrite(file, json.dumps({"host": socket.gethostname(), "pid": os.getpid()}).encode(), 0)
                os.fsync(file)  # other hosts read it before they take the lease
            except OSError:
                os.close(file)
                raise
            self._held[clip_id] = file
            return True

    def release(self, clip_id: str) -> None:
        """End this process's lease on a clip."""
        with self._lock:
            (self._folder / clip_id).unlink(missing_ok=True)  # while the lock is held: it can only be our own file
            os.close(self._held.pop(clip_id))

    def remove_stale(self) -> None:
        """Remove the leases that no process holds."""
        try:
            clip_ids = sorted(os.listdir(self._folder))
        except FileNotFoundError:  # the last other process has just removed the folder
            return
        for clip_id in clip_ids:
            if self.acquire(clip_id):
                self.release(clip_id)

    def _renew(self) -> None:
        """Touch the files of the leases held, so that they do not expire for other hosts."""
        while not self._ended.wait(RENEWAL_S):
            with self._lock:
                for file in self._held.values():
                    os.utime(file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting while another process of this host holds it; it is removed at the end."""
    while (file := _open_locked(path, wait=True)) is None:
        time.sleep(0.01)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _open_locked(path: Path, wait: bool = False) -> int | None:
    """The descriptor of the file, opened and locked; None where another process holds it or has just removed it.

    Raises OSError where the file system has no locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:  # a process that ended has just removed the folder
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.stat(path).st_ino == os.fstat(file).st_ino:  # otherwise its holder has just removed this file
            return file
    except (BlockingIOError, FileNotFoundError):
        os.close(file)
        return None
    except OSError as error:
        os.close(file)
        raise OSError(error.errno, f"{path.parent} is on a file system without locks: use --shard I/N") from error
    os.close(file)
    return None


def _is_held_elsewhere(file: int) -> bool:
    """Whether a lease is held by a process of another host and has not expired."""
    try:
        host = json.loads(os.pread(file, 4096, 0))["host"]
    except (ValueError, KeyError):  # a new file, or its process was stopped while writing
        return False
    return host != socket.gethostname() and time.time() - os.fstat(file).st_mtime < EXPIRY_S

"""Who works on which clip, when several processes share a store: no clip is done twice, none waits for the dead.

A claim is a file that its holder keeps locked. The system lets a lock go when its process ends, however it ends, so a
claim of this host that can be locked is nobody's. Locks do not reach every other host: there a claim counts until its
holder has not touched it for ``EXPIRY_S``.
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
BEAT_S = EXPIRY_S / 10


class Leases:
    """The claims of one process on the clips of a store; usable from several threads. Used in a ``with``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._held: dict[str, int] = {}
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> "Leases":
        self._folder.mkdir(parents=True, exist_ok=True)
        threading.Thread(target=self._beat, daemon=True, name="claims").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for clip_id in list(self._held):
            self.release(clip_id)
        with suppress(OSError):  # others may have theirs there
            self._folder.rmdir()

    def take(self, clip_id: str) -> bool:
        """Whether the clip is this process's now: False where another holds it, or this one already."""
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
                os.fsync(file)  # other hosts read it before they take it
            except OSError:
                os.close(file)
                raise
            self._held[clip_id] = file
            return True

    def release(self, clip_id: str) -> None:
        """Give a clip back."""
        with self._lock:
            (self._folder / clip_id).unlink(missing_ok=True)  # while the lock is held: nobody's claim but ours
            os.close(self._held.pop(clip_id))

    def sweep(self) -> None:
        """Remove the claims that nobody holds."""
        try:
            clip_ids = sorted(os.listdir(self._folder))
        except FileNotFoundError:  # another process, the last of its kind, has just removed the folder
            return
        for clip_id in clip_ids:
            if self.take(clip_id):
                self.release(clip_id)

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_S):
            with self._lock:
                for file in self._held.values():
                    os.utime(file)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Alone, among the processes of this host, for a moment."""
    while (file := _open_locked(path, wait=True)) is None:
        time.sleep(0.01)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(file)


def _open_locked(path: Path, wait: bool = False) -> int | None:
    """The file, opened and locked; None where another has it or just removed it. OSError where locks are unknown."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except FileNotFoundError:  # a process that ended has just removed the folder
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        if os.stat(path).st_ino == os.fstat(file).st_ino:  # else it is a file whose holder has just removed it
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
    """Whether a claim is of another host and was touched of late."""
    try:
        host = json.loads(os.pread(file, 4096, 0))["host"]
    except (ValueError, KeyError):  # new, or its writer was stopped while writing
        return False
    return host != socket.gethostname() and time.time() - os.fstat(file).st_mtime < EXPIRY_S

"""Leases on clips: which process works on which clip, so that processes that share a store do no clip twice.

A lease is a file that its holder makes anew and keeps locked. The operating system releases the lock when the process
ends, however it ends, so a lease made on this machine that can be locked has no holder. Locks may not reach other
machines: their holders write a new number every ``RENEWAL_S``, and whoever sees a lease of another machine unchanged
for ``EXPIRY_S``, by its own clock, takes it. What the lease's file says about the time does not count.
"""

import errno
import json
import os
import socket
import threading
import time
from contextlib import suppress
from pathlib import Path

from abaw.errors import InputError
from abaw.files.locks import NO_LOCKS, create_locked, is_same_file, open_locked
from abaw.files.temporary import boot

READ_ONLY = (errno.EROFS, errno.EACCES, errno.EPERM)
EXPIRY_S = 90.0
RENEWAL_S = EXPIRY_S / 6


class Leases:
    """The leases that this process holds on the clips of a store; used in a ``with``, safe for several threads.

    ``is_read_only``: the store can only be read. Then every clip can be had, to look whether it lacks anything.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.is_read_only = False
        self._held: dict[str, int | None] = {}  # clip -> file descriptor
        self._seen: dict[str, tuple[bytes, float]] = {}  # of other machines: clip -> content, since when unchanged
        self._lock = threading.Lock()
        self._ended = threading.Event()

    def __enter__(self) -> "Leases":
        try:
            self._make_folder()
        except OSError as error:
            if error.errno not in READ_ONLY or not self._folder.parent.is_dir():
                raise
            self.is_read_only = True
            return self
        threading.Thread(target=self._renew, daemon=True, name="leases").start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for clip_id in list(self._held):
            self.release(clip_id)
        with suppress(OSError):  # not empty: other processes hold leases; or a store that can only be read
            self._folder.rmdir()

    def acquire(self, clip_id: str) -> bool:
        """Take the lease on a clip; False where another process, or this one already, holds it.

        Raises OSError where the file system has no locks; InputError where the folder of leases is a link.
        """
        with self._lock:
            if clip_id in self._held:
                return False
            file = None if self.is_read_only else self._take(self._folder / clip_id)
            if file is None and not self.is_read_only:
                return False
            self._held[clip_id] = file
            self._seen.pop(clip_id, None)
            return True

    def release(self, clip_id: str) -> None:
        """End this process's lease on a clip."""
        with self._lock:
            file = self._held.pop(clip_id)
            if file is None:
                return
            if is_same_file(self._folder / clip_id, file):  # else taken from this process while it was suspended
                (self._folder / clip_id).unlink(missing_ok=True)
            os.close(file)

    def remove_stale(self) -> None:
        """Remove the leases that no process holds."""
        try:
            clip_ids = [] if self.is_read_only else sorted(os.listdir(self._folder))
        except FileNotFoundError:  # the last other process has just removed the folder
            return
        for clip_id in clip_ids:
            if self.acquire(clip_id):
                self.release(clip_id)

    def _make_folder(self) -> None:
        if self._folder.is_symlink():
            raise InputError(f"{self._folder} is a link, expected a folder of this store: remove it")
        self._folder.mkdir(parents=True, exist_ok=True)

    def _take(self, path: Path) -> int | None:
        """The descriptor of a lease made anew, in the place of one that has no holder; None where it has one."""
        self._make_folder()  # a process that ended may have removed it
        try:
            file = create_locked(path)
            if file is None and (old := open_locked(path)) is not None:
                try:
                    if not self._is_held_elsewhere(path.name, old):
                        path.unlink(missing_ok=True)
                        file = create_locked(path)
                finally:
                    os.close(old)
            if file is not None:
                _write(file, 0)
                os.fsync(file)  # other machines read it before they take the lease
        except FileNotFoundError:  # the folder was removed again
            return None
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            raise OSError(error.errno, f"{path.parent} is on a file system without locks: use --shard I/N") from error
        return file

    def _is_held_elsewhere(self, clip_id: str, file: int) -> bool:
        """Whether a lease that could be locked is held by a process of another machine, which renews it."""
        content = os.pread(file, 4096, 0)
        try:
            holder = json.loads(content)
            is_here = holder["boot"] == boot() if "boot" in holder else holder["host"] == socket.gethostname()
        except (ValueError, KeyError, TypeError):  # its process was stopped while writing
            return False
        if is_here:
            return False
        content += str(os.fstat(file).st_mtime_ns).encode()  # a change of it is a sign of life, whatever it says
        now_s = time.monotonic()
        before, since_s = self._seen.get(clip_id, (b"", now_s))
        if before != content:
            self._seen[clip_id] = content, now_s
            return True
        return now_s - since_s < EXPIRY_S

    def _renew(self) -> None:
        """Write a new number to the leases held, so that other machines see that this process lives."""
        number = 0
        while not self._ended.wait(RENEWAL_S):
            number += 1
            with self._lock:
                for file in self._held.values():
                    if file is not None:
                        _write(file, number)


def _write(file: int, number: int) -> None:
    """Write who holds a lease; every number has as many digits, so that no reader meets half of a longer text."""
    holder = {"host": socket.gethostname(), "boot": boot(), "pid": os.getpid(), "renewed": f"{number:012d}"}
    os.pwrite(file, json.dumps(holder).encode(), 0)

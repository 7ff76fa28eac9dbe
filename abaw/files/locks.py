"""Lock files: opened without following links, held with flock, and ended by the operating system with their process."""

import errno
import fcntl
import logging
import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

LOG = logging.getLogger("abaw")
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)  # how file systems without locks answer
# O_NONBLOCK: opening a FIFO that was planted must not wait for ever
FLAGS = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


def create_locked(path: Path, *, must_lock: bool = True) -> int | None:
    """The descriptor of a new file, locked; None where there is something of this name, or it was just removed.

    Raises OSError on a file system without locks, unless ``must_lock`` is False: then the file is made without.
    """
    try:
        file = os.open(path, FLAGS | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return None
    try:
        fcntl.flock(file, fcntl.LOCK_EX)  # a sweep may hold it for a moment
    except OSError as error:
        if must_lock or error.errno not in NO_LOCKS:
            path.unlink(missing_ok=True)
            os.close(file)
            raise
    if is_same_file(path, file):
        return file
    os.close(file)  # a sweep took it for that of an ended process before it was locked
    return None


def open_locked(path: Path, *, wait: bool = False) -> int | None:
    """The descriptor of an existing file, locked; None where another process holds it or it was just removed.

    What is no regular file with this single name (a link, a FIFO) was planted: it is removed, unread, and the answer is
    None. Raises OSError where the file system has no locks.
    """
    try:
        file = os.open(path, FLAGS)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO):
            raise
        path.unlink(missing_ok=True)
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
            path.unlink(missing_ok=True)
        else:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            if is_same_file(path, file):  # otherwise its holder has just removed this file
                return file
    except BlockingIOError:
        pass  # another process holds it: closed below, as what is no lock file of ours
    except OSError:
        os.close(file)
        raise
    os.close(file)
    return None


def is_same_file(path: Path, file: int) -> bool:
    """Whether ``path`` still names the open file."""
    try:
        found = os.stat(path, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(file))


@contextmanager
def locked(path: Path, waiting: str = "") -> Iterator[None]:
    """Hold the lock file ``path``; it is removed at the end.

    While another process holds it, wait; ``waiting`` is logged then. Raises OSError where the file system has no locks
    and there is such a file.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    while (file := create_locked(path, must_lock=False)) is None:
        try:
            if (file := open_locked(path)) is not None:
                break
            if waiting:
                LOG.info("%s", waiting)
                waiting = ""
            if (file := open_locked(path, wait=True)) is not None:
                break
        except OSError as error:
            if error.errno in NO_LOCKS:
                advice = "on a file system without locks: if no other abaw runs, remove it"
                raise OSError(error.errno, f"{path} was left by another process {advice}") from error
            raise
        time.sleep(0.01)
    try:
        yield
    finally:
        if is_same_file(path, file):
            path.unlink(missing_ok=True)
        os.close(file)

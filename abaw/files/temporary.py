"""Files that are complete or absent, whatever stops the process that writes them, and the removal of what it left.

A temporary file has a name that nobody can guess, is created anew and never through a link, and is locked as long as
its process lives. So a file that can be locked has no writer, whichever host name or process numbers its writer saw.
"""

import os
import re
import secrets
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from abaw.files.locks import create_locked, open_locked

TEMPORARY = re.compile(r"\.abaw-(?P<boot>[0-9a-f]{8})-[0-9a-f]{16}-.+", re.DOTALL)
MOUNTS = Path("/proc/self/mountinfo")
BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
# file systems that one machine uses at a time
LOCAL_TYPES = frozenset({"bcachefs", "btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})


@contextmanager
def atomic_write(path: Path, *, sync: bool = True) -> Iterator[Path]:
    """A temporary file beside ``path`` to write to, renamed to ``path`` when the block ends without an error.

    The folder is made where it is missing, and temporary files that ended processes left in it are removed. The content
    is synced to the disk before the renaming, unless ``sync`` is False; after an error the temporary file is removed
    and ``path`` is as it was. A link at ``path`` is replaced, not followed. Raises IsADirectoryError where ``path`` is
    a folder; OSError where something else was put in the place of the temporary file.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder: give the name of a file to write")
    path.parent.mkdir(parents=True, exist_ok=True)
    remove_stale_files(path.parent)
    temporary = temporary_path(path)
    while (lock := create_locked(temporary, must_lock=False)) is None:
        temporary = temporary_path(path)
    try:
        with _naming(path):
            yield temporary
        written = os.open(temporary, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            _check_own(temporary, written, lock)
            if sync:
                os.fsync(written)
        finally:
            os.close(written)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
        os.close(lock)


@contextmanager
def _naming(path: Path) -> Iterator[None]:
    """An error of the system that names no file, such as that of a full disk, names ``path``."""
    try:
        yield
    except OSError as error:
        if error.errno is not None and error.filename is None:
            error.filename = str(path)
        raise


def _check_own(path: Path, written: int, lock: int) -> None:
    """Raises OSError where what was written is no file of this process; some writers replace a file by a new one."""
    status = os.fstat(written)
    if not stat.S_ISREG(status.st_mode) or status.st_nlink != 1 or status.st_uid != os.fstat(lock).st_uid:
        raise OSError(f"{path} was replaced by another program while it was written: check who can write to its folder")


def temporary_path(path: Path) -> Path:
    """A hidden name beside ``path``, with the same suffix because some writers need it; another one at every call."""
    return path.with_name(f".abaw-{boot()}-{secrets.token_hex(8)}-{path.name}")


def remove_stale_files(folder: Path) -> None:
    """Remove the temporary files in a folder whose processes have ended, on whatever host or in whatever container.

    Files that may still be written stay, and so does everything in a folder that can only be read.
    """
    with suppress(FileNotFoundError, NotADirectoryError):
        for name in os.listdir(folder):
            if name.startswith(".abaw-") and is_stale(folder / name):
                with suppress(OSError):  # a folder of another user, or on a disk that can only be read
                    (folder / name).unlink()


def is_stale(path: Path) -> bool:
    """Whether a file is a temporary one whose process has certainly ended.

    Locks of a local file system answer that; those of a network's may not reach other machines, so there a file of
    another machine, or of this one before it was started anew, counts as being written.
    """
    match = TEMPORARY.fullmatch(path.name)
    return match is not None and (match["boot"] == boot() or _is_local(path.parent)) and not is_locked(path)


def is_locked(path: Path) -> bool:
    """Whether a file is locked by a process, or it cannot be found out."""
    try:
        file = open_locked(path)
    except OSError:  # no locks here, or another user's file
        return True
    if file is None:
        return True
    os.close(file)
    return False


def boot() -> str:
    """Eight digits for this start of this machine, the same in all its containers."""
    try:
        return BOOT_ID.read_text()[:8]
    except OSError:
        return "0" * 8


def _is_local(folder: Path) -> bool:
    """Whether a folder is on a file system that one machine uses at a time, as far as that is known."""
    try:
        device = os.stat(folder).st_dev
        mounts = MOUNTS.read_text().splitlines()
    except OSError:
        return False
    wanted = f"{os.major(device)}:{os.minor(device)}"
    types = {line.partition(" - ")[2].split(" ")[0] for line in mounts if line.split(" ")[2] == wanted}
    return bool(types) and types <= LOCAL_TYPES

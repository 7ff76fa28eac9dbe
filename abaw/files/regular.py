"""Files that are no files: folders, named pipes, devices and sockets, which would block or fail when they are read."""

import stat
from pathlib import Path

from abaw.errors import InputError

NAMES = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_regular(path: Path) -> None:
    """Raise InputError where a path is a folder, a named pipe, a device or a socket; OSError where there is nothing."""
    try:
        kind = NAMES.get(stat.S_IFMT(path.stat().st_mode))
    except FileNotFoundError:
        if not path.is_symlink():
            raise
        kind = "a link to a file that is not there"
    if kind is not None:
        raise InputError(f"{path} is {kind}, expected a file: remove or rename it")

"""The disk that a folder is or would be on, and the space that is free there."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple


class Disk(NamedTuple):
    """A file system by its number, and its free bytes."""

    number: int
    free_bytes: float


def find_disk(folder: Path) -> Disk:
    """The disk of a folder that exists or will be made. Raises NotADirectoryError or PermissionError."""
    folder = folder.absolute()
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{existing} is a file: give another folder")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{existing} cannot be written: give another folder, or get the permission")
    return Disk(existing.stat().st_dev, float(shutil.disk_usage(existing).free))

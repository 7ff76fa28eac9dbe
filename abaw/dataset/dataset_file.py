"""The data set file: a YAML file that names the folders of a data set."""

import os
from pathlib import Path

from abaw.errors import InputError, NotFoundError
from abaw.files.yaml import read_yaml
from abaw.registry import nearest

KEYS = ("videos", "images", "annotations", "test_lists")


def read_dataset_file(path: Path) -> tuple[Path, dict[str, list[Path]]]:
    """The root of a data set and the folders or files of each key that is given.

    Raises InputError with file and line for an unknown key or a wrong value, NotFoundError where a folder is missing.
    """
    document = read_yaml(path)
    layout, known = document.values, ("root", *KEYS)
    if not isinstance(layout, dict) or not isinstance(layout.get("root"), str):
        raise InputError(f"{path}:1: a data set file needs the key 'root' (a folder); known keys: {', '.join(known)}")
    root = _plain(path.parent / layout.pop("root"))
    folders: dict[str, list[Path]] = {}
    for key, value in layout.items():
        line = document.lines.get((str(key),), 1)
        if key not in known:
            listing = f"{nearest(str(key), known)} known: {', '.join(known)}"
            raise InputError(f"{path}:{line}: unknown key {key!r}{listing}")
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}:{line}: {key} is {value!r}, expected a folder or a list of folders")
        folders[key] = [_plain(root / name) for name in names]
    for key, named in {"root": [root], **folders}.items():
        missing = next((folder for folder in named if not folder.exists()), None)
        if missing:
            line = document.lines.get((key,), 1)
            raise NotFoundError(f"{path}:{line}: no folder {missing}: folders are relative to root, root to this file")
    return root, folders


def _plain(folder: Path) -> Path:
    """The path without ``..``, so that the names show whether one folder is inside another."""
    return Path(os.path.normpath(folder))

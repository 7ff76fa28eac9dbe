"""The data set file: a YAML file that names the folders of a data set."""

import os
from pathlib import Path

from abaw.dataset.media_files import Streams
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from abaw.files.yaml import Document, read_yaml
from abaw.registry import nearest

STREAM_KEYS = ("video_stream", "audio_stream")
KEYS = ("videos", "images", "annotations", "test_lists")


def read_dataset_file(path: Path) -> tuple[Path, dict[str, list[Path]], int | None, Streams]:
    """The root of a data set, the folders or files of each key, ``first_image``, and the streams of media to read.

    Raises InputError with file and line for an unknown key or a wrong value, NotFoundError where a folder is missing.
    """
    document = read_yaml(path)
    layout, known = document.values, ("root", *KEYS, "first_image", *STREAM_KEYS)
    if not isinstance(layout, dict) or not isinstance(layout.get("root"), str):
        raise InputError(
            f"{path}:1: a data set file needs the key 'root' (a folder) or 'manifest' (a table); known keys with "
            f"root: {', '.join(known[1:])}"
        )
    root = _plain(path.parent / as_path(layout.pop("root"), f"{path}: root"))
    first_image = layout.pop("first_image", None)
    if first_image is not None and (isinstance(first_image, bool) or first_image not in (0, 1)):
        line = document.lines.get(("first_image",), 1)
        raise InputError(
            f"{path}:{line}: first_image is {first_image!r}, expected 0 or 1, the number of frame 1's image"
        )
    chosen = [_stream(layout.pop(key, None), key, path, document) for key in STREAM_KEYS]
    folders: dict[str, list[Path]] = {}
    for key, value in layout.items():
        line = document.lines.get((str(key),), 1)
        if key not in known:
            listing = f"{nearest(str(key), known)} known: {', '.join(known)}"
            raise InputError(f"{path}:{line}: unknown key {key!r}{listing}")
        names = [value] if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}:{line}: {key} is {value!r}, expected a folder or a list of folders")
        folders[key] = [_plain(root / as_path(name, f"{path}:{line}: {key}")) for name in names]
    for key, named in {"root": [root], **folders}.items():
        missing = next((folder for folder in named if not folder.exists()), None)
        if missing:
            line = document.lines.get((key,), 1)
            raise NotFoundError(f"{path}:{line}: no folder {missing}: folders are relative to root, root to this file")
    return root, folders, first_image, Streams(*chosen)


def _stream(index: object, key: str, path: Path, document: Document) -> int | None:
    if index is None or (isinstance(index, int) and not isinstance(index, bool) and index >= 0):
        return index
    line = document.lines.get((key,), 1)
    raise InputError(
        f"{path}:{line}: {key} is {index!r}, expected 0 for the first of its kind in a file, 1 for the second"
    )


def _plain(folder: Path) -> Path:
    """The path without ``..``, so that the names show whether one folder is inside another."""
    return Path(os.path.normpath(folder))

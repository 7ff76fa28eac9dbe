"""Checksums of a prediction folder: predictions.json holds the SHA-256 of every table, and its own.

So a flipped bit, a table that was cut, edited, added, deleted or exchanged for that of another clip is an error that
names the file, not other numbers. Folders of other programs have no checksums, and are read without them. The cost is
that of reading a table's bytes, which is needed anyway, and hashing them at more than 1 GB/s.
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from abaw.errors import InputError, NotFoundError
from abaw.files import parse_json, sha256, visible
from abaw.files.names import first_few
from abaw.files.seals import SEAL, is_sealed, seal

TABLES = "tables"  # key of predictions.json
ACCEPT = f'if you changed it on purpose, remove the keys "{TABLES}" and "{SEAL}" from predictions.json'


def sealed(document: Mapping[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """The document with the checksums of the folder's tables, where one is given, and its own."""
    whole = dict(document)
    if folder is not None:
        whole[TABLES] = {path.stem: sha256(path) for path in visible(folder, "*.parquet")}
    return seal(whole)


@lru_cache(maxsize=32)
def parse_sealed(content: bytes, path: Path) -> dict[str, Any]:
    """The document in the bytes of a predictions.json; the caller must not change it.

    Raises InputError where it is no JSON object, or is not as it was written.
    """
    try:
        document = parse_json(content, path)
    except InputError as error:
        raise InputError(f"{error}: make the predictions again") from error
    if not isinstance(document, dict):
        raise InputError(f"{path}: expected a JSON object with at least the key 'task'")
    if (SEAL in document or TABLES in document) and not is_sealed(document):
        raise InputError(f"{path} has changed since it was written: make the predictions again, or {ACCEPT}")
    return document


def check_names(document: Mapping[str, Any], folder: Path, clip_ids: list[str]) -> None:
    """Raises NotFoundError where tables were deleted from a folder since it was written, InputError where some were
    added.
    """
    recorded = document.get(TABLES)
    if recorded is None:
        return
    if missing := sorted(recorded.keys() - set(clip_ids)):
        raise NotFoundError(
            f"{folder} has no table of clip {first_few([*map(repr, missing)])}, which it had when it was "
            f"written: make the predictions again, or {ACCEPT}"
        )
    if added := sorted(set(clip_ids) - recorded.keys()):
        raise InputError(
            f"{folder} has a table of clip {first_few([*map(repr, added)])}, which was added after it was "
            f"written: move it away, or {ACCEPT}"
        )


def is_unchanged(document: Mapping[str, Any], clip_id: str, content: bytes) -> bool:
    """Whether a table's bytes are those that were written; True where no checksum is recorded."""
    recorded = document.get(TABLES)
    return recorded is None or recorded.get(clip_id) == hashlib.sha256(content).hexdigest()

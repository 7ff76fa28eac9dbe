"""Reading packs: many small files of a folder in one, the tracks and clocks of still pictures.

    FOLDER/packs/000001-<hash>.pack     a safetensors file with a tensor of bytes for each file, under the clip's name

Tens of thousands of pictures would be as many files in every folder. A pack never changes: what replaces a file in it
is written anew. Functions take the path that a file would have of its own. Where there is such a file, it counts; else
the pack with the highest number that holds it.
"""

import json
import os
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

PACKS, PACK_ENDING = "packs", ".pack"
ENDING = ".safetensors"


@dataclass(frozen=True)
class Packed:
    """The content of a file in a pack. ``version``: device, inode, place in the pack, times of change (ns)."""

    content: bytes
    version: tuple[int, int, int, int, int]


def packs_in(folder: Path) -> list[Path]:
    """The packs of a folder of features, or of clocks; the latest first."""
    try:
        names = os.listdir(folder / PACKS)
    except (FileNotFoundError, NotADirectoryError):
        return []
    kept = (name for name in names if name.endswith(PACK_ENDING) and not name.startswith("."))
    return [folder / PACKS / name for name in sorted(kept, reverse=True)]


def packed_clips(folder: Path) -> set[str]:
    """The clips with a file in a pack of the folder."""
    return {clip_id for path in packs_in(folder) for clip_id in index_of(path)}


def read_packed(path: Path) -> Packed | None:
    """What a pack holds of a file; None where there is a file of its own, or none at all."""
    if path.exists():
        return None
    clip_id = path.name.removesuffix(ENDING)
    for _ in range(2):  # a pack may be replaced by a newer one while it is looked at
        for pack in packs_in(path.parent):
            span = index_of(pack).get(clip_id)
            if span is None:
                continue
            with suppress(FileNotFoundError), pack.open("rb") as file:
                file.seek(span[0])
                status = os.fstat(file.fileno())
                version = (status.st_dev, status.st_ino, span[0], status.st_mtime_ns, status.st_ctime_ns)
                return Packed(file.read(span[1] - span[0]), version)
    return None


def is_stored(path: Path) -> bool:
    """Whether there is such a file, of its own or in a pack."""
    return path.exists() or any(path.name.removesuffix(ENDING) in index_of(pack) for pack in packs_in(path.parent))


def num_bytes(path: Path) -> int:
    """The size of a file, of its own or in a pack. Raises FileNotFoundError where there is none."""
    found = read_packed(path)
    return path.stat().st_size if found is None else len(found.content)


@lru_cache(maxsize=4096)
def index_of(pack: Path) -> dict[str, tuple[int, int]]:
    """Clip -> where its file begins and ends in a pack; {} for a damaged pack: its clips are extracted again.

    A pack's name holds the hash of its content, so that what is known of a name stays true.
    """
    try:
        with pack.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            length = int.from_bytes(file.read(8), "little")
            header = json.loads(file.read(length)) if 0 < length < size else {}
        spans = {name: entry["data_offsets"] for name, entry in header.items() if name != "__metadata__"}
        found = {name: (8 + length + int(start), 8 + length + int(stop)) for name, (start, stop) in spans.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
    return found if all(stop <= size for _, stop in found.values()) else {}

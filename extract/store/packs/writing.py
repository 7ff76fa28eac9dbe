"""Writing packs (``packs/index.py``): small files are moved into one, and removed from it."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path

import numpy as np

from abaw.errors import InputError
from abaw.files import locked
from extract.store.packs.index import ENDING, PACK_ENDING, PACKS, index_of, packs_in
from extract.store.tensor_file import Tensor, TensorFile, write_tensors

PACKING_LOCK = ".packing"  # in the store, held while packs are written
RESERVED = "__metadata__"  # no tensor can have this name


def pack(root: Path, folder: Path, clip_ids: Iterable[str]) -> None:
    """Move the files of these clips into one pack; the caller has leased the clips.

    A file whose content is not what was written, as after a loss of power, is removed: its clip is extracted again.
    """
    own = {clip_id: folder / f"{clip_id}{ENDING}" for clip_id in clip_ids if clip_id != RESERVED}
    own = {clip_id: path for clip_id, path in own.items() if path.is_file()}
    if not own:
        return
    contents = {clip_id: path.read_bytes() for clip_id, path in own.items() if _is_intact(path)}
    with locked(root / PACKING_LOCK):
        _replace(folder, set(own), contents)
        for path in own.values():
            path.unlink()


def remove_file(root: Path, path: Path) -> None:
    """Remove a file, of its own or in a pack; nothing happens where there is none."""
    path.unlink(missing_ok=True)
    clip_id = path.name.removesuffix(ENDING)
    if any(clip_id in index_of(each) for each in packs_in(path.parent)):
        with locked(root / PACKING_LOCK):
            _replace(path.parent, {clip_id}, {})


def _replace(folder: Path, gone: set[str], contents: Mapping[str, bytes]) -> None:
    """Write a pack of these contents, and of what else the packs hold in which files of ``gone`` are; remove those."""
    packs = packs_in(folder)
    replaced = [each for each in packs if gone & index_of(each).keys()]
    kept: dict[str, bytes] = {}
    for each in reversed(replaced):  # the latest counts
        data = each.read_bytes()
        kept |= {clip_id: data[start:stop] for clip_id, (start, stop) in index_of(each).items()}
    merged = {**{clip_id: data for clip_id, data in kept.items() if clip_id not in gone}, **contents}
    if merged:
        number = 1 + max((int(each.name.split("-")[0]) for each in packs), default=0)
        digest = sha256(b"".join(merged[clip_id] for clip_id in sorted(merged))).hexdigest()[:16]
        tensors = {clip_id: Tensor.of(np.frombuffer(data, np.uint8)) for clip_id, data in merged.items()}
        write_tensors(folder / PACKS / f"{number:06d}-{digest}{PACK_ENDING}", tensors, {})
    for each in replaced:
        each.unlink()


def _is_intact(path: Path) -> bool:
    try:
        TensorFile(path).check_content()
    except InputError:
        return False
    return True

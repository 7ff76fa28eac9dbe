"""Short hashes of a clip's media and images: of their content, and of what the file system says about them."""

import hashlib
import os
import stat
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages

BLOCK_BYTES = 1 << 20
EDGE_BYTES = 1 << 20
NUM_DIGITS = 32


def fingerprint(clip: Clip, images: FaceImages) -> str:
    """32 hexadecimal digits for one version of a clip's media and images: of every byte, and the images' numbers.

    An image that cannot be read counts as one without content.
    """
    digest = hashlib.sha256()
    if clip.media is not None:
        digest.update(_hash_media(clip.media, _facts(clip.media.stat())))
    for number in images.numbers:
        digest.update(f"\n{number} ".encode())
        try:
            for block in _blocks(images.path(number)):
                digest.update(block)
        except OSError as error:
            digest.update(type(error).__name__.encode())
    return digest.hexdigest()[:NUM_DIGITS]


def stamp(clip: Clip) -> str:
    """32 hexadecimal digits of the names, sizes and times of change of a clip's media and images; no file is read.

    The time of change (ctime) cannot be set by a program, as that of modification can.
    """
    digest = hashlib.sha256()
    if clip.media is not None:
        digest.update(repr(_facts(clip.media.stat())).encode())
    if clip.images is not None:
        with os.scandir(clip.images) as entries:
            for name, facts in sorted((entry.name, _facts(entry.stat())) for entry in entries):
                digest.update(f"\n{name} {facts}".encode(errors="surrogateescape"))
    return digest.hexdigest()[:NUM_DIGITS]


def old_fingerprint(clip: Clip, images: FaceImages) -> str:
    """The hash that earlier versions recorded: of the media's size, first and last MiB, the images' numbers, and the
    content of the first, the middle and the last image."""
    digest = hashlib.sha256()
    if clip.media is not None:
        size = clip.media.stat().st_size
        digest.update(str(size).encode())
        with clip.media.open("rb") as file:
            digest.update(file.read(EDGE_BYTES))
            file.seek(max(0, size - EDGE_BYTES))
            digest.update(file.read(EDGE_BYTES))
    numbers = list(images.numbers)
    digest.update(repr(numbers).encode())
    for position in (0, len(numbers) // 2, -1) if numbers else ():
        digest.update(images.path(numbers[position]).read_bytes())
    return digest.hexdigest()[:NUM_DIGITS]


def _facts(status: os.stat_result) -> tuple[int, int, int]:
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns


@lru_cache(maxsize=64)  # two clips share a video of two persons
def _hash_media(path: Path, facts: tuple[int, int, int]) -> bytes:
    """The SHA-256 of a file's size and content, for the version of the file that has these ``facts``."""
    digest = hashlib.sha256(f"{facts[0]} ".encode())
    for block in _blocks(path):
        digest.update(block)
    return digest.digest()


def _blocks(path: Path) -> Iterator[bytes]:
    """The content of a file in blocks; none of what is no regular file, as reading a pipe could wait for ever."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if stat.S_ISREG(os.fstat(file).st_mode):
            while block := os.read(file, BLOCK_BYTES):
                yield block
    finally:
        os.close(file)

"""Face images on disk: reading one whole, and seeing at its ends whether it is empty, cut off or no image."""

import os
from pathlib import Path
from typing import Literal

import cv2
import numpy as np

from extract.media.colour import Rgb

Damage = Literal["empty", "damaged"]
END_BYTES = 4096  # a program may append a little to an image


def read_image(path: Path) -> Rgb | Damage:
    """An image file as RGB, or what is wrong with it. Raises OSError where it cannot be opened.

    Of an image that is cut off the decoder would make up the rest: it counts as damaged.
    """
    content = path.read_bytes()
    if not content:
        return "empty"
    if _is_whole(content, content[-END_BYTES:], len(content)) is False:
        return "damaged"
    # imread cannot open some non-ASCII paths and prints to stderr on damage: decode from bytes
    image = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return "damaged" if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def check_image(path: Path) -> Damage | None:
    """What is wrong with an image file by its first and last bytes, without decoding it; None: nothing is seen there.

    Raises OSError where it cannot be opened.
    """
    with path.open("rb", buffering=0) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            return "empty"
        start = file.read(END_BYTES)
        end = start[-END_BYTES:]
        if size > END_BYTES:
            file.seek(-END_BYTES, os.SEEK_END)
            end = file.read()
    return None if _is_whole(start, end, size) else "damaged"


def _is_whole(start: bytes, end: bytes, size: int) -> bool | None:
    """Whether a JPEG, PNG, BMP or WebP file, whatever its suffix, goes on to its end; None for any other content."""
    if start.startswith(b"\xff\xd8\xff"):
        return b"\xff\xd9" in end
    if start.startswith(b"\x89PNG\r\n\x1a\n"):
        return b"IEND\xae\x42\x60\x82" in end
    if start.startswith(b"BM"):
        announced = int.from_bytes(start[2:6], "little")  # 0 in some programs' files
        return size >= announced
    if start.startswith(b"RIFF") and start[8:12] == b"WEBP":
        return size >= int.from_bytes(start[4:8], "little") + 8
    return None

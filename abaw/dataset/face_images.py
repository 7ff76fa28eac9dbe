"""The face images of a clip: which files of a folder are images of which frames, whatever program named them.

The organisers name them after their frames, five digits from 00001.jpg. Read as well are other suffixes, other numbers
of digits, ``frame_0001``, ``img-1``, ``<clip>_00001``, OpenFace's ``frame_det_00_000001.bmp``, and numbers from 0.
"""

import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from abaw.dataset.split_files import IMAGE_NAME
from abaw.errors import InputError
from abaw.files.regular import check_regular
from abaw.numbers import MAX_FRAME

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp")  # of two images of one frame the first is read
OTHER_SUFFIXES = (".tif", ".tiff", ".jp2", ".ppm", ".heic", ".heif", ".avif", ".jxl")  # of images that are not read
EXPECTED = f"<clip>/00001.jpg for frame 1 (or {', '.join(SUFFIXES[1:])})"
IMAGE_FILE = re.compile(rf"(?P<prefix>.*?)(?P<number>\d+)(?P<suffix>{'|'.join(map(re.escape, SUFFIXES))})", re.I | re.A)
PREFIX = re.compile(r"(?:|(?:frames?|img|image|face|crop)[-_. ]?)", re.I)
OPENFACE = re.compile(r".*_det_\d+_", re.I | re.A)
MAX_DIGITS = 9  # a longer number is a date or a hash
SERIES_SUFFIXES = (*SUFFIXES, ".jpe", ".tif", ".tiff")  # of pictures that are read under any names


@dataclass(frozen=True)
class FaceImages:
    """The images of one clip, by the frame (from 1) that each shows.

    ``numbers``: the frames, ascending. ``names``: of the images that are not called as the organisers call them.
    ``first``: the number in the names that means frame 1: 0 where an image is numbered 0, else 1. ``unread``: images
    whose names hold no frame number or have another suffix, or whose frame has another image. ``is_counted``: a frame
    is the place of a picture in the order of the names, because these hold no numbers of frames.
    """

    folder: Path | None = None
    numbers: Sequence[int] = ()
    names: dict[int, str] = field(default_factory=dict)
    first: int = 1
    unread: Sequence[str] = ()
    is_counted: bool = False

    def path(self, frame: int) -> Path:
        """The path of a frame's image; the organisers' name where there is none."""
        assert self.folder is not None
        return self.folder / (self.names.get(frame) or f"{frame:05d}.jpg")


def is_image(name: str) -> bool:
    """Whether a file is an image by its suffix."""
    return not name.startswith(".") and name[name.rfind(".") :].lower() in SUFFIXES + OTHER_SUFFIXES


def list_images(folder: Path) -> list[str]:
    """The names in a clip's folder of images. Raises InputError where one of an image is no file, such as a folder."""
    with os.scandir(folder) as entries:
        names = []
        for entry in entries:
            if is_image(entry.name) and not entry.is_file():
                check_regular(folder / entry.name)
            names.append(entry.name)
    return names


def find_images(folder: Path, names: Iterable[str], first: int | None = None) -> FaceImages:
    """The images of a clip among the ``names`` in its folder. ``first``: the number of frame 1; None: as seen.

    Names that differ in more than number and suffix are different series, of which one is read: plain numbers, else
    OpenFace's lowest face, else the longest. Raises InputError where an image is numbered below ``first``.
    """
    series: dict[str, list[tuple[int, str]]] = {}
    unread = []
    for name in names:
        if IMAGE_NAME.fullmatch(name) and len(name) <= MAX_DIGITS + 4:
            series.setdefault("", []).append((int(name[:-4]), name))
        elif is_image(name):
            prefix, number = parse_image_name(folder.name, name)
            if number is None:
                unread.append(name)
            else:
                series.setdefault(prefix, []).append((number, name))
    if not series:
        return FaceImages(folder, unread=sorted(unread))
    chosen = min(
        series, key=lambda prefix: (prefix != "", not OPENFACE.fullmatch(prefix), -len(series[prefix]), prefix)
    )
    if OPENFACE.fullmatch(chosen):
        chosen = min(prefix for prefix in series if OPENFACE.fullmatch(prefix))
    unread += [name for prefix, of_series in series.items() if prefix != chosen for _, name in of_series]
    return _number(folder, series[chosen], unread, first)


def find_series(folder: Path, names: Iterable[str]) -> FaceImages:
    """The consecutive pictures among the ``names`` in a folder, by their frames.

    Numbers in the names are frames, from 0 or 1, where at least half of the frames up to the last one have a picture;
    a number that is missing is a frame without a picture. Otherwise all pictures are frames, in natural order of their
    names: ``b2.png`` before ``b10.png``.
    """
    names = list(names)
    numbered = find_images(folder, names)
    if numbered.numbers and numbered.numbers[-1] <= 2 * len(numbered.numbers):
        return numbered
    pictures = sorted((name for name in names if _suffix(name) in SERIES_SUFFIXES and name[0] != "."), key=_natural)
    unread = sorted(name for name in names if is_image(name) and name not in set(pictures))
    return FaceImages(folder, range(1, len(pictures) + 1), dict(enumerate(pictures, 1)), 1, unread, is_counted=True)


def _suffix(name: str) -> str:
    return name[name.rfind(".") :].lower()


def _natural(name: str) -> tuple[list[tuple[int, int, str]], str]:
    """The key of a natural order: numbers by their value, before text. Of equal keys the name decides."""
    parts = re.split(r"(\d+)", name.lower(), flags=re.ASCII)
    return [(0, int(each), "") if each.isdigit() and each.isascii() else (1, 0, each) for each in parts if each], name


def parse_image_name(clip_id: str, name: str) -> tuple[str, int | None]:
    """What precedes the number in an image's name, in lower case, and the number; None where it holds no frame number.

    >>> parse_image_name("video", "frame_det_00_000012.bmp")
    ('frame_det_00_', 12)
    """
    match = IMAGE_FILE.fullmatch(name)
    if match is None or len(match["number"]) > MAX_DIGITS:
        return "", None
    prefix = match["prefix"].lower()
    own = prefix.startswith(clip_id.lower()) and PREFIX.fullmatch(prefix[len(clip_id) :].lstrip("-_. "))
    known = PREFIX.fullmatch(prefix) or OPENFACE.fullmatch(prefix) or (own and len(prefix) > len(clip_id))
    return prefix, int(match["number"]) if known else None


def _number(folder: Path, found: list[tuple[int, str]], unread: list[str], first: int | None) -> FaceImages:
    """The images of one series; of two with one number the organisers' name, else the first suffix, is read."""
    found.sort(key=lambda each: (each[0], not IMAGE_NAME.fullmatch(each[1]), _rank(each[1]), each[1]))
    base = first if first is not None else int(found[0][0] != 0)
    if found[0][0] < base:
        raise InputError(
            f"{folder / found[0][1]} is numbered below {base}, although the data set file says first_image: {base}: "
            "correct the key, or delete or rename the image"
        )
    numbers: list[int] = []
    names: dict[int, str] = {}
    for number, name in found:
        frame = number + 1 - base
        if frame > MAX_FRAME:
            raise InputError(
                f"{folder / name} is numbered {number}, but {MAX_FRAME} is the last frame that a clip may have: rename "
                "or remove the image"
            )
        if numbers and numbers[-1] == frame:
            unread.append(name)
            continue
        numbers.append(frame)
        if name != f"{frame:05d}.jpg":
            names[frame] = name
    return FaceImages(folder, numbers, names, base, sorted(unread))


def _rank(name: str) -> int:
    return SUFFIXES.index(_suffix(name))

"""Locations: how the text before the first comma of a row names a clip and a frame."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from abaw.dataset import split_files
from abaw.dataset.split_files import clip_named
from abaw.errors import InputError
from abaw.numbers import parse_frame


@dataclass(frozen=True)
class Layout:
    """One format of the text before the first comma of a row, its location, which names a clip and a frame.

    ``pattern`` matches valid locations with two groups (the clip's stem and the frame number), ``loose`` also misspelt
    ones; ``words`` describe the format in messages; ``join`` is the inverse of the pattern, ``clip`` returns the clip
    of a stem; frames count from ``first``.
    """

    words: str
    pattern: re.Pattern[str]
    loose: re.Pattern[str]
    join: Callable[[str, int], str]
    clip: Callable[[str], str]
    first: int

    def split(self, location: str) -> tuple[str, int]:
        """Stem and frame. Raises InputError for an invalid location."""
        match = self.pattern.fullmatch(location)
        if match is None:
            raise InputError(f"{location!r} is not {self.words}")
        frame = parse_frame(match[2] or "0")
        if frame < self.first:
            raise InputError(f"frame {frame} in {location!r}: frames count from {self.first}")
        return match[1], frame


IMAGE = Layout(
    "an image location, expected <clip>/<frame of five digits>.jpg",
    split_files.IMAGE,
    re.compile(r"(?:.*/)?([^/]+)/(\d+)\.\w+", re.ASCII),
    lambda stem, frame: f"{stem}/{frame:05d}.jpg",
    str,
    1,
)
VIDEO_FRAME = Layout(
    "a frame of a video, expected <path of the video>/frame-<number from 0>.jpg",
    re.compile(r"(.+)/frame-(0|[1-9]\d*)\.jpg", re.ASCII),
    re.compile(r"(.+)/frame\W?(\d+)\.\w+", re.ASCII | re.IGNORECASE),
    lambda stem, frame: f"{stem}/frame-{frame}.jpg",
    clip_named,
    0,
)
VIDEO = Layout("a video", re.compile("(.+)()"), re.compile(r"([^;\t]+)()"), lambda stem, _: stem, clip_named, 0)
LAYOUTS = {"image_location": IMAGE, "image": IMAGE, "Filename": VIDEO}  # by the first name of a header


class Places:
    """Codes of the clips and frames in locations; a cache, as both halves of most locations were seen before."""

    def __init__(self, layout: Layout, stems: Iterable[str] = ()) -> None:
        self.layout = layout
        self.codes = {stem: code for code, stem in enumerate(stems)}
        self._frames: dict[str, int] = {}  # by the location's last part

    def known(self, location: str) -> tuple[int, int] | None:
        """Code and frame; None where either half is new, or the location is invalid."""
        stem, _, name = location.rpartition("/")
        code, frame = self.codes.get(stem), self._frames.get(name)
        return None if code is None or frame is None else (code, frame)

    def add(self, location: str) -> tuple[int, int]:
        """As ``known``; a new clip gets the next code. Raises InputError for an invalid location."""
        stem, frame = self.layout.split(location)
        if self.layout is not VIDEO:
            self._frames[location.rpartition("/")[2]] = frame
        return self.codes.setdefault(stem, len(self.codes)), frame

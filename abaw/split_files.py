"""Annotation files that hold a whole split, those of MTL, EMI and AH: which there are and which clips they name.

They are recognised by name and, where a name is anybody's, by their first line. Names and rows are as public code of
participants has them; EMI's (Hume-Vidmimic2) and AH's (BAH) were never seen themselves.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from abaw.annotations import lines

AH_NAMES = {"train": ("train.txt",), "validation": ("val.txt",), "test": ("test.txt",)}
# kind -> split -> what the file's name, with its folder's where one is given, must match
NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mtl": {
        "train": ("training_set_annotations*.txt", "MTL_Challenge/train_set.txt"),
        "validation": ("validation_set_annotations*.txt", "MTL_Challenge/validation_set.txt"),
        "test": ("MTL_*test_set_release.txt",),
    },
    "emi": {"train": ("train_split.csv",), "validation": ("valid_split.csv",), "test": ("test_split.csv",)},
    "ah_clip": AH_NAMES,
    "ah_frame": AH_NAMES,
}
FIRST_LINES = {
    "emi": re.compile("filename(,|$)", re.IGNORECASE),
    "ah_clip": re.compile(r"[^,]+\.(mp4|mov|avi|mkv|webm|wav|mp3|m4a|flac)(,|$)", re.IGNORECASE),
    "ah_frame": re.compile(r"[^,]+/frame-\d+\.jpg(,|$)", re.ASCII),
}
IMAGE = re.compile(r"([^/]+)/(\d{5}|[1-9]\d{5,})\.jpg", re.ASCII)
AH_FRAME = re.compile(r"(.+)/frame-(\d+)\.jpg", re.ASCII)
ENDING = re.compile(r"\.[A-Za-z]\w{1,4}$", re.ASCII)
FIRST_BYTES = 4096


@dataclass(frozen=True)
class Listing:
    """One such file. ``last_frames``: the clips it names, in its order, each with the last frame it names (1 where it
    names clips alone); ``num_repeats`` rows name a place that an earlier one names."""

    path: Path
    last_frames: Mapping[str, int]
    num_repeats: int


def recording(name: str) -> str:
    """The clip that a file's name stands for: without folders and ending.

    A bare number is made five wide, as EMI's media are: ``17`` -> ``00017``, but ``Videos/8/17.mp4`` -> ``17``.
    """
    name = name.strip().rpartition("/")[2]
    return name.zfill(5) if name.isdecimal() else ENDING.sub("", name)


def place(kind: str, text: str) -> tuple[str, int] | None:
    """Clip and frame (from 1) that a line's first cell names; None where it names none, as a header does."""
    if kind == "mtl":
        image = IMAGE.fullmatch(text)
        return (image[1], int(image[2])) if image and int(image[2]) else None
    if kind == "ah_frame":
        image = AH_FRAME.fullmatch(text)
        return (recording(image[1]), int(image[2]) + 1) if image else None  # the first is frame-0
    if not text or FIRST_LINES["emi"].match(text):
        return None
    return recording(text), 1


def find(files: Iterable[Path], splits: Iterable[str]) -> dict[str, dict[str, list[Listing]]]:
    """Kind -> split -> the files there are of it. ValueError where one is no text."""
    found: dict[str, dict[str, list[Listing]]] = {}
    splits = tuple(splits)
    for path in files:
        for kind, names in NAMES.items():
            for split in splits:
                if any(path.match(name) for name in names[split]) and _begins(path, kind):
                    found.setdefault(kind, {}).setdefault(split, []).append(_listing(path, kind))
    return found


def _begins(path: Path, kind: str) -> bool:
    if kind not in FIRST_LINES:
        return True
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return FIRST_LINES[kind].match(file.readline(FIRST_BYTES).strip()) is not None


def _listing(path: Path, kind: str) -> Listing:
    """Lines that name no place are passed over: to open a data set is not to judge its labels."""
    last_frames: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    num_rows = 0
    for _, text in lines(path):
        named = place(kind, text.partition(",")[0])
        if named is None:
            continue
        clip_id, frame = named
        last_frames[clip_id] = max(frame, last_frames.get(clip_id, 0))
        seen.add(named)
        num_rows += 1
    return Listing(path, last_frames, num_rows - len(seen))

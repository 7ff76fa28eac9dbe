"""Templates: the organisers' sample files, which define the rows of a submission and their order.

One header line (the ambivalence challenge has none), then one row per line: its location, a comma, and nothing (5th
edition) or dummy values. Templates have a million rows, so each is kept in a few bytes.
"""

import os
import re
from array import array
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from abaw.challenge.locations import IMAGE, LAYOUTS, VIDEO, VIDEO_FRAME, Layout, Places
from abaw.dataset.found_files import SPLIT_FOLDERS
from abaw.dataset.layout import Dataset
from abaw.errors import InputError, NotFoundError
from abaw.tasks import TASKS, tasks_for
from abaw.tasks.base import Task

NOT_TEXT = re.compile("[\x00\udc80-\udcff]")  # not in any text; bytes that are not UTF-8 are read as the latter
MEDIA = re.compile(r".+\.(mp4|mov|avi|mkv|webm)", re.IGNORECASE)
TRIAL = re.compile(r"[^,]+,(?:\d*\.?\d+(?:[eE]-?\d+)?,\d*\.?\d+(?:[eE]-?\d+)?,)?[01]", re.ASCII)
NUM_HEADER_CHARACTERS = 1000  # read of a file's first line to recognise a template


@dataclass(frozen=True)
class Template:
    """A template's rows, in order: row i, on line ``i + first_line``, is frame ``frames[i]`` of clip ``clip_of[i]``.

    ``header`` is as in the file, None where it has none; ``stems`` are the clips' names in locations, in the order of
    their first rows, ``clips`` those in a data set. ``label_only``: rows hold the label without probabilities.
    """

    path: Path
    task: Task
    layout: Layout
    header: str | None
    stems: tuple[str, ...]
    clip_of: np.ndarray
    frames: np.ndarray
    label_only: bool = False

    def __len__(self) -> int:
        return len(self.frames)

    @property
    def first_line(self) -> int:
        return 1 if self.header is None else 2

    @property
    def clips(self) -> tuple[str, ...]:
        return tuple(map(self.layout.clip, self.stems))

    def location(self, row: int) -> str:
        return self.layout.join(self.stems[self.clip_of[row]], int(self.frames[row]))

    def locations(self) -> Iterator[str]:
        """The text before the comma of every row."""
        for clip, frame in zip(self.clip_of.tolist(), self.frames.tolist(), strict=True):
            yield self.layout.join(self.stems[clip], frame)


def read_template(path: Path, task_name: str | None = None) -> Template:
    """Read the organisers' sample file; ``task_name`` is needed where the file does not show its task.

    Raises InputError with file and line for an unknown header, a malformed or repeated row (``mtl`` may repeat rows),
    two videos of one name, and a template of another task than the one named.
    """
    asked = None if task_name is None else TASKS.part(task_name).name
    rows = _rows(path)
    line, first = next(rows, (1, ""))
    try:
        found, layout, has_header = _kind(first, is_named=asked is not None)
    except ValueError as error:
        raise InputError(f"{path}:1: {error}; use the organisers' file unchanged, with its first line") from error
    task = next((task for task in found if asked in (None, task.name)), None)
    if task is None:
        raise InputError(f"{path} is a template for {found[0].name}, not {asked}: name its task, or give another")
    if layout is VIDEO_FRAME:
        task = TASKS.build(task.name, level="frame")
    stems, clip_of, frames = _places(rows if has_header else chain([(line, first)], rows), layout, path)
    if not len(frames):
        raise InputError(f"{path}:2: no rows after the header: use the complete file of the organisers")
    label_only = layout is VIDEO and not has_header and first.rstrip(",").count(",") == 1
    template = Template(path, task, layout, first if has_header else None, stems, clip_of, frames, label_only)
    _check_names(template)
    if task.name != "mtl":
        _check_repeats(template)
    return template


def find_templates(dataset: Dataset, tasks: Iterable[Task] | None = None) -> list[Path]:
    """The templates in a data set, in the order of their folders: text files that ``is_template`` recognises.

    Without ``tasks``: templates of all tasks, and those with an unknown header. Training and validation labels are left
    out, because some begin with the same header. Folders of images, of one label file per clip and of videos are not
    searched.
    """
    if not (dataset.challenges or dataset.test_lists or dataset.listings):
        return []  # media alone: there is nothing to predict, and their folder may be a large one
    splits = (splits.get(split, ()) for splits in dataset.listings.values() for split in ("train", "validation"))
    labels = {each.path for listings in splits for each in listings}
    known = tasks_for(dataset).values() if tasks is None else tasks
    headers = {task.header.replace(" ", "") for task in known if task.header}
    return [path for path in _texts(dataset) if path not in labels and is_template(path, headers, tasks is None)]


def is_template(path: Path, headers: Collection[str], or_unknown: bool = False) -> bool:
    """Whether a file's first line, without its spaces, is one of ``headers``, whatever the file's name.

    With ``or_unknown`` also where it only begins like a header, such as ``image_location,...``. A template without a
    header (of the ambivalence challenge) is not recognised.
    """
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        header = file.readline(NUM_HEADER_CHARACTERS).strip().replace(" ", "")
    location, comma, _ = header.partition(",")
    return header in headers or (or_unknown and bool(comma) and LAYOUTS.get(location) is IMAGE)


def _texts(dataset: Dataset) -> Iterator[Path]:
    """The data set's text files outside the folders that hold many files for single clips."""
    elsewhere = (path.parent for path in dataset.test_lists.values() if not path.is_relative_to(dataset.root))
    for root in dict.fromkeys([dataset.root, *elsewhere]):
        for folder, names, files in os.walk(root):
            is_image_root = Path(folder) in dataset.image_roots
            names[:] = [] if is_image_root else sorted(set(names) - set(SPLIT_FOLDERS) - {"videos"})
            yield from (Path(folder, name) for name in sorted(files) if name.endswith((".txt", ".csv")))


def _kind(first_line: str, *, is_named: bool) -> tuple[list[Task], Layout, bool]:
    """The tasks whose template begins with this line, its layout, and whether the line is a header.

    Raises InputError, listing the known headers, for any other line.
    """
    tasks = [task for task in map(TASKS.build, TASKS.names()) if not task.is_of_dataset]  # those have no template
    header = first_line.replace(" ", "")
    found = [task for task in tasks if task.header and task.header.replace(" ", "") == header]
    if found:
        return found, LAYOUTS.get(header.partition(",")[0], IMAGE), True
    layout, found = _headless(first_line, is_named=is_named), [task for task in tasks if not task.header]
    if layout is None or not found:
        known = "; ".join(f"{task.name}: {task.header or 'no header'}" for task in tasks)
        raise InputError(f"{first_line!r} is not a known header; known are {known}")
    return found, layout, False


def _headless(first_line: str, *, is_named: bool) -> Layout | None:
    """The layout of a file without header from its first row; None where no layout matches.

    A bare name of a video is accepted only where the task is named, as it may be a broken header.
    """
    location = first_line.partition(",")[0]
    if VIDEO_FRAME.pattern.fullmatch(location):
        return VIDEO_FRAME
    if IMAGE.pattern.fullmatch(location):  # a template whose header is missing
        return None
    is_video = is_named or MEDIA.fullmatch(location) or TRIAL.fullmatch(first_line)
    return VIDEO if location and is_video else None


def _rows(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line except blank ones at the end; CRLF and a byte-order mark are allowed."""
    if path.is_dir():
        raise InputError(f"the template {path} is a folder: give the organisers' sample prediction file in it")
    if not path.is_file():
        raise NotFoundError(f"no template at {path}: give the organisers' sample prediction file")
    blank = 0
    with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as file:
        for number, line in enumerate(file, start=1):
            text = line.strip()
            if not text:
                blank = blank or number
                continue
            if blank:
                yield blank, ""
            if ("\0" in text or not text.isascii()) and NOT_TEXT.search(text):
                raise InputError(f"{path}:{number}: not a text file: give the organisers' sample prediction file")
            yield number, text


def _places(
    rows: Iterable[tuple[int, str]], layout: Layout, path: Path
) -> tuple[tuple[str, ...], np.ndarray, np.ndarray]:
    """The stems, and the clip and frame of each row."""
    places, clip_of, frames = Places(layout), array("i"), array("i")
    for number, text in rows:
        try:
            location = text.partition(",")[0]
            code, frame = places.known(location) or places.add(location)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}") from error
        clip_of.append(code)
        frames.append(frame)
    return tuple(places.codes), np.array(clip_of, np.int32), np.array(frames, np.int32)


def _check_names(template: Template) -> None:
    stem_of: dict[str, str] = {}
    for stem, clip in zip(template.stems, template.clips, strict=True):
        if stem_of.setdefault(clip, stem) != stem:
            raise InputError(
                f"{template.path}: two videos are named {clip!r}: {stem_of[clip]} and {stem}; predictions are stored "
                "by name: split the template"
            )


def _check_repeats(template: Template) -> None:
    keys = template.clip_of.astype(np.int64) << 32 | template.frames
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if again.size:
        at = again[np.argmin(order[again + 1])]
        before, row = int(order[at]), int(order[at + 1])
        place = f"{template.path}:{row + template.first_line}: {template.location(row)!r}"
        raise InputError(f"{place} repeats line {before + template.first_line}: remove one of them")

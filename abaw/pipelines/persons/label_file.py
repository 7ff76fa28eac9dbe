"""The few labels that a model is adapted to a person with: label files of Aff-Wild2, and tables with a row a label."""

import csv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from abaw.dataset.annotations import (
    Labels,
    lines,
    read_action_units,
    read_compound_expression,
    read_expression,
    read_valence_arousal,
)
from abaw.errors import InputError, NotFoundError
from abaw.files.csv_cells import unguarded
from abaw.numbers import parse_frame, parse_number

if TYPE_CHECKING:
    from abaw.tasks.base import Task
    from abaw.tracks import Clock

READERS: Mapping[str, Callable[[Path], Labels]] = {
    "va": read_valence_arousal, "expr": read_expression, "au": read_action_units, "ce": read_compound_expression,
}  # fmt: skip
CLIP, FRAME, SECONDS = "clip", "frame", ("seconds", "time_s")
EXPECTED = (
    "expected a label file of Aff-Wild2 (a header, then a line for each frame), or a CSV with the columns clip (where "
    "it has several), frame or seconds (where labels are of frames), and"
)


@dataclass(frozen=True)
class Row:
    """A label: its clip, its frame (None: of the whole clip), its values by task, and its place in the file."""

    clip_id: str
    frame: int | None
    values: Mapping[str, np.ndarray]
    place: str


def read_support(
    path: Path,
    tasks: "Mapping[str, Task]",
    clips: Sequence[str],
    frames: Sequence[int] | None,
    clock: "Callable[[str], Clock]",
) -> dict[str, dict[str, Labels]]:
    """Clip -> task -> the labels that a file gives, all other frames unscored.

    ``path``: a table, a label file of Aff-Wild2, or a folder with such a file ``<clip>.txt`` for each clip. ``clips``:
    only these; none: all of the file. ``frames``: only these of the single clip. ``clock`` gives the frames of a clip.

    Raises NotFoundError where there is no such file, and InputError, with file and line, for another content, a frame
    outside its clip or without a label, or two labels of one frame.
    """
    if path.is_dir():
        if not clips:
            raise InputError(f"{path} is a folder: name the clips whose label files are in it (--clip)")
        rows = [row for clip_id in clips for row in _label_file(path / f"{clip_id}.txt", tasks, clip_id)]
    elif not path.is_file():
        raise NotFoundError(f"no label file {path}: expected a file, or a folder with <clip>.txt for each clip")
    else:
        rows = _any_file(path, tasks, clips, clock)
    if frames is not None:
        if len({row.clip_id for row in rows}) != 1:
            raise InputError("--frames names frames of one clip: give that clip alone (--clip)")
        rows = [_of_frame(rows, frame, path) for frame in frames]
    if not rows:
        raise InputError(f"{path} has no label" + (f" of {', '.join(clips)}" if clips else "") + ": label a few frames")
    return _by_clip(rows, tasks, clock)


def _any_file(
    path: Path, tasks: "Mapping[str, Task]", clips: Sequence[str], clock: "Callable[[str], Clock]"
) -> list[Row]:
    header = next(lines(path), (1, ""))[1].replace(" ", "")
    if header and any(task.resolution == "frame" and header == _header(task) for task in tasks.values()):
        if len(clips) != 1:
            raise InputError(f"{path} has the labels of one clip: name it (--clip), or give a folder of such files")
        return _label_file(path, tasks, clips[0])
    return _table(path, tasks, clips, clock)


def _header(task: "Task") -> str:
    """The header of the task's label files; of classes their names, of other tasks the goals."""
    if task.name not in READERS:
        return ""
    classes = [column.removeprefix("p_") for column in task.columns]
    return ",".join(classes if task.name in ("expr", "ce") else task.goals)


def _label_file(path: Path, tasks: "Mapping[str, Task]", clip_id: str) -> list[Row]:
    if not path.is_file():
        raise NotFoundError(f"no label file {path}: expected the labels of clip {clip_id!r} there")
    header = next(lines(path), (1, ""))[1].replace(" ", "")
    name = next((name for name, task in tasks.items() if header and header == _header(task)), None)
    if name is None:
        raise InputError(f"{path}:1: the header is {header!r}, {EXPECTED} {_columns_words(tasks)}")
    found = READERS[name](path)
    return [
        Row(clip_id, i + 1, {name: found.values[i]}, f"{path}:{i + 2}") for i in np.flatnonzero(found.scored).tolist()
    ]


def _table(path: Path, tasks: "Mapping[str, Task]", clips: Sequence[str], clock: "Callable[[str], Clock]") -> list[Row]:
    read = csv.reader(text for _, text in lines(path))
    try:
        table = list(read)
    except csv.Error as error:
        raise InputError(f"{path}:{read.line_num}: {error}: correct the line") from error
    header = [unguarded(cell.strip()) for cell in table[0]] if table else []
    known = {name: task for name, task in tasks.items() if set(task.goals) <= set(header)}
    of_frames = any(task.resolution == "frame" for task in known.values())
    place = next((name for name in (FRAME, *SECONDS) if name in header), None)
    if not known or len(set(header)) < len(header) or (of_frames and place is None):
        raise InputError(f"{path}:1: the header is {','.join(header)!r}, {EXPECTED} {_columns_words(tasks)}")
    if CLIP not in header and len(clips) != 1:
        raise InputError(f"{path}:1: there is no column {CLIP!r}: add it, or name the clip of these labels (--clip)")
    rows = []
    for number, cells in enumerate(table[1:], start=2):
        at = f"{path}:{number}"
        if len(cells) != len(header):
            raise InputError(f"{at}: {len(cells)} cells, the header has {len(header)}: correct the line")
        row = dict(zip(header, (unguarded(cell.strip()) for cell in cells), strict=True))
        clip_id = row.get(CLIP) or clips[0] if len(clips) == 1 else row[CLIP]
        if clips and clip_id not in clips:
            continue
        try:
            values = {name: value for name, task in known.items() if (value := _values(task, row)) is not None}
            frame = _frame(row[place], place, clock(clip_id)) if of_frames and place else None
        except ValueError as error:
            raise InputError(f"{at}: {error}") from error
        if values:
            rows.append(Row(clip_id, frame, values, at))
    return rows


def _values(task: "Task", row: Mapping[str, str]) -> np.ndarray | None:
    """A task's label in a row of a table; None where its cells are empty. A class has its number or its name."""
    cells = [row[goal] for goal in task.goals]
    if not any(cells):
        return None
    named: dict[str, list[str]] = {}
    if task.blocks and task.blocks[0][0] == "classes":
        for one in np.eye(len(task.columns), dtype=np.float32):  # one by one: of a clip-level task all rows are one
            for goal, words in task.names(one[None]).items():
                named.setdefault(goal, []).append(words[0])
    for i, goal in enumerate(task.goals):
        words = named.get(goal, [])
        if cells[i] in words:
            cells[i] = str(words.index(cells[i]))
    try:
        return task.parse_row(",".join(cells)).astype(np.float32)
    except ValueError as error:
        listing = "".join(f"; the classes are {', '.join(each)}" for each in named.values())
        raise InputError(f"the label of {task.name} cannot be read: {error}{listing}") from error


def _frame(text: str, column: str, clock: "Clock") -> int:
    """The frame that a cell names, from 1, or the frame that is shown at a time in seconds."""
    if column == FRAME:
        return _parse_frame(text)
    time_s = parse_number(text)
    found = int(np.searchsorted(clock.times_s, time_s + 1e-6, side="right"))
    longest_s = float(np.diff(clock.times_s).max()) if len(clock) > 1 else 0.0
    if not found or time_s > clock.times_s[-1] + longest_s:
        raise InputError(f"{time_s:g} s is outside the clip, whose frames are at {_span(clock)}")
    return found


def _parse_frame(text: str) -> int:
    frame = parse_frame(text)
    if frame < 1:
        raise InputError("there is no frame 0: frames count from 1")
    return frame


def _span(clock: "Clock") -> str:
    return f"{clock.times_s[0]:.3f} to {clock.times_s[-1]:.3f} s" if len(clock) else "no time"


def _of_frame(rows: Sequence[Row], frame: int, path: Path) -> Row:
    found = next((row for row in rows if row.frame == frame), None)
    if found is None:
        raise InputError(f"{path} has no label of frame {frame} (--frames): label it, or name frames with labels")
    return found


def _by_clip(
    rows: Sequence[Row], tasks: "Mapping[str, Task]", clock: "Callable[[str], Clock]"
) -> dict[str, dict[str, Labels]]:
    found: dict[str, dict[str, Labels]] = {}
    for row in rows:
        num_frames = len(clock(row.clip_id))
        for name, values in row.values.items():
            is_of_frames = tasks[name].resolution == "frame"
            num, index = (num_frames, (row.frame or 0) - 1) if is_of_frames else (1, 0)
            if index >= num:
                raise InputError(f"{row.place}: clip {row.clip_id!r} has no frame {row.frame}: its last one is {num}")
            empty = Labels(np.zeros((num, len(values)), np.float32), np.zeros(num, bool))
            labels = found.setdefault(row.clip_id, {}).setdefault(name, empty)
            if labels.scored[index]:
                which = f"frame {row.frame} of clip {row.clip_id!r}" if is_of_frames else f"clip {row.clip_id!r}"
                raise InputError(f"{row.place}: {which} has two labels of {name}: remove one")
            labels.values[index], labels.scored[index] = values, True
    return found


def _columns_words(tasks: "Mapping[str, Task]") -> str:
    return " or ".join(f"{', '.join(task.goals)} ({name})" for name, task in tasks.items())


def parse_frames(text: str) -> list[int]:
    """Frames as the command line names them.

    >>> parse_frames("3,10-12")
    [3, 10, 11, 12]
    """
    found: list[int] = []
    for piece in text.split(","):
        first, dash, last = piece.strip().partition("-")
        try:
            start, stop = _parse_frame(first), _parse_frame(last if dash else first)
        except ValueError as error:
            raise InputError(f"--frames {text!r}: {error}; expected numbers and ranges, such as 3,10-12") from error
        if stop < start:
            raise InputError(f"--frames {text!r}: {piece.strip()!r} ends before it begins")
        found += range(start, stop + 1)
    if len(set(found)) < len(found):
        raise InputError(f"--frames {text!r} names a frame twice")
    return found

"""Challenge files: written row for row as the organisers' template asks, and read back.

A template is one header line, then ``<clip>/<frame>.jpg,...`` a row, with nothing (5th edition) or dummy values (6th)
after the comma. It decides which rows there are; it never changes a clip's clock.
"""

import heapq
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import itemgetter
from pathlib import Path

import numpy as np

from abaw import predictions
from abaw.annotations import lines
from abaw.files import whole
from abaw.tasks import TASKS
from abaw.tasks.base import Task

LOCATION = re.compile(r"([^/]+)/(\d{5}|[1-9]\d{5,})\.jpg", re.ASCII)
MAX_FAULTS = 100  # more lines help nobody: one missing row early may displace all that follow
NUM_NAMED = 5

# clip -> decoded values (time goal), observed (time)
DecodedOf = Callable[[str], tuple[np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Template:
    """The rows asked for, in order: row i, on line i + 2, is frame ``frames[i]`` of ``clips[clip_of[i]]``.

    ``header`` is as in the file; ``clips`` in the order of their first rows.
    """

    path: Path
    header: str
    clips: tuple[str, ...]
    clip_of: np.ndarray
    frames: np.ndarray

    def __len__(self) -> int:
        return len(self.frames)

    def locations(self) -> Iterator[str]:
        """``<clip>/<frame>.jpg`` of every row."""
        for clip, frame in zip(self.clip_of.tolist(), self.frames.tolist(), strict=True):
            yield f"{self.clips[clip]}/{frame:05d}.jpg"


@dataclass(frozen=True)
class Summary:
    """Where the rows of a submission come from.

    ``num_observed`` frames on which something was seen or heard, ``num_between`` others of the clip's clock (before,
    between and after those), ``num_beyond`` rows past the clock's end, which repeat the clip's last value.
    """

    task: str
    num_clips: int
    num_rows: int
    num_observed: int
    num_between: int
    num_beyond: int

    def __str__(self) -> str:
        return (
            f"{self.task}: {self.num_rows} rows of {self.num_clips} clips: {self.num_observed} observed, "
            f"{self.num_between} between observed frames, {self.num_beyond} beyond the clip's end (last value held)"
        )


def submit(folder: Path, template: Path, out: Path) -> Summary:
    """Write ``out`` from the tables in ``folder`` (a prediction folder, or one that holds one for each task).

    Each table is read once. FileNotFoundError where the template's task or one of its clips has no predictions,
    ValueError where the folder holds another task; then nothing is written.
    """
    asked = read_template(template)
    task = task_of(asked.header)
    where = predictions.resolve(folder, task.name)
    _check_complete(asked, set(predictions.clip_ids(where)), where)

    def decoded_of(clip_id: str) -> tuple[np.ndarray, np.ndarray]:
        table = predictions.read_table(where, clip_id, task)
        return task.decode(table.values), table.observed

    return write(asked, task, decoded_of, out)


def task_of(header: str) -> Task:
    """The task whose template begins so. ValueError lists the known headers."""
    tasks = [TASKS.build(name) for name in TASKS.names()]
    for task in tasks:
        if header.replace(" ", "") == task.header:
            return task
    known = "; ".join(f"{task.name}: {task.header}" for task in tasks)
    raise ValueError(f"{header!r} is no known header; known are {known}")


def read_template(path: Path) -> Template:
    """The organisers' sample file. ValueError with file and line: an unknown header, a malformed or repeated row."""
    if not path.is_file():
        raise FileNotFoundError(f"no template at {path}: give the organisers' sample prediction file")
    rows = lines(path)
    _, header = next(rows, (1, ""))
    try:
        task_of(header)
    except ValueError as error:
        raise ValueError(f"{path}:1: {error}; take the organisers' file as it is, with its first line") from error
    clips: dict[str, int] = {}
    clip_of, frames = [], []
    for number, text in rows:
        clip, frame = _parse_location(text.partition(",")[0], path, number)
        clip_of.append(clips.setdefault(clip, len(clips)))
        frames.append(frame)
    if not frames:
        raise ValueError(f"{path}:2: no rows after the header: take the organisers' file whole")
    template = Template(path, header, tuple(clips), np.array(clip_of, np.int32), np.array(frames, np.int32))
    _check_repeats(template)
    return template


def write(template: Template, task: Task, decoded_of: DecodedOf, out: Path) -> Summary:
    """The template's header and its rows in its order, with ``task``'s values; whole or absent.

    Row f of a clip is its frame f; past the clip's end its last value is held. ``decoded_of`` is called once a clip.
    Raises what it raises, and ValueError for a clip without a frame or where ``out`` is the template.
    """
    if out.exists() and out.samefile(template.path):
        raise ValueError(f"{out} is the template itself: give the submission another name")
    counts = np.zeros(3, np.int64)  # observed, between, beyond
    rows_of = _by_clip(template)
    texts = np.empty(len(template), object)
    for clip_id, rows in zip(template.clips, rows_of, strict=True):
        decoded, observed = decoded_of(clip_id)
        if not len(decoded):
            raise ValueError(f"clip {clip_id!r} has predictions for no frame at all: there is no value to hold")
        wanted = template.frames[rows] - 1
        given = np.minimum(wanted, len(decoded) - 1)
        beyond = wanted > given
        counts += np.array([(observed[given] & ~beyond).sum(), (~observed[given] & ~beyond).sum(), beyond.sum()])
        texts[rows] = [task.row(values) for values in decoded[given]]
    with whole(out) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
        file.write(template.header + "\n")
        file.writelines(f"{place},{text}\n" for place, text in zip(template.locations(), texts, strict=True))
    return Summary(task.name, len(template.clips), len(template), *map(int, counts))


def verify(path: Path, template: Path, task_name: str | None = None) -> list[str]:
    """Every reason why ``path`` is not what the template asks for, with its line; [] where it is.

    At most ``MAX_FAULTS`` reasons and a count of the rest. Raises where a file is missing or the template is broken,
    and ValueError where the template is not of the task named.
    """
    asked = read_template(template)
    task = task_of(asked.header)
    if task_name is not None and TASKS.part(task_name).name != task.name:
        raise ValueError(f"{template} is a template for {task.name}, not {task_name}: name its task, or take another")
    faults: list[str] = []
    num_more = 0
    for number, fault in _faults(_file_lines(path), asked, task):
        if len(faults) < MAX_FAULTS:
            faults.append(f"{path}:{number}: {fault}")
        else:
            num_more += 1
    return [*faults, f"{path}: and {num_more} more faults"] if num_more else faults


def _file_lines(path: Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(f"no submission at {path}: write one with abaw submit")
    try:
        texts = path.read_text(encoding="utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
    return texts[:-1] if not texts[-1] else texts


def _faults(texts: list[str], asked: Template, task: Task) -> Iterator[tuple[int, str]]:
    """Line and reason, in the order of the lines; rows that are missing at the end come last."""
    header = texts[0] if texts else ""
    if header != asked.header:
        yield 1, f"the header is {header!r}, expected {asked.header!r}"
    given = [text.partition(",") for text in texts[1:]]
    order = _order_faults([place for place, _, _ in given], list(asked.locations()))
    yield from heapq.merge(order, _value_faults(given, task), key=itemgetter(0))


def _value_faults(given: list[tuple[str, str, str]], task: Task) -> Iterator[tuple[int, str]]:
    for line, (place, comma, value) in enumerate(given, start=2):
        fault = _value_fault(task, comma, value) if place or comma else None  # a blank line is told elsewhere
        if fault:
            yield line, fault


def _value_fault(task: Task, comma: str, value: str) -> str | None:
    if not comma:
        return "no comma and no value after the image location"
    if value != "".join(value.split()):
        return f"{value!r} holds white space"
    try:
        task.parse_row(value)
    except ValueError as error:
        return str(error)
    return None


def _order_faults(given: list[str], expected: list[str]) -> Iterator[tuple[int, str]]:
    """Walks both lists at once: an unknown or repeated row is skipped here, a missing one there, others are paired."""
    if given == expected:
        return
    wanted, present = set(expected), set(given)
    first_lines: dict[str, int] = {}
    i = 0
    for line, place in enumerate(given, start=2):
        if not place:
            yield line, "a blank line"
            continue
        if place not in wanted:
            yield line, f"{place!r} is not in the template"
            continue
        if place in first_lines:
            yield line, f"{place!r} repeats line {first_lines[place]}"
            continue
        first_lines[place] = line
        while i < len(expected) and expected[i] not in present:
            yield line, f"{expected[i]!r} is missing before this line"
            i += 1
        if i < len(expected) and expected[i] != place:
            yield line, f"out of order: expected {expected[i]!r}, found {place!r}"
        i += 1
    for place in expected[i:]:
        if place not in present:
            yield len(given) + 2, f"{place!r} is missing at the end"


def _parse_location(location: str, path: Path, number: int) -> tuple[str, int]:
    match = LOCATION.fullmatch(location)
    if match is None:
        raise ValueError(
            f"{path}:{number}: {location!r} is no image location, expected <clip>/<frame of five digits>.jpg"
        )
    clip, frame = match[1], int(match[2])
    if frame == 0:
        raise ValueError(f"{path}:{number}: frame 0 in {location!r}: frames count from 1")
    return clip, frame


def _check_repeats(template: Template) -> None:
    keys = template.clip_of.astype(np.int64) << 32 | template.frames
    order = np.argsort(keys, kind="stable")
    again = np.flatnonzero(np.diff(keys[order]) == 0)
    if again.size:
        at = again[np.argmin(order[again + 1])]
        before, row = int(order[at]), int(order[at + 1])
        place = f"{template.clips[template.clip_of[row]]}/{template.frames[row]:05d}.jpg"
        raise ValueError(f"{template.path}:{row + 2}: {place!r} repeats line {before + 2}: take one of them out")


def _check_complete(template: Template, known: set[str], where: Path) -> None:
    missing = [clip for clip in template.clips if clip not in known]
    if missing:
        named = ", ".join(map(repr, missing[:NUM_NAMED])) + ", ..." * (len(missing) > NUM_NAMED)
        raise FileNotFoundError(
            f"{len(missing)} of {len(template.clips)} clips of {template.path} have no predictions in {where}: "
            f"{named}; run abaw predict --split test, or with --clips"
        )


def _by_clip(template: Template) -> list[np.ndarray]:
    """Row numbers of each clip, ascending."""
    order = np.argsort(template.clip_of, kind="stable")
    return np.split(order, np.cumsum(np.bincount(template.clip_of))[:-1])

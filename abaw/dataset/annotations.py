"""Label files of single clips. Their sentinels, -5 and -1, become ``scored`` flags here.

A file has a header line and then one line for each frame: the i-th line after the header is the label of frame i.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, Int

from abaw.dataset.manifest import WHOLE_FILE_S
from abaw.dataset.names import ACTION_UNITS, COMPOUND_EXPRESSIONS, EXPRESSIONS, video_of
from abaw.errors import InputError
from abaw.files.text import read_text
from abaw.numbers import BLANKS, MAX_FRAME, format_count, parse_integer, parse_number

VA_COLUMNS = "valence,arousal"
MAX_END_S = 1e9  # of any clip
MAX_POINT_GAP_S = 1.0  # of two values at times between which others are interpolated
MAX_AFTER_END_S = 0.5  # of a label's start: tools of annotation stop a little later than the video
NOMINAL_FPS = 25.0  # with which labels with times are counted in frames where the clip's own times are not at hand


@dataclass(frozen=True)
class Labels:
    """The labels of a clip: a row for each frame, from frame 1, or one row where the task is clip-level.

    ``scored``: whether a row has a label that counts; where it has none, its ``values`` are 0. Values may be NaN in a
    scored row where the task has several parts (MTL): that part has no label there. ``group``: whose clips these are (a
    speaker, session or subject), where the data set says so; empty where it does not. See ``group_of``.
    """

    values: Float[np.ndarray, "time goal"]
    scored: Bool[np.ndarray, " time"]
    group: str = ""

    def __post_init__(self) -> None:
        if len(self.values) != len(self.scored):
            raise InputError(
                f"labels have {len(self.values)} rows and {len(self.scored)} scored flags, expected as many of both"
            )

    def __len__(self) -> int:
        return len(self.scored)

    def count_frames(self) -> Int[np.ndarray, " time"]:
        """How many frames have the label of each row: one; none where it is not scored."""
        return self.scored.astype(int)

    def at(self, times_s: Float[np.ndarray, " frame"]) -> "Labels":
        """The labels of frames that are shown at these times, ascending: these labels, where they are of frames."""
        return self


@dataclass(frozen=True)
class TimedLabels(Labels):
    """Labels with times instead of frames: a row for each span, which holds its start and not its stop.

    ``spans_s``: start and stop of each row in seconds on the media file's time axis; they do not overlap.
    ``places``: file and line of each row. ``part_s``: the part of the file that is the clip; there may be labels of
    other parts. ``points_s``: the times of the rows, ascending, where they are values at times, which are interpolated
    linearly between two rows at most ``MAX_POINT_GAP_S`` apart.
    """

    spans_s: Float[np.ndarray, "time 2"] = field(default_factory=lambda: np.zeros((0, 2)))
    places: tuple[str, ...] = ()
    part_s: tuple[float, float] = WHOLE_FILE_S
    points_s: Float[np.ndarray, " points"] = field(default_factory=lambda: np.zeros(0))

    def of_unknown_end(self) -> "TimedLabels":
        """The same labels for a clip whose end is not known exactly: none of them is too late for it."""
        return replace(self, part_s=(self.part_s[0], min(self.part_s[1], MAX_END_S)))

    def count_frames(self) -> Int[np.ndarray, " time"]:
        """How many frames have the label of each row, at 25 a second; none outside the clip, else at least one.

        The end of the media file is not known here: a label that stops later is counted up to its stop.
        """
        starts_s, stops_s = np.clip(self.spans_s, *self.part_s).T
        frames = np.ceil((stops_s - starts_s) * NOMINAL_FPS - 1e-6)
        return np.where(self.scored, np.minimum(frames, MAX_FRAME), 0).astype(int)

    def at(self, times_s: Float[np.ndarray, " frame"]) -> Labels:
        """One row per frame: the label of the span that its time is in, or of two points; unscored where there is none.

        Raises InputError where a label starts more than ``MAX_AFTER_END_S`` after the last frame.
        """
        late = self.spans_s[:, 0] > (times_s[-1] if len(times_s) else -np.inf) + MAX_AFTER_END_S
        if late.any() and self.part_s == WHOLE_FILE_S:
            i = int(np.argmax(late))
            end = f"its last frame is at {times_s[-1]:.3f} s" if len(times_s) else "it has no frame"
            raise InputError(
                f"{self.places[i]}: the label starts at {self.spans_s[i, 0]:g} s, after the end of the clip ({end}): "
                "correct the time, or the path of the clip"
            )
        order = np.argsort(self.spans_s[:, 0], kind="stable")
        starts_s, stops_s = self.spans_s[order].T
        place = np.searchsorted(starts_s, times_s, side="right") - 1
        row = order[np.maximum(place, 0)]
        scored = (place >= 0) & (times_s < stops_s[np.maximum(place, 0)]) & self.scored[row]
        values = np.where(scored[:, None], self.values[row], np.float32(0))
        if len(self.points_s) > 1:
            right = np.searchsorted(self.points_s, times_s).clip(1, len(self.points_s) - 1)
            before, after = self.points_s[right - 1], self.points_s[right]
            is_between = (before <= times_s) & (times_s <= after) & (after - before <= MAX_POINT_GAP_S)
            is_between &= self.scored[right - 1] & self.scored[right]
            share = ((times_s - before) / (after - before))[:, None]
            mixed = self.values[right - 1] * (1 - share) + self.values[right] * share
            values = np.where(is_between[:, None], mixed, values).astype(np.float32)
            scored = scored | is_between
        return Labels(values, scored, self.group)


def group_of(clip_id: str, labels: Labels | None = None) -> str:
    """What stays on one side of a split: the clip's group, and without one the video that it is from.

    >>> group_of("130-25_left", Labels(np.zeros((1, 1)), np.ones(1, bool)))
    '130-25'
    >>> group_of("03-01_left", Labels(np.zeros((1, 1)), np.ones(1, bool), group="speaker 3"))
    'speaker 3'
    """
    return (labels.group if labels is not None else "") or video_of(clip_id)


def read_valence_arousal(path: Path) -> Labels:
    """Read valence and arousal, from -1 to 1; a row where one of them is -5 is not scored.

    Raises InputError with file and line for anything else.
    """
    return _read(path, VA_COLUMNS, parse_valence_arousal, num_values=2)


def read_expression(path: Path) -> Labels:
    """Read the class of each frame, from 0 to 7; a row of -1 is not scored. The header has the names of the classes.

    Raises InputError with file and line for anything else.
    """
    return _read(path, ",".join(EXPRESSIONS), partial(parse_class, len(EXPRESSIONS)), num_values=1)


def read_compound_expression(path: Path) -> Labels:
    """Read the compound class of each frame, from 0 to 6; a row of -1 is not scored.

    The challenge publishes no such labels; your own have the format of the expressions. Raises InputError with file and
    line for anything else.
    """
    return _read(path, ",".join(COMPOUND_EXPRESSIONS), partial(parse_class, len(COMPOUND_EXPRESSIONS)), num_values=1)


def read_action_units(path: Path) -> Labels:
    """Read twelve action units, each 0 or 1; a row where one of them is -1 is not scored.

    Raises InputError with file and line for anything else.
    """
    return _read(path, ",".join(ACTION_UNITS), parse_units, num_values=len(ACTION_UNITS))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The number (from 1) and the stripped text of each line, without blank lines at the end.

    Spaces and tabs are stripped; CRLF line ends and a byte-order mark are accepted. Raises InputError where the file is
    not text, or no file, such as a named pipe.
    """
    texts = read_text(path).split("\n")  # a \r inside a line ends none: rows would move
    texts = [text.rstrip("\r").strip(BLANKS) for text in texts]
    while texts and not texts[-1]:
        texts.pop()
    return iter(enumerate(texts, start=1))


def count_rows(path: Path) -> int:
    """The number of lines after the header, which is the number of annotated frames."""
    return max(0, sum(1 for _ in lines(path)) - 1)


def _read(path: Path, header: str, parse: Callable[[str], list[float] | None], *, num_values: int) -> Labels:
    rows = lines(path)
    _, first = next(rows, (1, ""))
    if first.replace(" ", "") != header:
        raise InputError(f"{path}:1: the header is {first!r}, expected {header!r}: is this the file of another task?")
    values, scored = [], []
    for number, text in rows:
        try:
            row = parse(text)
        except ValueError as error:
            raise InputError(
                f"{path}:{number}: {error}; correct the line, or get the file from the organisers again"
            ) from error
        values.append(row or [0.0] * num_values)
        scored.append(row is not None)
    return Labels(np.array(values, np.float32).reshape(-1, num_values), np.array(scored, bool))


def parse_valence_arousal(text: str) -> list[float] | None:
    """The two values of a row; None where it is not scored. Raises InputError for anything else."""
    cells = text.split(",")
    if len(cells) != 2:
        raise InputError(f"{text!r} has {format_count(len(cells), 'column')}, expected 2 (valence,arousal)")
    row = [parse_number(cell.strip(BLANKS)) for cell in cells]
    if -5.0 in row:
        return None
    for value in row:
        if not -1 <= value <= 1:
            raise InputError(f"{value:g} is outside [-1, 1] and is not -5 (unscored)")
    return row


def parse_class(num_classes: int, text: str) -> list[float] | None:
    """The class of a row; None where it is not scored. Raises InputError for anything else."""
    expected = f"expected 0 .. {num_classes - 1} or -1 (unscored)"
    try:
        label = parse_integer(text.strip(BLANKS))
    except ValueError:
        raise InputError(f"{text!r} is not one integer in digits 0 .. 9, {expected}") from None
    if label == -1:
        return None
    if not 0 <= label < num_classes:
        raise InputError(f"class {label} does not exist, {expected}")
    return [float(label)]


UNIT_CELLS = {"0": 0.0, "1": 1.0, "-1": -1.0}


def parse_units(text: str) -> list[float] | None:
    """The twelve action units of a row; None where it is not scored. Raises InputError for anything else."""
    cells = [cell.strip(BLANKS) for cell in text.split(",")]
    if len(cells) != len(ACTION_UNITS):
        raise InputError(
            f"{text!r} has {format_count(len(cells), 'column')}, expected {len(ACTION_UNITS)} (AU1 .. AU26)"
        )
    for cell, name in zip(cells, ACTION_UNITS, strict=True):
        if cell not in UNIT_CELLS:
            raise InputError(f"{name} is {cell!r}, expected 0, 1 or -1 (unscored)")
    return None if "-1" in cells else [UNIT_CELLS[cell] for cell in cells]

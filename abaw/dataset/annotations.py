"""Labels as the challenge's text files give them. The sentinels -5 and -1 end here.

A file has one header line, then one line a frame: line i after the header belongs to frame i. An error names
the file and the line, says what was expected and what to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

from abaw.dataset.names import ACTION_UNITS, COMPOUND_EXPRESSIONS, EXPRESSIONS
from abaw.errors import InputError

VA_COLUMNS = "valence,arousal"


@dataclass(frozen=True)
class Labels:
    """One row a frame, from frame 1; a clip-level task's have one row. ``values`` mean nothing (0) where ``scored`` is
    False, and may be NaN where it is True if the task scores parts alone (MTL): that part has no label there."""

    values: Float[np.ndarray, "time goal"]
    scored: Bool[np.ndarray, " time"]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.scored):
            raise InputError(f"labels need as many rows ({len(self.values)}) as scored flags ({len(self.scored)})")

    def __len__(self) -> int:
        return len(self.scored)


def read_valence_arousal(path: Path) -> Labels:
    """Two numbers a row in [-1, 1]; either one -5 means unscored. ValueError with file and line for anything else."""
    return _read(path, VA_COLUMNS, valence_arousal_row, goal=2)


def read_expression(path: Path) -> Labels:
    """Eight names in the header, one integer 0 .. 7 a row; -1 means unscored. Errors name file and line."""
    return _read(path, ",".join(EXPRESSIONS), partial(class_row, len(EXPRESSIONS)), goal=1)


def read_compound_expression(path: Path) -> Labels:
    """Seven names in the header, one integer 0 .. 6 a row; -1 means unscored. The challenge publishes no such labels:
    this is the expressions' format, for your own."""
    return _read(path, ",".join(COMPOUND_EXPRESSIONS), partial(class_row, len(COMPOUND_EXPRESSIONS)), goal=1)


def read_action_units(path: Path) -> Labels:
    """Twelve names in the header, twelve 0 or 1 a row; one -1 is enough to make it unscored. Errors name the line."""
    return _read(path, ",".join(ACTION_UNITS), units_row, goal=len(ACTION_UNITS))


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank at the file's end; CRLF and a byte-order mark are fine.

    ValueError where the file is not text.
    """
    try:
        texts = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
    texts = [text.rstrip("\r").strip() for text in texts]
    while texts and not texts[-1]:
        texts.pop()
    return iter(enumerate(texts, start=1))


def count_rows(path: Path) -> int:
    """Lines after the header: how many frames the annotators saw."""
    return max(0, sum(1 for _ in lines(path)) - 1)


def _read(path: Path, header: str, parse: Callable[[str], list[float] | None], *, goal: int) -> Labels:
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
                f"{path}:{number}: {error}; mend the line or take the file from the challenge again"
            ) from error
        values.append(row or [0.0] * goal)
        scored.append(row is not None)
    return Labels(np.array(values, np.float32).reshape(-1, goal), np.array(scored, bool))


def valence_arousal_row(text: str) -> list[float] | None:
    cells = text.split(",")
    if len(cells) != 2:
        raise InputError(f"{text!r} has {len(cells)} column{'s' * (len(cells) != 1)}, expected 2 (valence,arousal)")
    row = [_number(cell) for cell in cells]
    if -5.0 in row:
        return None
    for value in row:
        if not -1 <= value <= 1:
            raise InputError(f"{value:g} is outside [-1, 1] and is not -5 (unscored)")
    return row


def class_row(num_classes: int, text: str) -> list[float] | None:
    expected = f"expected 0 .. {num_classes - 1} or -1 (unscored)"
    try:
        label = int(text.replace("_", "?"))  # int() would take 1_0 for 10
    except ValueError:
        raise InputError(f"{text!r} is not one integer, {expected}") from None
    if label == -1:
        return None
    if not 0 <= label < num_classes:
        raise InputError(f"class {label} does not exist, {expected}")
    return [float(label)]


UNIT_CELLS = {"0": 0.0, "1": 1.0, "-1": -1.0}


def units_row(text: str) -> list[float] | None:
    cells = [cell.strip() for cell in text.split(",")]
    if len(cells) != len(ACTION_UNITS):
        raise InputError(
            f"{text!r} has {len(cells)} column{'s' * (len(cells) != 1)}, expected {len(ACTION_UNITS)} (AU1 .. AU26)"
        )
    for cell, name in zip(cells, ACTION_UNITS, strict=True):
        if cell not in UNIT_CELLS:
            raise InputError(f"{name} is {cell!r}, expected 0, 1 or -1 (unscored)")
    return None if "-1" in cells else [UNIT_CELLS[cell] for cell in cells]


def _number(cell: str) -> float:
    try:
        value = float(cell.replace("_", "?"))  # float() would take 0_1 for 1
    except ValueError:
        raise InputError(f"{cell!r} is not a number") from None
    if not np.isfinite(value):
        raise InputError(f"{cell.strip()!r} is not a finite number")
    return value

"""Labels as the challenge's text files give them. The sentinels -5 and -1 end here.

A file has one header line, then one line a frame: line i after the header belongs to frame i. An error names
the file and the line, says what was expected and what to do.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float

VA_HEADER = "valence,arousal"
EXPRESSIONS = ("Neutral", "Anger", "Disgust", "Fear", "Happiness", "Sadness", "Surprise", "Other")


@dataclass(frozen=True)
class Labels:
    """One row a frame, from frame 1. ``values`` mean nothing (0) where ``scored`` is False."""

    values: Float[np.ndarray, "time goal"]
    scored: Bool[np.ndarray, " time"]

    def __post_init__(self) -> None:
        if len(self.values) != len(self.scored):
            raise ValueError(f"labels need as many rows ({len(self.values)}) as scored flags ({len(self.scored)})")

    def __len__(self) -> int:
        return len(self.scored)


def read_valence_arousal(path: Path) -> Labels:
    """Two numbers a row in [-1, 1]; either one -5 means unscored. ValueError with file and line for anything else."""
    return _read(path, VA_HEADER, _valence_arousal, goal=2)


def read_expression(path: Path) -> Labels:
    """Eight names in the header, one integer 0 .. 7 a row; -1 means unscored. Errors name file and line."""
    return _read(path, ",".join(EXPRESSIONS), _expression, goal=1)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """Number (from 1) and text of each line that is not blank at the file's end; CRLF and a byte-order mark are fine.

    ValueError where the file is not text.
    """
    try:
        texts = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error.reason} at byte {error.start})") from error
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
        raise ValueError(f"{path}:1: the header is {first!r}, expected {header!r}: is this the file of another task?")
    values, scored = [], []
    for number, text in rows:
        try:
            row = parse(text)
        except ValueError as error:
            raise ValueError(
                f"{path}:{number}: {error}; mend the line or take the file from the challenge again"
            ) from error
        values.append(row or [0.0] * goal)
        scored.append(row is not None)
    return Labels(np.array(values, np.float32).reshape(-1, goal), np.array(scored, bool))


def _valence_arousal(text: str) -> list[float] | None:
    cells = text.split(",")
    if len(cells) != 2:
        raise ValueError(f"{text!r} has {len(cells)} column{'s' * (len(cells) != 1)}, expected 2 (valence,arousal)")
    row = [_number(cell) for cell in cells]
    if -5.0 in row:
        return None
    for value in row:
        if not -1 <= value <= 1:
            raise ValueError(f"{value:g} is outside [-1, 1] and is not -5 (unscored)")
    return row


def _expression(text: str) -> list[float] | None:
    try:
        label = int(text.replace("_", "?"))  # int() would take 1_0 for 10
    except ValueError:
        raise ValueError(f"{text!r} is not one integer, expected a class 0 .. 7 or -1 (unscored)") from None
    if label == -1:
        return None
    if not 0 <= label < len(EXPRESSIONS):
        raise ValueError(f"class {label} does not exist, expected 0 .. 7 or -1 (unscored)")
    return [float(label)]


def _number(cell: str) -> float:
    try:
        value = float(cell.replace("_", "?"))  # float() would take 0_1 for 1
    except ValueError:
        raise ValueError(f"{cell!r} is not a number") from None
    if not np.isfinite(value):
        raise ValueError(f"{cell.strip()!r} is not a finite number")
    return value

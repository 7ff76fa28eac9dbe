"""Files that hold a whole split (MTL, EMI and AH): finding them, the clips that they name, and their labels.

They are recognised by their name and, where the name is a common one, by their first line. Names and rows are as in the
public code of participants; no file of EMI (Hume-Vidmimic2) or AH (BAH) was available.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw.dataset.annotations import Labels, lines, parse_class, parse_units, parse_valence_arousal
from abaw.dataset.names import ACTION_UNITS, EMI_HEADER, EMOTIONS, EXPRESSIONS, MTL_HEADER_START
from abaw.errors import InputError
from abaw.numbers import BLANKS, parse_frame, parse_number

AH_NAMES = {"train": ("train.txt",), "validation": ("val.txt",), "test": ("test.txt",)}
# kind -> split -> patterns of the file's name, some with that of its folder
NAMES: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "mtl": {
        "train": ("training_set_annotations*.txt", "MTL_Challenge/train_set.txt"),
        "validation": ("validation_set_annotations*.txt", "MTL_Challenge/validation_set.txt"),
        "test": ("MTL_*test_set_release.txt", "Multi_Task_Learning_*test_set_release.txt"),
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
IMAGE_NAME = re.compile(r"(\d{5}|[1-9]\d{5,})\.jpg", re.ASCII)  # the number of a frame, as Clip.image() writes it
IMAGE = re.compile(f"([^/]+)/{IMAGE_NAME.pattern}", re.ASCII)
AH_FRAME = re.compile(r"(.+)/frame-(\d+)\.jpg", re.ASCII)
NUMBER = re.compile(r"(\d+)(?:\.0)?", re.ASCII)
ENDING = re.compile(r"\.[A-Za-z]\w{1,4}$", re.ASCII)
FIRST_BYTES = 4096


@dataclass(frozen=True)
class Listing:
    """A file that holds a whole split.

    ``last_frames``: for each clip, in the order of the file, the last frame that it names (1 where it names only
    clips). ``num_repeats``: rows whose clip and frame an earlier row names.
    """

    path: Path
    last_frames: Mapping[str, int]
    num_repeats: int

    @property
    def repeats(self) -> str:
        """How many rows repeat an earlier one, in words."""
        rows = f"{self.num_repeats} rows repeat" if self.num_repeats != 1 else "1 row repeats"
        return f"{self.path}: {rows} the clip and frame of an earlier row; rows of one frame are merged and count once"


def clip_named(name: str) -> str:
    """The clip that a file name stands for: the name without folders and suffix.

    A bare number gets five digits, as EMI's media files have: programs that read a table often turn 00017 into 17, or
    into 17.0 where a cell of the column is empty.

    >>> clip_named("17"), clip_named("17.0"), clip_named("Videos/8/17.mp4")
    ('00017', '00017', '17')
    """
    name = name.strip(BLANKS).rpartition("/")[2]
    number = NUMBER.fullmatch(name)
    return number[1].zfill(5) if number else ENDING.sub("", name)


def parse_place(kind: str, text: str) -> tuple[str, int] | None:
    """The clip and frame (from 1) that the first cell of a row names; None where it names none, as in a header.

    Raises InputError for the number of a frame that no clip can have.

    >>> parse_place("mtl", "video45_1/00012.jpg")
    ('video45_1', 12)
    """
    if kind == "mtl":
        image = IMAGE.fullmatch(text)
        return (image[1], frame) if image and (frame := parse_frame(image[2])) else None
    if kind == "ah_frame":
        image = AH_FRAME.fullmatch(text)
        return (clip_named(image[1]), parse_frame(image[2]) + 1) if image else None  # they count from 0
    if not text or FIRST_LINES["emi"].match(text):
        return None
    return clip_named(text), 1


def find_listings(files: Iterable[Path], splits: Iterable[str]) -> dict[str, dict[str, list[Listing]]]:
    """The files that hold a whole split, by kind and split. Raises InputError where one is not text."""
    found: dict[str, dict[str, list[Listing]]] = {}
    splits = tuple(splits)
    for path in files:
        for kind, names in NAMES.items():
            for split in splits:
                if any(path.match(name) for name in names[split]) and _begins(path, kind):
                    found.setdefault(kind, {}).setdefault(split, []).append(_listing(path, kind, split == "test"))
    return found


def _begins(path: Path, kind: str) -> bool:
    if kind not in FIRST_LINES:
        return True
    with path.open(encoding="utf-8-sig", errors="replace") as file:
        return FIRST_LINES[kind].match(file.readline(FIRST_BYTES).strip()) is not None


def _listing(path: Path, kind: str, is_test: bool) -> Listing:
    """The clips of a file. Rows that name none are skipped, as reading the labels refuses them; not in a test list."""
    last_frames: dict[str, int] = {}
    seen: set[tuple[str, int]] = set()
    num_rows = 0
    for number, text in lines(path):
        try:
            named = parse_place(kind, text.partition(",")[0].strip(BLANKS))
            if named is None and is_test and number > 1 and text:
                named = _place(kind, text)
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}; {REMEDY}") from error
        if named is None:
            continue
        clip_id, frame = named
        last_frames[clip_id] = max(frame, last_frames.get(clip_id, 0))
        seen.add(named)
        num_rows += 1
    return Listing(path, last_frames, num_rows - len(seen))


NUM_MULTITASK = 3 + len(ACTION_UNITS)
REMEDY = "correct the line, or get the file from the organisers again"
MAX_LISTED = 20  # contradictions that an error lists; of the others it gives the number

Row = tuple[int, str, list[str]]  # line number, its first cell, the others
Known = dict[str, dict[int, list[tuple[int, str, np.ndarray]]]]  # clip -> frame -> line, first cell and values of each
# what the rows of one place become where they contradict: their values (rows goal) -> one row
Merge = Callable[[np.ndarray], np.ndarray]


def read_multitask(path: Path, *, average_repeats: bool = False) -> dict[str, Labels]:
    """Read the labels of MTL, by clip: rows of valence, arousal, expression and twelve units.

    Rows go from frame 1 to the last labelled image. A part with its sentinel (-5, -1 or -1) is NaN; a frame is scored
    where at least one part has a label. Frames that are not in the file are not scored. Rows of the same image complete
    each other. Where they contradict, ``average_repeats`` takes the mean of valence and arousal and the most frequent
    expression and units; a part without one most frequent label has none. Otherwise, and for a wrong row, raises
    InputError with the file and all such lines.
    """
    header, rows = _rows(path)
    if not header.replace(" ", "").lower().startswith(MTL_HEADER_START):
        raise InputError(
            f"{path}:1: the header is {header!r}, expected {MTL_HEADER_START}AU1 ...: is this the file of another task?"
        )
    remedy = "correct or remove these rows, or average them with the setting average_repeats of the task mtl"
    return _by_clip(path, "mtl", rows, _multitask, remedy, _averaged if average_repeats else None)


def read_mimicry(path: Path) -> dict[str, Labels]:
    """Read the labels of EMI, by clip: one row of six intensities, from 0 to 1.

    The header is ``Filename`` and the six names in the official order. Raises InputError with file and line for another
    header, a wrong row, or rows of one video that contradict.
    """
    header, rows = _rows(path)
    cells = [cell.strip(BLANKS) for cell in header.split(",")]
    if cells[0].lower() != "filename" or tuple(cells[1:]) != EMOTIONS:
        raise InputError(
            f"{path}:1: the header is {header!r}, expected {EMI_HEADER!r}: is this the file of another task?"
        )
    return _by_clip(path, "emi", rows, _intensities)


def read_ambivalence(path: Path, kind: str) -> dict[str, Labels]:
    """Read the labels of AH, by clip: 0 or 1. There is no header.

    ``kind``: "ah_clip", where a row is path,label,transcript and a clip has one label; or "ah_frame", where a row is
    path/frame-0.jpg,label and frames that are not in the file are not scored. Raises InputError with file and line for
    a wrong row, or for rows of one place that contradict.
    """
    return _by_clip(path, kind, (_cells(number, text) for number, text in lines(path)), _ambivalence)


def _rows(path: Path) -> tuple[str, Iterator[Row]]:
    texts = lines(path)
    _, header = next(texts, (1, ""))
    return header, (_cells(number, text) for number, text in texts)


def _cells(number: int, text: str) -> Row:
    first, *others = text.split(",")
    return number, first.strip(BLANKS), others


def _by_clip(
    path: Path,
    kind: str,
    rows: Iterator[Row],
    parse: Callable[[list[str]], list[float]],
    remedy: str = "correct or remove these rows, or get the file from the organisers again",
    merge: Merge | None = None,
) -> dict[str, Labels]:
    found: Known = {}
    for number, first, others in rows:
        try:
            clip_id, frame = _place(kind, first)
            values = np.array(parse(others))
        except ValueError as error:
            raise InputError(f"{path}:{number}: {error}; {REMEDY}") from error
        found.setdefault(clip_id, {}).setdefault(frame, []).append((number, first, values))
    if merge is None and (contradictions := list(_contradictions(found))):
        more = len(contradictions) - MAX_LISTED
        listed = "; ".join(contradictions[:MAX_LISTED]) + (f"; and {more} more" if more > 0 else "")
        raise InputError(f"{path}:{listed}: {remedy}")
    return {
        clip_id: _labels({frame: _one(each, merge) for frame, each in known.items()})
        for clip_id, known in found.items()
    }


def _place(kind: str, first: str) -> tuple[str, int]:
    named = parse_place(kind, first)
    if named is None:
        wanted = {"mtl": "<clip>/<frame of five digits, from 1>.jpg", "ah_frame": "<video>/frame-<number>.jpg"}
        raise InputError(f"{first!r} names no clip, expected {wanted.get(kind, 'a video')}")
    return named


def _contradictions(found: Known) -> Iterator[str]:
    """The lines whose rows contradict an earlier row of the same place, in the order of these places."""
    for known in found.values():
        for rows in known.values():
            for i, (number, first, values) in enumerate(rows):
                for line, _, before in rows[:i]:
                    if not _agree(np.stack([before, values])):
                        yield f"{number}: {first!r} has other labels on line {line}"
                        break


def _agree(values: np.ndarray) -> bool:
    """Whether rows (rows goal) have the same values as far as they have any."""
    low, high = np.fmin.reduce(values), np.fmax.reduce(values)  # NaN only where all are
    return bool((np.isnan(low) | (low == high)).all())


def _one(rows: list[tuple[int, str, np.ndarray]], merge: Merge | None) -> np.ndarray:
    """The values of a place: those of its rows, which complete each other, or what ``merge`` makes of them."""
    if len(rows) == 1:
        return rows[0][2]
    values = np.stack([each for _, _, each in rows])
    return np.fmax.reduce(values) if merge is None or _agree(values) else merge(values)


def _averaged(values: np.ndarray) -> np.ndarray:
    """The mean of valence and arousal, and the most frequent expression and units, each NaN where there is none."""
    parts = []
    for part in (values[:, :2], values[:, 2:3], values[:, 3:]):
        there = part[~np.isnan(part).any(axis=1)]
        if part.shape[1] == 2 and len(there):
            parts.append(there.mean(axis=0))
            continue
        most = [_most_frequent(column) for column in there.T] if len(there) else [np.nan]
        parts.append(np.full(part.shape[1], np.nan) if np.isnan(most).any() else np.array(most))
    return np.concatenate(parts)


def _most_frequent(labels: np.ndarray) -> float:
    """The label that occurs most often; NaN where several do."""
    each, counts = np.unique(labels, return_counts=True)
    return float(each[counts.argmax()]) if (counts == counts.max()).sum() == 1 else np.nan


def _labels(known: dict[int, np.ndarray]) -> Labels:
    """The labels of a clip from frame 1 to the last labelled frame; at least one row."""
    labelled = {frame: row for frame, row in known.items() if not np.isnan(row).all()}
    num_values = len(next(iter(known.values())))
    values = np.zeros((max(labelled, default=1), num_values), np.float32)
    scored = np.zeros(len(values), bool)
    for frame, row in labelled.items():
        values[frame - 1], scored[frame - 1] = row, True
    return Labels(values, scored)


def _multitask(cells: list[str]) -> list[float]:
    if len(cells) != NUM_MULTITASK:
        raise InputError(
            f"the row has {1 + len(cells)} columns, expected {1 + NUM_MULTITASK} (image, 3 labels, 12 units)"
        )
    return [
        *(parse_valence_arousal(",".join(cells[:2])) or [np.nan] * 2),
        *(parse_class(len(EXPRESSIONS), cells[2]) or [np.nan]),
        *(parse_units(",".join(cells[3:])) or [np.nan] * len(ACTION_UNITS)),
    ]


def _intensities(cells: list[str]) -> list[float]:
    if len(cells) != len(EMOTIONS):
        raise InputError(f"the row has {1 + len(cells)} columns, expected {1 + len(EMOTIONS)} (video, 6 intensities)")
    try:
        values = [parse_number(cell.strip(BLANKS)) for cell in cells]
    except ValueError as error:
        raise InputError(f"{','.join(cells)!r} is not {len(EMOTIONS)} numbers: {error}") from None
    if not all(0 <= value <= 1 for value in values):
        raise InputError(f"{','.join(cells)!r} is not {len(EMOTIONS)} numbers from 0 to 1")
    return values


def _ambivalence(cells: list[str]) -> list[float]:
    label = cells[0].strip(BLANKS) if cells else ""  # a transcript may follow, which may contain commas
    if label not in ("0", "1"):
        raise InputError(f"the label is {label!r}, expected 0 or 1")
    return [float(label)]

"""The timeline of a clip: what an analysis says of every frame and person, as all views read it."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import NotFoundError
from abaw.files import as_path
from abaw.files.names import first_few
from abaw.tasks.ranges import deviation_name, spread_name
from abaw.views.analysis_files import CLASSES, DOCUMENT, SIDES, UNITS, VALUES, read_columns, read_document

__all__ = ["CLASSES", "DOCUMENT", "UNITS", "VALUES", "Block", "PersonRows", "Timeline", "from_columns", "read_timeline"]


@dataclass(frozen=True)
class Block:
    """Columns of a task that belong together.

    ``kind``: "classes" (probabilities that sum to 1), "units" (a probability each) or "values". ``columns``: their
    names in the table; ``labels``: as they are shown. ``ranges``: the lowest and highest value of each column.
    ``chosen``: the column with the name of the most probable class, else None.
    """

    task: str
    kind: str
    columns: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    chosen: str | None = None

    @property
    def labels(self) -> tuple[str, ...]:
        return tuple(column.removeprefix("p_") for column in self.columns)


@dataclass(frozen=True)
class PersonRows:
    """One person in every frame of the clip: arrays with a row a frame, NaN or False where there is nothing.

    ``person``: the number in the face track; None for the target of a clip, whose number can change from frame to frame
    (``numbers``, -1 without a face). ``observed``: something to predict from was there. ``boxes``: x, y, width and
    height of the face in pixels. ``columns``: name -> values; standard deviations and spreads under their own names.
    ``chosen``: name of a column of class names -> these, "" where empty.
    """

    person: int | None
    observed: np.ndarray
    face_seen: np.ndarray
    boxes: np.ndarray
    numbers: np.ndarray
    columns: Mapping[str, np.ndarray]
    chosen: Mapping[str, np.ndarray]

    def of_block(self, block: Block) -> np.ndarray:
        """The values of a block's columns: (frames, columns), NaN where empty."""
        return np.stack([self.columns[column] for column in block.columns], axis=1)

    def deviations(self, column: str) -> np.ndarray | None:
        """The standard deviation of a column, where the table has one."""
        return self.columns.get(deviation_name(column))

    def spread(self, column: str) -> np.ndarray | None:
        """The standard deviation of a column over the members of an ensemble, where the table has one; NaN in frames of
        fewer than two."""
        return self.columns.get(spread_name(column))


@dataclass(frozen=True)
class Timeline:
    """What an analysis says of a clip. Every array has a row for each frame, in the order of the frames.

    ``times_s``: timestamps of the frames, in container seconds. ``faces_sought``: whether faces were looked for at all.
    ``document``: all of analysis.json; ``about``: its entry of this clip.
    """

    clip_id: str
    folder: Path
    times_s: np.ndarray
    voice_heard: np.ndarray
    faces_sought: bool
    blocks: tuple[Block, ...]
    persons: tuple[PersonRows, ...]
    document: Mapping[str, Any]

    @property
    def about(self) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.document["clips"][self.clip_id]
        return found

    @property
    def media(self) -> Path | None:
        """The media file as it was given to the analysis."""
        return Path(self.about["media"]) if self.about["media"] else None

    @property
    def sources(self) -> tuple[str, ...]:
        """What predicted, and what it was trained on, a line each.

        Without the recognisers that whoever analysed the clip could get, which follow a line that ends in a colon: they
        say nothing of the clip.
        """
        lines = self.document["sources"]
        return tuple(takewhile(lambda line: not line.endswith(":"), lines))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What was lost of the clip and what else its reader must know, a line each."""
        reason = self.about["no_prediction"]
        found = [*self.document["warnings"], self.about["losses"], f"no prediction: {reason}" if reason else ""]
        return tuple(line for line in found if line)

    def seen_longest(self, num: int) -> list[int]:
        """The places of at most ``num`` persons, those whose faces are seen in most frames, in their order."""
        places = sorted(range(len(self.persons)), key=lambda place: -int(self.persons[place].face_seen.sum()))
        return sorted(places[:num])

    @cached_property
    def circumplex(self) -> tuple[tuple[float, float], tuple[float, float]] | None:
        """The ranges of valence and of arousal; None where not both are predicted."""
        values = [block for block in self.blocks if block.kind == VALUES]
        ranges = {name: each for block in values for name, each in zip(block.columns, block.ranges, strict=True)}
        return (ranges["valence"], ranges["arousal"]) if {"valence", "arousal"} <= ranges.keys() else None

    @cached_property
    def stops_s(self) -> np.ndarray:
        """When each frame ends: at the next one's timestamp; the last is shown for the median interval."""
        steps = np.diff(self.times_s)
        last = float(np.median(steps)) if len(steps) else 0.04
        return np.append(self.times_s[1:], self.times_s[-1:] + last)


def read_timeline(folder: str | Path, clip_id: str) -> Timeline:
    """The timeline of a clip in a folder that ``analyze`` wrote.

    Raises NotFoundError where the folder or the clip is not there, and InputError where an earlier version wrote it, or
    a file of it is damaged.
    """
    folder = as_path(folder, "folder")
    document = read_document(folder)
    if clip_id not in document["clips"]:
        known = first_few(sorted(document["clips"]), 5) or "none"
        raise NotFoundError(f"{folder} has no clip {clip_id!r}; it has {known}")
    path = folder / document["clips"][clip_id]["table"]
    if not path.is_file():
        raise NotFoundError(f"{path} is missing, but {DOCUMENT} names it: analyze again")
    return from_columns(clip_id, folder, read_columns(path, document["blocks"]), document)


def from_columns(
    clip_id: str, folder: Path, columns: Mapping[str, np.ndarray], document: Mapping[str, Any]
) -> Timeline:
    """The timeline of the columns of a table: a row a frame, or a row for each person and frame."""
    blocks = tuple(
        Block(each["task"], each["kind"], tuple(each["columns"]), tuple(map(tuple, each["ranges"])), each["chosen"])
        for each in document["blocks"]
    )
    names = [name for block in blocks for name in block.columns]
    more = [*map(deviation_name, names), *map(spread_name, names)]
    names += [name for name in more if name in columns]
    chosen = [block.chosen for block in blocks if block.chosen is not None]
    frames = np.asarray(columns["frame"], int)
    _, first_rows, places = np.unique(frames, return_index=True, return_inverse=True)
    numbers = np.nan_to_num(np.asarray(columns["person"], float), nan=-1).astype(int)
    known = [each["person"] for each in document["clips"][clip_id]["persons"]]
    persons = []
    for person in known:  # of a single one there is a row for every frame
        rows = np.flatnonzero(numbers == person) if len(known) > 1 else np.arange(len(frames))
        on_frames = partial(_on_frames, columns, rows, places[rows], len(first_rows))
        persons.append(
            PersonRows(
                person,
                on_frames("observed", False),
                on_frames("face_seen", False),
                np.stack([on_frames(side, np.nan) for side in SIDES], axis=1),
                on_frames("person", -1),
                {name: on_frames(name, np.nan) for name in names},
                {name: on_frames(name, "") for name in chosen},
            )
        )
    return Timeline(
        clip_id,
        folder,
        np.asarray(columns["time_s"], float)[first_rows],
        np.asarray(columns["voice_heard"], bool)[first_rows],
        any(each is not None for each in columns["face_seen"].tolist()),
        blocks,
        tuple(persons),
        document,
    )


def _on_frames(
    columns: Mapping[str, np.ndarray], rows: np.ndarray, places: np.ndarray, num_frames: int, name: str, empty: Any
) -> np.ndarray:
    """A column with a value for every frame: those of ``rows`` at their ``places``, ``empty`` elsewhere."""
    dtype = {bool: bool, int: int, float: np.float32, str: object}[type(empty)]
    found: np.ndarray = np.full(num_frames, empty, dtype)
    given = columns[name][rows]
    is_given = np.array([each is not None and each == each for each in given.tolist()], bool)
    found[places[is_given]] = given[is_given].astype(dtype)
    return found

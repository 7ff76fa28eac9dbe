"""What a manifest says: the clips, splits, groups and labels of a data set in one table.

``abaw/dataset/manifests/`` reads it: ``reader`` the YAML file and the table, ``labels`` the labels of a split.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

ROW_COLUMNS = ("frame", "time_s", "start_s", "stop_s")  # of files of labels
Level = Literal["clip", "frame"]
WHOLE_FILE_S = (0.0, math.inf)


@dataclass(frozen=True)
class ClassColumns:
    """The classes of a data set, in the order of ``names``.

    ``column`` holds the name of a row's class, or one of the ``aliases`` (as written -> name). Where it is empty,
    ``columns`` hold the share of every class (soft labels), in the order of ``names``. ``level``: whether the columns
    are in the manifest, one label a clip, or in a file of labels for each clip.
    """

    names: tuple[str, ...]
    column: str = ""
    columns: tuple[str, ...] = ()
    aliases: Mapping[str, str] = field(default_factory=dict)
    level: Level = "clip"

    @property
    def is_soft(self) -> bool:
        """Whether a label is a share for every class."""
        return not self.column

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that hold the labels."""
        return self.columns if self.is_soft else (self.column,)


@dataclass(frozen=True)
class ValueColumns:
    """The values of a data set: ``columns``, and of each the lowest and the highest value. ``level``: as for classes"""

    columns: tuple[str, ...]
    ranges: tuple[tuple[float, float], ...]
    level: Level = "clip"

    @property
    def label_columns(self) -> tuple[str, ...]:
        """The columns that hold the labels."""
        return self.columns


Declaration = ClassColumns | ValueColumns


@dataclass(frozen=True)
class ManifestRow:
    """The labels of one clip: ``cells`` of the label columns as they are written, or a file of ``labels``.

    ``place``: file and line of the row, as errors name them. ``part_s``: the part of the file that is the clip.
    """

    place: str
    cells: Mapping[str, str] = field(default_factory=dict)
    labels: Path | None = None
    part_s: tuple[float, float] = WHOLE_FILE_S


@dataclass(frozen=True)
class Manifest:
    """A table of clips. ``path``: the table; ``file``: the data set file that names it; ``columns``: all of the table.

    ``splits``: clip -> "train", "validation" or "test", in the order of the table. ``groups``: clip -> speaker, session
    or subject; {} where no column says so and no two clips are of one file. ``classes`` and ``values``: None where the
    data set has none. ``rows``: by clip. ``group_column``: the name of the column of groups. ``row_columns``: the names
    in files of labels for "frame" (from 1), "time_s", "start_s" and "stop_s".
    """

    path: Path
    file: Path
    columns: tuple[str, ...]
    splits: Mapping[str, str]
    groups: Mapping[str, str] = field(default_factory=dict)
    classes: ClassColumns | None = None
    values: ValueColumns | None = None
    rows: Mapping[str, ManifestRow] = field(default_factory=dict)
    group_column: str = "group"
    row_columns: Mapping[str, str] = field(default_factory=lambda: {key: key for key in ROW_COLUMNS})

    @property
    def has_groups(self) -> bool:
        """Whether a column says whose each clip is."""
        return len(self.groups) == len(self.splits) and self.group_column in self.columns

    def clips(self, split: str) -> tuple[str, ...]:
        """The clips of a split, in the order of the table."""
        return tuple(clip_id for clip_id, each in self.splits.items() if each == split)

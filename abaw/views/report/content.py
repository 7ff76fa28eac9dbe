"""What a report's sections are made of; the template knows how each part looks, and escapes every text in it."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar

from abaw.numbers import format_count

if TYPE_CHECKING:
    from abaw.views.plots.plot import Plot
    from abaw.views.report.facts import FolderFacts, ReportFacts, TaskFacts


@dataclass(frozen=True)
class Text:
    """A paragraph. ``is_doubt``: it says why a number may mean less than it seems."""

    kind: ClassVar[str] = "text"
    text: str
    is_doubt: bool = False


@dataclass(frozen=True)
class Lines:
    """A list of short texts."""

    kind: ClassVar[str] = "lines"
    lines: tuple[str, ...]
    is_doubt: bool = False


@dataclass(frozen=True)
class Rows:
    """A table. The first cell of a row names it."""

    kind: ClassVar[str] = "rows"
    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    @property
    def numeric(self) -> tuple[bool, ...]:
        """Which columns hold numbers, whose digits stand below each other."""
        columns = zip(*self.rows, strict=True) if self.rows else [()] * len(self.head)
        return tuple(i > 0 and all(map(_NUMBER.fullmatch, each)) for i, each in enumerate(columns))


@dataclass(frozen=True)
class Figure:
    """A drawing with its caption; its text alternative is that of the plot."""

    kind: ClassVar[str] = "figure"
    caption: str
    plot: "Plot"


@dataclass(frozen=True)
class Verbatim:
    """A text with its line breaks, such as a config."""

    kind: ClassVar[str] = "verbatim"
    text: str


@dataclass(frozen=True)
class Folded:
    """Parts that are folded until the reader opens them; print shows them."""

    kind: ClassVar[str] = "folded"
    title: str
    parts: tuple["Part", ...]


@dataclass(frozen=True)
class Column:
    """Parts under a small heading, such as those of one of several runs."""

    kind: ClassVar[str] = "column"
    title: str
    parts: tuple["Part", ...]


@dataclass(frozen=True)
class Beside:
    """Parts beside each other where there is room."""

    kind: ClassVar[str] = "beside"
    parts: tuple["Part", ...]


@dataclass(frozen=True)
class Group:
    """Parts under a heading of their own that the table of contents lists, such as those of one task."""

    kind: ClassVar[str] = "group"
    title: str
    parts: tuple["Part", ...]


Part = Text | Lines | Rows | Figure | Verbatim | Folded | Column | Beside | Group
_NUMBER = re.compile(r"[<+-]? ?[\d,.]+( %| s| MB)?( \(.*\))?|–|")


@dataclass(frozen=True)
class Section:
    """``key``: the anchor of the section."""

    key: str
    title: str
    parts: tuple[Part, ...] = field(default_factory=tuple)


def doubts(lines: Iterable[str]) -> list[Part]:
    """A list of doubts, each once; nothing where there is none."""
    found = tuple(dict.fromkeys(lines))
    return [Lines(found, is_doubt=True)] if found else []


def several(parts: Sequence[Part]) -> list[Part]:
    """Parts beside each other; one alone as it is."""
    return [Beside(tuple(parts))] if len(parts) > 1 else list(parts)


def by_task(facts: "ReportFacts", build: "Callable[[FolderFacts, TaskFacts], Iterable[Part]]") -> list[Part]:
    """What ``build`` returns for each folder, side by side, in a group for each task that has any."""
    found = list[Part]()
    for name in facts.task_names:
        of_folders = {folder.folder: tuple(build(folder, task)) for folder, task in facts.of_task(name)}
        if parts := in_columns(of_folders):
            found.append(Group(name, parts))
    return found


def in_columns(of_folders: Mapping[str, Sequence[Part]]) -> tuple[Part, ...]:
    """The parts of each folder, side by side under its name; of a single folder without that."""
    if len(of_folders) == 1:
        return tuple(*of_folders.values())
    columns = [Column(folder, tuple(parts)) for folder, parts in of_folders.items() if parts]
    return (Beside(tuple(columns)),) if columns else ()


def number(value: float | None, digits: int = 4) -> str:
    """A score as it is written in a table; a dash where there is none.

    >>> number(0.51234), number(None), number(-0.00001)
    ('0.5123', '–', '0.0000')
    """
    return "–" if value is None else f"{round(value, digits) + 0.0:.{digits}f}"


def with_bounds(value: float, bounds: tuple[float, float] | None) -> str:
    """A score with its interval.

    >>> with_bounds(0.5, (0.4, 0.6))
    '0.5000 (0.4000 to 0.6000)'
    """
    return number(value) + (f" ({number(bounds[0])} to {number(bounds[1])})" if bounds else "")


def counted(num: int, unit: str) -> str:
    """A number with its unit; thousands are separated by narrow spaces.

    >>> counted(1, "clip"), counted(12345, "frame").replace("\\u202f", "_")
    ('1 clip', '12_345 frames')
    """
    words = format_count(num, unit)
    return words.replace(str(num), f"{num:,}".replace(",", "\u202f"), 1)

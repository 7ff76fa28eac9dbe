"""A challenge file read back against its template: every line that is not as the template asks, by its number."""

import heapq
import re
from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from operator import itemgetter
from pathlib import Path

import numpy as np

from abaw.challenge.locations import Places
from abaw.challenge.order import order_faults
from abaw.challenge.template import NOT_TEXT, Template, read_template
from abaw.errors import InputError, NotFoundError
from abaw.tasks import TASKS
from abaw.tasks.base import Task

MAX_FAULTS = 100  # more lines help nobody
NUM_REMEMBERED = 5000  # values that were found good: of classes there are few
NUM_SHOWN = 200  # characters of what is wrong
MARK = "\ufeff"
CLUTTER = re.compile("[\x00-\x1f\ufeff\udc80-\udcff\"']")


@dataclass(frozen=True)
class Fault:
    """One reason why a challenge file would be refused, and its line (None: it is about the whole file)."""

    path: Path
    line: int | None
    message: str

    def __str__(self) -> str:
        return f"{self.path}{f':{self.line}' if self.line else ''}: {self.message}"


class Faults:
    """The first ``MAX_FAULTS`` reasons in the order they are added, and how many there are."""

    def __init__(self) -> None:
        self.first: list[tuple[int, str]] = []
        self.count = 0

    def add(self, line: int, words: str) -> None:
        self.count += 1
        if len(self.first) < MAX_FAULTS:
            self.first.append((line, words))


def verify(path: str | Path, template: str | Path, *, task: str | None = None) -> list[Fault]:
    """Every reason why the challenge file ``path`` is not what the template asks for, with its line; [] where it is.

    At most ``MAX_FAULTS`` reasons and a count of the rest; rows that are wrong in the same way one after the other are
    one reason. Raises where a file is missing or no text or the template is broken, and ValueError where the template
    is not of the task named.
    """
    path = Path(path)
    asked = read_template(Path(template), task)
    reading = _Reading(asked)
    reading.read(_lines(path))
    order = Faults()
    for line, words in order_faults(asked, *reading.rows):
        order.add(line, words)
    kinds = (reading.faults, reading.ends, order)
    merged = list(heapq.merge(*(kind.first for kind in kinds), key=itemgetter(0)))[:MAX_FAULTS]
    num_more = sum(kind.count for kind in kinds) - len(merged)
    found = [Fault(path, line, words) for line, words in merged]
    return [*found, Fault(path, None, f"and {num_more} more faults")] if num_more else found


def _lines(path: Path) -> Iterator[str]:
    if path.is_dir():
        raise InputError(f"the submission {path} is a folder: give the challenge file in it")
    if not path.is_file():
        raise NotFoundError(f"no submission at {path}: write one with abaw submit")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # a lone \r ends no line
        first = next(file, "")
        if NOT_TEXT.search(first):
            raise InputError(f"{path}: not a text file: give the challenge file that abaw submit wrote")
        yield first
        yield from file


class _Reading:
    """One pass over a submission: what is wrong with a line by itself, and which row it is."""

    def __init__(self, asked: Template) -> None:
        self.faults, self.ends = Faults(), Faults()
        self.first_line = asked.first_line
        self._asked = asked
        self._places = Places(asked.layout, asked.stems)
        self._meant = Meant(asked)
        self._clips, self._frames = array("i"), array("i")
        self._good: set[str] = set()  # values

    @property
    def rows(self) -> tuple[list[str], int, np.ndarray, np.ndarray]:
        """Every clip met, the template's first; the first row's line; clip (-1: none) and frame of every line."""
        clips, frames = (np.array(codes, np.int32) for codes in (self._clips, self._frames))
        return list(self._places.codes), self.first_line, clips, frames

    def read(self, lines: Iterator[str]) -> None:
        first = next(lines, "")
        crlf = first.endswith("\r\n")
        if not self._is_header(_cut(first)) and first:
            lines = chain([first.removeprefix(MARK)], lines)
        known, good, clips, frames = self._places.known, self._good, self._clips.append, self._frames.append
        num_other = other = 0
        for number, line in enumerate(lines, self.first_line):  # a million times: what is rare is asked elsewhere
            if (line[-2:] == "\r\n") is not crlf and line[-1] == "\n":
                num_other, other = num_other + 1, other or number
            text = _cut(line) if line[-2:] == "\r\n" or line[-1] != "\n" else line[:-1]
            location, _, value = text.partition(",")
            clip, frame = known(location) or self._odd_location(number, text)
            if value not in good:
                self._check_value(number, text, value, is_row=clip >= 0)
            clips(clip)
            frames(frame)
        if num_other:
            ends = ("LF", "CRLF") if crlf else ("CRLF", "LF")
            more = f", as do {num_other - 1} more lines" if num_other > 1 else ""
            self.ends.add(other, f"ends in {ends[0]}{more}, but line 1 in {ends[1]}: end all lines alike")

    def _is_header(self, text: str) -> bool:
        """Whether line 1 stands where the header belongs; reports what is wrong with it."""
        if text.startswith(MARK):
            self.faults.add(1, "begins with a byte-order mark, three bytes that are not in the template: save without")
            text = text.removeprefix(MARK)
        header = self._asked.header
        if header is None or text == header:
            return header is not None
        if self._meant.place(text.partition(",")[0]) is not None:
            self.faults.add(1, f"the header is missing: line 1 is a row, expected {header!r}")
            self.first_line = 1
            return False
        self.faults.add(1, f"the header is {_shown(text)}, expected {header!r}{_header_hint(text, header)}")
        return True

    def _odd_location(self, number: int, text: str) -> tuple[int, int]:
        """Code and frame of a line that is not at once known to have one, -1 where it has none; reports what is wrong.

        A well-formed location of a clip that is not in the template is reported with the order of the rows.
        """
        location, comma, _ = text.partition(",")
        layout, why = self._asked.layout, ""
        try:
            if layout.split(location)[0] in self._places.codes:
                return self._places.add(location)
        except ValueError as error:
            why = str(error)
        meant = self._meant.place(location)
        if meant is not None:
            right = layout.join(self._asked.stems[meant[0]], meant[1])
            what = "holds a byte that is no text" if NOT_TEXT.search(location) else "is not written as in the template"
            why = f"{_shown(location)} {what}, expected {right!r}"
        elif not why:
            return self._places.add(location)
        elif not text.strip():
            self.faults.add(number, "a blank line")
        if comma:  # without one there is more to say
            self.faults.add(number, why)
        return meant or (-1, 0)

    def _check_value(self, number: int, text: str, value: str, *, is_row: bool) -> None:
        if value:
            fault = _value_fault(self._asked.task, value)
        elif "," in text:
            fault = "no value after the comma"
        else:
            fault = _no_comma(text, is_row=is_row) if text.strip() else None  # a blank line was reported
        if fault:
            self.faults.add(number, fault)
        elif value and len(self._good) < NUM_REMEMBERED:
            self._good.add(value)


class Meant:
    """Which row a location means that is not written as it should be."""

    def __init__(self, asked: Template) -> None:
        self._layout = asked.layout
        exact = {name: code for code, stem in enumerate(asked.stems) for name in (stem, asked.layout.clip(stem))}
        count = Counter(name.casefold() for name in exact)
        self._codes = {name.casefold(): code for name, code in exact.items() if count[name.casefold()] == 1} | exact

    def place(self, location: str) -> tuple[int, int] | None:
        """Code and frame, whatever its case, spaces, zeros, suffix and folders; None where it means no clip."""
        match = self._layout.loose.match(CLUTTER.sub("", location.replace("\\", "/")).strip())
        if match is None:
            return None
        names = [name for exact in (match[1], self._layout.clip(match[1])) for name in (exact, exact.casefold())]
        code = next((self._codes[name] for name in names if name in self._codes), None)
        frame = int(match[2] or 0)
        return None if code is None or frame < self._layout.first else (code, frame)


def _cut(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _value_fault(task: Task, value: str) -> str | None:
    try:
        task.parse_row(value)
        if value.split() == [value]:  # a task may be lax
            return None
        words = f"{_shown(value)} holds white space"
    except ValueError as error:
        words = str(error)
    if NOT_TEXT.search(value):
        return f"{_shown(value)} holds a byte that is no text"
    if ";" in value:
        return f"{_shown(value)} is parted by ';', expected ','"
    return words if value.split() == [value] else f"{_shown(value)} holds white space"


def _no_comma(text: str, *, is_row: bool) -> str:
    sign = next((sign for sign in ";\t|" if sign in text), None)
    if sign:
        return f"{_shown(text)} is parted by {sign!r}, expected ','"
    return "no comma and no value after the location" if is_row else f"{_shown(text)} is no row"


def _header_hint(text: str, header: str) -> str:
    other = next((name for name in TASKS.names() if TASKS.build(name).header == text), None)
    if other:
        return f": it is that of {other}"
    if text.casefold() == header.casefold():
        return ": upper and lower case count"
    return ": spaces count" if "".join(text.split()) == "".join(header.split()) else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= NUM_SHOWN else text[:NUM_SHOWN] + "...")

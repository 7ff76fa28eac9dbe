"""Checking a challenge file against its template: every fault with its line number."""

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

from abaw.challenge import own_files
from abaw.challenge.locations import Places
from abaw.challenge.order import order_faults
from abaw.challenge.template import NOT_TEXT, Template, read_template
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from abaw.numbers import parse_frame
from abaw.tasks import TASKS
from abaw.tasks.base import Task

MAX_FAULTS = 100  # that are listed
NUM_REMEMBERED = 5000  # valid values, which are not parsed again: there are few different classes
MIN_JOINED, SHARE_JOINED = 10, 0.9  # faults of one kind, of all rows
NUM_SHOWN = 200  # characters of a wrong text
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

    def join(self, num_rows: int) -> None:
        """Make one of them where (nearly) every row has one: the whole file is of another kind."""
        if self.count >= max(MIN_JOINED, SHARE_JOINED * num_rows):
            line, words = self.first[0]
            others = f"{self.count - 1} of the other {num_rows - 1} rows are wrong there too"
            self.first = [(line, f"{words}; {others}: is this file for another task?")]
            self.count = 1


def verify(path: str | Path, template: str | Path, *, task: str | None = None, split: str = "test") -> list[Fault]:
    """Check the challenge file ``path`` against its template: every fault with its line; [] for a valid file.

    At most ``MAX_FAULTS`` faults and a count of the others; consecutive rows with the same fault are one, and so are
    wrong locations, or wrong values, in nearly all rows of a file with another header. ``task``: the
    template's task, where the file does not show it. ``template`` may be the data set file (YAML) of your own labels:
    then ``path`` is checked for the clips of ``split``. Raises NotFoundError where a file is missing, InputError where
    one is not text, the template is invalid, or it is of another task than the one named.
    """
    path = as_path(path, "path")
    template = as_path(template, "template")
    if own_files.is_data_set_file(template):
        return _verify_own(path, template, task, split)
    asked = read_template(template, task)
    reading = _Reading(asked)
    reading.read(_lines(path))
    order = Faults()
    for line, words in order_faults(asked, *reading.rows):
        order.add(line, words)
    if asked.header is None or reading.has_other_header:
        for each in (reading.places, reading.values):
            each.join(len(reading.rows[2]))
    sources = (reading.faults, reading.places, reading.values, reading.ends, order)
    merged = list(heapq.merge(*(each.first for each in sources), key=itemgetter(0)))[:MAX_FAULTS]
    num_more = sum(each.count for each in sources) - len(merged)
    found = [Fault(path, line, words) for line, words in merged]
    return [*found, Fault(path, None, f"and {num_more} more faults")] if num_more else found


def _verify_own(path: Path, template: Path, task_name: str | None, split: str) -> list[Fault]:
    dataset, task = own_files.open_own(template, task_name, [] if task_name else own_files.has_classes(path))
    faults = Faults()
    for line, words in own_files.faults_of(path, task, own_files.clips_of(dataset, task, split)):
        faults.add(line, words)
    found = [Fault(path, line, words) for line, words in faults.first]
    num_more = faults.count - len(found)
    return [*found, Fault(path, None, f"and {num_more} more faults")] if num_more else found


def _lines(path: Path) -> Iterator[str]:
    if path.is_dir():
        raise InputError(f"the submission {path} is a folder: give the challenge file in it")
    if not path.is_file():
        raise NotFoundError(f"no submission at {path}: write one with abaw submit")
    with path.open(encoding="utf-8", errors="surrogateescape", newline="\n") as file:  # a lone \r does not end a line
        first = next(file, "")
        if NOT_TEXT.search(first):
            raise InputError(f"{path}: not a text file: give the challenge file that abaw submit wrote")
        yield first
        yield from file


class _Reading:
    """One pass over a submission: the faults of single lines, and which row each line is."""

    def __init__(self, asked: Template) -> None:
        self.faults, self.places, self.values, self.ends = Faults(), Faults(), Faults(), Faults()
        self.has_other_header, self.first_line = False, asked.first_line
        self._asked = asked
        self._places = Places(asked.layout, asked.stems)
        self._meant = Meant(asked)
        self._clips, self._frames = array("i"), array("i")
        self._good: set[str] = set()  # values

    @property
    def rows(self) -> tuple[list[str], int, np.ndarray, np.ndarray]:
        """All clips, the template's first; the line of the first row; clip (-1: none) and frame of every line."""
        clips, frames = (np.array(codes, np.int32) for codes in (self._clips, self._frames))
        return list(self._places.codes), self.first_line, clips, frames

    def read(self, lines: Iterator[str]) -> None:
        first = next(lines, "")
        crlf = first.endswith("\r\n")
        if not self._is_header(_cut(first)) and first:
            lines = chain([first.removeprefix(MARK)], lines)
        known, good, clips, frames = self._places.known, self._good, self._clips.append, self._frames.append
        num_other = other = 0
        for number, line in enumerate(lines, self.first_line):  # a million times: rare cases are elsewhere
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
            self.ends.add(other, f"ends in {ends[0]}{more}, but line 1 in {ends[1]}: use one line end")

    def _is_header(self, text: str) -> bool:
        """Whether line 1 is meant as the header; adds its faults."""
        if text.startswith(MARK):
            words = "begins with a byte-order mark, which the template does not have: save the file without it"
            self.faults.add(1, words)
            text = text.removeprefix(MARK)
        header = self._asked.header
        if header is None or text == header:
            return header is not None
        self.has_other_header = True
        if self._meant.place(text.partition(",")[0]) is not None:
            self.faults.add(1, f"the header is missing: line 1 is a row, expected {header!r}")
            self.first_line = 1
            return False
        self.faults.add(1, f"the header is {_shown(text)}, expected {header!r}{_header_hint(text, header)}")
        return True

    def _odd_location(self, number: int, text: str) -> tuple[int, int]:
        """Code and frame of a line whose location is new or invalid (code -1: no row); adds its faults.

        A valid location of a clip that is not in the template is reported with the order of the rows.
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
            is_text = not NOT_TEXT.search(location)
            what = "is not written as in the template" if is_text else "contains a byte that is not text"
            why = f"{_shown(location)} {what}, expected {right!r}"
        elif not why:
            return self._places.add(location)
        elif not text.strip():
            self.faults.add(number, "a blank line")
        if comma:  # a line without a comma is reported with its value
            self.places.add(number, why)
        return meant or (-1, 0)

    def _check_value(self, number: int, text: str, value: str, *, is_row: bool) -> None:
        if value:
            fault = _value_fault(self._asked.task, value)
        elif "," in text:
            fault = "no value after the comma"
        else:
            fault = _no_comma(text, is_row=is_row) if text.strip() else None  # a blank line is reported already
        if fault:
            self.values.add(number, fault)
        elif value and len(self._good) < NUM_REMEMBERED:
            self._good.add(value)


class Meant:
    """Which row a misspelt location is meant to be."""

    def __init__(self, asked: Template) -> None:
        self._layout = asked.layout
        exact = {name: code for code, stem in enumerate(asked.stems) for name in (stem, asked.layout.clip(stem))}
        count = Counter(name.casefold() for name in exact)
        self._codes = {name.casefold(): code for name, code in exact.items() if count[name.casefold()] == 1} | exact

    def place(self, location: str) -> tuple[int, int] | None:
        """Code and frame, ignoring case, spaces, zeros, suffix and folders; None where it matches no clip."""
        match = self._layout.loose.match(CLUTTER.sub("", location.replace("\\", "/")).strip())
        if match is None:
            return None
        names = [name for exact in (match[1], self._layout.clip(match[1])) for name in (exact, exact.casefold())]
        code = next((self._codes[name] for name in names if name in self._codes), None)
        try:
            frame = parse_frame(match[2] or "0")
        except ValueError:
            return None
        return None if code is None or frame < self._layout.first else (code, frame)


def _cut(line: str) -> str:
    return line.removesuffix("\n").removesuffix("\r")


def _value_fault(task: Task, value: str) -> str | None:
    try:
        task.parse_row(value)
        if value.split() == [value]:  # a task may accept white space
            return None
        words = f"{_shown(value)} contains white space"
    except ValueError as error:
        words = str(error)
    if NOT_TEXT.search(value):
        return f"{_shown(value)} contains a byte that is not text"
    if ";" in value:
        return f"{_shown(value)} is separated by ';', expected ','"
    return words if value.split() == [value] else f"{_shown(value)} contains white space"


def _no_comma(text: str, *, is_row: bool) -> str:
    sign = next((sign for sign in ";\t|" if sign in text), None)
    if sign:
        return f"{_shown(text)} is separated by {sign!r}, expected ','"
    return "no comma and no value after the location" if is_row else f"{_shown(text)} is not a row"


def _header_hint(text: str, header: str) -> str:
    other = next((name for name in TASKS.names() if TASKS.build(name).header == text), None)
    if other:
        return f": it is the header of {other}; if this file is for {other}, give the template of {other}"
    if text.casefold() == header.casefold():
        return ": upper and lower case count"
    return ": spaces count" if "".join(text.split()) == "".join(header.split()) else ""


def _shown(text: str) -> str:
    return repr(text if len(text) <= NUM_SHOWN else text[:NUM_SHOWN] + "...")

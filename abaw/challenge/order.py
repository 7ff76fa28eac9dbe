"""Which rows of a template a file lacks, repeats, moves or adds, with the file's lines."""

import heapq
from collections.abc import Iterator, Sequence

import numpy as np

from abaw.challenge.template import Template

Fault = tuple[int, str]


def order_faults(
    asked: Template, stems: Sequence[str], first_line: int, clips: np.ndarray, frames: np.ndarray
) -> Iterator[Fault]:
    """Line and reason, by line; rows missing at the end come last. What goes on from line to line is one reason.

    Line ``i + first_line`` has frame ``frames[i]`` of ``stems[clips[i]]``, of which the first are the template's; -1 is
    a line that names no row. Rows that are neither missing nor unknown nor repeated are paired with the lines left.
    """
    if np.array_equal(clips, asked.clip_of) and np.array_equal(frames, asked.frames):
        return
    end, named = len(clips) + first_line, np.flatnonzero(clips >= 0)
    lines, clips, frames = named + first_line, clips[named], frames[named]
    faults = _OrderFaults(asked, stems, lines, clips, frames)
    rows, is_known = _match(_keys(clips, frames), _keys(asked.clip_of, asked.frames))
    kept = np.flatnonzero(rows >= 0)
    yield from heapq.merge(
        faults.missing(kept, rows[kept], end),
        faults.moved(kept, rows[kept]),
        faults.repeated(kept, np.flatnonzero(is_known & (rows < 0))),
        faults.unknown(np.flatnonzero(~is_known)),
        key=lambda fault: fault[0],
    )


def _keys(clips: np.ndarray, frames: np.ndarray) -> np.ndarray:
    return clips.astype(np.int64) << 32 | frames


def _match(keys: np.ndarray, wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each key the row of ``wanted`` it is, -1 where it is none; and whether any row is it.

    Of more equal keys than rows those stay that lie between their neighbours. The n-th of them is the n-th of the rows.
    """
    row_order = np.argsort(wanted, kind="stable")
    start = np.searchsorted(wanted, keys, sorter=row_order)
    num = np.searchsorted(wanted, keys, side="right", sorter=row_order) - start
    row = np.where(num > 0, row_order[np.minimum(start, len(wanted) - 1)], -2)
    neighbours = (np.diff(row, prepend=row[:1]) == 1).astype(int) + (np.diff(row, append=row[-1:]) == 1)
    kept = np.flatnonzero(_nth(keys, -neighbours) < num)
    rows = np.full(len(keys), -1)
    rows[kept] = row_order[start[kept] + _nth(keys[kept], np.zeros(len(kept)))]
    return rows, num > 0


def _nth(keys: np.ndarray, rank: np.ndarray) -> np.ndarray:
    """The how-manieth, from 0, each is of its equals by ``rank``; by place where that is equal too."""
    order = np.lexsort((rank, keys))
    nth = np.empty(len(keys), int)
    nth[order] = np.arange(len(keys)) - np.searchsorted(keys[order], keys[order])
    return nth


def _stretches(*counters: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of every stretch in which all of these go up by one from item to item."""
    num = len(counters[0])
    if not num:
        return []
    goes_on = np.all([np.diff(counter) == 1 for counter in counters], axis=0)
    starts = np.flatnonzero(np.concatenate([[True], ~goes_on]))
    return list(zip(starts.tolist(), np.diff(starts, append=num).tolist(), strict=True))


class _OrderFaults:
    """The faults of each kind, in the order of lines. Indices are into the lines that name a row."""

    def __init__(
        self, asked: Template, stems: Sequence[str], lines: np.ndarray, clips: np.ndarray, frames: np.ndarray
    ) -> None:
        self._asked, self._stems, self._lines = asked, stems, lines
        self._clips, self._frames = clips, frames

    def _location(self, i: int) -> str:
        return self._asked.layout.join(self._stems[self._clips[i]], int(self._frames[i]))

    def missing(self, kept: np.ndarray, rows: np.ndarray, end: int) -> Iterator[Fault]:
        present = np.zeros(len(self._asked), bool)
        present[rows] = True
        absent, present = np.flatnonzero(~present), np.flatnonzero(present)
        for start, num in _stretches(absent):
            row = int(absent[start])
            at = int(np.searchsorted(present, row))
            line, where = (end, "at the end") if at == len(kept) else (int(self._lines[kept[at]]), "before this line")
            first, last = self._asked.location(row), self._asked.location(row + num - 1)
            yield (
                line,
                f"{first!r} is missing {where}"
                if num == 1
                else (f"{num} rows are missing {where}, {first!r} to {last!r}"),
            )

    def moved(self, kept: np.ndarray, rows: np.ndarray) -> Iterator[Fault]:
        expected = np.sort(rows)
        wrong = np.flatnonzero(rows != expected)
        for start, num in _stretches(wrong, rows[wrong]):
            i = kept[wrong[start]]
            place = self._asked.location(int(expected[wrong[start]]))
            yield int(self._lines[i]), f"out of order: expected {place!r}, found {self._location(i)!r}{_goes_on(num)}"

    def repeated(self, kept: np.ndarray, again: np.ndarray) -> Iterator[Fault]:
        keys = _keys(self._clips, self._frames)
        order = kept[np.argsort(keys[kept], kind="stable")]
        twin = self._lines[order[np.searchsorted(keys[order], keys[again])]]
        for start, num in _stretches(self._lines[again], twin):
            line, other = int(self._lines[again[start]]), int(twin[start])
            words = f"repeats line {other}" if other < line else f"is on line {other} too"
            yield line, f"{self._location(again[start])!r} {words}{_goes_on(num)}"

    def unknown(self, others: np.ndarray) -> Iterator[Fault]:
        """Clips the template does not ask for, and frames it does not ask for of one that it does."""
        for start, num in _stretches(self._lines[others] + (self._clips[others].astype(np.int64) << 32)):
            i = others[start]
            clip, location = int(self._clips[i]), self._location(i)
            if clip >= len(self._asked.stems):
                why = f"which has no clip {self._stems[clip]!r}"
            else:
                frames = self._asked.frames[self._asked.clip_of == clip]
                why = f"which has {len(frames)} frames of its clip, {frames.min()} to {frames.max()}"
            yield int(self._lines[i]), f"{location!r} is not in the template, {why}{_goes_on(num)}"


def _goes_on(num: int) -> str:
    return f"; so it goes on for {num} lines" if num > 1 else ""

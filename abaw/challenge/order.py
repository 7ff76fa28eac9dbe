"""Which rows of a template are missing from a file, repeated, out of order or unknown, by line."""

import heapq
from collections.abc import Iterator, Sequence

import numpy as np

from abaw.challenge.template import Template

Fault = tuple[int, str]


def order_faults(
    asked: Template, stems: Sequence[str], first_line: int, clips: np.ndarray, frames: np.ndarray
) -> Iterator[Fault]:
    """Line and reason, by line; rows missing at the end come last. A fault that continues over lines is one reason.

    Line ``i + first_line`` has frame ``frames[i]`` of ``stems[clips[i]]``, of which the first are the template's; -1 is
    a line that names no row. Rows that are neither missing nor unknown nor repeated are matched with the other lines.
    """
    if np.array_equal(clips, asked.clip_of) and np.array_equal(frames, asked.frames):
        return
    end, named = len(clips) + first_line, np.flatnonzero(clips >= 0)
    lines, clips, frames = named + first_line, clips[named], frames[named]
    faults = _Faults(asked, stems, lines, clips, frames)
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
    """For each key the row of ``wanted`` that it matches (-1: none), and whether ``wanted`` has the key at all.

    Where a key occurs more often than its rows, those between their neighbours are matched, in order.
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
    """The index, from 0, of each key among its equals in the order of ``rank``, then of position."""
    order = np.lexsort((rank, keys))
    nth = np.empty(len(keys), int)
    nth[order] = np.arange(len(keys)) - np.searchsorted(keys[order], keys[order])
    return nth


def _stretches(*counters: np.ndarray) -> list[tuple[int, int]]:
    """Start and length of every stretch in which all counters increase by one from item to item."""
    num = len(counters[0])
    if not num:
        return []
    continues = np.all([np.diff(counter) == 1 for counter in counters], axis=0)
    starts = np.flatnonzero(np.concatenate([[True], ~continues]))
    return list(zip(starts.tolist(), np.diff(starts, append=num).tolist(), strict=True))


class _Faults:
    """Faults by kind, each an iterator by line. Indices are into the lines that name a row."""

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
            yield int(self._lines[i]), f"out of order: expected {place!r}, found {self._location(i)!r}{_continued(num)}"

    def repeated(self, kept: np.ndarray, again: np.ndarray) -> Iterator[Fault]:
        keys = _keys(self._clips, self._frames)
        order = kept[np.argsort(keys[kept], kind="stable")]
        twin = self._lines[order[np.searchsorted(keys[order], keys[again])]]
        for start, num in _stretches(self._lines[again], twin):
            line, other = int(self._lines[again[start]]), int(twin[start])
            words = f"repeats line {other}" if other < line else f"is on line {other} too"
            yield line, f"{self._location(again[start])!r} {words}{_continued(num)}"

    def unknown(self, others: np.ndarray) -> Iterator[Fault]:
        """Clips that are not in the template, and frames that are not, of clips that are."""
        for start, num in _stretches(self._lines[others] + (self._clips[others].astype(np.int64) << 32)):
            i = others[start]
            clip, location = int(self._clips[i]), self._location(i)
            if clip >= len(self._asked.stems):
                why = f"which has no clip {self._stems[clip]!r}"
            else:
                frames = self._asked.frames[self._asked.clip_of == clip]
                why = f"which has {len(frames)} frames of its clip, {frames.min()} to {frames.max()}"
            yield int(self._lines[i]), f"{location!r} is not in the template, {why}{_continued(num)}"


def _continued(num: int) -> str:
    return f"; the same holds for {num} lines" if num > 1 else ""

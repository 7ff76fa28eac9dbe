"""Decoded pictures and those that could not be decoded, in the order in which they are shown. Needs no PyAV."""

import heapq
from bisect import insort
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from extract.media.timing import MAX_REORDERED, NUM_NEIGHBOURS, PictureTimes, believe

Row = tuple[float, Any]  # when it is shown, in ticks; the frame, None where it could not be decoded


class RowOrder:
    """Rows of a stream whose packets have stamps: each packet's picture has its row, decoded or not.

    Decoders give pictures in the order of presentation, whatever their stamps say. Where the stamps confirm each other
    they decide, else the order of the decoder does, and a stamp that contradicts it is replaced.
    """

    def __init__(self, times: PictureTimes, is_lost: Callable[[int], bool]) -> None:
        self._times, self._is_lost = times, is_lost
        self.num_mended = 0
        self._ticks = np.concatenate([times.ticks, times.lost])
        self._order = np.argsort(self._ticks, kind="stable")
        self._next = 0
        self._given: set[int] = set()  # packets whose picture waits or has its row
        self._waiting: deque[tuple[int, float, Any]] = deque()
        self._latest, self._newest = -np.inf, -1
        self._min_step = times.interval / 64 or 1.0

    def add(self, packet: int, frame: Any) -> Iterator[Row]:
        """Add the next frame of the decoder and the packet that it came from; gives the rows that are complete."""
        if packet in self._given or packet >= len(self._times.ticks):
            return  # the decoder gave the same picture again, or only after those that follow it
        known = np.nan if self._times.is_reordered and not self._times.is_trusted[packet] else self._ticks[packet]
        self._given.add(packet)
        self._newest = max(self._newest, packet)
        self._waiting.append((packet, float(known), frame))
        while len(self._waiting) > (NUM_NEIGHBOURS if self._times.is_reordered else 0) and self._is_settled():
            yield from self._give()

    def finish(self) -> Iterator[Row]:
        """The rows that are left; the decoder has given all frames."""
        while self._waiting:
            yield from self._give()
        yield from self._lost_before(np.inf)

    def _is_settled(self) -> bool:
        """Whether the decoder has gone past all packets whose stamps are before the first waiting picture.

        Until then a picture that seems to be lost may only have a wrong stamp.
        """
        if self._times.is_regular or not self._times.is_reordered or len(self._waiting) > 3 * MAX_REORDERED:
            return True
        ticks = next((each for _, each, _ in self._waiting if not np.isnan(each)), -np.inf)
        for place in range(self._next, len(self._order)):
            packet = int(self._order[place])
            if self._ticks[packet] >= ticks:
                return True
            if packet not in self._given and self._newest - MAX_REORDERED < packet < len(self._times.ticks):
                return False
        return True

    def _give(self) -> Iterator[Row]:
        """The next row, and before it those that are lost."""
        if self._times.is_regular:
            packet, ticks, frame = min(self._waiting, key=lambda each: each[1])
            self._waiting.remove((packet, ticks, frame))
        else:
            ticks = self._settle()
            packet, _, frame = self._waiting.popleft()
        yield from self._lost_before(ticks)
        yield self._after(ticks), frame

    def _settle(self) -> float:
        """When the first waiting picture is shown."""
        ahead = np.array([ticks for _, ticks, _ in self._waiting])
        good = believe(ahead[: NUM_NEIGHBOURS + 1], self._latest)
        for place in np.flatnonzero(~good):
            packet, _, frame = self._waiting[place]
            self._waiting[place] = (packet, np.nan, frame)
        self.num_mended += int((~good).sum())
        ahead[: len(good)][~good] = np.nan
        if not np.isnan(ahead[0]):
            return float(ahead[0])
        later = np.flatnonzero(ahead > self._latest)
        if not np.isfinite(self._latest):
            return float(ahead[later[0]] - later[0] * self._times.interval) if len(later) else 0.0
        if not len(later):
            return self._latest + self._times.interval
        return float(self._latest + (ahead[later[0]] - self._latest) / (later[0] + 1))

    def _lost_before(self, ticks: float) -> Iterator[Row]:
        """Rows of pictures before a time that were not decoded."""
        while self._next < len(self._order) and self._ticks[self._order[self._next]] < ticks:
            packet = int(self._order[self._next])
            self._next += 1
            if packet not in self._given and self._has_row(packet):
                self._given.add(packet)
                yield self._after(float(self._ticks[packet])), None

    def _has_row(self, packet: int) -> bool:
        """Whether a packet without a picture should have had one."""
        if packet >= len(self._times.ticks):
            return True
        return not self._times.is_hidden[packet] and self._is_lost(packet)

    def _after(self, ticks: float) -> float:
        """The time of the next row, moved where it would not be later than the row before."""
        self._latest = ticks if ticks > self._latest else self._latest + self._min_step
        return self._latest


class IndexedOrder:
    """Rows of an AVI of which some pictures are missing: its index has the number of each in the order of decoding.

    ``ticks``: of all rows. ``lost``: the rows of the missing pictures, if all were shown when they are decoded. B
    pictures come earlier and others later, by as much as where nothing is missing.
    """

    def __init__(self, ticks: np.ndarray, lost: Iterable[int]) -> None:
        self._ticks, self._lost, self._row = ticks, sorted(lost), 0
        self._shifts: dict[bool, Counter[int]] = {True: Counter(), False: Counter()}

    def lose(self, number: int) -> None:
        """Add a picture that could not be decoded."""
        insort(self._lost, number)

    def add(self, number: int, is_b: bool, frame: Any) -> Iterator[Row]:
        """Add the decoder's next frame and its number in the order of decoding; gives the rows that are complete."""
        shifts = self._shifts[is_b]
        row = number + (shifts.most_common(1)[0][0] if shifts else 0)
        while self._lost and self._lost[0] < number + MAX_REORDERED and self._row < row:
            yield from self._give(None)
            self._lost.pop(0)
        if len(shifts) == 1 and shifts.total() >= NUM_NEIGHBOURS:  # always: the decoder left a picture out in silence
            while self._row < row:
                yield from self._give(None)
        shifts[self._row - number] += 1
        yield from self._give(frame)

    def finish(self) -> Iterator[Row]:
        """The rows that are left."""
        for _ in self._lost:
            yield from self._give(None)

    def _give(self, frame: Any) -> Iterator[Row]:
        if self._row < len(self._ticks):
            yield float(self._ticks[self._row]), frame
        self._row += 1


class SortedOrder:
    """Rows of a stream without times of presentation (AVI): frames in the decoder's order, their stamps sorted.

    FFmpeg guesses the times of H.264 with B frames there, out of order. The frames themselves are in order.
    """

    def __init__(self) -> None:
        self._frames: deque[Any] = deque()
        self._ticks: list[float] = []

    def add(self, ticks: float, frame: Any) -> Iterator[Row]:
        """Add the next frame, None for one that could not be decoded; gives the rows that are complete."""
        self._frames.append(frame)
        heapq.heappush(self._ticks, ticks)
        if len(self._frames) > MAX_REORDERED:
            yield heapq.heappop(self._ticks), self._frames.popleft()

    def finish(self) -> Iterator[Row]:
        """The rows that are left."""
        while self._frames:
            yield heapq.heappop(self._ticks), self._frames.popleft()

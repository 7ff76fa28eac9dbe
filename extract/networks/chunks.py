"""Long sound in overlapping chunks, for networks whose rows depend on all of their input.

Sound that fits one chunk goes in one pass. Longer sound cannot, because the memory of such networks grows with the
square of its length. Rows near a chunk's edge lack context, so chunks overlap, and each row is taken from the chunk
that has more context around it. Two passes never agree exactly (each has its own normalisation, and Whisper its own
positions), and a cut from one to the next would be a step; so they are cross-faded in the middle half of an overlap.
docs/measurements/chunks.md shows the differences that remain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.media import Samples, Sound

BLOCK = 1 << 20  # samples read at a time where only sums are needed

Network = Callable[[np.ndarray], np.ndarray]  # samples -> rows


@dataclass(frozen=True)
class Grid:
    """Where the rows of a network lie in a sound, in samples.

    A row begins ``hop`` samples after the one before and exists where ``span`` samples follow its beginning; its time
    is ``centre`` samples after its beginning. The number of rows is always a multiple of ``step``.
    """

    rate_hz: int
    span: int
    hop: int
    centre: float
    step: int = 1

    def num_rows(self, num_samples: int) -> int:
        """The number of rows of ``num_samples`` samples.

        >>> Grid(16000, span=400, hop=320, centre=199.5).num_rows(16000)
        49
        """
        return max(0, (num_samples - self.span) // self.hop + 1) // self.step * self.step

    def samples(self, first: int, stop: int) -> slice:
        """The samples that rows ``first`` to ``stop`` depend on; the slice may reach beyond the sound's end."""
        return slice(first * self.hop, stop * self.hop + max(0, self.span - self.hop))

    def times_s(self, first: int, stop: int, start_s: float) -> np.ndarray:
        """The times of rows ``first`` to ``stop`` of a sound that starts at ``start_s``."""
        return start_s + (np.arange(first, stop) * self.hop + self.centre) / self.rate_hz


@dataclass(frozen=True)
class Chunks:
    """Passes of ``chunk`` rows that overlap by twice ``margin`` rows and are cross-faded over twice ``fade`` rows."""

    grid: Grid
    chunk: int
    margin: int
    fade: int

    def fits(self, sound: Sound) -> bool:
        """Whether the whole sound fits one pass."""
        return self.grid.num_rows(len(sound.samples)) <= self.chunk

    def tracks(self, sound: Sound, network: Network) -> Iterator[Track]:
        """The track in consecutive pieces, one from each pass; the samples of one pass are read at a time.

        Raises InputError where the sound has another sampling rate, or a pass gives fewer rows than the grid says.
        """
        check_rate(sound, self.grid.rate_hz)
        num, fade = self.grid.num_rows(len(sound.samples)), self.fade
        before: np.ndarray | None = None
        for first, keep, until, stop in pieces(num, self.chunk, self.margin):
            values = self._pass(sound.samples, first, stop, num, network)
            begin, end = (keep - fade if keep else 0), (until - fade if until < num else num)
            made = values[begin - first : end - first]
            if before is not None:
                made[: 2 * fade] = _cross_fade(before, made[: 2 * fade])
            before = values[end - first : until + fade - first]
            yield Track(made, self.grid.times_s(begin, end, sound.start_s), np.ones(end - begin, bool))

    def _pass(self, samples: np.ndarray, first: int, stop: int, num: int, network: Network) -> np.ndarray:
        """Rows ``first`` to ``stop`` of ``num`` from one pass."""
        span = self.grid.samples(first, stop)
        # the last pass takes all samples that are left: one pass for the whole sound equals the library's own call
        part = samples[span] if stop < num else samples[span.start :]
        values = network(np.array(part, np.float32))
        if len(values) < stop - first:
            raise InputError(
                f"the network gave {len(values)} rows for {len(part)} samples, its strides say {stop - first}"
            )
        return values[: stop - first].copy()


def _cross_fade(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """The mean of the two, whose weight moves from ``before`` to ``after`` in even steps; exact where they agree."""
    share = ((np.arange(len(before)) + 0.5) / max(1, len(before))).astype(np.float32)
    faded: np.ndarray = before + share[:, None] * (after - before)
    return faded


def plan_chunks(encoder: str, grid: Grid, chunk_s: float, overlap_s: float, longest_s: float = np.inf) -> Chunks:
    """Chunks of at most ``chunk_s`` seconds that overlap by ``overlap_s``; ``encoder`` is named in messages.

    Raises InputError as ``check_chunks`` does, and where a chunk is too short for a row.
    """
    check_chunks(encoder, chunk_s, overlap_s, longest_s)
    chunk = grid.num_rows(round(chunk_s * grid.rate_hz))
    margin = round(overlap_s * grid.rate_hz / 2) // (grid.hop * grid.step) * grid.step
    if chunk <= 2 * margin:
        needed_s = (grid.span + (grid.step - 1) * grid.hop) / grid.rate_hz
        raise InputError(f"{encoder}: chunk_s is {chunk_s}, too short for a row of {needed_s:g} s: give a longer one")
    return Chunks(grid, chunk, margin, margin // 2)


def check_chunks(encoder: str, chunk_s: float, overlap_s: float, longest_s: float = np.inf) -> None:
    """Raises InputError where the overlap is half of a chunk or more, or a chunk is longer than the network takes."""
    if not 0 <= overlap_s < chunk_s / 2:
        raise InputError(f"{encoder}: overlap_s is {overlap_s}, expected 0 or more and less than half of {chunk_s=}")
    if chunk_s > longest_s:
        raise InputError(f"{encoder}: chunk_s is {chunk_s}, this network takes at most {longest_s:g} s at a time")


def pieces(num: int, chunk: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """(first, keep, until, stop) of overlapping passes over ``num`` rows, ``chunk`` rows each.

    A pass computes rows first to stop, of which rows keep to until are used; these tile all rows. The last pass is as
    long as the others and begins earlier, so that the end of the sound has as much context before it.

    >>> list(pieces(num=20, chunk=10, margin=2))
    [(0, 0, 8, 10), (6, 8, 14, 16), (10, 14, 20, 20)]
    """
    keep = 0
    while keep < num:
        first = max(0, min(keep - margin, num - chunk))
        stop = min(num, first + chunk)
        until = num if stop == num else stop - margin
        yield first, keep, until, stop
        keep = until


class SampleTail:
    """The last samples of a sound that is still arriving, read like the whole of it: by slices of its samples.

    ``num_kept``: how many samples stay at least, unless ``forget`` says that fewer are needed.
    """

    def __init__(self, num_kept: int) -> None:
        self._num_kept, self._first = num_kept, 0
        self._kept = np.zeros(0, np.float32)

    def __len__(self) -> int:
        return self._first + len(self._kept)

    def __getitem__(self, span: slice) -> Samples:
        if span.start < self._first:
            raise IndexError(f"sample {span.start} is no longer kept, the first one is {self._first}")
        return self._kept[span.start - self._first : span.stop - self._first]

    def add(self, samples: Samples) -> None:
        """Add the next samples."""
        self._kept = np.concatenate([self._kept, samples])

    def forget(self, stop: int) -> None:
        """Drop samples before ``stop``, of which none is read again."""
        num = min(stop - self._first, len(self._kept) - self._num_kept)
        if num > self._num_kept:  # seldom: each time the rest is copied
            self._first, self._kept = self._first + num, self._kept[num:].copy()


def check_rate(sound: Sound, rate_hz: int) -> None:
    """Raises InputError where the sound has another sampling rate than the encoder takes."""
    if sound.rate_hz != rate_hz:
        raise InputError(f"the sound has {sound.rate_hz} Hz, the encoder takes {rate_hz}: decode it at that rate")


def receptive_field(kernels: Iterable[int], strides: Iterable[int]) -> tuple[int, int]:
    """The receptive field and the hop, in samples, of unpadded convolutions one after the other.

    >>> receptive_field(kernels=[10, 3], strides=[5, 2])
    (20, 10)
    """
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def mean_and_variance(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance along the first axis of an array that comes in blocks, float64; 0 and 0 without any row."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for block in blocks:
        block = block.astype(np.float64)
        count, total, squares = count + len(block), total + block.sum(0), squares + np.square(block).sum(0)
    mean = total / max(1, count)
    return mean, np.maximum(0, squares / max(1, count) - mean**2)


def read_blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """The samples, one block in memory at a time."""
    for first in range(0, len(samples), BLOCK):
        yield np.array(samples[first : first + BLOCK])

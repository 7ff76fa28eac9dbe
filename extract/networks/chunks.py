"""Long sound through a network that looks at all it is given: where rows lie, chunks of which the middles are kept.

Sound that fits one chunk goes in one pass. Longer sound cannot: the memory such networks take grows with the square of
its length. A chunk's edges lack what lies beyond them, so chunks overlap, and each row is taken from the chunk that has
more around it. Two passes never agree wholly (each has its own norms, and Whisper its own positions), so that a cut
from one to the next would be a step; in the middle half of an overlap they fade into each other. What remains is told
in docs/chunks.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.media import Sound

BLOCK = 1 << 20  # samples read at a time where only sums are wanted

Network = Callable[[np.ndarray], np.ndarray]  # samples -> rows


@dataclass(frozen=True)
class Grid:
    """Where the rows of a network lie in a sound; everything in samples.

    A row begins ``hop`` after the one before and exists where ``span`` samples follow its beginning; its time is
    ``centre`` after it. ``step``: rows that come together, of which there is never a part.
    """

    rate_hz: int
    span: int
    hop: int
    centre: float
    step: int = 1

    def rows(self, num_samples: int) -> int:
        """How many rows so many samples give."""
        return max(0, (num_samples - self.span) // self.hop + 1) // self.step * self.step

    def samples(self, first: int, stop: int) -> slice:
        """The samples that rows ``first`` to ``stop`` see; the slice may reach beyond the sound's end."""
        return slice(first * self.hop, stop * self.hop + max(0, self.span - self.hop))

    def times_s(self, first: int, stop: int, start_s: float) -> np.ndarray:
        """Times of the rows in a sound that starts at ``start_s``."""
        return start_s + (np.arange(first, stop) * self.hop + self.centre) / self.rate_hz


@dataclass(frozen=True)
class Chunks:
    """Sound in passes of ``chunk`` rows that overlap by two ``margin``, and fade into each other over two ``fade``."""

    grid: Grid
    chunk: int
    margin: int
    fade: int

    def fits(self, sound: Sound) -> bool:
        """Whether one pass takes the whole sound."""
        return self.grid.rows(len(sound.samples)) <= self.chunk

    def tracks(self, sound: Sound, network: Network) -> Iterator[Track]:
        """The track in pieces, each from one pass; of the samples only those of a pass are read.

        ValueError where the sound has another rate, or a pass gives fewer rows than the grid says.
        """
        check_rate(sound, self.grid.rate_hz)
        num, fade = self.grid.rows(len(sound.samples)), self.fade
        before: np.ndarray | None = None
        for first, keep, until, stop in pieces(num, self.chunk, self.margin):
            values = self._pass(sound.samples, first, stop, num, network)
            begin, end = (keep - fade if keep else 0), (until - fade if until < num else num)
            made = values[begin - first : end - first]
            if before is not None:
                made[: 2 * fade] = _faded(before, made[: 2 * fade])
            before = values[end - first : until + fade - first]
            yield Track(made, self.grid.times_s(begin, end, sound.start_s), np.ones(end - begin, bool))

    def _pass(self, samples: np.ndarray, first: int, stop: int, num: int, network: Network) -> np.ndarray:
        """Rows ``first`` to ``stop`` of ``num``, by themselves. ValueError where the network gives fewer."""
        span = self.grid.samples(first, stop)
        # the last pass takes all that is left: with one pass for the whole it is the library's own call
        part = samples[span] if stop < num else samples[span.start :]
        values = network(np.array(part, np.float32))
        if len(values) < stop - first:
            raise InputError(f"a pass gave {len(values)} rows where the network's strides say {stop - first}")
        return values[: stop - first].copy()


def _faded(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """From the one to the other in even steps; where they agree, exactly what they agree on."""
    share = ((np.arange(len(before)) + 0.5) / max(1, len(before))).astype(np.float32)
    faded: np.ndarray = before + share[:, None] * (after - before)
    return faded


def chunks(who: str, grid: Grid, chunk_s: float, overlap_s: float, longest_s: float = np.inf) -> Chunks:
    """Chunks of at most ``chunk_s`` seconds that share ``overlap_s``, half of it at either side of a cut.

    ValueError where the overlap leaves no middle, a chunk holds no row, or the network takes no such chunk.
    """
    if not 0 <= overlap_s < chunk_s / 2:
        raise InputError(f"{who}: overlap_s is {overlap_s}, expected 0 up to half of chunk_s ({chunk_s})")
    if chunk_s > longest_s:
        raise InputError(f"{who}: chunk_s is {chunk_s}, this network takes at most {longest_s:g} s at a time")
    chunk = grid.rows(round(chunk_s * grid.rate_hz))
    margin = round(overlap_s * grid.rate_hz / 2) // (grid.hop * grid.step) * grid.step
    if chunk <= 2 * margin:
        needed_s = (grid.span + (grid.step - 1) * grid.hop) / grid.rate_hz
        raise InputError(f"{who}: chunk_s is {chunk_s}, too short for a row of {needed_s:g} s")
    return Chunks(grid, chunk, margin, margin // 2)


def pieces(num: int, chunk: int, margin: int) -> Iterator[tuple[int, int, int, int]]:
    """First, keep, until and stop of overlapping passes of ``chunk`` rows whose kept middles tile ``num`` rows.

    The last pass is as long as the others: it begins earlier, so that the end of a sound has as much before it.
    """
    keep = 0
    while keep < num:
        first = max(0, min(keep - margin, num - chunk))
        stop = min(num, first + chunk)
        until = num if stop == num else stop - margin
        yield first, keep, until, stop
        keep = until


def check_rate(sound: Sound, rate_hz: int) -> None:
    """ValueError where the sound was decoded at another rate than an encoder takes."""
    if sound.rate_hz != rate_hz:
        raise InputError(f"the sound has {sound.rate_hz} Hz, the encoder takes {rate_hz}: decode it at that rate")


def receptive_field(kernels: Iterable[int], strides: Iterable[int]) -> tuple[int, int]:
    """Samples that one row sees, and samples from row to row, of unpadded convolutions one after the other."""
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop


def moments(blocks: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance along the first axis of what comes in blocks, as float64; of nothing 0 and 0."""
    count, total, squares = 0, np.zeros(()), np.zeros(())
    for block in blocks:
        block = block.astype(np.float64)
        count, total, squares = count + len(block), total + block.sum(0), squares + np.square(block).sum(0)
    mean = total / max(1, count)
    return mean, np.maximum(0, squares / max(1, count) - mean**2)


def blocks(samples: np.ndarray) -> Iterator[np.ndarray]:
    """The samples, a block at a time."""
    for first in range(0, len(samples), BLOCK):
        yield np.array(samples[first : first + BLOCK])

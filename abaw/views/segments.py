"""Runs of frames in which something stays the same, as stretches of time."""

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from abaw.views.timeline import PersonRows, Timeline


class Segment(NamedTuple):
    """Consecutive frames with one ``label``: from the timestamp of the first to the end of the last, in container
    seconds. ``first`` and ``stop``: the frames as positions from 0, ``stop`` excluded."""

    start_s: float
    stop_s: float
    label: str
    first: int
    stop: int

    @property
    def length_s(self) -> float:
        return self.stop_s - self.start_s


def segments_of(labels: Sequence[str] | np.ndarray, times_s: np.ndarray, stops_s: np.ndarray) -> list[Segment]:
    """The segments of frames with equal labels. A frame with the label "" belongs to none: a gap is no segment."""
    return [
        Segment(float(times_s[first]), float(stops_s[stop - 1]), str(labels[first]), first, stop)
        for first, stop in _runs(np.asarray(labels, object))
        if labels[first] != ""
    ]


def flagged(flags: np.ndarray, times_s: np.ndarray, stops_s: np.ndarray, label: str = "yes") -> list[Segment]:
    """The segments of frames in which a flag is set."""
    return segments_of(np.where(flags, label, "").astype(object), times_s, stops_s)


def class_segments(timeline: Timeline, person: PersonRows, column: str) -> list[Segment]:
    """The segments in which one class of ``column`` is the most probable; none where nothing was observed."""
    labels = np.where(person.observed, person.chosen[column], "").astype(object)
    return segments_of(labels, timeline.times_s, timeline.stops_s)


def _runs(labels: np.ndarray) -> Iterator[tuple[int, int]]:
    if not len(labels):
        return
    changes = [0, *(np.flatnonzero(labels[1:] != labels[:-1]) + 1).tolist(), len(labels)]
    yield from pairwise(changes)

"""Frames in which nothing was observed, in words."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from abaw.files.names import first_few
from abaw.numbers import format_count, format_percent

KEYS = ("frames", "observed", "lost_by_alignment")  # as JSON has them
MAX_LOST = 0.05  # share of the frames that alignment may lose without a warning


@dataclass(frozen=True)
class ObservedFrames:
    """In how many of the ``num_frames`` frames a feature was observed, once it is aligned to them.

    ``num_lost``: frames between rows of the track that alignment leaves unobserved whatever the rows are, because they
    are too far apart: nothing was hidden or silent there.
    """

    num_frames: int
    num_observed: int
    num_lost: int

    @property
    def is_lost(self) -> bool:
        """Whether alignment loses so many frames that a warning is due."""
        return self.num_lost > MAX_LOST * self.num_frames

    def document(self) -> dict[str, int]:
        """As it is written to JSON."""
        return {"frames": self.num_frames, "observed": self.num_observed, "lost_by_alignment": self.num_lost}


def sum_observed(counts: Iterable[ObservedFrames]) -> ObservedFrames:
    """The counts of several clips together."""
    each = list(counts)
    return ObservedFrames(
        sum(one.num_frames for one in each), sum(one.num_observed for one in each), sum(one.num_lost for one in each)
    )


def parse_observed(document: Any) -> dict[str, ObservedFrames]:
    """Feature -> counts, from what was recorded; {} where nothing was."""
    if not isinstance(document, dict):
        return {}
    return {name: ObservedFrames(*(each[key] for key in KEYS)) for name, each in document.items()}


def are_counts(document: Mapping[str, Any]) -> bool:
    """Whether this is what ``ObservedFrames.document`` returns."""
    return all(isinstance(document.get(key), int) for key in KEYS)


def observed_lines(counts: Mapping[str, ObservedFrames], where: str = "frames") -> Iterator[str]:
    """A line with the share of frames in which each feature was observed, and a warning for each that alignment loses.

    >>> print(*observed_lines({"voice": ObservedFrames(200, 26, 174)}), sep="; ")
    observed: voice in 13.0 % of 200 frames; voice: alignment loses 87.0 % of the frames, which lie between rows too \
far apart for it: increase max_gap_s
    """
    if counts:
        shares = [f"{name} in {format_percent(each.num_observed, each.num_frames)}" for name, each in counts.items()]
        most = max(each.num_frames for each in counts.values())
        yield f"observed: {', '.join(shares)} of {most} {where}"
    for name, each in counts.items():
        if each.is_lost:
            yield (
                f"{name}: alignment loses {format_percent(each.num_lost, each.num_frames)} of the frames, which lie "
                "between rows too far apart for it: increase max_gap_s"
            )


def describe_clips(counts: Mapping[str, tuple[int, int]], unit: str = "row") -> str:
    """How many rows of how many clips, and which clips have the most.

    ``counts``: by clip, how many of its rows are meant, and how many it has.

    >>> describe_clips({"a": (5, 10), "b": (20, 30)})
    "25 rows of 2 clips ('b' 20 of 30, 'a' 5 of 10)"
    """
    most = sorted(counts.items(), key=lambda each: (-each[1][0], each[0]))
    named = first_few([f"{clip_id!r} {num} of {total}" for clip_id, (num, total) in most])
    num = sum(each for each, _ in counts.values())
    return f"{format_count(num, unit)} of {format_count(len(most), 'clip')} ({named})"


def unobserved_lines(frames: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """A line that says where nothing was observed, if anywhere: predictions of these frames are guesses.

    ``frames``: by clip, in how many frames nothing was observed, and how many it has.
    """
    counts = {clip_id: each for clip_id, each in frames.items() if each[0]}
    if counts:
        yield f"nothing observed: {describe_clips(counts, 'frame')}"

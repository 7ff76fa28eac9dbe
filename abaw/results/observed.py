"""Frames in which nothing was observed, in words."""

from collections.abc import Iterator, Mapping

from abaw.files.names import first_few
from abaw.numbers import format_count


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

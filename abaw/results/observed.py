"""Frames in which nothing was observed, in words."""

from collections.abc import Iterator, Mapping

NUM_NAMED = 5


def describe_clips(counts: Mapping[str, tuple[int, int]], unit: str = "row") -> str:
    """How many rows of how many clips, and which clips have the most.

    ``counts``: by clip, how many of its rows are meant, and how many it has.

    >>> describe_clips({"a": (5, 10), "b": (20, 30)})
    "25 rows of 2 clips ('b' 20 of 30, 'a' 5 of 10)"
    """
    most = sorted(counts.items(), key=lambda each: (-each[1][0], each[0]))
    named = ", ".join(f"{clip_id!r} {num} of {total}" for clip_id, (num, total) in most[:NUM_NAMED])
    more = f" and {len(most) - NUM_NAMED} more" if len(most) > NUM_NAMED else ""
    num = sum(each for each, _ in counts.values())
    return f"{num} {unit}{'s' * (num != 1)} of {len(most)} clip{'s' * (len(most) != 1)} ({named}{more})"


def unobserved_lines(frames: Mapping[str, tuple[int, int]]) -> Iterator[str]:
    """A line that says where nothing was observed, if anywhere: predictions of these frames are guesses.

    ``frames``: by clip, in how many frames nothing was observed, and how many it has.
    """
    counts = {clip_id: each for clip_id, each in frames.items() if each[0]}
    if counts:
        yield f"nothing observed: {describe_clips(counts, 'frame')}"

"""Which clips are trained on and which are held out: whole videos, and never one on both sides."""

from collections.abc import Iterable

from abaw.clips import video_of


def check_apart(seen: Iterable[str], judged: Iterable[str], what: str) -> None:
    """ValueError where a clip of ``judged`` is of one of the videos ``seen``; ``what`` says what saw them."""
    seen = set(seen)
    leaks = sorted({video_of(clip_id) for clip_id in judged} & seen)
    if leaks:
        others = f" and {len(leaks) - 1} more" if len(leaks) > 1 else ""
        raise ValueError(f"a leak: {what} has seen video {leaks[0]!r}{others}, which is judged here")

"""The most probable class as subtitles: SubRip (.srt) by the library srt, and WebVTT (.vtt)."""

from datetime import timedelta
from pathlib import Path

from abaw.files import atomic_write
from abaw.numbers import format_count
from abaw.views.exports.annotations import Annotation, Tier, class_blocks, class_tier, joined, lost_remark, time_remark
from abaw.views.text import plain_text
from abaw.views.timeline import Timeline

SHORTEST_S = 0.5  # a subtitle that is shown for less cannot be read
NOTHING = "no file is written, because no classes are predicted"
# SubRip has no escapes: signs that players take for markup, or readers for the times of a subtitle
REPLACED = str.maketrans({"<": "‹", ">": "›", "{": "(", "}": ")", "\\": "/"})
ESCAPED = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def write_srt(timeline: Timeline, path: Path, shortest_s: float = SHORTEST_S) -> str:
    """Write the most probable classes as SubRip subtitles; what the reader must know, or "".

    A subtitle is a stretch of frames with one class. Those shorter than ``shortest_s`` are left out, which the remark
    counts; a gap has none. With several persons each subtitle names its person. SubRip has no escapes: the signs
    <, >, {, } and \\ in names of classes become ‹, ›, (, ) and /.
    """
    import srt

    found = _subtitles(timeline, shortest_s)
    if found is None:
        return NOTHING
    kept, remark = found
    made = [
        srt.Subtitle(
            i + 1,
            timedelta(milliseconds=each.start_ms),
            timedelta(milliseconds=each.stop_ms),
            each.text.translate(REPLACED),
        )
        for i, each in enumerate(kept)
    ]
    with atomic_write(path) as temporary:
        temporary.write_text(srt.compose(made, reindex=False), encoding="utf-8")
    return remark


def write_vtt(timeline: Timeline, path: Path, shortest_s: float = SHORTEST_S) -> str:
    """Write the most probable classes as WebVTT subtitles, as ``write_srt`` does; text is escaped.

    What predicted, and what was left out, is in comments of the file.
    """
    found = _subtitles(timeline, shortest_s)
    if found is None:
        return NOTHING
    kept, remark = found
    notes = [plain_text(line).translate(ESCAPED) for line in (*timeline.sources, *timeline.remarks, remark) if line]
    cues = [f"{_clock(each.start_ms)} --> {_clock(each.stop_ms)}\n{each.text.translate(ESCAPED)}" for each in kept]
    with atomic_write(path) as temporary:
        temporary.write_text("\n\n".join(["WEBVTT", *(f"NOTE {note}" for note in notes), *cues]) + "\n", "utf-8")
    return remark


def _subtitles(timeline: Timeline, shortest_s: float) -> tuple[list[Annotation], str] | None:
    """The subtitles in the order of time, and what their reader must know; None where no classes are predicted."""
    blocks = class_blocks(timeline)
    if not blocks:
        return None
    tiers = [class_tier(timeline, person, block) for person in timeline.persons for block in blocks]
    every = [(tier, each) for tier in tiers for each in tier.annotations]
    kept = [(tier, each) for tier, each in every if each.stop_ms - each.start_ms >= shortest_s * 1000]
    named = [each._replace(text=_prefix(tier, len(blocks) > 1) + each.text) for tier, each in kept]
    num_short = len(every) - len(kept)
    counts = f"{num_short} of {format_count(len(every), 'segment')}"
    short = f"left out because shorter than {shortest_s:g} s: {counts}" if num_short else ""
    return sorted(named), joined(short, lost_remark(tiers), time_remark(timeline))


def _prefix(tier: Tier, has_others: bool) -> str:
    """Whose class it is and, where others are predicted too, of which kind."""
    if has_others:
        return f"{tier.name}: "
    return "" if tier.person is None else f"person {tier.person}: "


def _clock(ms: int) -> str:
    """Hours, minutes, seconds and milliseconds, as WebVTT has them."""
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"

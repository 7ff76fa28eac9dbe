"""What the exports write of a timeline: named tiers of stretches of time with a text each, in whole milliseconds."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from abaw.numbers import format_count
from abaw.views.segments import Segment, class_segments, flagged, segments_of
from abaw.views.text import plain_text
from abaw.views.timeline import CLASSES, UNITS, VALUES, Block, PersonRows, Timeline

LEVELS = {"valence": ("negative", "neutral", "positive")}
OTHER_LEVELS = ("low", "medium", "high")
ACTIVE = 0.5  # from which probability a unit is active


class Annotation(NamedTuple):
    """A text from ``start_ms`` to ``stop_ms``, which is later; in container time."""

    start_ms: int
    stop_ms: int
    text: str


@dataclass(frozen=True)
class Tier:
    """Annotations in the order of time, none of which overlap. ``person``: whose they are, None for all.

    ``vocabulary``: every text that can occur, with its meaning. ``num_lost``: stretches that are no millisecond long or
    before time 0, which the formats cannot hold.
    """

    name: str
    person: int | None
    annotations: tuple[Annotation, ...]
    vocabulary: tuple[tuple[str, str], ...]
    num_lost: int = 0


def all_tiers(timeline: Timeline) -> Iterator[Tier]:
    """Of each person the classes, levels of values, active units and face; then the voice."""
    for person in timeline.persons:
        for block in timeline.blocks:
            if block.kind == CLASSES and block.chosen is not None:
                yield class_tier(timeline, person, block)
            elif block.kind == VALUES:
                for i, column in enumerate(block.columns):
                    yield _level_tier(timeline, person, column, block.ranges[i])
            elif block.kind == UNITS:
                for column in block.columns:
                    is_active = person.columns[column] >= ACTIVE
                    word = column.removeprefix("p_")
                    found = flagged(is_active & person.observed, timeline.times_s, timeline.stops_s, "active")
                    yield _tier(timeline, word, person, found, (("active", f"probability of {ACTIVE} or more"),))
        if timeline.faces_sought:
            found = flagged(person.face_seen, timeline.times_s, timeline.stops_s, "face")
            yield _tier(timeline, "face seen", person, found, (("face", "a face was found"),))
    found = flagged(timeline.voice_heard, timeline.times_s, timeline.stops_s, "voice")
    yield _tier(timeline, "voice heard", None, found, (("voice", "a voice was heard"),))


def class_tier(timeline: Timeline, person: PersonRows, block: Block) -> Tier:
    """The stretches in which one class is the most probable; a gap where nothing was observed."""
    assert block.chosen is not None
    found = class_segments(timeline, person, block.chosen)
    names = dict.fromkeys([*block.labels, *(each.label for each in found)])
    return _tier(timeline, block.chosen, person, found, tuple((name, "the most probable class") for name in names))


def class_blocks(timeline: Timeline) -> list[Block]:
    """The blocks that name the most probable class."""
    return [block for block in timeline.blocks if block.kind == CLASSES and block.chosen is not None]


def _level_tier(timeline: Timeline, person: PersonRows, column: str, bounds: tuple[float, float]) -> Tier:
    """Stretches in which a value stays in one third of its range."""
    low, high = bounds
    edges = low + (high - low) / 3, high - (high - low) / 3
    words = LEVELS.get(column, OTHER_LEVELS)
    values = person.columns[column]
    places = np.digitize(np.nan_to_num(values), edges)
    is_known = person.observed & np.isfinite(values)
    labels = np.where(is_known, np.array(words, object)[places], "").astype(object)
    meanings = (f"below {edges[0]:.2f}", f"{edges[0]:.2f} to {edges[1]:.2f}", f"{edges[1]:.2f} or more")
    found = segments_of(labels, timeline.times_s, timeline.stops_s)
    return _tier(timeline, f"{column} level", person, found, tuple(zip(words, meanings, strict=True)))


def _tier(
    timeline: Timeline,
    name: str,
    person: PersonRows | None,
    segments: Iterable[Segment],
    vocabulary: tuple[tuple[str, str], ...],
) -> Tier:
    """The tier of segments, whose ends are rounded alike, so that what touches still touches and nothing overlaps."""
    made, num_lost = list[Annotation](), 0
    for each in segments:
        start_ms, stop_ms = max(0, round(each.start_s * 1000)), round(each.stop_s * 1000)
        if stop_ms > start_ms:
            made.append(Annotation(start_ms, stop_ms, plain_text(each.label)))
        else:
            num_lost += 1
    number = None if person is None or len(timeline.persons) == 1 else person.person
    name = plain_text(name if number is None else f"{name} (person {number})")
    words = tuple((plain_text(word), meaning) for word, meaning in vocabulary)
    return Tier(name, number, tuple(made), words, num_lost)


def time_remark(timeline: Timeline) -> str:
    """What the reader must know where the clip does not begin at time 0; else ""."""
    first_s = float(timeline.times_s[0]) if len(timeline.times_s) else 0.0
    if abs(first_s) < 0.1:
        return ""
    is_late = "in a player that counts from the first picture everything comes that much late"
    effect = is_late if first_s > 0 else "what is before 0 is left out"
    return f"times are those of the file, whose first picture is at {first_s:.3f} s: {effect}"


def lost_remark(tiers: Iterable[Tier]) -> str:
    """How many stretches the format cannot hold; "" where it holds all."""
    num = sum(each.num_lost for each in tiers)
    return (
        f"left out because shorter than a millisecond or before time 0: {format_count(num, 'segment')}" if num else ""
    )


def joined(*remarks: str) -> str:
    """Remarks in one line."""
    return "; ".join(each for each in remarks if each)

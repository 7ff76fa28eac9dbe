"""What a page says in words: the line on top, and what each figure shows for those who do not see it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from abaw.numbers import format_count
from abaw.views.page.moments import MIN_PROBABILITY, NEUTRAL
from abaw.views.segments import flagged
from abaw.views.text import format_time, isolated
from abaw.views.timeline import CLASSES, UNITS

if TYPE_CHECKING:
    from abaw.views.page.content import Envelope, SpokenWord
    from abaw.views.timeline import Block, PersonRows, Timeline

MEANINGS = {"_sd": "one standard deviation of a label", "_spread": "the spread of the ensemble's members"}


def name_person(person: "PersonRows") -> str:
    return "the person" if person.person is None else f"person {person.person}"


def describe_missing(timeline: "Timeline") -> str:
    """What was not observed, as a sentence; "" where everything was."""
    num = len(timeline.times_s)
    several = len(timeline.persons) > 1
    found: dict[str, list[str]] = {}
    for person in timeline.persons:
        unseen = ~person.face_seen if timeline.faces_sought else np.zeros(num, bool)
        empty = ~person.observed
        gaps = (
            {"no face and no prediction": empty}
            if unseen.any() and np.array_equal(unseen, empty)
            else {"no face": unseen, "no prediction": empty}
        )
        for what, flags in gaps.items():
            if flags.any():
                text = f"{what}{{}} in {int(flags.sum())} of {format_count(num, 'frame')}"
                found.setdefault(text, []).append(name_person(person))
    lines = [text.format(f" of {_any_of(names)}" if several else "") for text, names in found.items()]
    if unheard := num - int(timeline.voice_heard.sum()):
        lines.append(f"no voice in {unheard} of {format_count(num, 'frame')}")
    text = "; ".join(lines)
    return f"{text[0].upper()}{text[1:]}." if text else ""


def _any_of(names: Sequence[str], at_most: int = 5) -> str:
    if len(names) > at_most:
        return f"{', '.join(names[: at_most - 1])} or {len(names) - at_most + 1} other persons"
    return " or ".join(names)


def explain_no_moments(timeline: "Timeline") -> str:
    """Why a clip has no strongest moments. Values always have one, so it has only classes and units, or nothing."""
    if not any(person.observed.any() for person in timeline.persons):
        return "There is no prediction in any frame."
    labels = [label for block in timeline.blocks if block.kind == CLASSES for label in block.labels]
    neutral = next((f" but {label}" for label in labels if label.lower() == NEUTRAL), "")
    what = [f"no class{neutral}"] if labels else []
    what += ["no action unit"] if any(block.kind == UNITS for block in timeline.blocks) else []
    return f"There is none: {' and '.join(what)} reaches a probability of {MIN_PROBABILITY} in any frame."


def explain_bands(endings: Sequence[str]) -> str:
    """What the band around a value is, for its title.

    >>> explain_bands(["_sd"])
    '; band: one standard deviation of a label'
    """
    return f"; band: {' and '.join(MEANINGS[ending] for ending in endings)}" if endings else ""


def describe_values(timeline: "Timeline", column: str) -> str:
    """The mean and the ends of a value, person by person."""
    return " ".join(_describe_value(timeline, person, column) for person in timeline.persons)


def _describe_value(timeline: "Timeline", person: "PersonRows", column: str) -> str:
    values = np.asarray(person.columns[column], float)
    there = ~np.isnan(values)
    who = name_person(person).capitalize()
    if not there.any():
        return f"{who}: no value in any frame."
    lowest, highest = int(np.nanargmin(values)), int(np.nanargmax(values))
    return (
        f"{who}: {isolated(column)} {values[there].mean():.2f} on average over {int(there.sum())} of "
        f"{format_count(len(values), 'frame')}, lowest {values[lowest]:.2f} at "
        f"{format_time(float(timeline.times_s[lowest]))}, highest {values[highest]:.2f} at "
        f"{format_time(float(timeline.times_s[highest]))}."
    )


def describe_ribbon(timeline: "Timeline", person: "PersonRows", block: "Block") -> str:
    """The mean probabilities of a person, highest first, and how often each class is the most probable."""
    values = np.asarray(person.of_block(block), float)
    there = ~np.isnan(values).any(axis=1)
    if not there.any():
        return f"{name_person(person).capitalize()}: no value in any frame."
    means = values[there].mean(axis=0)
    parts = [f"{isolated(block.labels[place])} {means[place]:.2f}" for place in np.argsort(-means, kind="stable")]
    text = f"{name_person(person).capitalize()}: mean probabilities {', '.join(parts)}."
    if block.chosen is not None:
        names, counts = np.unique([name for name in person.chosen[block.chosen] if name], return_counts=True)
        shares = [f"{isolated(names[place])} in {counts[place]}" for place in np.argsort(-counts, kind="stable")]
        text += f" Most probable: {', '.join(shares)} of {format_count(len(values), 'frame')}."
    return text


def describe_sound(envelope: "Envelope", words: "Sequence[SpokenWord]") -> str:
    loudest = int(np.argmax(envelope.peaks))
    text = f"Sound from {format_time(envelope.start_s)} to {format_time(envelope.stop_s)}"
    if not envelope.peaks.max() > 0:
        text += ", silent throughout."
    else:
        text += f", loudest at {format_time(envelope.start_s + (loudest + 0.5) * envelope.step_s)}."
    return f"{text} Words: {' '.join(word.text for word in words)}" if words else text


def describe_presence(timeline: "Timeline") -> str:
    num = len(timeline.times_s)
    found = [f"A voice is heard in {int(timeline.voice_heard.sum())} of {format_count(num, 'frame')}."]
    if timeline.faces_sought:
        found += [
            f"The face of {name_person(person)} is seen in {int(person.face_seen.sum())} of them"
            f"{_list_gaps(timeline, person.face_seen)}."
            for person in timeline.persons
        ]
    return " ".join(found)


def _list_gaps(timeline: "Timeline", flags: np.ndarray, at_most: int = 5) -> str:
    """The spans without the flag, the longest first."""
    gaps = flagged(~np.asarray(flags, bool), timeline.times_s, timeline.stops_s)
    spans = sorted(gaps, key=lambda gap: -gap.length_s)
    shown = [f"{format_time(gap.start_s)} to {format_time(gap.stop_s)}" for gap in spans[:at_most]]
    more = f" and {len(spans) - at_most} shorter ones" if len(spans) > at_most else ""
    return f", not from {', '.join(shown)}{more}" if shown else ""


def describe_circumplex(timeline: "Timeline") -> str:
    """Where valence and arousal are on average, person by person."""
    found = []
    for person in timeline.persons:
        valence, arousal = (np.asarray(person.columns[name], float) for name in ("valence", "arousal"))
        both = ~np.isnan(valence) & ~np.isnan(arousal)
        if both.any():
            place = f"valence {valence[both].mean():.2f}, arousal {arousal[both].mean():.2f}"
            found.append(f"{name_person(person).capitalize()} is at {place} on average.")
    return " ".join(found) or "There is no value in any frame."

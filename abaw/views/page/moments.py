"""The strongest moments of a clip: where each value is highest and lowest, and each class most probable."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from abaw.views.timeline import CLASSES, VALUES

if TYPE_CHECKING:
    from abaw.views.timeline import PersonRows, Timeline

MIN_PROBABILITY = 0.5  # below it a class or unit has no strong moment
NEUTRAL = "neutral"


@dataclass(frozen=True)
class Moment:
    """A frame (its index from 0) of a person (its place among the persons) in which ``what`` has this ``value``."""

    index: int
    person: int
    what: str
    value: float


def find_moments(timeline: "Timeline") -> list[Moment]:
    """The moments of all persons in their order in time.

    Of each value, such as valence, the highest and the lowest; of each class but neutral, and of each unit, the most
    probable where its probability is 0.5 or more. Of equal ones the first.
    """
    found = [moment for place, person in enumerate(timeline.persons) for moment in _moments_of(timeline, place, person)]
    return sorted(found, key=lambda moment: (moment.index, moment.person))


def _moments_of(timeline: "Timeline", place: int, person: "PersonRows") -> list[Moment]:
    found = []
    for block in timeline.blocks:
        for column, label in zip(block.columns, block.labels, strict=True):
            values = np.asarray(person.columns[column], float)
            if np.isnan(values).all():
                continue
            highest, lowest = int(np.nanargmax(values)), int(np.nanargmin(values))
            if block.kind == VALUES:
                if values[highest] > values[lowest]:
                    found.append(Moment(lowest, place, f"{label} lowest", float(values[lowest])))
                found.append(Moment(highest, place, f"{label} highest", float(values[highest])))
            elif values[highest] >= MIN_PROBABILITY and not (block.kind == CLASSES and label.lower() == NEUTRAL):
                found.append(Moment(highest, place, label, float(values[highest])))
    return found

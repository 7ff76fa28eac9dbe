"""What is to be drawn on one frame, and where it comes from: a row of a timeline."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from abaw.views.drawing.sprites import Colour, rgb_of
from abaw.views.palette import class_colours, person_style
from abaw.views.text import format_time, shorten
from abaw.views.timeline import CLASSES, UNITS, VALUES, PersonRows, Timeline

TRAIL_S = 2.0
MAX_TEXTS = 3  # lines of values and units of a person
MIN_UNIT = 0.5  # probability from which a unit is named
MAX_UNITS = 5
MAX_NAME = 30  # characters of a class or value


@dataclass(frozen=True)
class PersonScene:
    """One person in one frame.

    ``name``: as it is shown. ``box``: x, y, width and height of the face in pixels; None where it was not seen.
    ``classes``: name, probability and colour of the most probable class of each task. ``texts``: other predictions.
    ``trail``: valence and arousal, -1 to 1 over their ranges, and age in seconds of the last points, the latest last; a
    row of nan is a gap. ``deviation``: their standard deviations on that scale, or their spread over the members of an
    ensemble.
    ``is_observed``: whether there was something to predict from.
    """

    name: str
    colour: Colour
    box: tuple[float, float, float, float] | None = None
    classes: Sequence[tuple[str, float, Colour]] = ()
    texts: Sequence[str] = ()
    trail: np.ndarray = field(default_factory=lambda: np.zeros((0, 3)))
    deviation: tuple[float, float] | None = None
    is_observed: bool = True


@dataclass(frozen=True)
class Scene:
    """All that is drawn on one frame.

    ``title``: time and number of the frame. ``face_seen``: whether any face was; None: none was sought. ``remark``:
    what else the viewer must know of this frame. ``has_circumplex``: whether valence and arousal are predicted at all.
    """

    title: str
    persons: Sequence[PersonScene]
    face_seen: bool | None
    voice_heard: bool
    remark: str = ""
    has_circumplex: bool = False


class Scenes:
    """The scenes of a clip: one for every row of its timeline.

    >>> Scenes.title(83.5, 2088)
    '1:23.500   frame 2088'
    """

    def __init__(self, timeline: Timeline) -> None:
        self.timeline = timeline
        names = [name for block in timeline.blocks if block.kind == CLASSES for name in block.labels]
        self._colours = {name: rgb_of(colour) for name, colour in class_colours(names).items()}
        self._circumplex = timeline.circumplex is not None
        self._middles, self._halves = _scale_of(timeline.circumplex or ((-1, 1), (-1, 1)))
        self._points = [self._of_circumplex(person) for person in timeline.persons] if self._circumplex else []
        self._has_numbers = any((person.numbers >= 0).any() for person in timeline.persons)

    @staticmethod
    def title(time_s: float, frame: int) -> str:
        """The time as minutes and seconds, with hours where there are any, and the frame, counted from 1."""
        return f"{format_time(time_s)}   frame {frame}"

    def at(self, row: int, remark: str = "") -> Scene:
        """The scene of a row, counted from 0."""
        timeline = self.timeline
        seen = any(bool(person.face_seen[row]) for person in timeline.persons) if timeline.faces_sought else None
        return Scene(
            self.title(float(timeline.times_s[row]), row + 1),
            [self._person(place, row) for place in range(len(timeline.persons))],
            seen,
            bool(timeline.voice_heard[row]),
            remark,
            self._circumplex,
        )

    def _person(self, place: int, row: int) -> PersonScene:
        person = self.timeline.persons[place]
        box = tuple(float(each) for each in person.boxes[row]) if person.face_seen[row] else None
        name = f"person {person.person}"
        if person.person is None:
            number = int(person.numbers[row])
            name = f"target, person {number}" if number >= 0 else "target"
        is_observed = bool(person.observed[row])
        return PersonScene(
            name,
            rgb_of(person_style(place)[0]),
            box if box is None or np.isfinite(box).all() else None,  # type: ignore[arg-type]
            self._classes(person, row) if is_observed else (),
            self._texts(person, row) if is_observed else (),
            self._trail(place, row),
            self._deviation(person, row),
            is_observed,
        )

    def _classes(self, person: PersonRows, row: int) -> list[tuple[str, float, Colour]]:
        found = []
        for block in self.timeline.blocks:
            shares = person.of_block(block)[row] if block.kind == CLASSES else np.zeros(0)
            if len(shares) and not np.isnan(shares).all():
                name = person.chosen[block.chosen][row] if block.chosen is not None else ""
                best = block.labels.index(name) if name in block.labels else int(np.nanargmax(shares))
                label = block.labels[best]
                found.append((shorten(label, MAX_NAME), float(shares[best]), self._colours[label]))
        return found

    def _texts(self, person: PersonRows, row: int) -> list[str]:
        texts = []
        for block in self.timeline.blocks:
            values: Mapping[str, float] = {
                label: float(person.columns[column][row])
                for label, column in zip(block.labels, block.columns, strict=True)
            }
            if block.kind == VALUES:
                drawn = ("valence", "arousal") if self._circumplex else ()
                texts += [
                    f"{shorten(name, MAX_NAME)} {value:.2f}"
                    for name, value in values.items()
                    if name not in drawn and value == value
                ]
            elif block.kind == UNITS:
                present = [name for name, value in values.items() if value >= MIN_UNIT]
                more = f" and {len(present) - MAX_UNITS} more" if len(present) > MAX_UNITS else ""
                texts += [" ".join(present[:MAX_UNITS]) + more] if present else []
        return texts[:MAX_TEXTS]

    def _of_circumplex(self, person: PersonRows) -> np.ndarray:
        points = np.stack([person.columns["valence"], person.columns["arousal"]], axis=1).astype(float)
        points[~person.observed] = np.nan
        return (points - self._middles) / self._halves

    def _trail(self, place: int, row: int) -> np.ndarray:
        if not self._circumplex:
            return np.zeros((0, 3))
        times_s = self.timeline.times_s
        first = int(np.searchsorted(times_s, times_s[row] - TRAIL_S))
        ages_s = times_s[row] - times_s[first : row + 1]
        return np.column_stack([self._points[place][first : row + 1], ages_s])

    def _deviation(self, person: PersonRows, row: int) -> tuple[float, float] | None:
        if not self._circumplex:
            return None
        found = [person.deviations(name) for name in ("valence", "arousal")]
        if any(each is None for each in found):
            found = [person.spread(name) for name in ("valence", "arousal")]
        values = [np.nan if each is None else float(each[row]) for each in found] / self._halves
        return (values[0], values[1]) if np.isfinite(values).all() else None


def _scale_of(ranges: Sequence[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    """The middle of each range, and half its width."""
    low, high = np.array(ranges, float).T
    return (low + high) / 2, (high - low) / 2

"""What a page shows of a timeline: the charts, the numbers for them, and the same in words."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError
from abaw.tasks.ranges import deviation_name
from abaw.views.page import wording
from abaw.views.page.columns import Columns
from abaw.views.page.moments import find_moments
from abaw.views.page.panels import Charts
from abaw.views.palette import AROUSAL, GREY, VALENCE, class_colours, person_style
from abaw.views.text import format_time
from abaw.views.timeline import CLASSES, UNITS, VALUES

if TYPE_CHECKING:
    from abaw.views.timeline import Block, PersonRows, Timeline

COLOURS = {"valence": VALENCE, "arousal": AROUSAL}  # of the values of a person without others
ALONE = VALENCE, "solid"  # of a person without others
MAX_RIBBONS = 8  # of persons with a ribbon of their own
MIN_LOUDEST = 0.01  # the loudest peak fills the chart, but the noise of a silent recording does not
ACTION_UNITS = "action units"
BANDS = (deviation_name(""), "_spread")  # endings of the columns that are drawn as a band around a value


@dataclass(frozen=True)
class Envelope:
    """The loudness of the sound: ``peaks`` from 0 to 1, each of ``step_s`` seconds, the first from ``start_s`` on."""

    start_s: float
    step_s: float
    peaks: np.ndarray

    @property
    def stop_s(self) -> float:
        return self.start_s + self.step_s * len(self.peaks)


@dataclass(frozen=True)
class SpokenWord:
    """A word and when it is spoken, in container seconds."""

    text: str
    start_s: float
    stop_s: float


@dataclass(frozen=True)
class Figure:
    """A chart as a reader meets it: its ``name`` in the document, its ``title``, and what it shows ``in_words``."""

    name: str
    title: str
    in_words: str
    colour: str = ""


@dataclass
class Content:
    """``data``: what the script reads, with ``columns`` as bytes. ``figures``: those over time, from top to bottom."""

    data: dict[str, Any]
    columns: bytes
    charts: dict[str, Any]
    chart_ids: dict[str, str]
    figures: list[Figure]
    circumplex: Figure | None
    moments: list[dict[str, Any]]
    remarks: list[str] = field(default_factory=list)


def collect(timeline: "Timeline", envelope: Envelope | None, words: Sequence[SpokenWord]) -> Content:
    """Everything that the page of a timeline shows. Raises InputError for a clip without a frame."""
    if not len(timeline.times_s):
        raise InputError(f"{timeline.clip_id} has no frame: there is nothing to show")
    return _Collector(timeline, envelope, words).collect()


class _Collector:
    def __init__(self, timeline: "Timeline", envelope: Envelope | None, words: Sequence[SpokenWord]) -> None:
        self._timeline, self._envelope, self._words = timeline, envelope, words
        self._columns = Columns()
        starts, stops = [float(timeline.times_s[0])], [float(timeline.stops_s[-1])]
        if envelope is not None and len(envelope.peaks):
            starts.append(envelope.start_s)
            stops.append(envelope.stop_s)
        self._span_s = min(starts), max(stops)
        self._charts = Charts(*self._span_s)
        self._several = len(timeline.persons) > 1
        self._styles = [person_style(place) for place in range(len(timeline.persons))] if self._several else [ALONE]
        self._figures: list[Figure] = []
        self._remarks: list[str] = []

    def collect(self) -> Content:
        timeline, columns = self._timeline, self._columns
        data: dict[str, Any] = {
            "times": columns.add_times(timeline.times_s),
            "lastStop": float(timeline.stops_s[-1]),
            "span": self._span_s,
            "persons": [self._person(place, each) for place, each in enumerate(timeline.persons)],
            "voice": columns.add_flags(timeline.voice_heard),
            "lines": [],
            "rows": [],
        }
        for block in timeline.blocks:
            if block.kind == VALUES:
                data["lines"] += [self._line(block, place) for place in range(len(block.columns))]
            else:
                data["rows"] += self._ribbons(block)
        data["sound"] = self._sound()
        data["lanes"] = self._lanes(data)
        self._charts.show_times()
        circumplex = self._circumplex(data)
        charts, ids = self._charts.document()
        return Content(data, columns.data, charts, ids, self._figures, circumplex, self._moments(), self._remarks)

    def _person(self, place: int, person: "PersonRows") -> dict[str, Any]:
        colour, dash = self._styles[place]
        return {
            "name": wording.name_person(person),
            "number": "" if person.person is None else str(person.person),
            "colour": colour,
            "dash": dash,
            "observed": self._columns.add_flags(person.observed),
            "seen": self._columns.add_flags(person.face_seen) if self._timeline.faces_sought else None,
        }

    def _line(self, block: "Block", place: int) -> dict[str, Any]:
        timeline, column, label = self._timeline, block.columns[place], block.labels[place]
        low, high = block.ranges[place]
        chart = f"{block.task}.{column}"
        bands = [ending for ending in BANDS if any(f"{column}{ending}" in each.columns for each in timeline.persons)]
        styles = self._styles if self._several else [(COLOURS.get(label, VALENCE), "solid")]
        self._charts.add_lines(chart, low, high, styles, len(bands))
        series = []
        for person in timeline.persons:
            found = [person.columns.get(f"{column}{ending}") for ending in bands]
            widths = [None if each is None else self._columns.add_values(each, 0, high - low) for each in found]
            series.append(
                {
                    "values": self._columns.add_values(person.columns[column], low, high),
                    "bands": widths,
                }
            )
        title = f"{label}{wording.explain_bands(bands)}"
        self._figures.append(Figure(chart, title, wording.describe_values(timeline, column)))
        return {"chart": chart, "label": label, "low": low, "high": high, "series": series}

    def _ribbons(self, block: "Block") -> list[dict[str, Any]]:
        """The classes or units of each person, with a chart for those who are seen longest."""
        timeline, labels = self._timeline, list(block.labels)
        with_chart = timeline.seen_longest(MAX_RIBBONS)
        what = block.chosen or (ACTION_UNITS if block.kind == UNITS else block.task)
        if len(timeline.persons) > MAX_RIBBONS:
            rest = f"{timeline.about['table']} has those of all {len(timeline.persons)}"
            self._remarks.append(f"{what}: charts of the {MAX_RIBBONS} persons who are seen longest; {rest}")
        colours = class_colours(labels) if block.kind == CLASSES else dict.fromkeys(labels, VALENCE)
        numbers = {label: number for number, label in enumerate(labels, 1)}
        found = []
        for place, person in enumerate(timeline.persons):
            shown = None if block.chosen is None else [numbers.get(name, 0) for name in person.chosen[block.chosen]]
            ribbon: dict[str, Any] = {
                "chart": None,
                "person": place,
                "labels": labels,
                "colours": [colours[label] for label in labels],
                "series": [],
                "chosen": None if shown is None else self._columns.add_bytes(shown),
            }
            if place in with_chart:
                ribbon["chart"] = chart = f"{block.task}.{block.columns[0]}.{place}"
                ribbon["series"] = [self._columns.add_values(person.columns[name], 0, 1) for name in block.columns]
                self._charts.add_rows(chart, labels if shown is None else ["most probable", *labels], shown is not None)
                title = f"{what}: {wording.name_person(person)}" if self._several else what
                colour = self._styles[place][0] if self._several else ""
                self._figures.append(Figure(chart, title, wording.describe_ribbon(timeline, person, block), colour))
            found.append(ribbon)
        return found

    def _sound(self) -> dict[str, Any] | None:
        envelope = self._envelope
        if envelope is None or not len(envelope.peaks):
            return None
        self._charts.add_sound("sound", bool(self._words))
        loudest = float(envelope.peaks.max())
        title = f"sound: envelope{' and words' if self._words else ''}; loudest peak {loudest:.0%} of full scale"
        self._figures.append(Figure("sound", title, wording.describe_sound(envelope, self._words)))
        return {
            "chart": "sound",
            "start": envelope.start_s,
            "step": envelope.step_s,
            "peaks": self._columns.add_bytes(np.rint(np.clip(envelope.peaks / max(loudest, MIN_LOUDEST), 0, 1) * 255)),
            "words": [[word.start_s, word.stop_s, word.text] for word in self._words],
        }

    def _lanes(self, data: dict[str, Any]) -> dict[str, Any]:
        """A lane for the voice, and one for each person whose face was looked for."""
        timeline = self._timeline
        lanes: list[dict[str, Any]] = [{"label": "voice heard", "colour": GREY, "person": None}]
        if timeline.faces_sought:
            for place, person in enumerate(timeline.persons):
                label = f"face {person.person}" if self._several else "face seen"
                lanes.append({"label": label, "colour": self._styles[place][0], "person": place})
        self._charts.add_rows("lanes", [each["label"] for each in lanes])
        title = "voice heard and face seen" if timeline.faces_sought else "voice heard (no face was looked for)"
        self._figures.append(Figure("lanes", title, wording.describe_presence(timeline)))
        return {"chart": "lanes", "lanes": lanes}

    def _circumplex(self, data: dict[str, Any]) -> Figure | None:
        if self._timeline.circumplex is None:
            return None
        found = {each["label"]: number for number, each in enumerate(data["lines"])}
        self._charts.add_circumplex("circumplex", [colour for colour, _ in self._styles], *self._timeline.circumplex)
        data["circumplex"] = {"chart": "circumplex", "x": found["valence"], "y": found["arousal"]}
        return Figure("circumplex", "valence and arousal", wording.describe_circumplex(self._timeline))

    def _moments(self) -> list[dict[str, Any]]:
        return [
            {
                "index": moment.index,
                "frame": moment.index + 1,
                "time": format_time(float(self._timeline.times_s[moment.index])),
                "person": wording.name_person(self._timeline.persons[moment.person]) if self._several else "",
                "what": moment.what,
                "value": f"{moment.value:.2f}",
            }
            for moment in find_moments(self._timeline)
        ]

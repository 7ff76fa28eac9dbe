"""A clip over time: what an analysis says of its persons, and predictions beside labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from abaw.views.palette import AROUSAL, OKABE_ITO, VALENCE, class_colours
from abaw.views.plots.panels import ROW, Bars, Line, Panel, lanes_panel, lines_panel, map_panel, stacked
from abaw.views.plots.plot import Plot
from abaw.views.plots.style import INK, WIDE, drawn, shortened
from abaw.views.segments import Segment, class_segments, flagged
from abaw.views.timeline import CLASSES, UNITS, VALUES, Block, PersonRows, Timeline

MAX_PERSONS = 12
LETTERS_AN_INCH, SPACE = (
    11,
    6,
)  # of the names above a panel, with the width in letters of a piece of the line beside each
SEEN, HEARD = "#444444", "#777777"
OWN_STYLES = {"valence": (VALENCE, "solid"), "arousal": (AROUSAL, (0, (4, 1.5)))}
DASHES = ("solid", (0, (4, 1.5)), (0, (1, 1)), (0, (4, 1, 1, 1)))
LABEL = {"color": INK, "linestyle": "solid", "linewidth": 1.4}


@dataclass(frozen=True)
class LabelledBlock:
    """Predictions beside labels in every frame of a clip: of a block's ``names``, both (frames, columns).

    ``kind``: "values", "classes" (one column: the number of the class in ``names``) or "units" (active above 0.5).
    A label is NaN where the frame is not scored.
    """

    kind: str
    names: Sequence[str]
    prediction: np.ndarray
    label: np.ndarray
    ranges: Sequence[tuple[float, float]] = ()


@drawn
def draw_timeline(timeline: Timeline, *, title: str = "", width: float = WIDE) -> Plot:
    """An analysed clip: values with a band, classes and units in lanes, face and voice; by person.

    Time is that of the container. The band of a value is its standard deviation ("sd"), else the "spread" of an
    ensemble. Where nothing was observed of a person, its panels are hatched and lines have gaps. Of more than
    ``MAX_PERSONS`` persons those who are seen longest are drawn, and the title says so.
    """
    persons = [timeline.persons[place] for place in timeline.seen_longest(MAX_PERSONS)]
    title = title or timeline.clip_id
    if num_left_out := len(timeline.persons) - len(persons):
        title += f" ({num_left_out} of {len(timeline.persons)} persons are not drawn)"
    panels = [panel for person in persons for panel in _of_person(timeline, person, width)]
    voice = [Bars(0, flagged(timeline.voice_heard, timeline.times_s, timeline.stops_s), HEARD)]
    panels.append(Panel(0.14, partial(lanes_panel, ["voice heard"], voice), names=["voice heard"]))
    figure = stacked(panels, timeline.times_s, timeline.stops_s, title, width)
    return Plot(figure, title, _timeline_in_words(timeline))


@drawn
def draw_clip(
    clip_id: str,
    times_s: np.ndarray,
    stops_s: np.ndarray,
    blocks: Sequence[LabelledBlock],
    observed: np.ndarray,
    *,
    title: str = "",
    width: float = WIDE,
) -> Plot:
    """Predictions beside labels over the time of a clip: values as two lines, classes and units as two bars in a row.

    Hatched: frames in which nothing was observed; they have a prediction, too.
    """
    title = title or f"{clip_id}: predictions and labels"
    gaps = flagged(~np.asarray(observed, bool), times_s, stops_s)
    panels = [panel for block in blocks for panel in _of_labels(block, times_s, stops_s, gaps)]
    legend = _label_legend({block.kind for block in blocks}, has_gaps=bool(gaps))
    figure = stacked(panels, times_s, stops_s, title, width, legend)
    num = int(np.isfinite(np.hstack([block.label for block in blocks])).any(axis=1).sum()) if blocks else 0
    said = f"{clip_id}: {num} of {len(times_s)} frames have a label, in {int((~observed).sum())} nothing was observed."
    return Plot(figure, title, " ".join([said, *map(_block_in_words, blocks)]))


def _of_person(timeline: Timeline, person: PersonRows, width: float) -> Iterator[Panel]:
    """The panels of one person of an analysis."""
    title = "" if len(timeline.persons) == 1 else f"person {person.person}"
    times_s, stops_s = timeline.times_s, timeline.stops_s
    gaps = flagged(~person.observed, times_s, stops_s)
    for block in timeline.blocks:
        if block.kind == VALUES:
            for places in _share_a_panel(block, width):
                lines = [_line(block, place, person) for place in places]
                yield Panel(0.85, partial(lines_panel, lines, block.ranges[places[0]]), gaps, title or " ")
                title = ""
        elif block.kind == CLASSES and block.chosen is not None:
            found = class_segments(timeline, person, block.chosen)
            names = _names_in_order(block, found)
            colours = class_colours([*block.labels, *names])
            lanes = [Bars(row, [each for each in found if each.label == name], colours[name])
                     for row, name in enumerate(names)]  # fmt: skip
            names = names or ["no class"]
            yield Panel(ROW * max(2, len(names)), partial(lanes_panel, names, lanes), gaps, title, names)
        else:
            values = person.of_block(block)
            yield Panel(ROW * len(block.columns), partial(map_panel, block.labels, values), gaps, title, block.labels)
        title = ""
    if timeline.faces_sought:
        lanes = [Bars(0, flagged(person.face_seen, times_s, stops_s), SEEN)]
        yield Panel(0.14, partial(lanes_panel, ["face seen"], lanes), (), title, ["face seen"])


def _share_a_panel(block: Block, width: float) -> list[list[int]]:
    """The places of the columns in each panel: neighbours with one range, as many as have room for their names."""
    found: list[list[int]] = []
    for place, bounds in enumerate(block.ranges):
        together = [*found[-1], place] if found else []
        num_letters = sum(len(shortened(block.columns[each])) + SPACE for each in together)
        if together and bounds == block.ranges[together[0]] and num_letters <= LETTERS_AN_INCH * width:
            found[-1] = together
        else:
            found.append([place])
    return found


def _line(block: Block, place: int, person: PersonRows) -> Line:
    column = block.columns[place]
    plain = OKABE_ITO[(place * 5 + 4) % len(OKABE_ITO)], DASHES[place % len(DASHES)]
    colour, dashes = OWN_STYLES.get(column, plain)
    values = np.where(person.observed, person.columns[column], np.nan)
    half_width, name = person.deviations(column), f"{column} ± sd"
    if half_width is None:
        half_width, name = person.spread(column), f"{column} ± spread"
    name = column if half_width is None else name
    return Line(name, values, {"color": colour, "linestyle": dashes}, half_width)


def _of_labels(
    block: LabelledBlock, times_s: np.ndarray, stops_s: np.ndarray, gaps: Sequence[Segment]
) -> Iterator[Panel]:
    if block.kind == VALUES:
        ranges = block.ranges or ((-1.0, 1.0),) * len(block.names)
        for i, name in enumerate(block.names):
            colour = OWN_STYLES.get(name, (OKABE_ITO[4], ""))[0]
            style = {"color": colour, "linestyle": (0, (4, 1.2)), "linewidth": 1.1}
            lines = [Line("label", block.label[:, i], LABEL), Line("prediction", block.prediction[:, i], style)]
            yield Panel(0.8, partial(lines_panel, lines, ranges[i]), gaps, name)
        return
    if block.kind == CLASSES:
        columns = {
            name: (_is(block.label[:, 0], i), _is(block.prediction[:, 0], i)) for i, name in enumerate(block.names)
        }
        colours = class_colours(block.names)
    else:
        columns = {name: (block.label[:, i] > 0.5, block.prediction[:, i] > 0.5) for i, name in enumerate(block.names)}
        colours = dict.fromkeys(block.names, OKABE_ITO[4])
    names = [name for name, sides in columns.items() if any(side.any() for side in sides)] or list(block.names)
    lanes = []
    for row, name in enumerate(names):
        label, prediction = columns[name]
        lanes.append(Bars(row, flagged(label, times_s, stops_s), INK, -1))
        lanes.append(Bars(row, flagged(prediction, times_s, stops_s), colours[name], 1))
    yield Panel(1.5 * ROW * max(2, len(names)), partial(lanes_panel, names, lanes), gaps, names=names)


def _is(column: np.ndarray, number: int) -> np.ndarray:
    found: np.ndarray = column == number
    return found


def _label_legend(kinds: set[str], *, has_gaps: bool) -> tuple[list[Any], list[str]]:
    from matplotlib.patches import Patch

    handles, names = list[Any](), list[str]()
    if kinds & {CLASSES, UNITS}:
        handles += [Patch(color=INK), Patch(color=OKABE_ITO[0])]
        names += ["label (upper bar)", "prediction (lower bar)"]
    if has_gaps:
        handles.append(Patch(facecolor="#DDDDDD", hatch="////", edgecolor="#BBBBBB", linewidth=0))
        names.append("nothing observed")
    return handles, names


def _names_in_order(block: Block, found: Sequence[Segment]) -> list[str]:
    """The classes that occur, in the order of the columns."""
    there = {each.label for each in found}
    return [name for name in block.labels if name in there] + sorted(there - set(block.labels))


def _timeline_in_words(timeline: Timeline) -> str:
    times_s, stops_s, num = timeline.times_s, timeline.stops_s, len(timeline.times_s)
    length_s = float(stops_s[-1] - times_s[0]) if num else 0.0
    said = [f"{timeline.clip_id}: {num} frames in {length_s:.1f} s, voice heard in {int(timeline.voice_heard.sum())}."]
    for person in timeline.persons:
        words = [f"observed in {int(person.observed.sum())} frames"]
        if timeline.faces_sought:
            words.append(f"face seen in {int(person.face_seen.sum())}")
        for block in timeline.blocks:
            values = person.of_block(block)[person.observed]
            if block.kind == CLASSES and block.chosen is not None:
                lengths: dict[str, float] = {}
                for each in class_segments(timeline, person, block.chosen):
                    lengths[each.label] = lengths.get(each.label, 0.0) + each.length_s
                words += [
                    f"{name} for {lengths[name]:.1f} s" for name in sorted(lengths, key=lambda each: -lengths[each])
                ]
            elif len(values) and np.isfinite(values).any():
                means = zip(block.labels, np.nanmean(values, axis=0), strict=True)
                words += [f"mean {name} {mean:.2f}" for name, mean in means if block.kind == VALUES or mean >= 0.3]
        name = "" if person.person is None or len(timeline.persons) == 1 else f"Person {person.person}: "
        said.append(f"{name}{', '.join(words)}.")
    return " ".join(said)


def _block_in_words(block: LabelledBlock) -> str:
    known = np.isfinite(block.label).all(axis=1)
    label, prediction = block.label[known], block.prediction[known]
    if not len(label):
        return "No frame has a label."
    if block.kind == VALUES:
        errors = np.abs(label - prediction).mean(axis=0)
        return (
            ", ".join(f"{name}: mean absolute error {each:.3f}" for name, each in zip(block.names, errors, strict=True))
            + "."
        )
    right = (label == (prediction if block.kind == CLASSES else prediction > 0.5)).mean()
    return f"The prediction is the label in {right:.0%} of the labelled frames."

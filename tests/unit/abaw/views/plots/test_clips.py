"""Figures over the time of a clip: gaps stay gaps, bars are at the timestamps, and long clips keep their extremes."""

from dataclasses import replace

import numpy as np
import pytest

from abaw.views.plots.clips import MAX_PERSONS, LabelledBlock, draw_clip, draw_timeline
from abaw.views.plots.long_clips import MAX_COLUMNS, drawn_stretches, thinned
from abaw.views.segments import segments_of
from abaw.views.timeline import Block
from tests.support.views.timelines import make_person, make_timeline

TIMES_S = np.array([0.0, 0.04, 0.1, 0.2, 0.24, 0.28])
NAN = np.nan


def bars(collection):
    """(start, end) of each bar of a row."""
    found = [path.get_extents() for path in collection.get_paths()]
    return [(round(float(each.x0), 6), round(float(each.x1), 6)) for each in found]


def drawn(axes):
    """Row of the panel -> its bars; the last collection is what is hatched."""
    return [bars(each) for each in axes.collections]


def test_a_timeline_has_gaps_where_nothing_was_observed():
    person = make_person(["Fear", "Fear", "", "Neutral", "", ""], values=np.arange(6) / 10, deviation=np.full(6, 0.1))
    plot = draw_timeline(make_timeline([person], TIMES_S, voice=[False, True, True, False, False, False]))
    classes, values, face, voice = plot.figure.axes
    line, alone = (each.get_xydata() for each in values.lines[:2])
    np.testing.assert_allclose(line[:, 0], TIMES_S)
    np.testing.assert_allclose(line[:, 1], [0, 0.1, NAN, 0.3, NAN, NAN], atol=1e-6)
    np.testing.assert_allclose(alone, [[0.2, 0.3]], atol=1e-6)  # a line of one frame would not be seen
    assert [each.get_text() for each in classes.get_yticklabels()] == ["Neutral", "Fear"]
    assert drawn(classes) == [[(0.2, 0.24)], [(0.0, 0.1)], [(0.1, 0.2), (0.24, 0.32)]]
    assert drawn(face)[0] == [(0.0, 0.1), (0.2, 0.24)]
    assert drawn(voice)[0] == [(0.04, 0.2)]
    assert values.get_legend().get_texts()[0].get_text() == "valence ± sd"
    assert plot.alternative == (
        "clip: 6 frames in 0.3 s, voice heard in 2. observed in 3 frames, face seen in 3, Fear for 0.1 s, Neutral for "
        "0.0 s, mean valence 0.13."
    )


def test_units_are_a_map_and_persons_have_panels_of_their_own():
    persons = [make_person(["Fear"] * 6, person=i, units=np.linspace(0, 1, 6)) for i in (0, 3)]
    plot = draw_timeline(make_timeline(persons, TIMES_S))
    panels = plot.figure.axes
    assert [each.get_title("left") for each in panels if each.get_title("left").strip()] == ["person 0", "person 3"]
    mesh = panels[2].collections[0]
    np.testing.assert_allclose(mesh.get_array().ravel(), np.linspace(0, 1, 6), atol=1e-6)


def test_the_title_says_that_persons_are_not_drawn():
    few = [make_person(["Fear"] + [""] * 5, person=i) for i in range(2)]
    many = [make_person(["Fear"] * 6, person=i + 2) for i in range(MAX_PERSONS)]
    plot = draw_timeline(make_timeline([*few, *many], TIMES_S))
    assert plot.title == f"clip (2 of {MAX_PERSONS + 2} persons are not drawn)"
    titles = [axes.get_title("left") for axes in plot.figure.axes]
    assert "person 0" not in titles
    assert "person 2" in titles


@pytest.mark.parametrize("num", [0, 1])
def test_a_clip_of_hardly_a_frame_is_drawn(num):
    person = make_person(["Fear"] * num, units=np.zeros(num))
    plot = draw_timeline(make_timeline([person], TIMES_S[:num]))
    plot.svg()
    dots = plot.figure.axes[1].collections[:1]
    assert [each.get_segments()[0].tolist() for each in dots[:num]] == [[[0.0, 0.0], [0.04, 0.0]]] * num


def test_values_share_a_panel_only_where_their_ranges_are_equal_and_each_is_named():
    names, ranges = ("_x", "$y$" * 20, "pain", "weight"), ((0, 10), (0, 10), (0, 10), (50, 200))
    person = make_person(["Fear"] * 6)
    person = replace(person, columns={name: np.full(6, high) for name, (_, high) in zip(names, ranges, strict=True)})
    timeline = replace(make_timeline([person], TIMES_S), blocks=(Block("values", "values", names, ranges),))
    panels = [axes for axes in draw_timeline(timeline).figure.axes if axes.get_legend()]
    shown = [[text.get_text() for text in axes.get_legend().get_texts()] for axes in panels]
    assert shown == [["_x", "…" + ("$y$" * 20)[-39:], "pain"], ["weight"]]
    assert [tuple(round(each) for each in axes.get_ylim()) for axes in panels] == [(0, 10), (44, 206)]


def test_classes_that_look_alike_are_numbered():
    labels = ["喜悦", "悲伤", "Fear"] * 2
    plot = draw_timeline(make_timeline([make_person(labels, classes=labels[:3])], TIMES_S))
    assert [each.get_text() for each in plot.figure.axes[0].get_yticklabels()] == ["?? (1)", "?? (2)", "Fear"]


@pytest.mark.parametrize(
    ("start_s", "length_s", "shown"),
    [(3600, 12, ["3600", "3602"]), (-100, 200, ["-1:30", "-1:00", "-0:30", "0:00"]), (3570, 240, ["59:30", "60:00"])],
)
def test_the_axis_has_the_times_of_the_file(start_s, length_s, shown):
    times_s = start_s + np.linspace(0, length_s, 7)[:-1]
    plot = draw_timeline(make_timeline([make_person(["Fear"] * 6)], times_s))
    plot.figure.draw_without_rendering()
    texts = [each.get_text().replace("\u2212", "-") for each in plot.figure.axes[-1].get_xticklabels()]
    assert set(shown) <= set(texts)


def test_labels_and_predictions_of_classes_are_two_bars_of_a_row():
    label, prediction = np.array([[0, 0, NAN, 1, 1, 1.0]]).T, np.array([[0, 1, 1, 1, 1, 1.0]]).T
    plot = draw_clip(
        "a", TIMES_S, TIMES_S + 0.04, [LabelledBlock("classes", ("x", "y"), prediction, label)], np.ones(6, bool)
    )
    rows = drawn(plot.figure.axes[0])
    assert rows[:4] == [[(0.0, 0.08)], [(0.0, 0.04)], [(0.2, 0.32)], [(0.04, 0.32)]]
    assert plot.alternative.endswith("The prediction is the label in 80% of the labelled frames.")
    assert "5 of 6 frames have a label" in plot.alternative


def test_a_long_line_keeps_its_extremes_and_its_gaps():
    values = np.sin(np.arange(100_000) / 50)
    values[[777, 50_001]] = [5, -7]
    values[60_000:70_000] = NAN
    kept = thinned(values)
    assert len(kept) <= 2 * MAX_COLUMNS
    assert {777, 50_001} <= set(kept.tolist())
    assert np.isnan(values[kept[(kept >= 60_100) & (kept < 69_900)]]).all()
    assert np.isnan(values[kept]).any()
    assert (np.diff(kept) > 0).all()


def test_bars_of_a_long_clip_are_few_and_none_is_lost():
    flags = np.arange(100_000) % 2 == 0
    flags[50_000:60_000] = False
    flags[55_000] = True
    times_s = np.arange(100_000) / 25.0
    found = segments_of(np.where(flags, "a", "").astype(object), times_s, times_s + 0.04)
    stretches = drawn_stretches(found, 4000.0)
    assert len(stretches) <= MAX_COLUMNS
    assert any(abs(start - 2200.0) < 3 and length < 6 for start, length in stretches)
    assert not any(start < 2100 < start + length for start, length in stretches)

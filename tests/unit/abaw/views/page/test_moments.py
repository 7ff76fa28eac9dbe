"""Strongest moments: the highest and lowest values and the most probable classes, at the right frames."""

from dataclasses import replace

import numpy as np

from abaw.views.page.moments import find_moments
from abaw.views.page.wording import explain_no_moments
from tests.support.views.timelines import make_person, make_timeline, write_analysis

TIMES_S = np.arange(100) / 25


def planted(tmp_path, **columns):
    timeline = write_analysis(tmp_path, "clip", TIMES_S)
    for name in timeline.persons[0].columns:
        timeline.persons[0].columns[name] = np.zeros(100, np.float32)
    for name, values in columns.items():
        for index, value in values.items():
            timeline.persons[0].columns[name][index] = value
    return [(each.index, each.what, round(each.value, 2)) for each in find_moments(timeline)]


def test_the_moments_are_where_they_were_planted_in_the_order_of_time(tmp_path):
    found = planted(
        tmp_path, valence={70: 0.9, 20: -0.8}, p_Fear={30: 0.7, 31: 0.6}, p_Neutral={5: 1.0}, p_Anger={8: 0.4}
    )
    assert found == [
        (0, "arousal highest", 0.0),
        (20, "valence lowest", -0.8),
        (30, "Fear", 0.7),
        (70, "valence highest", 0.9),
    ]


def test_frames_without_a_value_are_no_moments(tmp_path):
    found = planted(tmp_path, valence=dict.fromkeys(range(100), np.nan), arousal={0: np.nan, 50: 0.5})
    assert found == [(1, "arousal lowest", 0.0), (50, "arousal highest", 0.5)]


def test_a_clip_without_moments_says_why():
    def explained(labels, **of_person):
        timeline = make_timeline([make_person(labels, **of_person)], TIMES_S[: len(labels)])
        return explain_no_moments(replace(timeline, blocks=tuple(b for b in timeline.blocks if b.kind != "values")))

    neutral = "There is none: no class but Neutral"
    assert explained(["Neutral", "Neutral"]) == f"{neutral} reaches a probability of 0.5 in any frame."
    assert explained(["Neutral"], units=[0.1]).startswith(f"{neutral} and no action unit reaches")
    assert explained(["A"], classes=("A", "B")).startswith("There is none: no class reaches")
    assert explained(["", ""]) == "There is no prediction in any frame."

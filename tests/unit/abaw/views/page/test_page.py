"""The page of a clip as text: what stands in it, and that no name or word becomes markup or asks for anything."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.views.page.content import Envelope, SpokenWord
from abaw.views.page.wording import _any_of
from abaw.views.page.writing import PageMedia, render_page, write_page
from tests.support.views.timelines import write_analysis

HOSTILE = "</script><script>alert(1)</script>\"'\n=1+1<img src=x onerror=alert(2)>"
TIMES_S = np.arange(100) / 25


def envelope(num=400):
    return Envelope(0.0, 0.01, np.linspace(0, 1, num))


def data_of(page):
    return json.loads(re.search(r'id="data">(.*?)</script>', page, re.S)[1])


@pytest.fixture(scope="module")
def timeline(tmp_path_factory):
    return write_analysis(tmp_path_factory.mktemp("page"), "clip", TIMES_S, persons=(0, 2), hidden=range(50, 60))


def test_no_name_and_no_word_becomes_markup_or_script(tmp_path):
    timeline = write_analysis(tmp_path, "clip", TIMES_S, media=f"a/{HOSTILE}", sources=(HOSTILE,))
    page = render_page(timeline, PageMedia("video", "x.mp4"), envelope(), [SpokenWord(HOSTILE, 1.0, 2.0)], [HOSTILE])
    assert "alert(1)</script>" not in page
    assert "<img src=x" not in page
    assert data_of(page)["sound"]["words"] == [[1.0, 2.0, HOSTILE]]


def test_a_page_asks_for_nothing_but_its_video(timeline):
    page = render_page(timeline, PageMedia("video", "a%20b.mp4"))
    assert re.findall(r'(?:src|href|action|data)="([^"]*)"', page) == ["data:,"]
    assert data_of(page)["media"]["address"] == "a%20b.mp4"
    assert not re.findall(r"@import|url\(|fetch\(|XMLHttpRequest|WebSocket|import\(", page)
    assert "default-src 'none'" in page


def test_an_embedded_video_is_part_of_the_page(timeline, tmp_path):
    media = tmp_path / "video.mp4"
    media.write_bytes(bytes(range(256)) * 9)
    write_page(timeline, tmp_path / "page.html", PageMedia("video", "", media, "video/mp4"))
    page = (tmp_path / "page.html").read_text()
    assert "AAECAwQF" in re.search(r'id="embedded">([^<]*)</script></body>', page)[1]


def test_every_figure_has_a_text_alternative_with_its_numbers(timeline):
    page = render_page(timeline, envelope=envelope())
    alternatives = re.findall(r'<figure[^>]* aria-label="([^"]*)"', page)
    assert len(alternatives) == len(re.findall("<figure", page)) == 7  # va: 2, a ribbon each, sound, faces, circumplex
    assert "Person 0: valence" in alternatives[1]
    assert "not from 0:02.000 to 0:02.400" in alternatives[-1]
    assert all(each.split(". ", 1)[1] for each in alternatives)


def test_the_line_on_top_says_who_predicted_and_what_was_not_observed(timeline):
    line = re.search(r'<p id="made">(.*?)</p>', render_page(timeline), re.S)[1]
    assert line.startswith("expr by a test.")
    assert "No face and no prediction of person 0 in 10 of 100 frames" in line
    assert _any_of([f"person {i}" for i in range(7)]) == "person 0, person 1, person 2, person 3 or 3 other persons"


def test_persons_have_colours_and_names_of_their_own(timeline):
    persons = data_of(render_page(timeline))["persons"]
    assert [each["name"] for each in persons] == ["person 0", "person 2"]
    assert len({each["colour"] for each in persons}) == 2


def test_a_table_that_says_the_spread_of_members_gets_a_band(tmp_path):
    timeline = write_analysis(tmp_path, "clip", TIMES_S)
    timeline.persons[0].columns["valence_spread"] = np.full(100, 0.2, np.float32)
    lines = data_of(render_page(timeline))["lines"]
    assert [len(each["series"][0]["bands"]) for each in lines] == [1, 1]
    assert "band: the spread of the ensemble" in render_page(timeline)


def test_the_ribbons_of_a_crowd_are_limited_and_it_is_said(tmp_path):
    timeline = write_analysis(tmp_path, "clip", TIMES_S, persons=tuple(range(10)))
    timeline.persons[1].face_seen[:95] = False
    page = render_page(timeline)
    rows = data_of(page)["rows"]
    assert [row["person"] for row in rows if row["chart"]] == [0, 2, 3, 4, 5, 6, 7, 8]  # those who are seen longest
    assert all(row["chosen"] for row in rows)  # the class of everybody
    assert "expression: charts of the 8 persons who are seen longest; clip.parquet has those of all 10" in page


def test_the_circumplex_has_the_ranges_of_valence_and_arousal(tmp_path):
    timeline = write_analysis(tmp_path, "clip", TIMES_S)
    timeline = replace(timeline, blocks=(replace(timeline.blocks[0], ranges=((1, 9), (0, 100))),))
    charts = json.loads(re.search(r'id="charts">(.*?)</script>', render_page(timeline), re.S)[1])
    (document,) = charts["document"].values()
    (chart,) = [each for each in document["roots"] if each["id"] == charts["ids"]["circumplex"]]
    ranges = [chart["attributes"][side]["attributes"] for side in ("x_range", "y_range")]
    assert [(each.get("start", 0), each["end"]) for each in ranges] == [(0, 10), (-12.5, 112.5)]


def test_a_clip_without_a_frame_has_no_page(tmp_path):
    with pytest.raises(InputError, match="clip has no frame"):
        render_page(write_analysis(tmp_path, "clip", []))


def test_quiet_sound_fills_its_chart_and_the_title_says_how_loud_it_is(timeline):
    quiet = render_page(timeline, envelope=Envelope(0.0, 0.01, np.linspace(0, 0.04, 400)))
    assert "sound: envelope; loudest peak 4% of full scale" in quiet
    columns = [
        re.search(r'id="columns">(.*?)</script>', page)[1]
        for page in (quiet, render_page(timeline, envelope=envelope()))
    ]
    assert columns[0] == columns[1]

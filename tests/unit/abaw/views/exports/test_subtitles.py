"""Subtitles, read by other people's libraries."""

import srt
import webvtt

from abaw.views.exports.subtitles import write_srt, write_vtt
from tests.support.views.timelines import make_person, make_timeline

LABELS = ["Fear"] * 20 + ["Neutral"] * 2 + ["Fear"] * 15 + [""] * 10 + ["Neutral"] * 13
TIMES_S = [0.04 * i for i in range(60)]
NASTY = "<script>&amp; {\\an8} --> 00:00:01,000\n\n2\n=1+1"


def read_srt(path):
    found = list(srt.parse(path.read_text(encoding="utf-8")))
    return [(each.start.total_seconds(), each.end.total_seconds(), each.content) for each in found]


def read_vtt(path):
    return [(each.start_in_seconds, each.end_in_seconds, each.text) for each in webvtt.read(path)]


def test_short_stretches_are_left_out_and_counted_and_gaps_have_no_subtitle(tmp_path):
    timeline = make_timeline([make_person(LABELS)], TIMES_S)
    expected = [(0.0, 0.8, "Fear"), (0.88, 1.48, "Fear"), (1.88, 2.4, "Neutral")]
    remark = "left out because shorter than 0.5 s: 1 of 4 segments"
    assert write_srt(timeline, tmp_path / "a.srt") == remark
    assert read_srt(tmp_path / "a.srt") == expected
    assert write_vtt(timeline, tmp_path / "a.vtt") == remark
    assert [each[2] for each in read_vtt(tmp_path / "a.vtt")] == [each[2] for each in expected]
    assert f"NOTE {remark}\n" in (tmp_path / "a.vtt").read_text()
    assert webvtt.read(tmp_path / "a.vtt")[1].start == "00:00:00.880"


def test_a_shortest_time_of_zero_keeps_all(tmp_path):
    assert write_srt(make_timeline([make_person(LABELS)], TIMES_S), tmp_path / "a.srt", 0.0) == ""
    assert len(read_srt(tmp_path / "a.srt")) == 4


def test_persons_are_named_and_their_subtitles_are_in_the_order_of_time(tmp_path):
    persons = [make_person(LABELS, person=0), make_person(["Neutral"] * 60, person=2)]
    write_vtt(make_timeline(persons, TIMES_S), tmp_path / "a.vtt")
    found = read_vtt(tmp_path / "a.vtt")
    assert [text for _, _, text in found[:2]] == ["person 0: Fear", "person 2: Neutral"]
    assert [start for start, _, _ in found] == sorted(start for start, _, _ in found)


def test_names_of_strangers_are_neither_markup_nor_times(tmp_path):
    timeline = make_timeline([make_person([NASTY] * 60, classes=(NASTY, "b"))], TIMES_S, sources=[f"{NASTY}\n\nx"])
    clean = NASTY.replace("\n", " ")
    write_vtt(timeline, tmp_path / "a.vtt")
    text = (tmp_path / "a.vtt").read_text()
    assert text.count("-->") == 1
    assert "<" not in text
    (cue,) = webvtt.read(tmp_path / "a.vtt")
    escaped = clean.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    assert cue.raw_text == escaped
    write_srt(timeline, tmp_path / "a.srt")
    ((_, _, content),) = read_srt(tmp_path / "a.srt")
    assert content == clean.translate(str.maketrans("<>{}\\", "‹›()/"))
    assert len(webvtt.from_srt(tmp_path / "a.srt")) == 1


def test_a_clip_of_hours_has_hours_in_its_times(tmp_path):
    timeline = make_timeline([make_person(["Fear"] * 2)], [36_000.0, 36_001.5])
    write_vtt(timeline, tmp_path / "a.vtt")
    assert "\n10:00:00.000 --> 10:00:03.000\n" in (tmp_path / "a.vtt").read_text()


def test_without_classes_nothing_is_written_and_it_is_said(tmp_path):
    timeline = make_timeline([make_person(LABELS)], TIMES_S)
    values = type(timeline)(**{**vars(timeline), "blocks": timeline.blocks[1:]})
    for write, name in ((write_srt, "a.srt"), (write_vtt, "a.vtt")):
        assert "no classes are predicted" in write(values, tmp_path / name)
    assert not list(tmp_path.iterdir())

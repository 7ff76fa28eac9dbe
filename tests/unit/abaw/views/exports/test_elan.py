"""ELAN files, read by pympi and held against the rules of ELAN's schema."""

import re
from itertools import pairwise
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pympi
import pytest

from abaw.views.exports.elan import write_eaf
from tests.support.views.timelines import make_person, make_timeline

TIMES_S = [0.0, 0.04, 0.08, 0.1204, 0.16, 0.2]
NASTY = "<script>\"x\" & 'y'</script>\n--> =1+1 ]]>"
ORDER = (
    "LICENSE HEADER TIME_ORDER TIER LINGUISTIC_TYPE LOCALE LANGUAGE CONSTRAINT CONTROLLED_VOCABULARY LEXICON_REF "
    "EXTERNAL_REF"
).split()


def write(tmp_path, timeline, media=None):
    path = tmp_path / "clip.eaf"
    remark = write_eaf(timeline, media, path)
    return pympi.Eaf(path), remark


def texts(eaf, tier):
    return sorted(eaf.get_annotation_data_for_tier(tier))


def test_stretches_are_read_back_to_the_millisecond_and_a_gap_has_none(tmp_path):
    person = make_person(["Fear", "Fear", "Neutral", "", "Fear", "Fear"])
    eaf, _ = write(tmp_path, make_timeline([person], TIMES_S, voice=[True, False] * 3), Path("a/x.mp4"))
    assert texts(eaf, "expression") == [(0, 80, "Fear"), (80, 120, "Neutral"), (160, 240, "Fear")]
    assert texts(eaf, "face seen") == [(0, 120, "face"), (160, 240, "face")]
    assert texts(eaf, "voice heard") == [(0, 40, "voice"), (80, 120, "voice"), (160, 200, "voice")]


def test_values_are_thirds_of_their_range_and_units_are_active_from_one_half(tmp_path):
    person = make_person(["Fear"] * 6, values=[-1, -0.34, -0.33, 0.33, 0.34, 1], units=[0.1, 0.5, 0.49, 0.9, 0.9, 0.2])
    eaf, _ = write(tmp_path, make_timeline([person], TIMES_S))
    assert texts(eaf, "valence level") == [(0, 80, "negative"), (80, 160, "neutral"), (160, 240, "positive")]
    assert texts(eaf, "AU1") == [(40, 80, "active"), (120, 200, "active")]
    words = {each[0][0]: each[0][2] for each, _ in eaf.get_cv_entries("vocabulary 2").values()}
    assert words["neutral"] == "-0.33 to 0.33"


def test_persons_have_tiers_of_their_own(tmp_path):
    persons = [make_person(["Fear"] * 6, person=1), make_person([""] * 5 + ["Neutral"], person=4)]
    eaf, _ = write(tmp_path, make_timeline(persons, TIMES_S))
    assert texts(eaf, "expression (person 4)") == [(200, 240, "Neutral")]
    assert eaf.get_parameters_for_tier("expression (person 4)")["PARTICIPANT"] == "person 4"


def test_media_are_linked_relative_to_the_file(tmp_path):
    eaf, remark = write(tmp_path, make_timeline([make_person(["Fear"] * 6)], TIMES_S), tmp_path / "in & out/x.mp4")
    (linked,) = eaf.get_linked_files()
    assert linked["RELATIVE_MEDIA_URL"] == "./in & out/x.mp4"
    assert linked["MEDIA_URL"] == f"file://{tmp_path}/in & out/x.mp4"
    assert linked["MIME_TYPE"] == "video/mp4"
    assert remark == ""
    _, remark = write(tmp_path, make_timeline([make_person(["Fear"] * 6)], TIMES_S), tmp_path / "a\x01.mp4")
    assert "no media file is linked" in remark


def test_names_of_strangers_stay_text(tmp_path):
    person = make_person([NASTY] * 6, classes=(NASTY, "b"))
    eaf, _ = write(tmp_path, make_timeline([person], TIMES_S, sources=[NASTY]), tmp_path / f"{NASTY[:8]}.mp4")
    clean = NASTY.replace("\n", " ")
    assert texts(eaf, "expression") == [(0, 240, clean)]
    assert ("abaw:1", clean) in eaf.get_properties()
    root = ElementTree.parse(tmp_path / "clip.eaf").getroot()
    assert "script" not in {each.tag for each in root.iter()}


def test_the_file_keeps_the_rules_of_the_schema(tmp_path):
    random = np.random.default_rng(0)
    times_s = np.cumsum(random.choice([0.0002, 0.0333], 300))
    persons = [make_person(random.choice(["Fear", "Neutral", ""], 300).astype(object), person=i) for i in range(2)]
    timeline = make_timeline(persons, times_s, sources=["a"])
    _, remark = write(tmp_path, timeline, Path("x.mp4"))
    root = ElementTree.parse(tmp_path / "clip.eaf").getroot()
    places = [ORDER.index(each.tag) for each in root]
    assert places == sorted(places)
    slots = [(each.get("TIME_SLOT_ID"), int(each.get("TIME_VALUE"))) for each in root.find("TIME_ORDER")]
    assert [time for _, time in slots] == sorted(time for _, time in slots)
    assert [name for name, _ in slots] == [f"ts{i + 1}" for i in range(len(slots))]
    times = dict(slots)
    ids = [each.get(key) for each in root.iter() for key in ("ANNOTATION_ID", "CV_ID", "CVE_ID") if each.get(key)]
    assert len(ids) == len(set(ids))
    types = {each.get("LINGUISTIC_TYPE_ID"): each.get("CONTROLLED_VOCABULARY_REF") for each in root.iter()}
    allowed = {
        each.get("CV_ID"): {value.text for value in each.iter("CVE_VALUE")}
        for each in root.iter("CONTROLLED_VOCABULARY")
    }
    used = []
    for tier in root.iter("TIER"):
        found = []
        for each in tier.iter("ALIGNABLE_ANNOTATION"):
            refs = each.get("TIME_SLOT_REF1"), each.get("TIME_SLOT_REF2")
            used += refs
            found.append(tuple(times[ref] for ref in refs))
            assert each.find("ANNOTATION_VALUE").text in allowed[types[tier.get("LINGUISTIC_TYPE_REF")]]
        assert all(start < stop for start, stop in found)
        assert all(stop <= start for (_, stop), (start, _) in pairwise(found))
    assert sorted(used) == sorted(times)  # a slot is of one annotation, as in the files of ELAN
    assert re.search(r"left out because shorter than a millisecond or before time 0: \d+ segments$", remark)


@pytest.mark.parametrize(
    ("first_s", "words"), [(1.4, "first picture is at 1.400 s"), (-0.5, "what is before 0 is left out"), (0.02, "")]
)
def test_a_clip_that_does_not_begin_at_zero_is_remarked(tmp_path, first_s, words):
    timeline = make_timeline([make_person(["Fear"] * 6)], [first_s + each for each in TIMES_S])
    _, remark = write(tmp_path, timeline, Path("x.mp4"))
    assert words in remark
    assert bool(words) == bool(remark)

"""`abaw analyze` without a run, on real people: the best recogniser on the machine answers, and says what it is."""

import json

import pytest
from pyarrow import parquet

import abaw
from extract.encoders import fer_mini_xception

CLIPS = ("1001_DFA_HAP_XX.flv", "1001_DFA_NEU_XX.flv", "1001_DFA_ANG_XX.flv")
GRID = ("bbaf2n.mpg", "lbax4n.mpg", "lrwp9a.mpg", "id2_vcd_swwp2s.mpg")


@pytest.fixture(scope="module")
def found(media, tmp_path_factory):
    if not fer_mini_xception.examples():
        pytest.skip("the weights of fer_mini_xception are not here: abaw weights fetch fer_mini_xception")
    paths = [media / "clips" / name for name in (*CLIPS, *GRID)] + [media / "nasty/silent_audio_track.mp4"]
    out = tmp_path_factory.mktemp("analysis") / "out"
    return abaw.analyze(paths, out=out, recognisers="fer_mini_xception")


def shares_of(found, name):
    (summary,) = found.summaries[name.partition(".")[0]]
    return summary.leading["expr"]


def test_posed_happiness_anger_and_neutral_speech_are_recognised(found):
    happy, neutral, angry = (shares_of(found, name) for name in CLIPS)
    assert next(iter(happy)) == "Happiness"
    assert next(iter(neutral)) == "Neutral"
    assert angry["Anger"] >= max(angry.values()) - 0.05
    assert sum(next(iter(shares_of(found, name))) == "Neutral" for name in GRID) >= 3


def test_what_answers_and_its_training_stand_first(found):
    assert str(found).startswith("expr by fer_mini_xception, trained on FER-2013; licence: MIT\n")
    assert "\n1001_DFA_HAP_XX: Happiness 0." in str(found)
    document = json.loads((found.out / "analysis.json").read_text())
    assert document["sources"] == list(found.sources)
    assert document["recognisers"][0]["trained_on"] == ["FER-2013"]
    assert document["runs"] == document["warnings"] == []
    table = parquet.read_table(found.out / "1001_DFA_HAP_XX.parquet")
    assert list(document["columns"]) == table.column_names
    assert document["columns"]["time_s"]["unit"] == "s"
    assert found.table("bbaf2n").sources.startswith("expr by fer_mini_xception")


def test_the_tables_say_where_a_face_is_seen_and_a_voice_is_heard(found):
    columns = found.table("bbaf2n").to_numpy()
    assert columns["face_seen"].all()
    speech = (columns["time_s"] > 0.6) & (columns["time_s"] < 2.1)  # by the .align file
    assert columns["voice_heard"][speech].all()
    assert not found.table("silent_audio_track").to_numpy()["voice_heard"].any()

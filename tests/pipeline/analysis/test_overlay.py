"""Overlay videos of real people, and who is who in them: one analysis of all persons."""

import json
import os

import numpy as np
import pytest

import abaw
from abaw.cli import main
from abaw.views.timeline import read_timeline
from extract.encoders import fer_mini_xception
from extract.media import probe, sound
from tests.support.extract.clips import picture_times_s

CLIPS = (
    "clips/single_face.mp4",
    "clips/lrwp9a.mpg",
    "nasty/two_faces_audio_of_left.mp4",
    "nasty/identity_cut_at_3s.mp4",
    "nasty/face_hidden_1s_to_2s.mp4",
)


@pytest.fixture(scope="module")
def found(media, tmp_path_factory):
    if not fer_mini_xception.examples():
        pytest.skip("the weights of fer_mini_xception are not here: abaw weights fetch fer_mini_xception")
    out = tmp_path_factory.mktemp("analysis") / "out"
    paths = [media / name for name in CLIPS]
    return abaw.analyze(paths, out=out, recognisers="fer_mini_xception", persons="all", views="overlay")


@pytest.mark.parametrize("name", CLIPS)
def test_an_overlay_has_the_frames_and_the_sound_of_its_source(found, media, name):
    path = found.out / f"{os.path.basename(name).partition('.')[0]}.overlay.mp4"
    np.testing.assert_allclose(picture_times_s(path), picture_times_s(media / name), atol=1e-9)
    source, overlay = probe(media / name), probe(path)
    assert (overlay.width, overlay.height, overlay.rotation_deg) == (source.width, source.height, 0)
    before, after = sound(media / name), sound(path)
    assert after.start_s == pytest.approx(before.start_s, abs=1e-3)
    assert after.stop_s == pytest.approx(before.stop_s, abs=1024 / 44100)


def timeline(found, clip_id):
    return read_timeline(found.out, clip_id)


@pytest.mark.parametrize("clip_id", ["single_face", "lrwp9a"])
def test_a_clip_of_one_person_has_one(found, clip_id):
    (person,) = timeline(found, clip_id).persons
    assert person.face_seen.all()


def test_two_faces_are_two_persons_who_stay_on_their_sides(found):
    persons = timeline(found, "two_faces_audio_of_left").persons
    assert len(persons) == 2
    left, right = sorted(persons, key=lambda person: np.nanmean(person.boxes[:, 0]))
    assert left.face_seen.all()
    assert right.face_seen.all()
    assert (left.boxes[:, 0] + left.boxes[:, 2] < 360).all()
    assert (right.boxes[:, 0] > 360).all()


def test_a_cut_to_another_person_is_found_within_two_frames(found):
    cut = timeline(found, "identity_cut_at_3s")
    first, second = cut.persons
    assert abs(cut.times_s[first.face_seen].max() - 3.0) <= 2 / 25 + 1e-6
    assert abs(cut.times_s[second.face_seen].min() - 3.0) <= 2 / 25 + 1e-6
    assert not (first.face_seen & second.face_seen).any()


def test_a_hidden_face_is_a_gap_of_one_person(found):
    hidden = timeline(found, "face_hidden_1s_to_2s")
    (person,) = hidden.persons
    is_hidden = (hidden.times_s >= 1.0) & (hidden.times_s < 2.0)
    assert not person.observed[is_hidden].any()
    away = (hidden.times_s < 0.9) | (hidden.times_s > 2.2)
    assert person.observed[away].all()


def test_what_cannot_be_drawn_on_is_said_and_the_other_clips_have_their_overlays(media, tmp_path, monkeypatch, capsys):
    name = "a 'b' \"c\"\nd.mp4"  # quotes and a new line
    (tmp_path / "given").mkdir()
    (tmp_path / "given" / "odd.avi").write_bytes((media / "nasty/odd_dims_351x287_mjpeg_8khz.avi").read_bytes())
    (tmp_path / "given" / name).write_bytes((media / "nasty/one_frame.mp4").read_bytes())
    (tmp_path / "given" / "text.mp4").write_text("no video")
    words = ["analyze", str(tmp_path / "given"), "--recogniser", "fer_mini_xception", "--overlay", "--no-page"]
    monkeypatch.setattr("sys.argv", ["abaw", *words, "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as stop:
        main()
    said = capsys.readouterr()
    assert stop.value.code == 1
    assert "text" in said.err
    sources = {"odd": "odd.avi", "a 'b' \"c\"\\nd": name}  # the new line is written out
    assert {path.name for path in (tmp_path / "out").glob("*.mp4")} == {f"{each}.overlay.mp4" for each in sources}
    for clip_id, source in sources.items():
        times_s = picture_times_s(tmp_path / "given" / source)
        np.testing.assert_allclose(picture_times_s(tmp_path / "out" / f"{clip_id}.overlay.mp4"), times_s, atol=1e-9)
    assert json.loads((tmp_path / "out" / "analysis.json").read_text())["clips"].keys() == sources.keys()

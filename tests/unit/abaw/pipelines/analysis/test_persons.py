"""The persons of a clip: their numbers, and the target that is one of them."""

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.pipelines.analysis.persons import FoundPersons, check_persons, check_takes_face, find_persons, note_voice
from abaw.pipelines.extraction import build_detector, build_encoder
from abaw.tracks import Track
from extract.engine.plan import faces_recipe
from extract.faces.target import TargetConfig, person_target
from tests.support.stores import make_store

NUM = 10


def boxes(frame, person):
    return (frame, 10 * person, 10, 20, 20, person, 1)


@pytest.fixture
def config():
    return TargetConfig(build_detector("haar"))


def test_each_person_has_a_pass_over_its_clips_and_rare_faces_are_left_out(tmp_path, config):
    store, recipe = make_store(tmp_path), faces_recipe(config)
    seen = {"a": [(f, p) for f in range(1, NUM + 1) for p in (0, 2)] + [(3, 7)], "b": []}
    for clip_id, faces in seen.items():
        rows = np.array([boxes(*each) for each in faces], np.float32).reshape(-1, 7)
        target = Track(np.zeros((NUM, 6), np.float32), np.arange(NUM) * 0.1, np.zeros(NUM, bool))
        store.put(recipe, clip_id, target, {"source": f"of {clip_id}"}, {"persons": rows})
    found = find_persons(store, config, ["a", "b"])
    assert found.clips == {0: ["a"], 2: ["a"]}
    assert found.notes == ["a: 1 face seen in fewer than 5 frames left out"]
    views = found.views(config, ["a", "b"])
    assert {person: (each.target, clips) for person, (each, clips) in views.items()} == {
        0: ("person:0", ["a"]), 2: ("person:2", ["a"]), None: ("largest", ["b"]),
    }  # fmt: skip


def test_a_target_can_be_the_person_of_a_number(config):
    assert TargetConfig(config.detector, person_target(3)).recipe()["target"] == "person:3"
    for wrong in ("person:", "person:x", "person:-1"):
        with pytest.raises(InputError, match="no target named"):
            TargetConfig(config.detector, wrong)


def test_persons_are_the_target_or_all():
    with pytest.raises(InputError, match="persons is 'both', expected target or all"):
        check_persons("both")


def test_all_persons_need_an_encoder_of_faces_and_share_the_voice(config):
    voice, face = build_encoder("voice_mel"), build_encoder("face_hog")
    with pytest.raises(InputError, match=r"none does \(voice_mel takes the voice\): .* or leave --persons out"):
        check_takes_face([voice], config)
    check_takes_face([voice, face], config)
    found = FoundPersons({0: ["a"], 1: ["a", "b"]})
    (note,) = note_voice([voice, face], config, found)
    assert note.startswith("the voice features (voice_mel) are the same for all persons of a clip")
    assert note.endswith("1 clip with several persons")
    assert note_voice([face], config, found) == note_voice([voice], config, FoundPersons({0: ["a"]})) == []

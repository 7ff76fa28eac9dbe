"""Where a voice counts as heard, and which frames a model can predict from."""

import numpy as np
import pytest

from abaw.pipelines.analysis.presence import VOICE_RULES, Presence, VoiceRule, choose_voice_rule, inputs_of
from abaw.results.predictions import Table
from abaw.tasks import TASKS
from abaw.tracks import Track
from extract.encoders.base import joined
from extract.encoders.voice_mel import RATE_HZ, voice_mel
from extract.media import Sound
from extract.store.store import FeatureStore

VA = TASKS.build("va")
RECIPE = {"name": "sound", "stored_dtype": "float32"}


def stored(folder, track):
    store = FeatureStore(folder)
    store.put(RECIPE, "1", track, {})
    return store.open(RECIPE, "1")


def test_a_frame_needs_enough_rows_above_the_threshold_near_it(tmp_path):
    rule = VoiceRule("vad", 0, 0.5, 0.5, 0.5, 3, "")
    times_s = np.arange(100) * 0.032
    values = ((times_s > 1.0) & (times_s < 1.2)).astype(np.float32)[:, None] * 0.9
    values[90] = 1.0  # a single row is not enough
    track = stored(tmp_path, Track(values, times_s, np.ones(100, bool)))
    found = rule.heard(track, np.array([0.0, 0.9, 1.1, 1.6, 2.0, 90 * 0.032]))
    assert found.tolist() == [False, True, True, True, False, False]


def test_a_clip_without_sound_has_no_voice(tmp_path):
    track = stored(tmp_path, Track(np.zeros((0, 49), np.float32), np.zeros(0), np.zeros(0, bool)))
    assert not VOICE_RULES[-1].heard(track, np.arange(5) / 25).any()


@pytest.mark.parametrize(("kind", "expected"), [("tone", True), ("noise", False), ("faint", False), ("silence", False)])
def test_without_a_network_a_voice_is_audible_sound_with_a_pitch(tmp_path, kind, expected):
    time_s = np.arange(2 * RATE_HZ) / RATE_HZ
    tone = sum(np.sin(2 * np.pi * 150 * n * time_s) / n for n in range(1, 8))
    sounds = {
        "tone": 0.1 * tone, "noise": np.random.default_rng(0).normal(0, 0.05, len(time_s)),
        "faint": 1e-5 * tone, "silence": 0 * tone,
    }  # fmt: skip
    encoder, rule = voice_mel(), VOICE_RULES[-1]
    found = joined(encoder.encode(Sound(sounds[kind].astype(np.float32), RATE_HZ, 0.0)), encoder.dim)
    heard = rule.heard(stored(tmp_path, found), np.array([0.6, 1.0, 1.4]))
    assert heard.tolist() == [expected] * 3


def test_the_rule_has_an_encoder_that_can_run_here():
    rule, spec = choose_voice_rule()
    assert rule in VOICE_RULES
    assert spec.name == rule.encoder


def test_a_model_predicts_where_what_it_takes_is_there_and_was_observed():
    there = Presence(np.array([1, 1, 0, 0], bool), np.array([1, 0, 1, 0], bool))
    table = Table(np.arange(1, 5), np.arange(4) / 25, np.array([0, 1, 1, 1], bool), np.zeros((4, 2)), VA.columns)
    assert there.allows(["face"], table).tolist() == [False, True, False, False]
    assert there.allows(["voice"], table).tolist() == [False, False, True, False]
    assert there.allows(["face", "voice"], table).tolist() == [False, True, True, False]
    assert there.allows(["picture"], table).tolist() == [False, True, True, True]


def test_a_recipe_says_what_its_encoder_takes():
    recipes = [{"crop": {}, "span": 1}, {"span": 1}, {"settings": {}}]
    assert [inputs_of([each]) for each in recipes] == [("face",), ("picture",), ("voice",)]
    assert inputs_of(recipes) == ("face", "picture", "voice")

"""openSMILE's descriptors: its own values at its own times, for short and for long sound."""

import sys

import numpy as np
import pytest

from extract.encoders import ENCODERS, egemaps
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.chunks import Chunks
from extract.synthetic.voice import draw_voice, synthesize_voice

RATE_HZ = 16000

pytest.importorskip("opensmile", reason="the extra smile is not installed")


def voice(seconds, seed=0, start_s=0.0):
    rng, num = np.random.default_rng(seed), round(seconds * RATE_HZ)
    return Sound(
        synthesize_voice(draw_voice(rng), np.sin(np.arange(num) / 16000), np.zeros(num), RATE_HZ, rng), RATE_HZ, start_s
    )


def track(encoder, sound):
    return joined(encoder.encode(sound), 25)


def library(samples):
    import opensmile

    smile = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    return smile.process_signal(samples, RATE_HZ)


def test_rows_equal_opensmiles_at_the_centres_of_its_index():
    sound = voice(2.0, start_s=3.0)
    encoder, expected = ENCODERS.build("egemaps"), library(sound.samples)
    made = track(encoder, sound)
    assert encoder.columns == tuple(expected.columns)
    assert np.array_equal(made.values, expected.to_numpy()[: len(made)])
    assert len(made) == len(expected) - 1 == (32000 - 960) // 160 + 1
    start, end = (expected.index.get_level_values(name).total_seconds().to_numpy() for name in ("start", "end"))
    assert np.allclose(made.times_s, 3.0 + (start + end)[: len(made)] / 2)


def test_a_click_is_loud_at_its_time():
    samples = np.zeros(RATE_HZ, np.float32)
    samples[8000:8016] = 0.5
    made = track(ENCODERS.build("egemaps"), Sound(samples, RATE_HZ, 1.0))
    loud = made.times_s[made.values[:, 0] > made.values[:, 0].max() / 10]
    assert (loud[0] + loud[-1]) / 2 == pytest.approx(1.5, abs=0.01)


def test_long_sound_in_chunks_equals_the_whole_sound(monkeypatch):
    sound, encoder = voice(30.0, seed=3), ENCODERS.build("egemaps")
    whole = library(sound.samples).to_numpy()[:-1]
    plan = Chunks(egemaps.GRID, chunk=1200, margin=400, fade=200)
    monkeypatch.setattr(encoder, "_chunks", plan)
    pieces = list(encoder.encode(sound))
    assert len(pieces) > 4
    assert np.array_equal(joined(pieces, 25).values, whole)
    monkeypatch.setattr(encoder, "_chunks", Chunks(egemaps.GRID, chunk=1200, margin=0, fade=0))
    assert not np.array_equal(track(encoder, sound).values, whole)


def test_sound_shorter_than_its_longest_window_gives_no_rows():
    encoder = ENCODERS.build("egemaps")
    lengths = {
        num: len(track(encoder, Sound(voice(1.0).samples[:num], RATE_HZ, 0.0)))
        for num in (0, 1, 320, 959, 960, 1119, 1120)
    }
    assert lengths == {0: 0, 1: 0, 320: 0, 959: 0, 960: 1, 1119: 1, 1120: 2}


def test_full_scale_does_not_change_its_sign():
    tone = np.sign(np.sin(2 * np.pi * 200 * np.arange(RATE_HZ) / RATE_HZ)).astype(np.float32)
    encoder = ENCODERS.build("egemaps")
    full, near = (track(encoder, Sound(tone * scale, RATE_HZ, 0.0)).values for scale in (1.0, 0.999))
    assert np.allclose(full[10:-10, 0], near[10:-10, 0], rtol=0.01)
    assert np.allclose(full[10:-10, 10], near[10:-10, 10], rtol=0.01)


def test_silence_is_finite():
    assert np.isfinite(track(ENCODERS.build("egemaps"), Sound(np.zeros(20000, np.float32), RATE_HZ, 0.0)).values).all()


def test_without_opensmile_the_message_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "opensmile", None)
    with pytest.raises(ValueError, match=r"needs the package opensmile: pip install 'opensmile>="):
        ENCODERS.build("egemaps")


def test_its_licence_is_listed():
    assert "research" in ENCODERS.part("egemaps").facts["licence"]

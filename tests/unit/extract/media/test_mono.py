"""Mono sound from several channels: the mean, the mix of surround sound, or the loudest where channels cancel out."""

from fractions import Fraction

import av
import numpy as np
import pytest

from extract.media import sound
from extract.media.mono import Mixer

RATE_HZ = 16000


def tone(length_s, tone_hz=440.0, level=0.5):
    return level * np.sin(2 * np.pi * tone_hz * np.arange(round(length_s * RATE_HZ)) / RATE_HZ)


def write_sound(path, channels, layout="stereo"):
    """PCM from channels as rows."""
    with av.open(str(path), "w") as out:
        stream = out.add_stream("pcm_s16le", rate=RATE_HZ, layout=layout)
        samples = np.asarray(channels, np.float64)
        for first in range(0, samples.shape[1], 1024):
            part = samples[:, first : first + 1024]
            packed = np.round(part * 32767).astype(np.int16).T.reshape(1, -1)
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(packed), format="s16", layout=layout)
            frame.sample_rate, frame.time_base, frame.pts = RATE_HZ, Fraction(1, RATE_HZ), first
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def level_of(samples):
    return float(np.sqrt(2 * np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("balance", [0.99, 0.9, 0.7, 0.5])
def test_channels_in_opposite_phase_give_the_louder_one(tmp_path, balance):
    voice = tone(3)
    for channels, name in (([-balance * voice, voice], "FR"), ([voice, -balance * voice], "FL")):
        decoded = sound(write_sound(tmp_path / "clip.wav", channels))
        assert decoded.channel == name
        assert decoded.samples == pytest.approx(voice, abs=1e-4)


def test_a_second_in_which_the_channels_agree_changes_nothing_within_the_clip(tmp_path):
    voice = tone(4)
    other = -voice
    other[RATE_HZ : 2 * RATE_HZ] = voice[RATE_HZ : 2 * RATE_HZ]
    decoded = sound(write_sound(tmp_path / "clip.wav", [voice, 0.9 * other]))
    assert decoded.channel == "FL"
    assert decoded.samples == pytest.approx(voice, abs=1e-4)


def test_an_offset_of_both_channels_does_not_hide_that_they_cancel_out(tmp_path):
    voice = tone(2, level=0.1)
    assert sound(write_sound(tmp_path / "clip.wav", [0.3 + voice, 0.3 - voice])).channel


@pytest.mark.parametrize(
    "name", ["equal", "one silent", "unrelated", "out of phase by 90 degrees", "weaker", "silent", "a short click"]
)
def test_plain_stereo_stays_the_mean(tmp_path, name):
    rng = np.random.default_rng(0)
    voice, noise = tone(2), 0.1 * rng.standard_normal((2, 2 * RATE_HZ))
    clicked = voice.copy()
    clicked[:1000] *= -1
    other = {
        "equal": voice,
        "one silent": 0 * voice,
        "unrelated": noise[0],
        "out of phase by 90 degrees": np.roll(voice, 9),
        "weaker": -0.4 * voice,
        "silent": 0 * voice,
        "a short click": clicked,
    }[name]
    left = {"unrelated": noise[1], "silent": 0 * voice}.get(name, voice)
    path = write_sound(tmp_path / "clip.wav", [left, other])
    decoded = sound(path)
    packed = np.round(np.clip([left, other], -1, 1) * 32767).astype(np.int16)
    mean = ((2.0 * packed + 32768 - 32767 - 1) / 65536).mean(axis=0).astype(np.float32)
    assert decoded.channel == ""
    np.testing.assert_array_equal(decoded.samples, mean)


def test_surround_sound_is_mixed_by_its_layout_without_the_low_frequencies(tmp_path):
    weights = {"FL": 0.5, "FR": 0.5, "FC": 0.5**0.5, "LFE": 0, "BL": 0.5**1.5, "BR": 0.5**1.5}
    for position, weight in enumerate(weights.values()):
        channels = np.zeros((6, RATE_HZ))
        channels[position] = tone(1)
        decoded = sound(write_sound(tmp_path / "clip.wav", channels, "5.1"))
        assert level_of(decoded.samples) == pytest.approx(0.5 * weight / sum(weights.values()), abs=1e-3)
        assert decoded.channel == ""


def test_surround_channels_in_opposite_phase_give_the_loudest(tmp_path):
    channels = np.zeros((6, RATE_HZ))
    channels[0], channels[1], channels[3] = tone(1), -0.95 * tone(1), 2 * tone(1, 60, 0.4)
    decoded = sound(write_sound(tmp_path / "clip.wav", channels, "5.1"))
    assert decoded.channel == "FL"
    assert level_of(decoded.samples) == pytest.approx(0.5, abs=1e-3)


def test_channels_of_unknown_places_are_averaged(tmp_path):
    path = write_sound(tmp_path / "clip.wav", [tone(1), 0 * tone(1), 0 * tone(1)], "3 channels")
    assert level_of(sound(path).samples) == pytest.approx(0.5 / 3, abs=1e-3)


def test_a_layout_that_changes_in_the_middle_is_mixed_by_both(tmp_path):
    data = b""
    for layout, num in (("mono", 1), ("stereo", 2), ("5.1", 6)):
        with av.open(str(tmp_path / "part.aac"), "w") as out:
            stream = out.add_stream("aac", rate=RATE_HZ, layout=layout)
            frame = av.AudioFrame.from_ndarray(
                np.tile(tone(1), (num, 1)).astype(np.float32), format="fltp", layout=layout
            )
            frame.sample_rate = RATE_HZ
            out.mux(stream.encode(frame))
            out.mux(stream.encode(None))
        data += (tmp_path / "part.aac").read_bytes()
    (tmp_path / "clip.aac").write_bytes(data)
    samples = sound(tmp_path / "clip.aac").samples
    assert len(samples) > 2.5 * RATE_HZ
    for second in (0, 1, 2):
        middle = samples[round((second + 0.4) * RATE_HZ) : round((second + 0.6) * RATE_HZ)]
        assert level_of(middle) == pytest.approx(0.5, abs=0.1)


@pytest.mark.parametrize(("bad", "becomes"), [(np.nan, 0), (np.inf, 0), (-np.inf, 0), (1e30, 1)])
def test_values_that_are_no_sound_are_silence_or_full_scale_and_do_not_count(bad, becomes):
    mixer = Mixer()
    for level, expected in ((0.5, 0.5), (bad, becomes)):
        samples = np.full((2, 64), 0.25, np.float32)
        samples[:, ::2] = level
        mixed = mixer.mix(av.AudioFrame.from_ndarray(samples, format="fltp", layout="stereo"))
        assert mixed[1::2] == pytest.approx(0.25)
        assert mixed[::2] == pytest.approx(expected)
    assert mixer.loudest == ""

"""The built-in voice encoder: its bands, pitch and slow means, and that computing in pieces changes nothing."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from extract.encoders import ENCODERS, voice_mel
from extract.encoders.base import joined
from extract.encoders.voice_mel import _bands, _frames, _pitch, _spectra
from extract.media import Sound
from extract.synthetic.voice import _pulses, draw_voice, synthesize_voice

RATE_HZ = 16000
LOUDNESS, PITCH, CROSSINGS, TILT, ONSETS, VOICED, SLOW_LOUDNESS, SLOW_PITCH, SLOW_TILT = range(40, 49)


def voice(seconds, seed=0):
    rng, num = np.random.default_rng(seed), round(seconds * RATE_HZ)
    return synthesize_voice(draw_voice(rng), np.sin(np.arange(num) / 16000), np.zeros(num), RATE_HZ, rng)


def rows(samples, start_s=0.0):
    return joined(ENCODERS.build("voice_mel").encode(Sound(samples, RATE_HZ, start_s)), 49)


def tone(hz, seconds=1.0, height=0.3):
    return (height * np.sin(2 * np.pi * hz * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


SAMPLES = voice(5.0)


@given(piece=st.integers(1, 600), num=st.integers(1, len(SAMPLES)))
@settings(max_examples=15)
def test_any_cut_into_pieces_gives_the_same_bytes(piece, num):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(voice_mel, "PIECE", 100_000)
        whole = rows(SAMPLES[:num])
        patch.setattr(voice_mel, "PIECE", max(piece, num // 16000))  # some hundred pieces at most
        cut = rows(SAMPLES[:num])
    assert len(whole) == 1 + num // 160
    assert cut.values.tobytes() == whole.values.tobytes()
    assert cut.times_s.tobytes() == whole.times_s.tobytes()


def test_rows_depend_on_the_second_around_them_only():
    other = SAMPLES.copy()
    other[:RATE_HZ] = 0.9 * np.sign(other[:RATE_HZ])  # a door slams
    differ = np.flatnonzero((rows(other).values != rows(SAMPLES).values).any(axis=1))
    assert differ.max() <= 100 + 50 + 4  # a second, half of the slow means' second, half a frame of the pitch


def test_long_sound_on_disk_takes_no_more_memory_than_a_piece(tmp_path):
    num = 3 * 60 * RATE_HZ
    samples = np.memmap(tmp_path / "sound", np.float32, "w+", shape=(num,))
    samples[:] = np.resize(SAMPLES, num)
    encoder = ENCODERS.build("voice_mel")
    peaks = []
    for length in (60 * RATE_HZ, num):
        tracemalloc.start()
        total = sum(len(piece) for piece in encoder.encode(Sound(samples[:length], RATE_HZ, 0.0)))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        assert total == 1 + length // 160
    assert peaks[1] < 1.1 * peaks[0] < 200e6


def test_the_bands_are_those_of_torchaudio():
    import torch
    from torchaudio.transforms import MelScale, Spectrogram

    with torch.inference_mode():
        power = Spectrogram(512, win_length=400, hop_length=160, power=2, pad_mode="constant")(
            torch.from_numpy(SAMPLES)
        )
        scale = MelScale(40, RATE_HZ, f_min=50, n_stft=257)
        expected = scale(power).clamp_min(1e-10).log10().T.numpy()
    assert np.allclose(_bands()[:, :40], scale.fb.numpy(), atol=1e-4)
    assert np.allclose(rows(SAMPLES).values[:, :40], expected, atol=1e-3)


def test_loudness_is_the_root_of_the_mean_square():
    made = rows(tone(440.0, height=0.5)).values[20:-20, LOUDNESS]
    # of a Hann window the mean square is 3/8, and 400 of 512 samples are in it
    assert 10**made == pytest.approx(0.5 / np.sqrt(2) * np.sqrt(3 / 8 * 400 / 512), rel=0.01)


@pytest.mark.parametrize("hz", [65.0, 110.0, 150.0, 222.2, 310.0, 480.0])
def test_the_pitch_of_a_tone_is_its_frequency(hz):
    made = rows(tone(hz)).values[10:-10]
    assert 60 * 2 ** made[:, PITCH] == pytest.approx(hz, rel=0.01)
    assert (made[:, VOICED] == 1).all()


@pytest.mark.parametrize(("noise_db", "gross"), [(60, 0.0), (10, 0.005), (5, 0.02)])
def test_pitch_of_a_gliding_voice_in_noise(noise_db, gross):
    """Half or twice the pitch, the most common failure, counts as a gross error."""
    errors = []
    for seed, middle in enumerate((90.0, 130.0, 200.0, 300.0)):
        rng, num = np.random.default_rng(seed), 3 * RATE_HZ
        pitch_hz = middle * 2 ** (0.3 * np.sin(np.arange(num) / 8000))
        pulses = _pulses(pitch_hz)
        sound = 0.1 * (pulses + 10 ** (-noise_db / 20) * rng.normal(size=num))
        octaves, _ = _pitch(_frames(sound.astype(np.float32), 0, 300, voice_mel.PITCH_FRAME))
        errors.append(np.abs(octaves - np.log2(pitch_hz[::160] / 60))[5:-5])
    errors = np.concatenate(errors)
    assert np.median(errors) < 0.01
    assert (errors > 0.2).mean() <= gross


def test_noise_hum_and_silence_are_unvoiced():
    noise = (0.1 * np.random.default_rng(0).normal(size=2 * RATE_HZ)).astype(np.float32)
    hum = tone(100.0, 2.0, height=5e-4)
    for samples in (noise, hum, np.zeros(2 * RATE_HZ, np.float32)):
        made = rows(samples).values
        assert np.isfinite(made).all()
        assert made[:, VOICED].max() < 0.02
    assert rows(voice(3.0)).values[:, VOICED].mean() > 0.6


def test_zero_crossings_of_a_tone():
    assert rows(tone(1000.0)).values[5:-5, CROSSINGS] == pytest.approx(2000 / RATE_HZ, rel=0.03)


def test_a_dull_sound_has_less_tilt_than_a_bright_one():
    dull, bright = (rows(tone(hz)).values[50, TILT] for hz in (200.0, 4000.0))
    assert dull < -1 < 1 < bright


def test_onsets_have_the_right_time():
    samples = np.zeros(4 * RATE_HZ, np.float32)
    samples[32000:32400] = np.random.default_rng(0).normal(size=400) * 0.3
    onsets = rows(samples).values[:, ONSETS]
    # a single onset is in the mean over a second for just the second around it
    found = np.flatnonzero(onsets > onsets.max() / 2)
    assert abs((found[0] + found[-1]) / 2 - 200) <= 2
    assert len(found) == pytest.approx(101, abs=3)


def test_a_fading_sound_has_no_onset():
    samples = np.concatenate(
        [np.zeros(RATE_HZ), tone(300.0, 2.0) * np.minimum(1, np.linspace(4, 0, 2 * RATE_HZ)), np.zeros(RATE_HZ)]
    )
    onsets = rows(samples.astype(np.float32)).values[:, ONSETS]
    assert onsets[230:].max() < 0.2 * onsets[100]


def test_slow_means_cover_voiced_rows_only():
    samples = np.concatenate([tone(120.0), (0.01 * np.random.default_rng(0).normal(size=RATE_HZ)).astype(np.float32)])
    made = rows(samples).values
    tone_alone = made[20:80, [LOUDNESS, PITCH]].mean(axis=0)
    # of the second around row 110 some 40 rows are of the tone, its fading end among them, and 61 of noise
    assert made[110, [SLOW_LOUDNESS, SLOW_PITCH]] == pytest.approx(tone_alone, abs=0.1)
    assert made[110, VOICED] == pytest.approx(0.4, abs=0.05)
    assert made[170, [SLOW_LOUDNESS, SLOW_PITCH, SLOW_TILT]].tolist() == [0, 0, 0]  # none of its second is voiced


def test_spectra_of_a_row_do_not_depend_on_how_many_there_are():
    frames = _frames(SAMPLES, 0, 200, voice_mel.WINDOW)
    whole, loud = _spectra(frames)
    for first, stop in ((0, 1), (3, 5), (100, 183)):
        mel, loudness = _spectra(frames[first:stop])
        assert mel.tobytes() == whole[first:stop].tobytes()
        assert loudness.tobytes() == loud[first:stop].tobytes()


def test_it_needs_neither_librosa_nor_torch():
    """librosa's first call compiles for 20 s, and two processes that do so at once have crashed."""
    code = (
        "import sys, numpy as np; from extract.encoders import ENCODERS; from extract.media import Sound\n"
        "list(ENCODERS.build('voice_mel').encode(Sound(np.ones(9000, np.float32), 16000, 0.0)))\n"
        "print([name for name in ('librosa', 'numba', 'torch', 'torchaudio') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_sound_at_another_rate_is_refused():
    with pytest.raises(ValueError, match="the sound has 8000 Hz, the encoder takes 16000"):
        list(ENCODERS.build("voice_mel").encode(Sound(np.zeros(8000, np.float32), 8000, 0.0)))

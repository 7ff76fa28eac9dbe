"""The acoustic baseline: librosa's own values on the whole sound, at true times, in bounded memory."""

import os
import subprocess
import sys
import threading
import tracemalloc

import numpy as np
import pytest
from filelock import FileLock

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders import mfcc as module
from extract.encoders.base import joined
from extract.media import Sound, sound
from extract.synthetic.voice import draw_voice, synthesize_voice

RATE_HZ = 16000
RMS, CROSSINGS, CENTROID = 60, 61, 62


def voice(seconds, seed=0, start_s=0.0):
    """A voice with faint noise, so that no sample is digital silence."""
    rng, num = np.random.default_rng(seed), round(seconds * RATE_HZ)
    samples = synthesize_voice(draw_voice(rng), np.sin(np.arange(num) / 16000), np.zeros(num), RATE_HZ, rng)
    return Sound((samples + 1e-3 * rng.normal(size=num)).astype(np.float32), RATE_HZ, start_s)


def track(given, **settings):
    encoder = ENCODERS.build("mfcc", **settings)
    return joined(encoder.encode(given), encoder.dim)


def documented(samples, floor=0.0):
    """librosa's documented calls on the whole sound, as (row, column); contrast of magnitudes of at least ``floor``."""
    import librosa

    y, sr = np.array(samples, np.float32), RATE_HZ
    how = {"n_fft": 1024, "hop_length": 160}
    frames = {"frame_length": 1024, "hop_length": 160}
    cepstra = librosa.feature.mfcc(y=y, sr=sr, n_mfcc=20, **how)
    return np.concatenate(
        [
            cepstra,
            librosa.feature.delta(cepstra),
            librosa.feature.delta(cepstra, order=2),
            librosa.feature.rms(y=y, **frames),
            librosa.feature.zero_crossing_rate(y, **frames),
            librosa.feature.spectral_centroid(y=y, sr=sr, **how),
            librosa.feature.spectral_bandwidth(y=y, sr=sr, **how),
            librosa.feature.spectral_rolloff(y=y, sr=sr, **how),
            librosa.feature.spectral_contrast(S=np.maximum(np.abs(librosa.stft(y, **how)), floor), sr=sr),
            librosa.feature.chroma_stft(y=y, sr=sr, tuning=0.0, **how),
        ]
    ).T


def assert_equal_columns(made, expected):
    scale = np.maximum(1e-3, np.abs(expected).max(0))
    worst = (np.abs(made - expected) / scale).max(0)
    assert worst.max() < 1e-4, f"column {worst.argmax()}: {worst.max()}"


def pooled(values):
    return np.concatenate([values.mean(0), values.std(0)])


def test_rows_and_their_pooled_mean_and_std_equal_librosas_documented_calls():
    given = voice(3.0)
    made, expected = track(given).values, documented(given.samples)
    assert made.shape == expected.shape == (301, 84)
    assert made.dtype == np.float32
    assert_equal_columns(made, expected)
    assert np.allclose(pooled(made), pooled(expected), rtol=1e-3, atol=1e-4)


def test_a_real_clip_equals_librosas_documented_calls(media):
    """Its highest band is empty, where librosa's contrast would depend on the loudest moment of the sound."""
    given = sound(media / "clips" / "1001_DFA_ANG_XX.flv", RATE_HZ)
    made, expected = track(given).values, documented(given.samples, floor=1e-5)
    assert len(made) > 200
    assert_equal_columns(made, expected)
    assert np.allclose(pooled(made), pooled(expected), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("piece", [1, 7, 100])
def test_pieces_give_the_rows_of_the_whole_sound(monkeypatch, piece):
    given = voice(1.01)
    whole = track(given)
    monkeypatch.setattr(module, "PIECE", piece)
    made = track(given)
    assert_equal_columns(made.values, whole.values)
    assert made.times_s.tobytes() == whole.times_s.tobytes()


def test_a_click_is_at_the_centre_of_the_rows_that_contain_it():
    samples = (1e-4 * np.random.default_rng(0).normal(size=RATE_HZ)).astype(np.float32)
    samples[8000:8004] = 0.5
    made = track(Sound(samples, RATE_HZ, 2.0))
    loud = made.times_s[made.values[:, RMS] > made.values[:, RMS].max() / 2]
    assert (loud[0] + loud[-1]) / 2 == pytest.approx(2.5, abs=1e-3)
    assert loud[-1] - loud[0] == pytest.approx(0.064, abs=0.011)
    bright = made.times_s[np.abs(made.values[:, 20]).argsort()[-2:]]  # the deltas are largest at its two edges
    assert np.abs(bright - 2.5).max() < 0.064 / 2 + 0.05


def test_rows_are_every_10_ms_from_the_start_to_the_end():
    for num, rows in ((0, 0), (1, 1), (159, 1), (160, 2), (16000, 101)):
        made = track(Sound(np.full(num, 0.1, np.float32), RATE_HZ, 5.0))
        assert np.allclose(made.times_s, 5.0 + 0.01 * np.arange(rows))
        assert np.isfinite(made.values).all()


def test_without_top_db_a_row_depends_only_on_its_window_and_the_neighbours_of_its_deltas():
    given = voice(2.0)
    samples = given.samples.copy()
    samples[:RATE_HZ] *= 100
    reach = 4 + round(0.032 / 0.01)  # rows of the deltas, half a window
    for top_db, is_local in ((None, True), (20.0, False)):
        one, other = (track(each, top_db=top_db).values for each in (given, Sound(samples, RATE_HZ, 0.0)))
        changed = np.flatnonzero((one != other).any(1))
        assert (changed.max() <= 100 + reach) == is_local


def test_top_db_clips_the_mel_spectrum_below_its_maximum_over_the_whole_sound(monkeypatch):
    monkeypatch.setattr(module, "PIECE", 50)
    samples = (1e-5 * np.random.default_rng(0).normal(size=2 * RATE_HZ)).astype(np.float32)
    samples[:RATE_HZ] += voice(1.0).samples
    given = Sound(samples, RATE_HZ, 0.0)
    clipped, free = (track(given, top_db=top_db).values for top_db in (80.0, None))
    assert_equal_columns(clipped[:, :20], documented(samples)[:, :20])
    assert np.abs(clipped[150, :20] - free[150, :20]).max() > 1


def test_silence_is_finite_and_has_no_contrast():
    made = track(Sound(np.zeros(RATE_HZ, np.float32), RATE_HZ, 0.0)).values
    assert np.isfinite(made).all()
    assert np.abs(made[:, 1:]).max() < 1e-3  # the first MFCC is the level


@pytest.mark.parametrize(("deltas", "dim"), [(0, 44), (1, 64), (2, 84)])
def test_columns_are_named(deltas, dim):
    encoder = ENCODERS.build("mfcc", deltas=deltas)
    assert len(encoder.columns) == len(set(encoder.columns)) == encoder.dim == dim
    assert encoder.columns[20 * (deltas + 1)] == "rms"
    assert ("mfcc_delta2_19" in encoder.columns) == (deltas == 2)


def test_settings_are_those_of_the_documented_calls():
    import librosa

    given = voice(1.0)
    made = track(given, num_mfcc=13, deltas=0, num_mels=40, window_s=0.025).values
    expected = librosa.feature.mfcc(y=given.samples, sr=RATE_HZ, n_mfcc=13, n_mels=40, n_fft=400, hop_length=160)
    assert np.allclose(made[:, :13], expected.T, rtol=1e-4, atol=1e-2)


def test_long_sound_on_disk_takes_no_more_memory_than_two_pieces(tmp_path):
    num = 4 * 60 * RATE_HZ
    samples = np.memmap(tmp_path / "sound", np.float32, "w+", shape=(num,))
    samples[:] = np.resize(voice(5.0).samples, num)
    encoder, peaks = ENCODERS.build("mfcc"), []
    for length in (num // 4, num):
        tracemalloc.start()
        assert sum(len(piece) for piece in encoder.encode(Sound(samples[:length], RATE_HZ, 0.0))) == 1 + length // 160
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.1 * peaks[0] < 300e6


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_mfcc": 0}, r"num_mfcc is 0, expected 1 to num_mels \(128\)"),
        ({"num_mfcc": 41, "num_mels": 40}, r"num_mfcc is 41, expected 1 to num_mels \(40\)"),
        ({"window_s": 0.001}, "window_s is 0.001, expected 0.016 to 1 s"),
        ({"window_s": 0.016}, "num_mels is 128, but a window of 0.016 s does not resolve"),
        ({"top_db": 0.0}, "top_db is 0.0, expected more than 0 dB, or none"),
        ({"deltas": 3}, "deltas is 3"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings, message):
    with pytest.raises(InputError, match=message):
        ENCODERS.build("mfcc", **settings)


def test_sound_at_another_rate_is_refused():
    with pytest.raises(InputError, match="the sound has 8000 Hz, the encoder takes 16000"):
        track(Sound(np.zeros(8000, np.float32), 8000, 0.0))


def test_librosa_is_loaded_by_one_process_at_a_time():
    module.load_librosa()
    lock = FileLock(module.LOCK)
    with lock:
        waiting = threading.Thread(target=module.load_librosa.__wrapped__)
        waiting.start()
        waiting.join(0.5)
        assert waiting.is_alive()
    waiting.join(60)
    assert not waiting.is_alive()


@pytest.mark.timeout(900)  # librosa compiles for 20 s on an idle processor
def test_two_processes_can_use_it_for_the_first_time_at_the_same_moment(tmp_path):
    """With an empty cache both find librosa uncompiled."""
    code = (
        "import numpy as np; from extract.encoders import ENCODERS; from extract.media import Sound\n"
        "samples = np.sin(np.arange(16000) / 20).astype(np.float32)\n"
        "pieces = list(ENCODERS.build('mfcc').encode(Sound(samples, 16000, 0.0)))\n"
        "print(len(pieces[0]), pieces[0].values.sum())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "numba")}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", code], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    outputs = [process.communicate(timeout=800) for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert outputs[0][0].startswith("101 ")
    assert any((tmp_path / "numba").rglob("*.nbc"))

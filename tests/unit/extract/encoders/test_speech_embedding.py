"""Google's speech embedding: equal to the package's two networks, rows at the centres of their windows."""

import numpy as np
import pytest

from abaw.errors import InputError, NotFoundError
from extract.encoders import ENCODERS, speech_embedding
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks import package_weights

RATE_HZ, SPAN = 16000, 12512

# of LiteRT 2.3.0, which ran the package's melspectrogram.tflite on 1760 samples every 1280 and embedding_model.tflite
# on 76 of its rows every 8: every twelfth value of rows 0, 5 and 10 for `sweep`
LITERT = [
    [4.154608, 1.907502, -7.291088, 30.851990, 4.142030, 29.834267, 9.619297, -6.633826],
    [-24.278816, -3.599415, -20.464802, 40.332207, -1.209875, 20.319302, 7.529825, -2.028726],
    [-19.974611, 0.079034, -17.139973, 32.540009, 10.456713, 4.610665, 9.143528, 10.601749],
]


def sweep(num=32_000, start_s=0.0):
    t = np.arange(num) / RATE_HZ
    slow = 8000 * np.sin(2 * np.pi * (150 + 100 * t) * t) * (1 + np.sin(7 * t)) / 2
    return Sound(np.round(slow + 2000 * np.sin(2 * np.pi * 1234 * t * t)).astype(np.float32) / 32768, RATE_HZ, start_s)


def rows(encoder, sound):
    return joined(encoder.encode(sound), 96)


@pytest.fixture(scope="module")
def encoder():
    if package_weights.find(speech_embedding.WEIGHTS) is None:
        pytest.skip(f"{speech_embedding.WEIGHTS} is not on this machine: abaw weights fetch gets it")
    return ENCODERS.build("speech_embedding")


def test_rows_are_those_of_the_packages_networks(encoder):
    made = rows(encoder, sweep())
    assert made.values.shape == (16, 96)
    assert made.values[[0, 5, 10]][:, ::12] == pytest.approx(np.array(LITERT), abs=1e-3)  # of values up to 62


def test_a_rows_time_is_the_centre_of_the_samples_that_change_it(encoder):
    sound = sweep(start_s=1.0)
    whole = rows(encoder, sound)
    assert whole.times_s[:2] == pytest.approx([1 + SPAN / 2 / RATE_HZ, 1.08 + SPAN / 2 / RATE_HZ])
    first, last = 5 * 1280 + 56, 5 * 1280 + SPAN - 56  # windows of 400 in the middle of 512 samples
    assert last - first == 0.775 * RATE_HZ
    for begin, end, changes in ((0, first, False), (first, first + 300, True), (last - 300, last, True)):
        altered = sound.samples.copy()
        altered[begin:end] += 0.1
        row = rows(encoder, Sound(altered, RATE_HZ, 1.0)).values[5]
        assert (np.abs(row - whole.values[5]).max() > 1e-3) == changes
    altered = sound.samples.copy()
    altered[last + 800 :] += 0.1  # the floor of the last mel rows belongs to a group of eight, which ends later
    assert rows(encoder, Sound(altered, RATE_HZ, 1.0)).values[5] == pytest.approx(whole.values[5], abs=1e-4)


def test_rows_do_not_depend_on_the_pieces(encoder, monkeypatch):
    sound = sweep(60_000)
    whole = rows(encoder, sound)
    for piece in (1, 7, 16):
        monkeypatch.setattr(speech_embedding, "PIECE", piece)
        made = rows(encoder, sound)
        assert made.values == pytest.approx(whole.values, abs=1e-4)
        assert (made.times_s == whole.times_s).all()


def test_sound_shorter_than_a_window_gives_no_rows(encoder):
    assert [len(rows(encoder, sweep(num))) for num in (0, SPAN - 1, SPAN, SPAN + 1280)] == [0, 0, 1, 2]


def test_the_gain_levels_the_take(encoder):
    quiet = Sound(sweep().samples / 50, RATE_HZ, 0.0)
    factor = 10 ** (-30 / 20) / np.sqrt(np.mean(np.square(quiet.samples)))
    levelled = Sound(quiet.samples * np.float32(factor), RATE_HZ, 0.0)
    take = ENCODERS.build("speech_embedding", gain="take")
    assert rows(take, quiet).values == pytest.approx(rows(encoder, levelled).values, abs=1e-3)
    assert np.abs(rows(take, quiet).values - rows(encoder, quiet).values).max() > 1


def test_missing_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv(package_weights.VARIABLE, str(tmp_path))
    monkeypatch.setattr(package_weights, "_installed", lambda weights: None, raising=False)
    with pytest.raises(NotFoundError, match=r"embedding_model.tflite of the package pyopen-wakeword 1.1.0 \(1.3 MB"):
        ENCODERS.build("speech_embedding")


def test_a_file_of_another_network_is_refused(tmp_path):
    (tmp_path / "other.tflite").write_bytes(b"\x08\x00\x00\x00TFL3")
    with pytest.raises(InputError, match="damaged"):
        speech_embedding.SpeechEmbedding(tmp_path / "other.tflite", {"gain": "fixed"}, "cpu")

"""Rows of Hugging Face sound models: the library's values at true times."""

import numpy as np
import pytest

from extract.media import Sound
from tests.support.extract.hf_audio import ALL, RATE_HZ, build, track, voice

SHORT = {"chunk_s": 1.0, "overlap_s": 0.2}
WHOLE = {"whisper": SHORT}  # the settings with which a second goes in one pass


def noise(num, start_s=0.0):
    return Sound((0.1 * np.random.default_rng(0).normal(size=num)).astype(np.float32), RATE_HZ, start_s)


def library(models, name, samples):
    """The result of transformers' own documented call."""
    import torch
    import transformers as tf

    extractor = tf.AutoFeatureExtractor.from_pretrained(models[name])
    model = tf.AutoModel.from_pretrained(models[name]).eval()
    model = model.encoder if name == "whisper" else model
    with torch.inference_mode():
        inputs = extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")
        return model(**inputs).last_hidden_state[0].numpy()


@pytest.mark.parametrize("name", ALL)
def test_sound_up_to_a_chunk_gives_exactly_the_librarys_output(models, name):
    sound = voice(0.97)
    made, expected = (
        track(build(models, name, **WHOLE.get(name, {})), sound).values,
        library(models, name, sound.samples),
    )
    num = {"wav2vec2_bert": 47, "whisper": 49}.get(name, 48)
    assert len(made) == num
    assert np.array_equal(made, expected[:num])


def test_the_head_of_a_regression_network_is_not_used(models):
    sound = voice(0.5)
    assert np.array_equal(
        track(build(models, "audeering"), sound).values, track(build(models, "wav2vec2"), sound).values
    )


@pytest.mark.parametrize(
    ("name", "first", "second"), [("wav2vec2", 400, 720), ("wav2vec2_bert", 560, 880), ("whisper", 160, 480)]
)
def test_the_number_of_rows_follows_from_the_strides_at_every_boundary(models, name, first, second):
    encoder = build(models, name, **SHORT)
    lengths = {0: 0, 1: 0, first - 1: 0, first: 1, second - 1: 1, second: 2, second + 1: 2}
    hops = (10, 48, 49, 50, 51, 77, 120)
    lengths |= {first + 320 * hop + more: 1 + hop + (more > 319) for hop in hops for more in (0, 1, 159, 319, 320)}
    for num, rows in lengths.items():
        made = track(encoder, noise(num))
        assert len(made) == rows, num
        assert np.isfinite(made.values).all()


def test_ten_and_a_half_seconds_give_524_rows_and_not_998(models):
    for settings in ({}, {"chunk_s": 2.0, "overlap_s": 0.5}):
        made = track(build(models, "wav2vec2", **settings), voice(10.5))
        assert len(made) == 524
        assert made.times_s[-1] == pytest.approx((523 * 320 + 199.5) / RATE_HZ)


def test_rows_that_sew_or_wav2vec2_bert_would_pad_are_not_kept(models):
    assert not library(models, "sew", noise(720 + 320).samples)[-1].any()  # the third of three rows
    assert len(track(build(models, "sew"), noise(720 + 320))) == 2
    assert (
        len(library(models, "wav2vec2_bert", noise(720).samples)) == 2
    )  # three frames of the spectrum and a padded one
    assert len(track(build(models, "wav2vec2_bert"), noise(720))) == 1


@pytest.mark.parametrize("name", ["wav2vec2_large", "wav2vec2_bert", "whisper"])
def test_the_time_of_a_row_is_the_centre_of_its_receptive_field(models, name):
    """Samples are changed one by one: those that change a row lie around its time.

    Layer 0 of wav2vec2_bert and Whisper is the input of the first block. In wav2vec 2.0 it depends on other rows, so
    its convolutions are tested alone.
    """
    import torch

    encoder = build(models, name, **({} if name == "wav2vec2_large" else {"layer": 0}), **WHOLE.get(name, {}))
    sound = noise(15000, start_s=1.0)
    times_s = track(encoder, sound).times_s

    def front(samples):
        if name != "wav2vec2_large":
            return track(encoder, Sound(samples, RATE_HZ, 1.0)).values
        with torch.inference_mode():
            return encoder._model.feature_extractor(torch.from_numpy(samples)[None])[0].T.numpy()

    plain = front(sound.samples)
    for row in (20, 30):
        changed = np.arange(row * 320 - 800, row * 320 + 900, 20)
        changes = []
        for sample in changed:
            other = sound.samples.copy()
            other[sample] += 0.05
            changes.append(np.abs(front(other)[row] - plain[row]).max())
        least = max(changes) / (8 if name == "wav2vec2_bert" else 50)  # the norm of its bands depends on all samples
        at = changed[np.array(changes) > least]
        assert times_s[row] == pytest.approx(1.0 + (at[0] + at[-1]) / 2 / RATE_HZ, abs=30 / RATE_HZ)


def test_whispers_rows_are_those_of_its_encoder_and_end_with_the_sound(models):
    encoder = build(models, "whisper", **SHORT)
    made = track(encoder, voice(0.5, start_s=2.0))
    assert made.values.shape == (25, 16)
    assert made.times_s[[0, 1, -1]] == pytest.approx([2.0, 2.02, 2.48])
    assert len(track(encoder, voice(3.3))) == 165

"""Outputs of the classification heads of Hugging Face sound models."""

import numpy as np
import pytest

from extract.media import Sound
from tests.support.extract.hf_audio import RATE_HZ, build, track, voice

CLASSIFIERS = ("wav2vec2_classifier", "whisper_classifier", "ast_classifier")


def logits(folder, samples):
    """The call documented on the library's page of the model."""
    import torch
    import transformers as tf

    extractor = tf.AutoFeatureExtractor.from_pretrained(folder)
    model = tf.AutoModelForAudioClassification.from_pretrained(folder).eval()
    with torch.inference_mode():
        return model(**extractor(samples, sampling_rate=RATE_HZ, return_tensors="pt")).logits[0].numpy()


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_logits_of_each_window_are_the_librarys_own(models, name):
    sound = voice(1.3, start_s=2.0)
    made = track(build(models, name, output="logits", window_s=0.5, hop_s=0.4), sound)
    assert np.allclose(made.times_s, [2.25, 2.65, 3.05])
    for row, first in zip(made.values, (0, 6400, 12800), strict=True):
        assert np.abs(row - logits(models[name], sound.samples[first : first + 8000])).max() < 1e-5


def test_the_recipe_of_logits_names_the_classes_and_no_setting_of_features(models):
    recipe = build(models, "wav2vec2_classifier", output="logits").recipe()
    assert recipe["classes"] == ["neutral", "happy"]
    assert recipe["settings"].keys() == {
        *("model", "revision", "output", "window_s", "hop_s", "precision", "trust_remote_code")
    }
    features = build(models, "wav2vec2_classifier").recipe()
    assert "classes" not in features
    assert features["settings"].keys() & {"output", "window_s", "hop_s"} == set()


def test_silence_is_not_observed_and_too_little_sound_gives_no_row(models):
    encoder = build(models, "wav2vec2_classifier", output="logits", window_s=0.5, hop_s=0.5)
    samples = np.concatenate([voice(0.5).samples, np.zeros(8000, np.float32)])
    assert track(encoder, Sound(samples, RATE_HZ, 0.0)).observed.tolist() == [True, False]
    assert len(track(encoder, Sound(samples[:300], RATE_HZ, 0.0)).times_s) == 0


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("wav2vec2", {"output": "logits"}, r"lack .* tensors.*output=logits needs a checkpoint whose classification"),
        ("wav2vec2_classifier", {"output": "logits", "layer": 1}, "layer is '1', which output=logits does not use"),
        ("wav2vec2_classifier", {"output": "logits", "chunk_s": 9}, "chunk_s is 9.*, which output=logits does not use"),
        ("wav2vec2_classifier", {"hop_s": 2}, "hop_s is 2.*, which output=features does not use: omit it"),
        ("wav2vec2_classifier", {"output": "logits", "hop_s": 5}, "hop_s is 5.*, expected more than 0 and not more"),
        ("whisper_classifier", {"output": "logits"}, "window_s is 4.0, this network takes at most 1 s"),
        ("ast_classifier", {"output": "logits"}, "window_s is 4.0, this network takes at most 0.64 s"),
    ],
)
def test_settings_that_mean_nothing_and_models_without_a_head_are_refused(models, name, settings, message):
    with pytest.raises(ValueError, match=message):
        build(models, name, **settings)

"""Recognisers of classification models of transformers answer what the library's own model answers."""

import json

import numpy as np
import pytest
import torch
import transformers

from abaw.errors import InputError
from abaw.tasks import TASKS
from extract import presets
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.tiny.sound import sound_model
from extract.networks.tiny.vision import hf_model
from extract.recognisers import RECOGNISERS
from extract.recognisers.base import Classes, Values
from extract.recognisers.columns import columns_of

EXPR = TASKS.build("expr")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("weights")


@pytest.fixture
def configured(tmp_path):
    """A recogniser of a model of which only the configuration is there, with these changes."""

    def build(**changes):
        config = {"model_type": "vit", "id2label": {"0": "happy", "1": "angry"}, "label2id": {"happy": 0, "angry": 1}}
        (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
        return RECOGNISERS.build("hf_image_classifier", model=str(tmp_path))

    return build


def columns_for(recogniser):
    return columns_of(recogniser, EXPR)


def test_pictures_get_the_softmax_of_the_librarys_model(folder):
    place = str(hf_model("vit_classifier").path_in(folder))
    recogniser = RECOGNISERS.build("hf_image_classifier", model=place, crop_px=32)
    encoder = presets.build(recogniser.encoder, **recogniser.settings)
    faces = list(np.random.default_rng(0).integers(0, 255, (3, 32, 32, 3), np.uint8))
    table = columns_for(recogniser).table(encoder.forward(encoder.prepare(faces)), np.ones(3, bool))
    model = transformers.AutoModelForImageClassification.from_pretrained(place).eval()
    process = transformers.AutoImageProcessor.from_pretrained(place)
    with torch.inference_mode():
        expected = model(**process(faces, return_tensors="pt")).logits.softmax(-1).numpy()
    by_name = [EXPR.columns.index(f"p_{name}") for name in ("Neutral", "Happiness", "Sadness")]
    np.testing.assert_allclose(table[:, by_name], expected, atol=1e-5)


def test_a_window_of_sound_gets_the_softmax_of_the_librarys_model(folder):
    place = str(sound_model("wav2vec2_classifier").path_in(folder))
    recogniser = RECOGNISERS.build("hf_audio_classifier", model=place)
    encoder = presets.build(recogniser.encoder, **recogniser.settings)
    samples = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    track = joined(encoder.encode(Sound(samples, 16000, 0.0)), encoder.dim)  # shorter than a window: answered at once
    table = columns_for(recogniser).table(track.values, track.observed)
    model = transformers.AutoModelForAudioClassification.from_pretrained(place).eval()
    process = transformers.AutoFeatureExtractor.from_pretrained(place)
    with torch.inference_mode():
        expected = model(**process(samples, sampling_rate=16000, return_tensors="pt")).logits.softmax(-1).numpy()
    by_name = [EXPR.columns.index(f"p_{name}") for name in ("Neutral", "Happiness")]
    np.testing.assert_allclose(table[:, by_name], expected, atol=1e-5)


def test_the_kind_of_the_outputs_is_that_of_the_configuration(configured):
    assert configured().outputs == (Classes(("happy", "angry"), "softmax"),)
    of_labels = configured(problem_type="multi_label_classification")
    assert of_labels.outputs == (Classes(("happy", "angry"), "sigmoid"),)
    names = {"0": "arousal", "1": "valence"}
    of_values = configured(problem_type="regression", id2label=names, label2id={})
    assert of_values.outputs == (Values(("arousal", "valence")),)


def test_outputs_without_names_get_them_from_the_map(configured):
    unnamed = configured(id2label={"0": "LABEL_0", "1": "LABEL_1"}, label2id={})
    with pytest.raises(InputError, match="does not predict expr: its outputs are LABEL_0, LABEL_1"):
        columns_for(unnamed)
    assert columns_for(unnamed.with_map("LABEL_0:Neutral/LABEL_1:Anger")).goals == {
        "LABEL_0": "Neutral",
        "LABEL_1": "Anger",
    }

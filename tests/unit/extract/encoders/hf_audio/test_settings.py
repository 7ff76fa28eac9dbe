"""Settings and recipes of Hugging Face sound models, and models that are refused."""

import json
import shutil

import numpy as np
import pytest

from extract.encoders import ENCODERS
from extract.media import Sound
from extract.networks.tiny.sound import SIZES, WHISPER_S, whisper_config
from tests.support.extract.hf_audio import build, track, voice

SHORT = {"chunk_s": 1.0, "overlap_s": 0.2}


@pytest.mark.parametrize("name", ["wav2vec2", "wavlm", "wav2vec2_bert", "whisper"])
def test_half_precision_is_close_and_part_of_the_recipe(models, name):
    sound = voice(1.5)
    full = build(models, name, **SHORT)
    values = track(full, sound).values
    for precision, near in (("bf16", 0.2), ("fp16", 0.05)):
        half = build(models, name, precision=precision, **SHORT)
        made = track(half, sound).values
        assert made.dtype == np.float32
        assert 0 < np.abs(made - values).max() < near
        assert half.recipe() != full.recipe()


def test_compiling_is_not_part_of_the_recipe_and_wraps_the_network(models, monkeypatch):
    import torch

    compiled = []
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or model)
    encoder = build(models, "wav2vec2", compile=True)
    assert len(compiled) == 1
    assert encoder.recipe() == build(models, "wav2vec2").recipe()


def test_chunks_are_part_of_the_recipe(models):
    recipes = [
        build(models, "wav2vec2", **settings).recipe() for settings in ({}, {"chunk_s": 20.0}, {"overlap_s": 2.0})
    ]
    assert len({json.dumps(recipe) for recipe in recipes}) == 3


def test_the_encoder_of_a_whisper_classifier_is_used(models, tmp_path):
    import transformers as tf

    tf.WhisperForAudioClassification(whisper_config()).save_pretrained(tmp_path)
    shutil.copy(models["whisper"] / "preprocessor_config.json", tmp_path)
    encoder = ENCODERS.build("hf_audio", model=str(tmp_path), **SHORT)
    assert len(track(encoder, voice(0.5))) == 25


def test_whisper_takes_no_chunk_longer_than_its_window(models):
    with pytest.raises(ValueError, match=r"chunk_s is 30.0, this network takes at most 1 s at a time"):
        build(models, "whisper")


def test_a_whisper_with_the_preprocessor_of_another_is_refused(models, tmp_path):
    shutil.copytree(models["whisper"], tmp_path, dirs_exist_ok=True)
    import transformers as tf

    tf.WhisperFeatureExtractor(feature_size=20, chunk_length=2 * WHISPER_S).save_pretrained(tmp_path)
    with pytest.raises(
        ValueError, match=r"takes 100 frames, but its preprocessor_config.json gives 200: copy that file"
    ):
        ENCODERS.build("hf_audio", model=str(tmp_path), **SHORT)


def test_a_model_of_another_kind_is_refused(tmp_path):
    import transformers as tf

    tf.ViTModel(tf.ViTConfig(**SIZES, image_size=32, patch_size=8)).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match=r"is a 'vit' model, which hf_audio does not support"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_an_adapter_is_refused(models, tmp_path):
    import transformers as tf

    config = tf.Wav2Vec2Config.from_pretrained(models["wav2vec2"])
    config.add_adapter = True
    tf.Wav2Vec2Model(config).save_pretrained(tmp_path)
    with pytest.raises(ValueError, match="has an adapter, whose strides hf_audio does not know"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_layers_that_do_not_exist_or_have_another_rate_are_refused(models):
    with pytest.raises(ValueError, match="there is no layer 3: the network has hidden layers 0 to 2"):
        build(models, "wav2vec2", layer=3)
    with pytest.raises(
        ValueError, match=r"the hidden layers of .*sew have 1/2 of the rate of its output: give layer=-1"
    ):
        build(models, "sew", layer=1)


def test_chunks_that_do_not_fit_are_refused(models):
    with pytest.raises(ValueError, match=r"overlap_s is 20.0, expected 0 or more and less than half of chunk_s=30.0"):
        build(models, "wav2vec2", overlap_s=20)
    with pytest.raises(ValueError, match=r"chunk_s is 0.02, too short for a row of 0.025 s"):
        build(models, "wav2vec2", chunk_s=0.02, overlap_s=0)


def test_sound_at_another_rate_is_refused(models):
    with pytest.raises(ValueError, match="the sound has 8000 Hz, the encoder takes 16000: decode it at that rate"):
        track(build(models, "wav2vec2"), Sound(np.zeros(8000, np.float32), 8000, 0.0))


def test_a_folder_without_its_extractor_says_what_is_missing(models, tmp_path):
    for name in ("config.json", "model.safetensors"):
        shutil.copy(models["wav2vec2"] / name, tmp_path)
    with pytest.raises(ValueError, match=r"has no AutoFeatureExtractor \(preprocessor_config\.json\)"):
        ENCODERS.build("hf_audio", model=str(tmp_path))


def test_preprocessing_is_part_of_the_recipe_and_the_folder_is_not(models, tmp_path):
    import json
    import shutil

    from extract.store.store import FeatureStore

    recipes = []
    for name, normalize in (("one", True), ("two", True), ("three", False)):
        shutil.copytree(models["wav2vec2"], tmp_path / name)
        path = tmp_path / name / "preprocessor_config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), "do_normalize": normalize}, indent=2) + "\n")
        (tmp_path / name / "tokenizer_config.json").write_text(name)  # not used by hf_audio
        recipes.append({"name": "x", **ENCODERS.build("hf_audio", model=str(tmp_path / name)).recipe()})
    folders = [FeatureStore(tmp_path).folder(recipe) for recipe in recipes]
    assert folders[0] == folders[1] != folders[2]

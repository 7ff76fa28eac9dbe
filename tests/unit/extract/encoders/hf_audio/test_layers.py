"""Layers by index: the outputs of the network's own blocks, the last one after the final normalisation."""

import shutil

import numpy as np
import pytest

from extract.networks.tiny.sound import WAV2VEC2
from tests.support.extract.blocks import hidden_states, scramble_norms
from tests.support.extract.hf_audio import RATE_HZ, build, track, voice

# the module after the last block, whose output is the final hidden state; None: blocks end in a normalisation
FINAL_NORM = {
    "wav2vec2": None, "hubert": None, "wavlm": None, "unispeech": None, "data2vec": None, "wav2vec2_bert": None,
    "wav2vec2_large": "encoder.layer_norm", "whisper": "encoder.layer_norm",
    "wavlm_large": "encoder.layer_norm", "hubert_large": "encoder.layer_norm",
}  # fmt: skip
PLAIN = {"whisper": {"chunk_s": 1.0, "overlap_s": 0.2}}


@pytest.fixture(scope="module")
def scrambled(models, tmp_path_factory):
    """The models, with large ones of WavLM and HuBERT, and with normalisations far from the identity."""
    import transformers as tf

    large = {**WAV2VEC2, "feat_extract_norm": "layer", "do_stable_layer_norm": True}
    folders = {}
    for name in FINAL_NORM:
        folder = folders[name] = tmp_path_factory.mktemp("scrambled") / name
        if name in ("wavlm_large", "hubert_large"):
            kind = {"wavlm_large": "WavLM", "hubert_large": "Hubert"}[name]
            model = getattr(tf, f"{kind}Model")(getattr(tf, f"{kind}Config")(**large))
            shutil.copytree(models["wavlm"], folder)
        else:
            model = tf.AutoModel.from_pretrained(models[name])
            shutil.copytree(models[name], folder)
        scramble_norms(model)
        model.save_pretrained(folder)
    return folders


@pytest.mark.parametrize("name", FINAL_NORM)
def test_a_layer_is_what_its_block_gives_and_the_last_one_follows_the_final_norm(scrambled, name):
    import transformers as tf

    sound, how = voice(0.5), PLAIN.get(name, {})
    extractor = tf.AutoFeatureExtractor.from_pretrained(scrambled[name])
    model = tf.AutoModel.from_pretrained(scrambled[name]).eval()
    inputs = extractor(sound.samples, sampling_rate=RATE_HZ, return_tensors="pt")
    if name == "whisper":
        inputs["decoder_input_ids"] = inputs["input_features"].new_zeros(1, 1).long()
    states = [state[0].numpy() for state in hidden_states(model, "encoder.layers", FINAL_NORM[name], **inputs)]

    def rows(layer, combine="mean"):
        return track(build(scrambled, name, layer=layer, combine=combine, **how), sound).values

    assert len(states) == 3
    num = len(rows(-1))
    assert np.abs(states[1][:num] - states[2][:num]).max() > 0.1
    for index in (0, 1, 2, -1, -2):
        assert np.abs(rows(index) - states[index][:num]).max() <= 1e-5, index
    assert np.abs(rows("-2..-1", "sum") - (states[1] + states[2])[:num]).max() <= 1e-5
    assert np.abs(rows("0+2") - (states[0] + states[2])[:num] / 2).max() <= 1e-5


def test_the_recipe_names_the_definition_where_the_final_layer_is_one_of_several(models):
    def definition(name, layer):
        return build(models, name, layer=layer).recipe().get("layers")

    for layer in ("2", "-2..-1", "0+2"):
        assert definition("wav2vec2_large", layer) == 2
        assert definition("wav2vec2", layer) is None  # no normalisation follows the last block
    for layer in ("-1", "0", "1", "-2", "0..1"):
        assert definition("wav2vec2_large", layer) is None


def test_a_library_that_lists_the_last_layer_before_its_norm_changes_nothing(models, monkeypatch):
    import transformers as tf

    encoder = build(models, "wav2vec2_large", layer="-2..-1")
    before = track(encoder, voice(0.5)).values
    forward = tf.Wav2Vec2Model.forward

    def other(self, *args, **how):
        made = forward(self, *args, **how)
        made["hidden_states"] = (*made.hidden_states[:-1], made.hidden_states[-1] + 1)
        return made

    monkeypatch.setattr(tf.Wav2Vec2Model, "forward", other)
    assert np.array_equal(track(encoder, voice(0.5)).values, before)

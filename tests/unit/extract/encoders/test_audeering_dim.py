"""The answers are those of the network that the model's card defines, on the samples of each window."""

import shutil

import numpy as np
import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from abaw.errors import InputError
from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.media import Sound
from extract.networks.tiny.sound import write_sound_model


class RegressionHead(torch.nn.Module):
    def __init__(self, config):
        super().__init__()
        self.dense = torch.nn.Linear(config.hidden_size, config.hidden_size)
        self.out_proj = torch.nn.Linear(config.hidden_size, 3)

    def forward(self, features):
        return self.out_proj(torch.tanh(self.dense(features)))


class EmotionModel(transformers.Wav2Vec2PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.wav2vec2 = transformers.Wav2Vec2Model(config)
        self.classifier = RegressionHead(config)
        self.post_init()

    def forward(self, values):
        return self.classifier(self.wav2vec2(values)[0].mean(dim=1))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_sound_model("audeering", tmp_path_factory.mktemp("weights") / "net")


def test_each_row_equals_the_original_network_on_its_window(folder):
    samples = np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32)
    encoder = ENCODERS.build("audeering_dim", model=str(folder), window_s=0.5, hop_s=0.25)
    track = joined(encoder.encode(Sound(samples, 16000, 2.0)), 3)
    network = EmotionModel.from_pretrained(folder).eval()
    process = transformers.AutoFeatureExtractor.from_pretrained(folder)
    np.testing.assert_allclose(track.times_s, [2.25, 2.5, 2.75])
    for start, row in zip((0, 4000, 8000), track.values, strict=True):
        given = process(samples[start : start + 8000], sampling_rate=16000, return_tensors="pt")["input_values"]
        with torch.inference_mode():
            np.testing.assert_allclose(row, network(given)[0].numpy(), atol=1e-6)


def test_a_checkpoint_without_that_head_is_refused(folder, tmp_path):
    other = shutil.copytree(folder, tmp_path / "other")
    tensors = load_file(other / "model.safetensors")
    tensors["classifier.out_proj.weight"] = torch.zeros(4, 16)
    save_file(tensors, other / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"no head for arousal, dominance and valence .*out_proj.weight \(4, 16\)"):
        ENCODERS.build("audeering_dim", model=str(other))

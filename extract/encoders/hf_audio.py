"""Any Hugging Face audio model that takes the waveform, by hub name or folder: the final hidden layer over time."""

from pathlib import Path
from typing import Any

import numpy as np

from abaw.tracks import Track, empty_track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.hub import load_frozen, load_processor, snapshot, weights_hash
from extract.media import Sound

FACTS = {"modality": "audio", "dim": None, "embedded": False, "licence": "the model's own", "size_mb": None}


@ENCODERS.register
def hf_audio(*, model: str, device: str = "cpu") -> SoundEncoder:
    """Any Hugging Face waveform model (wav2vec 2.0, HuBERT, WavLM, data2vec-audio, ...); final hidden layer."""
    return HfAudio(snapshot(model), model, device)


class HfAudio(SoundEncoder):
    """The whole sound in one pass, exactly the library's output; a row's time follows from the network's strides."""

    def __init__(self, folder: Path, model: str, device: str) -> None:
        self._settings = {"model": model}
        self._weights = weights_hash(folder)
        self._model = load_frozen(folder, None, device)
        self._device = device
        config = self._model.config
        if not hasattr(config, "conv_stride") or not hasattr(config, "conv_kernel"):
            raise ValueError(
                f"{model} is a {config.model_type!r} model, which takes no waveform through strided convolutions: "
                "hf_audio loads wav2vec2, hubert, wavlm, data2vec-audio, unispeech, sew and their like"
            )
        self._extractor = load_processor("AutoFeatureExtractor", folder)
        self.rate_hz, self.dim = int(self._extractor.sampling_rate), int(config.hidden_size)
        self._field, self._hop = receptive_field(config.conv_kernel, config.conv_stride)

    def recipe(self) -> dict[str, Any]:
        return {"encoder": "hf_audio", "settings": self._settings, "weights": self._weights, "version": 1}

    def encode(self, sound: Sound) -> Track:
        import torch

        if len(sound.samples) < self._field:
            return empty_track(self.dim)
        inputs = self._extractor(sound.samples, sampling_rate=self.rate_hz, return_tensors="pt")
        values = inputs[self._model.main_input_name].to(self._device)
        with torch.inference_mode():
            state = self._model(values).last_hidden_state[0].float().cpu().numpy()
        times_s = sound.start_s + (np.arange(len(state)) * self._hop + (self._field - 1) / 2) / self.rate_hz
        return Track(state, times_s, np.ones(len(state), bool))


def receptive_field(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """Samples that one row sees, and samples from row to row, of unpadded convolutions one after the other."""
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop

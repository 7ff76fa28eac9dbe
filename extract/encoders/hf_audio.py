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
def hf_audio(*, model: str, chunk_s: float = 30.0, overlap_s: float = 4.0, device: str = "cpu") -> SoundEncoder:
    """Any Hugging Face waveform model (wav2vec 2.0, HuBERT, WavLM, data2vec-audio, ...); final hidden layer."""
    return HfAudio(snapshot(model), model, chunk_s, overlap_s, device)


class HfAudio(SoundEncoder):
    """A row's time follows from the network's strides.

    Sound up to ``chunk_s`` goes in one pass, exactly the library's output. Longer sound goes in pieces that overlap by
    ``overlap_s``, of which the middles are kept: these networks attend to their whole input and their memory grows with
    its square, so pieces are near one pass, never equal to it.
    """

    def __init__(self, folder: Path, model: str, chunk_s: float, overlap_s: float, device: str) -> None:
        if not 0 <= overlap_s < chunk_s / 2:
            raise ValueError(f"hf_audio: overlap_s is {overlap_s}, expected 0 up to half of chunk_s ({chunk_s})")
        self._settings = {"model": model, "chunk_s": chunk_s, "overlap_s": overlap_s}
        self._weights = weights_hash(folder)
        self._model = load_frozen(folder, None, device)
        self._device = device
        config = self._model.config
        if not hasattr(config, "conv_stride") or not hasattr(config, "conv_kernel"):
            raise ValueError(
                f"{model} is a {config.model_type!r} model, which takes no waveform through strided convolutions: "
                "hf_audio loads wav2vec2, hubert, wavlm, data2vec-audio, unispeech, sew and their like"
            )
        if getattr(config, "add_adapter", False):
            raise ValueError(f"{model} has an adapter, whose strides hf_audio does not know: take it without")
        self._extractor = load_processor("AutoFeatureExtractor", folder)
        self.rate_hz, self.dim = int(self._extractor.sampling_rate), int(config.hidden_size)
        self._field, self._hop = receptive_field(config.conv_kernel, config.conv_stride)
        self._chunk = self._rows(round(chunk_s * self.rate_hz))
        self._margin = round(overlap_s * self.rate_hz / 2) // self._hop
        if self._chunk <= 2 * self._margin:
            raise ValueError(f"hf_audio: chunk_s is {chunk_s}, too short for a row of {self._field / self.rate_hz:g} s")

    def recipe(self) -> dict[str, Any]:
        return {"encoder": "hf_audio", "settings": self._settings, "weights": self._weights, "version": 1}

    def encode(self, sound: Sound) -> Track:
        num = self._rows(len(sound.samples))
        if num < 1:
            return empty_track(self.dim)
        state = np.concatenate([self._piece(sound.samples, *rows) for rows in pieces(num, self._chunk, self._margin)])
        times_s = sound.start_s + (np.arange(num) * self._hop + (self._field - 1) / 2) / self.rate_hz
        return Track(state, times_s, np.ones(num, bool))

    def _rows(self, num_samples: int) -> int:
        return (num_samples - self._field) // self._hop + 1

    def _piece(self, samples: np.ndarray, first: int, keep: int, until: int, stop: int) -> np.ndarray:
        """Rows ``keep`` to ``until`` of a pass over the samples of rows ``first`` to ``stop``."""
        import torch

        part = samples if stop == self._rows(len(samples)) else samples[: (stop - 1) * self._hop + self._field]
        inputs = self._extractor(part[first * self._hop :], sampling_rate=self.rate_hz, return_tensors="pt")
        with torch.inference_mode():
            values = inputs[self._model.main_input_name].to(self._device)
            state = self._model(values).last_hidden_state[0].float().cpu().numpy()
        return state[keep - first : until - first]


def pieces(num: int, chunk: int, margin: int) -> list[tuple[int, int, int, int]]:
    """First, keep, until and stop of overlapping pieces of ``chunk`` rows whose kept middles tile ``num`` rows."""
    if num <= chunk:
        return [(0, 0, num, num)]
    found, keep = [], 0
    while keep < num:
        first = min(max(0, keep - margin), num - chunk)
        stop = first + chunk
        until = num if stop == num else stop - margin
        found.append((first, keep, until, stop))
        keep = until
    return found


def receptive_field(kernels: list[int], strides: list[int]) -> tuple[int, int]:
    """Samples that one row sees, and samples from row to row, of unpadded convolutions one after the other."""
    field, hop = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        field += (kernel - 1) * hop
        hop *= stride
    return field, hop

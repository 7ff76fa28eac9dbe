"""Arousal, dominance and valence of a voice, by audEERING's wav2vec 2.0 with its own head."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import receptive_field
from extract.networks.frozen import Precision, freeze, inference, precision_on, torch_dtype
from extract.networks.hub import (
    FOUND_AT,
    configs_hash,
    load_model,
    load_processor,
    load_tensors,
    snapshot,
    weights_files,
    weights_hash,
)
from extract.networks.windows import sound_windows

FACTS = {"modality": "audio", "dim": 3, "built_in": False, "licence": "CC BY-NC-SA 4.0", "size_mb": 661}

OUTPUTS = ("arousal", "dominance", "valence")  # the network's order, each about 0 to 1
HEAD = ("dense", "out_proj")


@ENCODERS.register
def audeering_dim(
    *,
    model: str = "audeering/wav2vec2-large-robust-12-ft-emotion-msp-dim",
    revision: str = "main",
    window_s: float = 4.0,
    hop_s: float = 1.0,
    precision: Precision = "fp32",
    device: str = "cpu",
    download: bool = False,
) -> SoundEncoder:
    """Arousal, dominance and valence (about 0 to 1) of windows of ``window_s`` seconds, a new one each ``hop_s``.

    Wagner et al. 2023, Dawn of the transformer era in speech emotion recognition; trained on MSP-Podcast. Each window
    is normalised and answered by itself, as the model's card does it with a whole recording. The hidden states of the
    encoder ``hf_audio`` with the same ``model`` are features; these are the answers of its head.
    """
    precision = precision_on(device, precision)
    folder = snapshot(model, revision=revision, download=download)
    settings = {
        "model": model, "revision": revision, "window_s": window_s, "hop_s": hop_s, "precision": precision,
    }  # fmt: skip
    return AudeeringDim(folder, settings, device)


class AudeeringDim(SoundEncoder):
    """The mean of the hidden states, a dense layer, tanh, and a linear layer."""

    def __init__(self, folder: Path, settings: dict[str, Any], device: str) -> None:
        self._settings, self._device = settings, device
        self._dtype = torch_dtype(settings["precision"])
        self._weights, self._configs = weights_hash(folder), configs_hash(folder)
        model: Any = load_model(folder)
        if model.config.model_type != "wav2vec2":
            raise InputError(f"{settings['model']} is a {model.config.model_type!r} model, expected a wav2vec2")
        self._extractor = load_processor("AutoFeatureExtractor", folder)
        self.rate_hz, self.dim = int(self._extractor.sampling_rate), len(OUTPUTS)
        shortest, _ = receptive_field(model.config.conv_kernel, model.config.conv_stride)
        self._windows = sound_windows("audeering_dim", self.rate_hz, settings["window_s"], settings["hop_s"], shortest)
        self._model = freeze(model, device, settings["precision"])
        self._head = freeze(_head(folder, int(model.config.hidden_size)), device, settings["precision"])

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "configs": self._configs, "found_at": FOUND_AT}
        return {"encoder": "audeering_dim", "settings": self._settings, **made_of, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        return self._windows.tracks(sound, self.dim, self._answer)

    def _answer(self, samples: np.ndarray) -> np.ndarray:
        made = self._extractor(samples, sampling_rate=self.rate_hz, return_tensors="pt")
        with inference():
            hidden = self._model(made["input_values"].to(self._device, self._dtype)).last_hidden_state
            row: np.ndarray = self._head(hidden.mean(dim=1))[0].float().cpu().numpy()
            return row


def _head(folder: Path, width: int) -> Any:
    """The head that lies beside the hidden layers in the checkpoint. Raises InputError where it is another one."""
    from torch import nn

    tensors: dict[str, Any] = {}
    for file in weights_files(folder):
        tensors |= {name: value for name, value in load_tensors(file).items() if name.startswith("classifier.")}
    head = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, len(OUTPUTS)))
    state = {
        f"{place}.{kind}": tensors.get(f"classifier.{name}.{kind}")
        for place, name in zip((0, 2), HEAD, strict=True)
        for kind in ("weight", "bias")
    }
    for name, value in head.state_dict().items():
        given = state[name]
        if given is None or given.shape != value.shape:
            found = ", ".join(f"{key} {tuple(each.shape)}" for key, each in tensors.items()) or "none"
            raise InputError(
                f"{folder} has no head for arousal, dominance and valence (classifier.dense and classifier.out_proj of "
                f"{width} and {len(OUTPUTS)} rows), its heads: {found}; for other models use hf_audio_classifier"
            )
    head.load_state_dict(state)
    return head


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny.sound import sound_model

    return [{"model": sound_model("audeering"), "window_s": 0.8, "hop_s": 0.5}]

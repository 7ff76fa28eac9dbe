"""Any Hugging Face sound model, by hub name or folder: its hidden layers as rows over time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import plan_chunks, receptive_field
from extract.networks.frozen import (
    Combine,
    Layers,
    Precision,
    freeze,
    hidden_states,
    inference,
    parse_layers,
    precision_on,
    torch_dtype,
)
from extract.networks.heads import architectures, check_omitted, class_names, load_classifier
from extract.networks.hub import FOUND_AT, configs_hash, load_model, load_processor, snapshot, weights_hash
from extract.networks.sound_inputs import FixedWindows, Inputs, model_input
from extract.networks.whole_norm import find_whole_norm
from extract.networks.windows import SoundWindows, sound_windows

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "the model's own", "size_mb": None}

FEATURES = {"layer": "-1", "combine": "mean", "chunk_s": 30.0, "overlap_s": 4.0}  # settings of output=features only
LOGITS = {"window_s": 4.0, "hop_s": 1.0}  # of output=logits only
MIN_S = 0.1  # the shortest window for networks whose spectrum pads it


@ENCODERS.register
def hf_audio(
    *,
    model: str,
    revision: str = "main",
    output: Literal["features", "logits"] = "features",
    layer: int | str = -1,
    combine: Combine = "mean",
    precision: Precision = "fp32",
    compile: bool = False,
    chunk_s: float = 30.0,
    overlap_s: float = 4.0,
    window_s: float = 4.0,
    hop_s: float = 1.0,
    trust_remote_code: bool = False,
    device: str = "cpu",
    download: bool = False,
) -> SoundEncoder:
    """Any Hugging Face sound model (wav2vec 2.0, HuBERT, WavLM, data2vec, Whisper's encoder, ...) by name or folder.

    ``output``: "features" are hidden layers over time. "logits" are the outputs of the model's own classification head
    for windows of ``window_s`` seconds, a new one each ``hop_s``; the recipe names their classes. Each window is
    normalised and classified by itself. Any sound classifier of transformers gives logits, also of a spectrogram.
    """
    precision = precision_on(device, precision)
    precise: dict[str, Any] = {"precision": precision, "trust_remote_code": trust_remote_code}
    of_features = {"layer": str(layer), "combine": combine, "chunk_s": chunk_s, "overlap_s": overlap_s}
    of_logits = {"window_s": window_s, "hop_s": hop_s}
    if output == "logits":
        check_omitted("hf_audio", output, of_features, FEATURES)
        folder = snapshot(model, revision=revision, download=download)
        settings = {"model": model, "revision": revision, "output": output, **of_logits, **precise}
        return HfAudioClassifier(folder, settings, device, compile)
    check_omitted("hf_audio", output, of_logits, LOGITS)
    folder = snapshot(model, revision=revision, download=download)
    settings = {"model": model, "revision": revision, **of_features, **precise}
    return HfAudio(folder, settings, parse_layers(layer, combine), device, compile)


class HfAudio(SoundEncoder):
    """The number of rows and their times follow from the network's strides. The head is not used.

    Sound up to ``chunk_s`` goes in one pass and gives exactly the library's own output. Longer sound goes in chunks
    that overlap by ``overlap_s``; the result is close to that of one pass (docs/measurements/chunks.md). Where the
    feature extractor or the network's first layer normalises over its input, chunks are normalised over the whole
    sound; normalised on their own, a quiet chunk would become as loud as the others.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], chosen: Layers, device: str, compile: bool) -> None:
        self._settings, self._layers, self._device = settings, chosen, device
        self._precision: Precision = settings["precision"]
        self._weights = weights_hash(folder)
        self._configs = configs_hash(folder, trust_remote_code=bool(settings["trust_remote_code"]))
        trusted = settings["trust_remote_code"]
        model: Any = load_model(folder, trust_remote_code=trusted, auto=_auto(folder))
        self._input = model_input(
            settings["model"],
            model.config,
            lambda: load_processor("AutoFeatureExtractor", folder, trust_remote_code=trusted),
        )
        self._definition = self._check_layers(model.config)
        grid = self._input.grid
        self._chunks = plan_chunks("hf_audio", grid, settings["chunk_s"], settings["overlap_s"], self._input.longest_s)
        self.rate_hz, self.dim = grid.rate_hz, int(model.config.hidden_size)
        encoder = model.encoder if isinstance(self._input, FixedWindows) else model
        self._norm = find_whole_norm(getattr(encoder, "feature_extractor", None))
        self._model = freeze(encoder, device, self._precision, compile)

    def _check_layers(self, config: Any) -> dict[str, int]:
        """What the layers add to the recipe.

        Raises InputError where the network has no such layer, or computes it at another rate than its output.
        """
        import torch

        num_states = config.num_hidden_layers + 1
        self._layers.combined([torch.zeros(1)] * num_states)
        if self._input.grid.step > 1 and not self._layers.is_final:
            raise InputError(
                f"the hidden layers of {self._settings['model']} have 1/{self._input.grid.step} of the rate of its "
                "output: give layer=-1"
            )
        # blocks that end in a normalisation of their own are followed by no other: no definition changes their rows
        is_plain = getattr(config, "do_stable_layer_norm", config.model_type != "data2vec-audio") is False
        return {} if is_plain else self._layers.recipe(num_states)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "configs": self._configs, "found_at": FOUND_AT, **self._definition}
        return {"encoder": "hf_audio", "settings": self._settings, **made_of, "version": 2}

    def encode(self, sound: Sound) -> Iterator[Track]:
        if self._chunks.fits(sound):
            return self._chunks.tracks(sound, lambda part: self._rows(self._input.inputs(part)))
        inputs = self._input.for_chunks(sound.samples)
        if self._norm is None:
            return self._chunks.tracks(sound, lambda part: self._rows(inputs(part)))
        norm = self._norm
        level = norm.level(sound.samples, lambda part: self._on_device(inputs(part))["input_values"])

        def network(part: np.ndarray) -> np.ndarray:
            with norm.fixed(level):
                return self._rows(inputs(part))

        return self._chunks.tracks(sound, network)

    def _on_device(self, inputs: Inputs) -> Inputs:
        return on_device(inputs, self._device, torch_dtype(self._precision))

    def _rows(self, inputs: Inputs) -> np.ndarray:
        with inference():
            made = self._model(**self._on_device(inputs), output_hidden_states=not self._layers.is_final)
            state = made.last_hidden_state if self._layers.is_final else self._layers.combined(hidden_states(made))
            rows: np.ndarray = state[0].float().cpu().numpy()
            return rows


class HfAudioClassifier(SoundEncoder):
    """The head's outputs for windows, by the library's documented call on each window's samples."""

    def __init__(self, folder: Path, settings: dict[str, Any], device: str, compile: bool) -> None:
        self._settings, self._device, self._dtype = settings, device, torch_dtype(settings["precision"])
        trusted = bool(settings["trust_remote_code"])
        self._weights, self._configs = weights_hash(folder), configs_hash(folder, trust_remote_code=trusted)
        model = load_classifier(folder, "AutoModelForAudioClassification", trust_remote_code=trusted)
        self._classes = class_names(model.config)
        self._extractor = load_processor("AutoFeatureExtractor", folder, trust_remote_code=trusted)
        self.rate_hz, self.dim = int(self._extractor.sampling_rate), len(self._classes)
        self._windows = self._plan_windows(model.config)
        self._model = freeze(model, device, settings["precision"], compile)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "configs": self._configs, "found_at": FOUND_AT, "classes": self._classes}
        return {"encoder": "hf_audio", "settings": self._settings, **made_of, "version": 2}

    def _plan_windows(self, config: Any) -> SoundWindows:
        """The windows of the settings. Raises InputError where the extractor would cut them off."""
        window_s, rate_hz = self._settings["window_s"], self.rate_hz
        longest = getattr(self._extractor, "n_samples", None)  # Whisper's
        if longest is None and (frames := getattr(self._extractor, "max_length", None)):  # AST's, of 10 ms
            longest = frames * rate_hz // 100
        if longest and round(window_s * rate_hz) > longest:
            raise InputError(f"hf_audio: window_s is {window_s}, this network takes at most {longest / rate_hz:g} s")
        shortest = round(MIN_S * rate_hz)
        if isinstance(strides := getattr(config, "conv_stride", None), list | tuple):
            shortest, _ = receptive_field(config.conv_kernel, strides)
        return sound_windows("hf_audio", rate_hz, window_s, self._settings["hop_s"], shortest)

    def encode(self, sound: Sound) -> Iterator[Track]:
        return self._windows.tracks(sound, self.dim, self._logits)

    def _logits(self, samples: np.ndarray) -> np.ndarray:
        made = self._extractor(samples, sampling_rate=self.rate_hz, return_tensors="pt")
        with inference():
            row: np.ndarray = self._model(**on_device(made, self._device, self._dtype)).logits[0].float().cpu().numpy()
            return row


def on_device(inputs: Inputs, device: str, dtype: Any) -> Inputs:
    """The arguments of a network on its device, floating point in its precision."""
    moved = {key: value.to(device) for key, value in inputs.items()}
    return {key: value.to(dtype) if value.is_floating_point() else value for key, value in moved.items()}


def _auto(folder: Path) -> str:
    """The auto class for a checkpoint: one of Whisper with a classifier contains the encoder only."""
    is_classifier = "WhisperForAudioClassification" in architectures(folder)
    return "AutoModelForAudioClassification" if is_classifier else "AutoModel"


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny.sound import sound_model

    short = {"chunk_s": 1.0, "overlap_s": 0.2}
    return [
        {"model": sound_model("wav2vec2")},
        {"model": sound_model("hubert"), **short},
        {"model": sound_model("wavlm"), "layer": "0+2", "combine": "sum"},
        {"model": sound_model("data2vec")},
        {"model": sound_model("unispeech"), "precision": "bf16"},
        {"model": sound_model("sew")},
        {"model": sound_model("wav2vec2_bert")},
        {"model": sound_model("whisper"), **short},
        {"model": sound_model("audeering")},
        {"model": sound_model("wav2vec2_classifier"), "output": "logits", "window_s": 0.8, "hop_s": 0.3},
        {"model": sound_model("ast_classifier"), "output": "logits", "window_s": 0.5, "hop_s": 0.5},
    ]

"""Any Hugging Face sound model, by hub name or folder: its hidden layers as rows over time."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.files import read_json
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import Grid, mean_and_variance, plan_chunks, read_blocks, receptive_field
from extract.networks.frozen import Combine, Layers, Precision, freeze, inference, parse_layers, torch_dtype
from extract.networks.hub import FOUND_AT, configs_hash, load_model, load_processor, snapshot, weights_hash
from extract.networks.whole_norm import find_whole_norm

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "the model's own", "size_mb": None}

EPSILON = 1e-7  # added to a variance by the feature extractors of transformers

Inputs = Mapping[str, Any]


@ENCODERS.register
def hf_audio(
    *,
    model: str,
    revision: str = "main",
    layer: int | str = -1,
    combine: Combine = "mean",
    precision: Precision = "fp32",
    compile: bool = False,
    chunk_s: float = 30.0,
    overlap_s: float = 4.0,
    trust_remote_code: bool = False,
    device: str = "cpu",
    download: bool = False,
) -> SoundEncoder:
    """Any Hugging Face sound model (wav2vec 2.0, HuBERT, WavLM, data2vec, Whisper's encoder, ...) by name or folder."""
    folder = snapshot(model, revision=revision, download=download)
    settings = {
        "model": model,
        "revision": revision,
        "layer": str(layer),
        "combine": combine,
        "precision": precision,
        "chunk_s": chunk_s,
        "overlap_s": overlap_s,
        "trust_remote_code": trust_remote_code,
    }
    return HfAudio(folder, settings, parse_layers(layer, combine), device, compile)


class HfAudio(SoundEncoder):
    """The number of rows and their times follow from the network's strides. Heads are not used.

    Sound up to ``chunk_s`` goes in one pass and gives exactly the library's own output. Longer sound goes in chunks
    that overlap by ``overlap_s``; the result is close to that of one pass (docs/chunks.md). Where the feature extractor
    or the network's first layer normalises over its input, chunks are normalised over the whole sound; normalised on
    their own, a quiet chunk would become as loud as the others.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], chosen: Layers, device: str, compile: bool) -> None:
        self._settings, self._layers, self._device = settings, chosen, device
        self._precision: Precision = settings["precision"]
        self._weights = weights_hash(folder)
        self._configs = configs_hash(folder, trust_remote_code=bool(settings["trust_remote_code"]))
        trusted = settings["trust_remote_code"]
        model: Any = load_model(folder, trust_remote_code=trusted, auto=_auto(folder))
        self._input = _model_input(
            settings["model"],
            model.config,
            lambda: load_processor("AutoFeatureExtractor", folder, trust_remote_code=trusted),
        )
        self._check_layers(model.config)
        grid = self._input.grid
        self._chunks = plan_chunks("hf_audio", grid, settings["chunk_s"], settings["overlap_s"], self._input.longest_s)
        self.rate_hz, self.dim = grid.rate_hz, int(model.config.hidden_size)
        encoder = model.encoder if isinstance(self._input, FixedWindows) else model
        self._norm = find_whole_norm(getattr(encoder, "feature_extractor", None))
        self._model = freeze(encoder, device, self._precision, compile)

    def _check_layers(self, config: Any) -> None:
        """Raises InputError where the network has no such layer, or computes it at another rate than its output."""
        import torch

        self._layers.combined([torch.zeros(1)] * (config.num_hidden_layers + 1))
        if self._input.grid.step > 1 and not self._layers.is_final:
            raise InputError(
                f"the hidden layers of {self._settings['model']} have 1/{self._input.grid.step} of the rate of its "
                "output: give layer=-1"
            )

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "configs": self._configs, "found_at": FOUND_AT}
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
        """The inputs on the network's device, floating point in its precision."""
        dtype = torch_dtype(self._precision)
        moved = {key: value.to(self._device) for key, value in inputs.items()}
        return {key: value.to(dtype) if value.is_floating_point() else value for key, value in moved.items()}

    def _rows(self, inputs: Inputs) -> np.ndarray:
        with inference():
            made = self._model(**self._on_device(inputs), output_hidden_states=not self._layers.is_final)
            state = made.last_hidden_state if self._layers.is_final else self._layers.combined(made.hidden_states)
            rows: np.ndarray = state[0].float().cpu().numpy()
            return rows


def _auto(folder: Path) -> str:
    """The auto class for a checkpoint: one of Whisper with a classifier contains the encoder only."""
    config = folder / "config.json"
    architectures = read_json(config).get("architectures") or [] if config.is_file() else []
    return "AutoModelForAudioClassification" if "WhisperForAudioClassification" in architectures else "AutoModel"


@dataclass(frozen=True)
class ModelInput(ABC):
    """The preprocessing of a family of networks, by its own feature extractor, and the grid of its rows.

    ``longest_s`` is the longest sound that one pass takes.
    """

    extractor: Any
    grid: Grid
    longest_s: float = np.inf

    def inputs(self, samples: np.ndarray) -> Inputs:
        """The network's arguments for one pass over these samples, by the library's documented call."""
        made: Inputs = self.extractor(samples, sampling_rate=self.grid.rate_hz, return_tensors="pt")
        return made

    @abstractmethod
    def for_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        """A function from a chunk to the network's arguments, which normalises by all ``samples`` of the sound."""


class Waveform(ModelInput):
    """A waveform, taken by strided convolutions: wav2vec 2.0 and similar networks."""

    def for_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        if not getattr(self.extractor, "do_normalize", False):
            return self.inputs
        mean, var = mean_and_variance(read_blocks(samples))
        plain = copy(self.extractor)
        plain.do_normalize = False
        without_norm = Waveform(plain, self.grid)
        return lambda part: without_norm.inputs(((part - mean) / np.sqrt(var + EPSILON)).astype(np.float32))


class MelFramePairs(ModelInput):
    """Pairs of consecutive frames of a mel spectrum, each band normalised over time: wav2vec2-bert."""

    def for_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        import torch

        mean, var = mean_and_variance(self._spectra(samples))
        frames = 2 * self.grid.num_rows(len(samples))
        var *= frames / (frames - 1)  # the variance of this extractor is unbiased
        mean_tensor, std_tensor = (
            torch.from_numpy(np.tile(each, 2)).float() for each in (mean, np.sqrt(var + EPSILON))
        )

        def inputs(part: np.ndarray) -> Inputs:
            made = self._plain(part)
            # the last row may be padding, which the mask excludes
            return {**made, "input_features": (made["input_features"] - mean_tensor) / std_tensor}

        return inputs

    def _spectra(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """The spectrum (frame, band) of the whole sound, some seconds at a time."""
        num, some = self.grid.num_rows(len(samples)), 1000
        for first in range(0, num, some):
            part = np.array(samples[self.grid.samples(first, min(num, first + some))])
            pairs = self._plain(part)["input_features"][0].numpy()
            yield pairs.reshape(2 * len(pairs), -1)

    def _plain(self, samples: np.ndarray) -> Inputs:
        rate_hz = self.grid.rate_hz
        made: Inputs = self.extractor(
            samples, sampling_rate=rate_hz, return_tensors="pt", do_normalize_per_mel_bins=False
        )
        return made


class FixedWindows(ModelInput):
    """A mel spectrum of a fixed length, padded with silence: Whisper.

    The extractor clips it at 80 dB below its maximum, in each chunk as in one pass.
    """

    def for_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        return self.inputs


def _model_input(model: str, config: Any, load: Callable[[], Any]) -> ModelInput:
    """The preprocessing of this model. Raises InputError where it takes no sound, or its architecture is unknown."""
    if getattr(config, "add_adapter", False):
        raise InputError(f"{model} has an adapter, whose strides hf_audio does not know: use the model without it")
    if config.model_type == "whisper":
        extractor = load()
        # a row is two frames of 10 ms, after two convolutions of three frames centred on the first of them
        mel, longest = extractor.hop_length, extractor.n_samples
        if longest != 2 * mel * config.max_source_positions:
            raise InputError(
                f"{model} takes {2 * config.max_source_positions} frames, but its preprocessor_config.json gives "
                f"{longest // mel}: copy that file from the model's page"
            )
        rate_hz = extractor.sampling_rate
        return FixedWindows(extractor, Grid(rate_hz, span=mel, hop=2 * mel, centre=0.0), longest / rate_hz)
    if config.model_type == "wav2vec2-bert":
        extractor = load()
        return MelFramePairs(extractor, Grid(extractor.sampling_rate, span=560, hop=320, centre=279.5))
    if not isinstance(getattr(config, "conv_stride", None), (list, tuple)) or config.is_encoder_decoder:
        raise InputError(
            f"{model} is a {config.model_type!r} model, which hf_audio does not support: give wav2vec2, hubert, wavlm, "
            "data2vec-audio, unispeech, sew, wav2vec2-bert, whisper or a model with one of their architectures"
        )
    field, hop = receptive_field(config.conv_kernel, config.conv_stride)
    extractor, step = load(), getattr(config, "squeeze_factor", 1)  # sew pools its rows and upsamples them again
    return Waveform(extractor, Grid(int(extractor.sampling_rate), field, hop, (field - 1) / 2, step))


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
    ]

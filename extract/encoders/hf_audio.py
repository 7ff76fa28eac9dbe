"""Any Hugging Face sound model, by hub name or folder: its hidden layers over time."""

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
from extract.networks.chunks import Grid, blocks, chunks, moments, receptive_field
from extract.networks.frozen import Combine, Layers, Precision, frozen, inference, layers, numbers
from extract.networks.hub import FOUND_AT, configs_hash, load_model, load_processor, snapshot, weights_hash
from extract.networks.whole_norm import whole_norm

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "the model's own", "size_mb": None}

EPSILON = 1e-7  # what the feature extractors of transformers add to a variance

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
    return HfAudio(folder, settings, layers(layer, combine), device, compile)


class HfAudio(SoundEncoder):
    """A row's time follows from the network's strides; whatever the length, there are as many rows as these say.

    Sound up to ``chunk_s`` goes in one pass, exactly the library's own output. Longer sound goes in chunks that overlap
    by ``overlap_s``, of which the middles are kept: near one pass, never equal to it (docs/chunks.md). What is
    normalised over the input, by the library's extractor or by the network's first layer, is in chunks normalised over
    the whole sound, as one pass would: chunks by themselves would each have their own loudness. Heads of any kind are
    left out.
    """

    def __init__(self, folder: Path, settings: dict[str, Any], chosen: Layers, device: str, compile: bool) -> None:
        self._settings, self._layers, self._device = settings, chosen, device
        self._precision: Precision = settings["precision"]
        self._weights = weights_hash(folder)
        self._configs = configs_hash(folder, trust_remote_code=bool(settings["trust_remote_code"]))
        trusted = settings["trust_remote_code"]
        model: Any = load_model(folder, trust_remote_code=trusted, auto=_auto(folder))
        self._intake = _intake(
            settings["model"],
            model.config,
            lambda: load_processor("AutoFeatureExtractor", folder, trust_remote_code=trusted),
        )
        self._check_layers(model.config)
        grid = self._intake.grid
        self._chunks = chunks("hf_audio", grid, settings["chunk_s"], settings["overlap_s"], self._intake.longest_s)
        self.rate_hz, self.dim = grid.rate_hz, int(model.config.hidden_size)
        encoder = model.encoder if isinstance(self._intake, Windows) else model
        self._norm = whole_norm(getattr(encoder, "feature_extractor", None))
        self._model = frozen(encoder, device, self._precision, compile)

    def _check_layers(self, config: Any) -> None:
        """ValueError where the network has no such layer, or not at the rate of its rows."""
        import torch

        self._layers.of([torch.zeros(1)] * (config.num_hidden_layers + 1))
        if self._intake.grid.step > 1 and not self._layers.is_final:
            raise InputError(
                f"the inner layers of {self._settings['model']} run at 1/{self._intake.grid.step} of its rate: "
                "take layer=-1, its output"
            )

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "configs": self._configs, "found_at": FOUND_AT}
        return {"encoder": "hf_audio", "settings": self._settings, **made_of, "version": 2}

    def encode(self, sound: Sound) -> Iterator[Track]:
        if self._chunks.fits(sound):
            return self._chunks.tracks(sound, lambda part: self._rows(self._intake.inputs(part)))
        inputs = self._intake.of_chunks(sound.samples)
        if self._norm is None:
            return self._chunks.tracks(sound, lambda part: self._rows(inputs(part)))
        norm = self._norm
        level = norm.level(sound.samples, lambda part: self._moved(inputs(part))["input_values"])

        def network(part: np.ndarray) -> np.ndarray:
            with norm.held(level):
                return self._rows(inputs(part))

        return self._chunks.tracks(sound, network)

    def _moved(self, inputs: Inputs) -> Inputs:
        """On the network's device, fractions in its precision."""
        dtype = numbers(self._precision)
        moved = {key: value.to(self._device) for key, value in inputs.items()}
        return {key: value.to(dtype) if value.is_floating_point() else value for key, value in moved.items()}

    def _rows(self, inputs: Inputs) -> np.ndarray:

        with inference():
            made = self._model(**self._moved(inputs), output_hidden_states=not self._layers.is_final)
            state = made.last_hidden_state if self._layers.is_final else self._layers.of(made.hidden_states)
            rows: np.ndarray = state[0].float().cpu().numpy()
            return rows


def _auto(folder: Path) -> str:
    """The auto class for a checkpoint: of Whisper with a classifier on top only the encoder was saved."""
    config = folder / "config.json"
    architectures = read_json(config).get("architectures") or [] if config.is_file() else []
    return "AutoModelForAudioClassification" if "WhisperForAudioClassification" in architectures else "AutoModel"


@dataclass(frozen=True)
class Intake(ABC):
    """How a family of networks takes sound: through its own extractor, and where its rows then lie."""

    extractor: Any
    grid: Grid
    longest_s: float = np.inf

    def inputs(self, samples: np.ndarray) -> Inputs:
        """What the network is called with, as the library documents it."""
        made: Inputs = self.extractor(samples, sampling_rate=self.grid.rate_hz, return_tensors="pt")
        return made

    @abstractmethod
    def of_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        """The same for chunks of this sound, levelled by the whole of it."""


class Waves(Intake):
    """The waveform through strided convolutions: wav2vec 2.0 and its like."""

    def of_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        if not getattr(self.extractor, "do_normalize", False):
            return self.inputs
        mean, var = moments(blocks(samples))
        plain = copy(self.extractor)
        plain.do_normalize = False
        rest = Waves(plain, self.grid)
        return lambda part: rest.inputs(((part - mean) / np.sqrt(var + EPSILON)).astype(np.float32))


class MelPairs(Intake):
    """Two frames of a mel spectrum side by side, each band normalised over time: wav2vec2-bert."""

    def of_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        import torch

        mean, var = moments(self._spectra(samples))
        frames = 2 * self.grid.rows(len(samples))
        var *= frames / (frames - 1)  # as this extractor divides
        low, high = (torch.from_numpy(np.tile(each, 2)).float() for each in (mean, np.sqrt(var + EPSILON)))

        def inputs(part: np.ndarray) -> Inputs:
            made = self._plain(part)
            # one more row than there is sound for may come last: padding, which its mask leaves out
            return {**made, "input_features": (made["input_features"] - low) / high}

        return inputs

    def _spectra(self, samples: np.ndarray) -> Iterator[np.ndarray]:
        """The spectrum of the whole sound, (frame, band), some seconds at a time."""
        num, some = self.grid.rows(len(samples)), 1000
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


class Windows(Intake):
    """A mel spectrum of always the same length, padded with silence: Whisper.

    Its floor lies 80 dB under the loudest of each window, in chunks as in one pass.
    """

    def of_chunks(self, samples: np.ndarray) -> Callable[[np.ndarray], Inputs]:
        return self.inputs


def _intake(model: str, config: Any, load: Callable[[], Any]) -> Intake:
    """How this model takes sound. ValueError where it takes none, or in a way that is not known here."""
    if getattr(config, "add_adapter", False):
        raise InputError(f"{model} has an adapter, whose strides hf_audio does not know: take it without")
    if config.model_type == "whisper":
        extractor = load()
        # a row is two frames of 10 ms, seen through two convolutions of three frames each around the first of them
        mel, longest = extractor.hop_length, extractor.n_samples
        if longest != 2 * mel * config.max_source_positions:
            raise InputError(
                f"{model} takes {2 * config.max_source_positions} frames, its preprocessor_config.json makes "
                f"{longest // mel}: copy that file from the model's page"
            )
        rate_hz = extractor.sampling_rate
        return Windows(extractor, Grid(rate_hz, span=mel, hop=2 * mel, centre=0.0), longest / rate_hz)
    if config.model_type == "wav2vec2-bert":
        extractor = load()
        return MelPairs(extractor, Grid(extractor.sampling_rate, span=560, hop=320, centre=279.5))
    if not isinstance(getattr(config, "conv_stride", None), (list, tuple)) or config.is_encoder_decoder:
        raise InputError(
            f"{model} is a {config.model_type!r} model, of which hf_audio does not know how it takes sound: it loads "
            "wav2vec2, hubert, wavlm, data2vec-audio, unispeech, sew, wav2vec2-bert, whisper and their like"
        )
    field, hop = receptive_field(config.conv_kernel, config.conv_stride)
    extractor, step = load(), getattr(config, "squeeze_factor", 1)  # sew pools rows, and spreads them again
    return Waves(extractor, Grid(int(extractor.sampling_rate), field, hop, (field - 1) / 2, step))

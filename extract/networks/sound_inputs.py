"""What sound networks of transformers take: the preprocessing of each family, whole or in chunks, and its rows."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw.errors import InputError
from extract.networks.chunks import Grid, mean_and_variance, read_blocks, receptive_field

EPSILON = 1e-7  # added to a variance by the feature extractors of transformers

Inputs = Mapping[str, Any]


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


def model_input(model: str, config: Any, load: Callable[[], Any]) -> ModelInput:
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

"""The pretrained bundles of torchaudio: wav2vec 2.0, HuBERT, WavLM, XLS-R, MMS, their transformer layers over time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
from abaw.registry import nearest
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import Grid, blocks, chunks, moments, receptive_field
from extract.networks.frozen import Combine, Layers, Precision, frozen, inference, layers, numbers
from extract.networks.hub import MissingWeights, load_tensors
from extract.networks.whole_norm import whole_norm

if TYPE_CHECKING:
    from torch import Tensor

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "the bundle's own", "size_mb": None}

HOST = "https://download.pytorch.org/torchaudio/models/"
EPSILON = 1e-5  # what torch's layer_norm, with which torchaudio levels a waveform, adds to a variance


@ENCODERS.register
def torchaudio(
    *,
    bundle: str,
    weights: str | None = None,
    layer: int | str = -1,
    combine: Combine = "mean",
    precision: Precision = "fp32",
    compile: bool = False,
    chunk_s: float = 30.0,
    overlap_s: float = 4.0,
    device: str = "cpu",
    download: bool = False,
) -> SoundEncoder:
    """A bundle of torchaudio.pipelines (WAV2VEC2_BASE, HUBERT_BASE, WAVLM_BASE, ...); its transformer layers."""
    settings: dict[str, Any] = {
        "bundle": bundle,
        "layer": str(layer),
        "combine": combine,
        "precision": precision,
        "chunk_s": chunk_s,
        "overlap_s": overlap_s,
    }
    if weights is not None:
        settings["weights"] = weights
    return TorchAudio(settings, layers(layer, combine), device, compile, download)


class TorchAudio(SoundEncoder):
    """The layers are those of ``extract_features``: 1 is the first transformer block, -1 the last; there is no 0.

    Of the last block torchaudio gives the output as it is, without the final norm that transformers adds to some.
    Chunks as in hf_audio: what a bundle levels over its input is levelled over the whole sound.
    """

    def __init__(self, settings: dict[str, Any], chosen: Layers, device: str, compile: bool, download: bool) -> None:
        self._settings, self._layers, self._device = settings, chosen, device
        self._precision: Precision = settings["precision"]
        made = _bundle(settings["bundle"])
        file = _file(settings["bundle"], made, settings.get("weights"), download)
        model = _load(settings["bundle"], made, file)
        # the head that reads letters was left out; what serves is extract_features
        model.forward = model.extract_features
        self._weights, self._levels = {file.name: sha256(file)}, bool(made._normalize_waveform)
        convolutions = [layer.conv for layer in model.feature_extractor.conv_layers]
        field, hop = receptive_field(
            [each.kernel_size[0] for each in convolutions], [each.stride[0] for each in convolutions]
        )
        self.rate_hz, self.dim = int(made.sample_rate), int(made._params["encoder_embed_dim"])
        self._chunks = chunks(
            "torchaudio",
            Grid(self.rate_hz, field, hop, (field - 1) / 2),
            settings["chunk_s"],
            settings["overlap_s"],
        )
        self._check_layers(len(model.encoder.transformer.layers))
        self._norm = whole_norm(model.feature_extractor)
        self._model = frozen(model, device, self._precision, compile)

    def _check_layers(self, num: int) -> None:
        """ValueError where there is no such layer."""
        for index in self._layers.indices:
            if not (1 <= index <= num or -num <= index <= -1):
                raise InputError(
                    f"layer {index} was asked for, {self._settings['bundle']} has layers 1 to {num}, or -1 to -{num}"
                )

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "found_at": ["weights"]}
        return {"encoder": "torchaudio", "settings": self._settings, **made_of, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        level = self._level(sound)
        if self._norm is None or self._chunks.fits(sound):
            return self._chunks.tracks(sound, lambda part: self._rows(level(part)))
        norm, whole = self._norm, self._norm.level(sound.samples, lambda part: self._waves(level(part)))

        def network(part: np.ndarray) -> np.ndarray:
            with norm.held(whole):
                return self._rows(level(part))

        return self._chunks.tracks(sound, network)

    def _level(self, sound: Sound) -> Callable[[np.ndarray], np.ndarray]:
        """Zero mean and unit variance, where the bundle wants it: of one pass, or of the whole sound in chunks."""
        if not self._levels:
            return lambda part: part
        if self._chunks.fits(sound):
            return _level_alone
        mean, var = moments(blocks(sound.samples))
        return lambda part: ((part - mean) / np.sqrt(var + EPSILON)).astype(np.float32)

    def _waves(self, part: np.ndarray) -> Tensor:
        import torch

        return torch.from_numpy(part)[None].to(self._device, numbers(self._precision))

    def _rows(self, part: np.ndarray) -> np.ndarray:

        with inference():
            made, _ = self._model(self._waves(part))
            state = self._layers.of([made[0], *made])  # counted from 1; the first stands in where none is asked for
            rows: np.ndarray = state[0].float().cpu().numpy()
            return rows


def _level_alone(part: np.ndarray) -> np.ndarray:
    """As torchaudio's own bundles level what they are given."""
    import torch

    waves = torch.from_numpy(part)
    return torch.nn.functional.layer_norm(waves, waves.shape).numpy()


def _bundle(name: str) -> Any:
    """ValueError where torchaudio has no such bundle."""
    from torchaudio import pipelines

    known = [key for key, value in vars(pipelines).items() if isinstance(value, pipelines.Wav2Vec2Bundle)]
    if name not in known:
        raise InputError(f"torchaudio has no bundle {name!r}{nearest(name, known)} known: {', '.join(sorted(known))}")
    return getattr(pipelines, name)


def _file(name: str, bundle: Any, weights: str | None, download: bool) -> Path:
    """The bundle's weights: the file given, or torch's cache, fetched to there where ``download``."""
    import torch

    if weights is not None:
        return Path(weights)
    url = bundle._path if bundle._path.startswith("https") else HOST + bundle._path
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not file.is_file():
        why = f"is not on this machine (looked for {file})"
        if download:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(file), progress=False)
                return file
            except OSError as error:
                why = f"could not be fetched ({error})"
        raise MissingWeights(f"the file of {name} {why}: fetch it with --download, or get {url} and give weights=FILE")
    return file


def _load(name: str, bundle: Any, file: Path) -> Any:
    """The network with the file's weights; ValueError where they are of another one.

    Not the bundle's own ``get_model``: it unpickles, which could run code, and downloads unasked.
    """
    from torchaudio import models

    tensors = {key: value for key, value in load_tensors(file).items() if not key.startswith("aux.")}
    build = models.wavlm_model if bundle._model_type == "WavLM" else models.wav2vec2_model
    model = build(**{**bundle._params, "aux_num_out": None})
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = " ".join(str(error).split("\n")[:2])
        raise InputError(f"{file} holds no weights of {name}: {first}: give the file of this very bundle") from error
    return model

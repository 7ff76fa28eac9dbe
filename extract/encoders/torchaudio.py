"""The pretrained bundles of torchaudio (wav2vec 2.0, HuBERT, WavLM, XLS-R, MMS): transformer layers over time."""

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
from extract.networks.chunks import Grid, mean_and_variance, plan_chunks, read_blocks, receptive_field
from extract.networks.frozen import (
    DEFINITION,
    Combine,
    Layers,
    Precision,
    freeze,
    inference,
    parse_layers,
    precision_on,
    torch_dtype,
)
from extract.networks.hub import MissingWeights, load_tensors
from extract.networks.whole_norm import find_whole_norm

if TYPE_CHECKING:
    from torch import Tensor

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "the bundle's own", "size_mb": None}

HOST = "https://download.pytorch.org/torchaudio/models/"
EPSILON = 1e-5  # added to a variance by torch's layer_norm, with which torchaudio normalises a waveform


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
    """The transformer layers of a bundle of torchaudio.pipelines (WAV2VEC2_BASE, HUBERT_BASE, WAVLM_BASE, ...)."""
    precision = precision_on(device, precision)
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
    return TorchAudio(settings, parse_layers(layer, combine), device, compile, download)


class TorchAudio(SoundEncoder):
    """The layers are those of ``extract_features``: 1 is the first transformer block, -1 the last; there is no 0.

    The last layer comes after the network's final normalisation, as in hf_audio; ``extract_features`` leaves it out in
    large bundles. Long sound goes in chunks, as in hf_audio: what a bundle normalises over its input is normalised over
    the whole sound.
    """

    def __init__(self, settings: dict[str, Any], chosen: Layers, device: str, compile: bool, download: bool) -> None:
        self._settings, self._layers, self._device = settings, chosen, device
        self._precision: Precision = settings["precision"]
        made = _bundle(settings["bundle"])
        file = _file(settings["bundle"], made, settings.get("weights"), download)
        model = _load(settings["bundle"], made, file)
        # the CTC head was left out; the features are those of extract_features
        model.forward = model.extract_features
        self._weights, self._normalizes = {file.name: sha256(file)}, bool(made._normalize_waveform)
        convolutions = [layer.conv for layer in model.feature_extractor.conv_layers]
        field, hop = receptive_field(
            [each.kernel_size[0] for each in convolutions], [each.stride[0] for each in convolutions]
        )
        self.rate_hz, self.dim = int(made.sample_rate), int(made._params["encoder_embed_dim"])
        self._chunks = plan_chunks(
            "torchaudio",
            Grid(self.rate_hz, field, hop, (field - 1) / 2),
            settings["chunk_s"],
            settings["overlap_s"],
        )
        transformer = model.encoder.transformer
        num = len(transformer.layers)
        self._check_layers(num)
        # large bundles normalise after the last block; base bundles before the first one (layer_norm_first)
        self._last: Any = None if transformer.layer_norm_first else transformer.layer_norm
        takes_last = chosen.is_final or chosen.takes_final_among(num + 1)
        self._definition = {"layers": DEFINITION} if takes_last and self._last is not None else {}
        self._norm = find_whole_norm(model.feature_extractor)
        self._model = freeze(model, device, self._precision, compile)

    def _check_layers(self, num: int) -> None:
        """Raises InputError where there is no such layer."""
        for index in self._layers.indices:
            if not (1 <= index <= num or -num <= index <= -1):
                raise InputError(
                    f"there is no layer {index}: {self._settings['bundle']} has layers 1 to {num}, or -1 to -{num}"
                )

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "found_at": ["weights"], **self._definition}
        return {"encoder": "torchaudio", "settings": self._settings, **made_of, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        normalize = self._normalizer(sound)
        if self._norm is None or self._chunks.fits(sound):
            return self._chunks.tracks(sound, lambda part: self._rows(normalize(part)))
        norm, whole = self._norm, self._norm.level(sound.samples, lambda part: self._waves(normalize(part)))

        def network(part: np.ndarray) -> np.ndarray:
            with norm.fixed(whole):
                return self._rows(normalize(part))

        return self._chunks.tracks(sound, network)

    def _normalizer(self, sound: Sound) -> Callable[[np.ndarray], np.ndarray]:
        """To zero mean and unit variance, where the bundle needs it: by one pass, or by the whole sound for chunks."""
        if not self._normalizes:
            return lambda part: part
        if self._chunks.fits(sound):
            return _normalize_pass
        mean, var = mean_and_variance(read_blocks(sound.samples))
        return lambda part: ((part - mean) / np.sqrt(var + EPSILON)).astype(np.float32)

    def _waves(self, part: np.ndarray) -> Tensor:
        import torch

        return torch.from_numpy(part)[None].to(self._device, torch_dtype(self._precision))

    def _rows(self, part: np.ndarray) -> np.ndarray:
        with inference():
            made, _ = self._model(self._waves(part))
            last = made[-1] if self._last is None else self._last(made[-1])
            state = self._layers.combined([made[0], *made[:-1], last])  # from 1: the first entry is never chosen
            rows: np.ndarray = state[0].float().cpu().numpy()
            return rows


def _normalize_pass(part: np.ndarray) -> np.ndarray:
    """As torchaudio's own bundles normalise a waveform."""
    import torch

    waves = torch.from_numpy(part)
    return torch.nn.functional.layer_norm(waves, waves.shape).numpy()


def _bundle(name: str) -> Any:
    """Raises InputError where torchaudio has no such bundle."""
    from torchaudio import pipelines

    known = [key for key, value in vars(pipelines).items() if isinstance(value, pipelines.Wav2Vec2Bundle)]
    if name not in known:
        raise InputError(f"torchaudio has no bundle {name!r}{nearest(name, known)} known: {', '.join(sorted(known))}")
    return getattr(pipelines, name)


def _file(name: str, bundle: Any, weights: str | None, download: bool) -> Path:
    """The bundle's weights: the file ``weights``, or that in torch's cache, downloaded to there with ``download``."""
    import torch

    if weights is not None:
        return Path(weights)
    url = bundle._path if bundle._path.startswith("https") else HOST + bundle._path
    file = Path(torch.hub.get_dir()) / "checkpoints" / url.rsplit("/", 1)[1]
    if not file.is_file():
        why = f"is not on this machine (expected at {file})"
        if download:
            try:
                file.parent.mkdir(parents=True, exist_ok=True)
                torch.hub.download_url_to_file(url, str(file), progress=False)
                return file
            except OSError as error:
                why = f"could not be downloaded ({error})"
        raise MissingWeights(
            f"the file of {name} {why}: get it with --download, or download {url} and give weights=FILE"
        )
    return file


def _load(name: str, bundle: Any, file: Path) -> Any:
    """The network with the file's weights. Raises InputError where they belong to another network.

    The bundle's own ``get_model`` is not used: it unpickles, which could run code, and always downloads.
    """
    from torchaudio import models

    tensors = {key: value for key, value in load_tensors(file).items() if not key.startswith("aux.")}
    build = models.wavlm_model if bundle._model_type == "WavLM" else models.wav2vec2_model
    model = build(**{**bundle._params, "aux_num_out": None})
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        first = " ".join(str(error).split("\n")[:2])
        raise InputError(f"{file} has no weights of {name}: {first}: give the file of this bundle") from error
    return model


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with. Writing the weights adds the bundles to torchaudio."""
    from extract.networks.tiny.sound import bundle

    return [
        {"bundle": "TINY_WAV2VEC2", "weights": bundle("wav2vec2")},
        {"bundle": "TINY_WAVLM", "weights": bundle("wavlm"), "layer": "1..2"},
    ]

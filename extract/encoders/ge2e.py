"""The voice encoder of Resemblyzer: a recurrent network that was trained to distinguish speakers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from abaw.errors import InputError
from abaw.files import sha256
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks import package_weights
from extract.networks.chunks import check_rate
from extract.networks.frozen import freeze, inference
from extract.networks.hub import MissingWeights, load_tensors
from extract.networks.package_weights import PackageWeights
from extract.networks.voice.level import Gain, Leveller
from extract.networks.voice.spectrum import MelSpectrum

if TYPE_CHECKING:
    from torch import nn

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "Apache-2.0", "size_mb": 17}

WEIGHTS = PackageWeights(
    package="Resemblyzer",
    version="0.1.4",
    file="resemblyzer/pretrained.pt",
    sha256="39373b86598fa3da9fcddee6142382efe09777e8d37dc9c0561f41f0070f134e",
    size_mb=17.1,
    licence="Apache-2.0",
)
RATE_HZ = 16000
HOP = 160  # samples: 10 ms
MELS = MelSpectrum(RATE_HZ, 400, 400, HOP, first_centre=0, num_bands=40, lowest_hz=0.0, highest_hz=8000.0)
QUARTERS = 4  # of a window; each window begins a quarter after the one before
BATCH = 32  # windows at a time: 13 s of new sound

Output = Literal["lstm1", "lstm2", "lstm3", "embedding"]


@ENCODERS.register
def ge2e(
    *,
    gain: Gain = "take",
    output: Output = "lstm2",
    window_s: float = 1.6,
    stride: int = 2,
    file: str | None = None,
    device: str = "cpu",
    download: bool = False,
) -> SoundEncoder:
    """The GE2E voice encoder of the package Resemblyzer 0.1.4: 256 values every ``stride`` times 10 ms.

    ``gain``: "take" raises a quiet recording to -30 dBFS as a whole, as the package does; "running" does so by the
    past 30 s, so that a row depends on nothing later than 12.5 ms after it; "fixed" leaves the level as it is.
    ``output``: the hidden state of one of the three LSTMs, or the package's embedding of the speaker, computed from
    the third; the second predicts expressions best. ``window_s``: the network starts anew for each window, as in the
    package. ``file``: other weights of this network, in a checkpoint as its training writes it.
    """
    settings: dict[str, Any] = {"gain": gain, "output": output, "window_s": window_s, "stride": stride}
    if file is not None:
        settings["file"] = file
    return Ge2e(_find(file, download), settings, device)


class Ge2e(SoundEncoder):
    """Row i is centred on ``stride * i`` times 10 ms and depends on 1.2 to 1.6 s before it (three to four quarters).

    Wan et al. 2018 (https://arxiv.org/abs/1710.10467). The network takes 40 mel bands every 10 ms, linear, not
    logarithmic, as librosa computes them. It is causal: a row's time is the centre of the last mel window that it
    depends on. It was trained on 1.6 s and does not forget: run over minutes, its state says more about how long it
    ran than about the voice. So, as in the package, it runs on windows of ``window_s``. Here they begin a quarter apart
    and each gives the rows of its last quarter, the first window all of its rows. The package also cuts long silences
    out; here they stay, because rows keep their times.
    """

    rate_hz = RATE_HZ

    def __init__(self, path: Path, settings: dict[str, Any], device: str) -> None:
        if not 1 <= settings["stride"] <= 100:
            raise InputError(f"ge2e: stride is {settings['stride']}, expected 1 to 100 (times 10 ms)")
        if not 0.4 <= settings["window_s"] <= 30:
            raise InputError(f"ge2e: window_s is {settings['window_s']}, expected 0.4 to 30 s")
        self._settings, self._device, self._weights = settings, device, sha256(path)
        self._quarter = round(settings["window_s"] * RATE_HZ / HOP / QUARTERS)
        network: Any = _read_network(path, settings["output"], is_known="file" not in settings)
        self.dim = network["linear"].out_features if "linear" in network else network["lstm"].hidden_size
        self._network = freeze(network, device)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "found_at": ["file"]}
        return {"encoder": "ge2e", "settings": self._settings, **made_of, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        check_rate(sound, RATE_HZ)
        num, done = 1 + len(sound.samples) // HOP if len(sound.samples) else 0, 0
        overlap = (QUARTERS - 1) * self._quarter
        gains, mels = Leveller(sound, self._settings["gain"], HOP), np.zeros((0, MELS.num_bands), np.float32)
        while done < num:
            stop = min(num, done + BATCH * self._quarter + (0 if done else overlap))
            numbers = np.arange(done, stop)
            power = MELS.rows(sound.samples, done, stop) * np.square(gains(numbers * HOP + MELS.window // 2))[:, None]
            mels = np.concatenate([mels, power.astype(np.float32)])
            rows = self._windows(mels, is_first=not done)[: stop - done]
            is_kept = numbers % self._settings["stride"] == 0
            times_s = sound.start_s + numbers[is_kept] * HOP / RATE_HZ
            mels, done = mels[-overlap:], stop
            yield Track(rows[is_kept], times_s, np.ones(len(times_s), bool))

    def _windows(self, mels: np.ndarray, is_first: bool) -> np.ndarray:
        """A row for each mel row, or where it is not the ``is_first`` call, for those after the overlap."""
        quarter, window = self._quarter, QUARTERS * self._quarter
        num = 1 + max(0, -(-(len(mels) - window) // quarter))
        # silence after the end: the network is causal, so that no row that is used depends on it
        padded = np.pad(mels, ((0, (num - 1) * quarter + window - len(mels)), (0, 0)))
        parts = np.lib.stride_tricks.sliding_window_view(padded, window, axis=0)[::quarter]
        hidden = self._forward(parts.transpose(0, 2, 1).copy())
        last = hidden[:, window - quarter :].reshape(-1, hidden.shape[2])
        return np.concatenate([hidden[0, : window - quarter], last]) if is_first else last

    def _forward(self, mels: np.ndarray) -> np.ndarray:
        """The rows (window, time, value) of mel bands (window, time, band)."""
        import torch

        with inference():
            rows = self._network["lstm"](torch.from_numpy(mels).to(self._device))[0]
            if "linear" in self._network:
                rows = torch.nn.functional.normalize(torch.relu(self._network["linear"](rows)), dim=-1)
            made: np.ndarray = rows.cpu().numpy()
            return made


def _find(file: str | None, download: bool) -> Path:
    if file is None:
        if download:
            return package_weights.fetch(WEIGHTS)
        return package_weights.require(WEIGHTS, "ge2e", "give ge2e:file=PATH to a copy of it")
    if not (path := Path(file).expanduser()).is_file():
        raise MissingWeights(f"no file {file} for ge2e: check the path")
    return path


def _read_network(path: Path, output: Output, is_known: bool) -> nn.ModuleDict:
    """The LSTMs up to that of the output, and the linear layer where the output is the embedding.

    Raises InputError where the checkpoint is that of another network.
    """
    from torch import nn

    tensors = load_tensors(path, is_known=is_known)
    num = 3 if output == "embedding" else int(output[-1])
    try:
        hidden = tensors["lstm.weight_hh_l0"].shape[1]
        network = nn.ModuleDict({"lstm": nn.LSTM(MELS.num_bands, hidden, num, batch_first=True)})
        if output == "embedding":
            network["linear"] = nn.Linear(hidden, len(tensors["linear.bias"]))
        network.load_state_dict({name: tensors[name] for name in network.state_dict()})
    except (KeyError, IndexError, RuntimeError) as error:
        raise InputError(
            f"{path} does not have the weights of GE2E's network ({str(error).splitlines()[-1].strip()}): give a "
            "checkpoint of Resemblyzer's voice encoder"
        ) from error
    return network


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.voice import write_ge2e

    return [{"file": TinyWeights("ge2e.pt", write_ge2e)}]

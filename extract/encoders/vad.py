"""Voice activity detection by silero's network: a probability of speech every 32 ms."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track, empty_track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder, SoundSteps
from extract.media import Samples, Sound
from extract.networks import package_weights
from extract.networks.chunks import Grid, check_rate
from extract.networks.hub import MissingWeights
from extract.networks.onnx_files import hash_network
from extract.networks.onnx_graph import open_session
from extract.networks.package_weights import PackageWeights

FACTS = {"modality": "audio", "dim": 1, "built_in": False, "licence": "MIT", "size_mb": 1}

WEIGHTS = PackageWeights(
    package="silero-vad",
    version="6.2.3",
    file="silero_vad/data/silero_vad_16k_op15.onnx",
    sha256="7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
    size_mb=1.3,
    licence="MIT",
)
STEP, CONTEXT = 512, 64  # samples of a row, and those before them that the network takes as context
GRID = Grid(16000, span=STEP, hop=STEP, centre=(STEP - 1) / 2)
STATE = (2, 1, 128)
PIECE = 2000  # rows of a piece of the track, about a minute
INPUTS, OUTPUTS = {"input", "state", "sr"}, ["output", "stateN"]
PACKAGED = ("silero_vad_16k_op15.onnx", "silero_vad.onnx")


@ENCODERS.register
def vad(*, file: str | None = None, download: bool = False) -> SoundEncoder:
    """The probability of speech every 32 ms, by silero's ONNX network: ``file``, or that of the package silero-vad."""
    return Vad(_find(file, download), {} if file is None else {"file": file})


class Vad(SoundEncoder):
    """Runs the network once over the sound and carries its state from row to row; it is causal.

    A row's time is the middle of its 32 ms; less than 32 ms at the end give no row. It runs on the CPU, because a step
    takes a fraction of a millisecond and depends on the one before.
    """

    rate_hz, dim = GRID.rate_hz, 1
    look_ahead_s = (STEP - GRID.centre) / GRID.rate_hz

    def __init__(self, path: Path, settings: dict[str, Any]) -> None:
        self._settings, self._weights = settings, hash_network(path)
        self._session = _session(path)
        self._wants_rate = "sr" in {each.name for each in self._session.get_inputs()}

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._weights, "found_at": ["file"]}
        return {"encoder": "vad", "settings": self._settings, **made_of, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        check_rate(sound, self.rate_hz)
        steps = self.steps(sound.start_s)
        for first in range(0, len(sound.samples), PIECE * STEP):
            yield steps.add(sound.samples[first : first + PIECE * STEP])

    def steps(self, start_s: float) -> SoundSteps:
        return _Steps(self, start_s)

    def run(self, samples: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The probability of a row and the next state, of the row's samples with those of its context."""
        given = {"input": samples[None], "state": state}
        if self._wants_rate:
            given["sr"] = np.array(self.rate_hz, np.int64)
        probability, state = self._session.run(OUTPUTS, given)
        return probability[0], state


class _Steps(SoundSteps):
    def __init__(self, vad: Vad, start_s: float) -> None:
        self._vad, self._start_s, self._done = vad, start_s, 0
        self._state = np.zeros(STATE, np.float32)
        self._left = np.zeros(CONTEXT, np.float32)  # the context of the next row, and its first samples

    def add(self, samples: Samples) -> Track:
        part = np.concatenate([self._left, samples])
        num = (len(part) - CONTEXT) // STEP
        values = np.empty((num, 1), np.float32)
        for row in range(num):
            values[row], self._state = self._vad.run(part[row * STEP : (row + 1) * STEP + CONTEXT], self._state)
        first, self._left, self._done = self._done, part[num * STEP :], self._done + num
        return Track(values, GRID.times_s(first, self._done, self._start_s), np.ones(num, bool))

    def finish(self) -> Track:
        return empty_track(1)


def _find(file: str | None, download: bool) -> Path:
    """The network's file: ``file``, or that of the package silero-vad, installed in any version or fetched alone."""
    if file is not None:
        if not Path(file).is_file():
            raise MissingWeights(f"no file {file} for vad: check the path")
        return Path(file)
    package = find_spec("silero_vad")
    for folder in (package.submodule_search_locations or ()) if package else ():
        for name in PACKAGED:
            if (path := Path(folder) / "data" / name).is_file():
                return path
    if download:
        return package_weights.fetch(WEIGHTS)
    return package_weights.require(WEIGHTS, "vad", "pip install silero-vad, or give vad:file=PATH")


def _session(path: Path) -> Any:
    """The network in onnxruntime, in one thread. Raises InputError where the file is not silero's network."""
    session = open_session(path, path, threads=1)  # a step is too short for several threads
    names = [{each.name for each in of()} for of in (session.get_inputs, session.get_outputs)]
    if not names[0] <= INPUTS or not {"input", "state"} <= names[0] or not set(OUTPUTS) <= names[1]:
        raise InputError(
            f"{path} has the inputs {', '.join(sorted(names[0]))} and the outputs {', '.join(sorted(names[1]))}, "
            "expected silero's network of version 5 or later (inputs input, state, sr; outputs output, stateN)"
        )
    return session


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.onnx import write_vad_net

    return [{"file": TinyWeights("vad.onnx", write_vad_net)}]

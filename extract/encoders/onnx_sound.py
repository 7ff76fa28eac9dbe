"""Any network for sound in an ONNX file, which gives rows over time or one row for each window of the sound."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import Grid, mean_and_variance, pieces, plan_chunks, read_blocks
from extract.networks.onnx_graph import Graph
from extract.networks.package_weights import find_file

FACTS = {"modality": "audio", "dim": None, "built_in": False, "licence": "the file's own", "size_mb": None}
PIECE = 64  # rows of a piece of the track where each window is a pass of its own

Level = tuple[float, float]  # mean and variance of a whole sound


@ENCODERS.register
def onnx_sound(
    *,
    file: str,
    field: int,
    hop: int,
    output: int | str = 0,
    rate_hz: int = 16000,
    normalize: bool = False,
    chunk_s: float = 30.0,
    overlap_s: float = 4.0,
    threads: int = 0,
    device: str = "cpu",
) -> SoundEncoder:
    """Any ONNX network for the waveform, from a file; each row depends on field samples, hop samples apart.

    For a network that gives rows over time (output with 3 axes: 1, rows, width) ``field`` and ``hop`` follow from its
    strides. For one that gives a single row for any sound (2 axes: 1, width) they are the length of a window and the
    step between windows. ``normalize``: each pass to zero mean and unit variance, as for wav2vec 2.0. ``threads``: of
    onnxruntime; 0 means one for each core.
    """
    settings = {
        "file": file, "field": field, "hop": hop, "output": output, "rate_hz": rate_hz, "normalize": normalize,
        "chunk_s": chunk_s, "overlap_s": overlap_s,
    }  # fmt: skip
    return OnnxSound(Graph(find_file(file), output, device=device, threads=threads), settings)


class OnnxSound(SoundEncoder):
    """A row's time is the centre of its ``field`` samples. Shorter sound gives no rows.

    A network with rows over time takes up to ``chunk_s`` in one pass, and longer sound in overlapping chunks
    (``normalize`` then uses mean and variance of the whole sound).
    """

    def __init__(self, graph: Graph, settings: dict[str, Any]) -> None:
        self._graph, self._settings, self.rate_hz = graph, settings, settings["rate_hz"]
        field, hop = settings["field"], settings["hop"]
        if min(field, hop, self.rate_hz) < 1:
            raise InputError(
                f"onnx_sound: field {field}, hop {hop}, rate_hz {self.rate_hz}: expected 1 or more of each"
            )
        if len(graph.shape) not in (1, 2, 3):
            raise InputError(
                f"the input of {graph.file} has {len(graph.shape)} axes {graph.shape}, expected a waveform: 1, samples"
            )
        self._grid = Grid(self.rate_hz, field, hop, (field - 1) / 2)
        self._chunks = plan_chunks("onnx_sound", self._grid, settings["chunk_s"], settings["overlap_s"])
        found = self._pass(np.zeros(field, np.float32))
        self._has_rows, self.dim = found.ndim == 2, int(found.shape[-1])

    def recipe(self) -> dict[str, Any]:
        made_of = {"weights": self._graph.weights, "found_at": ["file"]}
        return {"encoder": "onnx_sound", "settings": self._settings, **made_of, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        if not self._has_rows:
            return self._windows(sound)
        if self._settings["normalize"] and not self._chunks.fits(sound):
            mean, var = (float(each) for each in mean_and_variance(read_blocks(sound.samples)))
            return self._chunks.tracks(sound, lambda part: self._rows(part, (mean, var)))
        return self._chunks.tracks(sound, self._rows)

    def _rows(self, samples: np.ndarray, level: Level | None = None) -> np.ndarray:
        """The rows of one pass. Raises InputError where their number does not follow from field and hop."""
        found, expected = self._pass(samples, level), self._grid.num_rows(len(samples))
        if len(found) != expected:
            raise InputError(
                f"{self._graph.file} gave {len(found)} rows for {len(samples)} samples, expected {expected} by field "
                f"{self._grid.span} and hop {self._grid.hop}: give the field and hop of its strides"
            )
        return found

    def _windows(self, sound: Sound) -> Iterator[Track]:
        for _, first, stop, _ in pieces(self._grid.num_rows(len(sound.samples)), PIECE, 0):
            starts = np.arange(first, stop) * self._grid.hop
            values = np.stack([self._pass(sound.samples[start : start + self._grid.span]) for start in starts])
            yield Track(values, self._grid.times_s(first, stop, sound.start_s), np.ones(stop - first, bool))

    def _pass(self, samples: np.ndarray, level: Level | None = None) -> np.ndarray:
        """Rows over time (2 axes), or the single row of a window (1 axis)."""
        wave = np.array(samples, np.float32)
        if self._settings["normalize"]:
            mean, var = level or (float(wave.mean()), float(wave.var()))
            wave = ((wave - mean) / np.sqrt(var + 1e-7)).astype(np.float32)
        axes = len(self._graph.shape)
        found = self._graph(wave.reshape((1,) * (axes - 1) + (-1,)))
        if axes > 1 and found.ndim > 1 and len(found) == 1:
            found = found[0]
        if found.ndim not in (1, 2):
            raise InputError(
                f"output {self._graph.output!r} of {self._graph.file} has the shape {found.shape}, expected (1, rows, "
                "width) or (1, width): give output=NAME of another tensor"
            )
        return found


def examples() -> list[dict[str, Any]]:
    """Settings that the contract tests build it with."""
    from extract.networks.tiny import TinyWeights
    from extract.networks.tiny.onnx import write_wave_net

    rows = TinyWeights("rows.onnx", write_wave_net)
    window = TinyWeights("window.onnx", partial(write_wave_net, is_pooled=True))
    return [
        {"file": rows, "field": 400, "hop": 320},
        {"file": rows, "field": 400, "hop": 320, "chunk_s": 0.3, "overlap_s": 0.1, "normalize": True},
        {"file": window, "field": 1600, "hop": 800},
    ]

"""The voice as phoneticians describe it: low-level descriptors of the eGeMAPS set, by openSMILE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from abaw.errors import InputError
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import Grid, chunks

DIM = 25
FACTS = {
    "modality": "audio",
    "dim": 25,
    "built_in": False,
    "licence": "openSMILE: research only, a contract for products",
    "size_mb": 0,
}

RATE_HZ = 16000
# A row starts every 10 ms and has its windows of 20 and of 60 ms from there; openSMILE's index tells of the first.
GRID = Grid(RATE_HZ, span=960, hop=160, centre=160.0)
CHUNK_S, OVERLAP_S = 60.0, 8.0
LOUDEST = 32767 / 32768  # openSMILE takes 16 bits: its wrapper turns a sample of 1.0 into -1.0


@ENCODERS.register
def egemaps() -> SoundEncoder:
    """Loudness, pitch, jitter, formants and 19 more descriptors every 10 ms (eGeMAPSv02), by openSMILE."""
    return Egemaps()


class Egemaps(SoundEncoder):
    """25 columns; pitch and what hangs on it are 0 where there is no voice.

    Eyben et al., The Geneva Minimalistic Acoustic Parameter Set, IEEE TAC 7(2), 2016. A row's time is the middle of its
    20 ms window, as openSMILE says; pitch, jitter, shimmer, harmonics and formants see 60 ms from the row's start, so
    that they are of a moment 20 ms later. Sound over a minute goes in chunks: jitter and shimmer are counted period by
    period from a chunk's first, which the 4 s before a kept row make forget (3 s did in all of 18 trials). One more row
    that openSMILE adds by smoothing beyond the end is left out.
    """

    rate_hz, dim = RATE_HZ, DIM

    def __init__(self) -> None:
        try:
            import opensmile
        except ImportError as error:
            raise InputError("egemaps needs the package opensmile: pip install 'abaw[smile]'") from error
        self._chunks = chunks("egemaps", GRID, CHUNK_S, OVERLAP_S)
        self._smile = opensmile.Smile(
            feature_set=opensmile.FeatureSet.eGeMAPSv02,
            feature_level=opensmile.FeatureLevel.LowLevelDescriptors,
        )
        self.columns = tuple(self._smile.feature_names)
        self._version = opensmile.__version__

    def recipe(self) -> dict[str, Any]:
        return {"encoder": "egemaps", "settings": {}, "opensmile": self._version, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        return self._chunks.tracks(sound, self._rows)

    def _rows(self, part: np.ndarray) -> np.ndarray:
        rows: np.ndarray = self._smile.process_signal(part.clip(-1, LOUDEST), RATE_HZ).to_numpy(np.float32)
        return rows

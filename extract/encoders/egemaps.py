"""Low-level descriptors of the eGeMAPS set, computed by openSMILE."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from abaw.optional import import_optional
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import Grid, plan_chunks

DIM = 25
FACTS = {
    "modality": "audio",
    "dim": 25,
    "built_in": False,
    "licence": "openSMILE: research only, a contract for products",
    "size_mb": 0,
}

RATE_HZ = 16000
# A row starts every 10 ms, with windows of 20 and 60 ms from there; openSMILE's index gives the first.
GRID = Grid(RATE_HZ, span=960, hop=160, centre=160.0)
CHUNK_S, OVERLAP_S = 60.0, 8.0
MAX_SAMPLE = 32767 / 32768  # openSMILE takes 16 bits: its wrapper turns a sample of 1.0 into -1.0


@ENCODERS.register
def egemaps() -> SoundEncoder:
    """Loudness, pitch, jitter, formants and 19 more descriptors every 10 ms (eGeMAPSv02), by openSMILE."""
    return Egemaps()


class Egemaps(SoundEncoder):
    """25 columns (``columns`` names them); pitch and what depends on it are 0 in unvoiced rows.

    Eyben et al., The Geneva Minimalistic Acoustic Parameter Set, IEEE TAC 7(2), 2016. A row's time is the middle of its
    20 ms window, as openSMILE's index says. Pitch, jitter, shimmer, harmonics and formants are computed from 60 ms
    after the row's start, so that their centre lies 20 ms later. Sound longer than a minute goes in chunks. Jitter and
    shimmer depend on the periods before, which no longer matters after the 4 s of context of each row (3 s sufficed in
    18 of 18 trials). A last row that openSMILE adds by smoothing beyond the end is left out.
    """

    rate_hz, dim = RATE_HZ, DIM

    def __init__(self) -> None:
        opensmile = import_optional("opensmile", needed_by="egemaps", extra="smile")
        self._chunks = plan_chunks("egemaps", GRID, CHUNK_S, OVERLAP_S)
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
        rows: np.ndarray = self._smile.process_signal(part.clip(-1, MAX_SAMPLE), RATE_HZ).to_numpy(np.float32)
        return rows

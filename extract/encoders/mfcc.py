"""The acoustic baseline of many papers, computed by librosa: MFCC with deltas, energy, spectral shape and chroma."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from filelock import FileLock

from abaw.errors import InputError
from abaw.optional import import_optional
from abaw.tracks import Track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound
from extract.networks.chunks import check_rate

FACTS = {"modality": "audio", "dim": None, "built_in": True, "licence": "ISC (librosa)", "size_mb": 0}

RATE_HZ = 16000
HOP = 160  # samples: 10 ms
DELTA_WIDTH = 9  # rows of the regression of a delta, librosa's default
FLOOR = 1e-5  # of magnitudes in spectral contrast: so high that librosa never clips at 80 dB below the loudest row
PIECE = 3000  # rows computed at a time; 30 s
TUNING = 0.0  # of the chroma, in fractions of a bin: A4 is 440 Hz; speech has no tuning to estimate
LOCK = Path(tempfile.gettempdir()) / f"abaw-librosa-{os.getuid()}.lock"


@ENCODERS.register
def mfcc(
    *,
    num_mfcc: int = 20,
    deltas: Literal[0, 1, 2] = 2,
    num_mels: int = 128,
    window_s: float = 0.064,
    top_db: float | None = 80.0,
) -> SoundEncoder:
    """MFCC with deltas, RMS, zero crossings, spectral shape and chroma every 10 ms, by librosa.

    ``deltas``: 0 none, 1 with first, 2 with first and second differences. ``window_s`` is the window of all columns.
    ``top_db`` clips the mel spectrum at so many dB below the maximum over the whole sound, as librosa does by default;
    None: a row depends on its window and the deltas' eight neighbours only.
    """
    settings = {
        "num_mfcc": num_mfcc, "deltas": deltas, "num_mels": num_mels, "window_s": window_s, "top_db": top_db,
    }  # fmt: skip
    return Mfcc(settings)


class Mfcc(SoundEncoder):
    """``num_mfcc * (1 + deltas) + 24`` columns, 84 by default; ``columns`` names them.

    Davis and Mermelstein 1980 (MFCC); Jiang et al. 2002 (spectral contrast); McFee et al. 2015 (librosa). MFCC, first
    and second deltas (9 rows, as is usual), RMS, zero-crossing rate, spectral centroid, bandwidth, roll-off (85 %), 7
    bands of contrast, 12 of chroma. A row's time is the centre of its window, a multiple of 10 ms; windows that reach
    beyond the sound are padded with silence (for the zero-crossing rate with the first and the last sample), as librosa
    does with ``center=True``. Values equal librosa's functions called on the whole sound with ``n_fft`` and
    ``hop_length``, with two exceptions, so that they do not depend on the whole sound: chroma with ``tuning=0``, and
    contrast of magnitudes of at least 1e-5. Sound shorter than 9 rows repeats its first and its last row for the deltas
    (``mode="nearest"``).
    """

    rate_hz = RATE_HZ

    def __init__(self, settings: dict[str, Any]) -> None:
        self._settings, self._top_db = settings, settings["top_db"]
        self._window = round(settings["window_s"] * RATE_HZ / 2) * 2
        self._check(settings)
        self._librosa = load_librosa()
        num, deltas = settings["num_mfcc"], settings["deltas"]
        kinds = ["mfcc", "mfcc_delta", "mfcc_delta2"][: deltas + 1]
        self.columns = (
            *(f"{kind}_{index}" for kind in kinds for index in range(num)),
            *("rms", "zero_crossing_rate", "spectral_centroid", "spectral_bandwidth", "spectral_rolloff"),
            *(f"spectral_contrast_{index}" for index in range(7)),
            *(f"chroma_{index}" for index in range(12)),
        )
        self.dim = len(self.columns)
        self._check_bands()

    def _check(self, settings: dict[str, Any]) -> None:
        if not 1 <= settings["num_mfcc"] <= settings["num_mels"]:
            raise InputError(
                f"mfcc: num_mfcc is {settings['num_mfcc']}, expected 1 to num_mels ({settings['num_mels']})"
            )
        if not 0.016 <= settings["window_s"] <= 1:
            raise InputError(f"mfcc: window_s is {settings['window_s']}, expected 0.016 to 1 s")
        if self._top_db is not None and self._top_db <= 0:
            raise InputError(f"mfcc: top_db is {self._top_db}, expected more than 0 dB, or none")

    def _check_bands(self) -> None:
        """Raises InputError where the window is so short that mel bands are empty."""
        num_mels = self._settings["num_mels"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # librosa warns of it too
            bands = self._librosa.filters.mel(sr=RATE_HZ, n_fft=self._window, n_mels=num_mels)
        if not bands.any(axis=1).all():
            raise InputError(
                f"mfcc: num_mels is {num_mels}, but a window of {self._settings['window_s']} s does not resolve the "
                "lowest bands: give fewer bands or a longer window"
            )

    def recipe(self) -> dict[str, Any]:
        made_by = {"librosa": self._librosa.__version__}
        return {"encoder": "mfcc", "settings": self._settings, **made_by, "version": 1}

    def encode(self, sound: Sound) -> Iterator[Track]:
        check_rate(sound, RATE_HZ)
        num = 1 + len(sound.samples) // HOP if len(sound.samples) else 0
        floor_db = self._floor_db(sound.samples, num)
        for first in range(0, num, PIECE):
            stop = min(num, first + PIECE)
            values = self._rows(sound.samples, first, stop, num, floor_db)
            yield Track(values, sound.start_s + np.arange(first, stop) * HOP / RATE_HZ, np.ones(stop - first, bool))

    def _floor_db(self, samples: np.ndarray, num: int) -> float:
        """The level at which the mel spectrum is clipped: ``top_db`` below its maximum over the whole sound."""
        if self._top_db is None or not num:
            return -np.inf
        parts = [(first, min(num, first + PIECE)) for first in range(0, num, PIECE)]
        loudest = max(self._mel_db(self._magnitudes(self._samples(samples, *part))).max() for part in parts)
        return float(loudest) - self._top_db

    def _rows(self, samples: np.ndarray, first: int, stop: int, num: int, floor_db: float) -> np.ndarray:
        """Rows ``first`` to ``stop`` of ``num``, float32."""
        feature, window = self._librosa.feature, self._window
        # more than the rows that a delta needs on either side, so that no piece is too short for its regression
        begin, end = max(0, first - DELTA_WIDTH), min(num, stop + DELTA_WIDTH)
        padded = self._samples(samples, begin, end)
        magnitudes = self._magnitudes(padded)
        cepstra = feature.mfcc(S=np.maximum(self._mel_db(magnitudes), floor_db), n_mfcc=self._settings["num_mfcc"])
        mode = "interp" if end - begin >= DELTA_WIDTH else "nearest"
        orders = range(1, self._settings["deltas"] + 1)
        frames = {"frame_length": window, "hop_length": HOP, "center": False}
        spectrum = {"sr": RATE_HZ, "n_fft": window}
        columns = [
            cepstra,
            *(feature.delta(cepstra, width=DELTA_WIDTH, order=order, mode=mode) for order in orders),
            feature.rms(y=padded, **frames),
            feature.zero_crossing_rate(self._samples(samples, begin, end, repeats_ends=True), **frames),
            feature.spectral_centroid(S=magnitudes, **spectrum),
            feature.spectral_bandwidth(S=magnitudes, **spectrum),
            feature.spectral_rolloff(S=magnitudes, **spectrum),
            feature.spectral_contrast(S=np.maximum(magnitudes, FLOOR), **spectrum),
            feature.chroma_stft(S=magnitudes**2, tuning=TUNING, **spectrum),
        ]
        rows: np.ndarray = np.concatenate(columns)[:, first - begin : stop - begin].T.astype(np.float32)
        return rows

    def _samples(self, samples: np.ndarray, first: int, stop: int, repeats_ends: bool = False) -> np.ndarray:
        """The samples of the windows of rows ``first`` to ``stop``, with silence (or repetition) beyond the sound."""
        begin, end = first * HOP - self._window // 2, (stop - 1) * HOP + self._window // 2
        low, high = max(0, begin), min(len(samples), end)
        part = np.array(samples[low:high], np.float32)
        return np.pad(part, (low - begin, end - high), mode="edge" if repeats_ends else "constant")

    def _magnitudes(self, padded: np.ndarray) -> np.ndarray:
        """The magnitudes (frequency, row) of Hann windows."""
        spectrum = self._librosa.stft(padded, n_fft=self._window, hop_length=HOP, center=False)
        magnitudes: np.ndarray = np.abs(spectrum)
        return magnitudes

    def _mel_db(self, magnitudes: np.ndarray) -> np.ndarray:
        """The mel spectrum (band, row) in dB."""
        mel = self._librosa.feature.melspectrogram(S=magnitudes**2, sr=RATE_HZ, n_mels=self._settings["num_mels"])
        mel_db: np.ndarray = self._librosa.power_to_db(mel, top_db=None)
        return mel_db


@cache
def load_librosa() -> Any:
    """librosa, ready to run, by one process at a time.

    At its first use in a fresh environment librosa compiles functions with numba for some 20 s and writes them to a
    cache folder. Two processes that did so at the same moment have crashed. Here the first holds a file lock while it
    compiles, and the others wait and then load from the cache.
    """
    with FileLock(LOCK):
        librosa = import_optional("librosa", needed_by="mfcc")
        try:
            noise = np.random.default_rng(0).normal(size=2048).astype(np.float32)
            magnitudes = np.abs(librosa.stft(noise, n_fft=512, hop_length=HOP))
            librosa.feature.mfcc(S=librosa.power_to_db(librosa.feature.melspectrogram(S=magnitudes, n_mels=8)))
            librosa.feature.zero_crossing_rate(noise)
            librosa.feature.spectral_contrast(S=magnitudes, sr=RATE_HZ)
            librosa.feature.chroma_stft(S=magnitudes, sr=RATE_HZ, tuning=TUNING)
        except RuntimeError as error:
            if "cache" not in str(error):
                raise
            raise InputError(
                f"librosa cannot write its compiled functions ({error}): set the environment variable NUMBA_CACHE_DIR "
                "to a folder that can be written"
            ) from error
    return librosa

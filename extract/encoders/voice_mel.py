"""A voice encoder that needs no download: log-mel spectrum and prosody."""

from typing import Any

import numpy as np

from abaw.tracks import Track, empty_track
from extract.encoders import ENCODERS
from extract.encoders.base import SoundEncoder
from extract.media import Sound

DIM = 49
FACTS = {"modality": "audio", "dim": 49, "embedded": True, "licence": "Apache-2.0", "size_mb": 0}

RATE_HZ = 16000
HOP = 160  # 10 ms: finer than any frame clock, so that every frame's interval holds a row up to 100 fps
NUM_FFT = 512
PITCH_FRAME = 1024  # 64 ms: two periods of 60 Hz and a little more
NUM_MELS = 40
FLOOR = 1e-5  # -100 dB: silence stays finite


@ENCODERS.register
def voice_mel() -> SoundEncoder:
    """Log-mel spectrum (40 bands) and prosody (loudness, pitch, voicing, tilt, rate) every 10 ms."""
    return VoiceMel()


class VoiceMel(SoundEncoder):
    """Rows are centred on multiples of 10 ms. The slow means look at 1 s around a row, the rest at 25 to 64 ms."""

    rate_hz = RATE_HZ
    dim = DIM

    def recipe(self) -> dict[str, Any]:
        return {"encoder": "voice_mel", "settings": {}, "version": 1}

    def encode(self, sound: Sound) -> Track:
        if not len(sound.samples):
            return empty_track(self.dim)
        magnitude, mel = _spectra(sound.samples)
        values = np.concatenate([mel, _prosody(sound.samples, magnitude, mel)], axis=1).astype(np.float32)
        times_s = sound.start_s + np.arange(len(values)) * HOP / RATE_HZ
        return Track(values, times_s, np.ones(len(values), bool))


def _spectra(samples: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Magnitudes (bin, time) of Hann windows of 25 ms, and the log-mel spectrum (time, band)."""
    import torch
    from torchaudio.transforms import MelScale, Spectrogram

    with torch.inference_mode():
        spectrogram = Spectrogram(NUM_FFT, win_length=400, hop_length=HOP, power=1, pad_mode="constant")
        magnitude = spectrogram(torch.from_numpy(samples))
        mel = MelScale(NUM_MELS, RATE_HZ, f_min=50, n_stft=NUM_FFT // 2 + 1)(magnitude.square())
        return magnitude.numpy(), mel.clamp_min(FLOOR**2).log10().T.numpy()


def _prosody(samples: np.ndarray, magnitude: np.ndarray, mel: np.ndarray) -> np.ndarray:
    """Loudness, pitch, zero crossings and tilt of each row; onsets, voicing and their like over a second."""
    import librosa

    loudness = np.log10(librosa.feature.rms(S=magnitude, frame_length=NUM_FFT)[0] + FLOOR)
    # a frame of 64 ms holds two periods of 60 Hz and a little more
    pitch_hz = librosa.yin(
        samples, fmin=60, fmax=500, sr=RATE_HZ, frame_length=1024, hop_length=HOP, pad_mode="constant"
    )
    crossings = librosa.feature.zero_crossing_rate(samples, frame_length=400, hop_length=HOP)[0]
    onsets = librosa.onset.onset_strength(
        S=10 * mel.T, sr=RATE_HZ, hop_length=HOP, center=False
    )  # rows are centred already
    tilt = mel[:, NUM_MELS // 2 :].mean(axis=1) - mel[:, : NUM_MELS // 2].mean(axis=1)
    fast = np.stack([loudness, np.log2(pitch_hz / 60), crossings, tilt], axis=1)
    voiced = (loudness > loudness.max() - 1.5) & (crossings < 0.25)
    slow = [_second_mean(onsets), _second_mean(voiced), *(_second_mean(fast[:, i], voiced) for i in (0, 1, 3))]
    return np.concatenate([fast, np.stack(slow, axis=1)], axis=1)


def _pitch(samples: np.ndarray, num_rows: int) -> np.ndarray:
    """Pitch in Hz by YIN (de Cheveigne and Kawahara 2002), a minute at a time: it takes 2 MB for each second."""
    import librosa

    padded = np.pad(samples, PITCH_FRAME // 2)
    found = []
    for first in range(0, num_rows, 6000):
        stop = min(first + 6000, num_rows)
        part = padded[first * HOP : (stop - 1) * HOP + PITCH_FRAME]
        found.append(
            librosa.yin(part, fmin=60, fmax=500, sr=RATE_HZ, frame_length=PITCH_FRAME, hop_length=HOP, center=False)
        )
    return np.concatenate(found)


def _second_mean(values: np.ndarray, where: np.ndarray | None = None) -> np.ndarray:
    """Mean over one second around each row, of the rows where ``where`` is True; 0 where there is none."""
    weight = np.ones(len(values)) if where is None else where.astype(float)
    sums, counts = (np.concatenate([[0.0], np.cumsum(x)]) for x in (values * weight, weight))
    first = np.clip(np.arange(len(values)) - 50, 0, None)
    stop = np.clip(np.arange(len(values)) + 51, None, len(values))
    count = counts[stop] - counts[first]
    return np.divide(sums[stop] - sums[first], count, out=np.zeros(len(values)), where=count > 0)

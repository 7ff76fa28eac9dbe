"""Voices of the synthetic data set: glottal pulses filtered by formants, syllable by syllable.

Arousal raises pitch, level and speaking rate and flattens the spectral tilt; valence shifts the formants a little.
"""

from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter, resample_poly

from abaw.errors import InputError

VOICE_HZ = 16000  # the rate at which voices are synthesised, before resampling
VOWELS_HZ = np.array(  # the first three formants of a, e, i, o, u for an average speaker
    [[750, 1250, 2550], [500, 1800, 2550], [300, 2200, 2900], [480, 900, 2450], [330, 800, 2300]], float
)
BANDWIDTHS_HZ = np.array([90.0, 110.0, 160.0])
PITCH_SPAN = 1.6  # pitch at arousal 1 over pitch at arousal -1
LEVEL_SPAN_DB = 12.0
RATES_HZ = (2.0, 6.0)  # syllables per second at arousal -1 and 1


@dataclass(frozen=True)
class Voice:
    """What does not change in a voice: pitch at arousal -1, factors on formants (``tract``) and on speaking rate."""

    pitch_hz: float
    tract: float
    rate: float
    level_db: float
    breath: float
    room_db: float


def draw_voice(rng: np.random.Generator) -> Voice:
    """A random voice."""
    return Voice(
        pitch_hz=float(np.exp(rng.uniform(np.log(90.0), np.log(210.0)))),
        tract=rng.uniform(0.9, 1.12),
        rate=rng.uniform(0.92, 1.08),
        level_db=float(rng.normal(0.0, 0.8)),
        breath=rng.uniform(0.01, 0.04),
        room_db=rng.uniform(-62.0, -54.0),
    )


def synthesize_voice(
    voice: Voice, arousal: np.ndarray, valence: np.ndarray, rate_hz: int, rng: np.random.Generator
) -> np.ndarray:
    """Samples of a voice in float32, in [-1, 1] at ``rate_hz`` (16000 or 44100), with faint noise of a room.

    ``arousal`` and ``valence`` have one value per sample at ``VOICE_HZ``. Raises InputError for another ``rate_hz``.
    """
    num = len(arousal)
    strength = (arousal + 1) / 2
    time_s = np.arange(num) / VOICE_HZ
    voiced = _phrases(num, rng)
    rate = voice.rate * (RATES_HZ[0] + (RATES_HZ[1] - RATES_HZ[0]) * strength)
    beat = np.cumsum(rate) / VOICE_HZ + rng.uniform()
    envelope = (0.12 + 0.88 * (0.5 - 0.5 * np.cos(2 * np.pi * beat)) ** 0.7) * voiced
    intonation = 0.05 * _wander(time_s, 0.5, rng) + 0.012 * _wander(time_s, 4.0, rng)
    pitch = voice.pitch_hz * PITCH_SPAN**strength * np.exp(intonation)
    source = _pulses(pitch) + voice.breath * rng.standard_normal(num)
    source = _tilt(source, strength + 0.06 * _wander(time_s, 0.4, rng))
    sound = _resonate(source, beat, voice, valence + 0.6 * _wander(time_s, 0.3, rng), rng)
    gain_db = voice.level_db - LEVEL_SPAN_DB * (1 - strength) + 0.8 * _wander(time_s, 0.5, rng) - 20.0
    sound = sound * envelope * 10 ** (gain_db / 20)
    sound += 10 ** (voice.room_db / 20) * rng.standard_normal(num)
    if rate_hz == 44100:
        sound = resample_poly(sound, 441, 160)
    elif rate_hz != VOICE_HZ:
        raise InputError(f"rate_hz is {rate_hz}, expected 16000 or 44100")
    return np.clip(sound, -1.0, 1.0).astype(np.float32)


def _phrases(num: int, rng: np.random.Generator) -> np.ndarray:
    """1 while speaking, 0 in the short pauses between phrases, with smooth transitions."""
    voiced = np.ones(num)
    at = rng.uniform(1.0, 2.5)
    while at * VOICE_HZ < num:
        pause = rng.uniform(0.15, 0.35)
        voiced[int(at * VOICE_HZ) : int((at + pause) * VOICE_HZ)] = 0.0
        at += pause + rng.uniform(1.5, 3.0)
    edge = int(0.04 * VOICE_HZ)
    padded = np.concatenate([np.full(edge, voiced[0]), voiced])
    total = np.cumsum(padded)
    return (total[edge:] - total[:-edge]) / edge


def _pulses(pitch_hz: np.ndarray) -> np.ndarray:
    """The derivative of the glottal flow, one pulse per period (Rosenberg, 1971), with unit power."""
    phase = np.cumsum(pitch_hz / VOICE_HZ) % 1.0
    opening = 0.5 - 0.5 * np.cos(np.pi * phase / 0.45)
    closing = np.cos(0.5 * np.pi * (phase - 0.45) / 0.15)
    flow = np.where(phase < 0.45, opening, np.where(phase < 0.6, closing, 0.0))
    source = np.diff(flow, prepend=flow[0])
    return source / (source.std() + 1e-9)


def _tilt(source: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """The source with less spectral tilt where ``strength`` is high: a mixture of a low-passed and a bright copy."""
    dull = lfilter([0.06], [1.0, -0.94], source)
    bright = source - 0.95 * np.concatenate([[0.0], source[:-1]])
    dull, bright = dull / (dull.std() + 1e-9), bright / (bright.std() + 1e-9)
    share = np.clip(strength, 0.0, 1.0)
    return np.sqrt(1 - share) * dull + np.sqrt(share) * bright


def _resonate(
    source: np.ndarray, beat: np.ndarray, voice: Voice, shift: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Three formant filters in series, with a random vowel for each syllable; filter states are kept between them."""
    syllable = np.floor(beat - beat[0]).astype(int)
    starts = np.flatnonzero(np.diff(syllable, prepend=-1))
    stops = np.append(starts[1:], len(source))
    sound = np.empty_like(source)
    states = np.zeros((3, 2))
    for start, stop in zip(starts, stops, strict=True):
        vowel = VOWELS_HZ[rng.integers(len(VOWELS_HZ))] * rng.uniform(0.95, 1.05, 3)
        formants = vowel * voice.tract * (1 + 0.03 * shift[start])  # a smile shortens the vocal tract
        block = source[start:stop]
        for k in range(3):
            radius = np.exp(-np.pi * BANDWIDTHS_HZ[k] / VOICE_HZ)
            poles = [1.0, -2 * radius * np.cos(2 * np.pi * formants[k] / VOICE_HZ), radius**2]
            block, states[k] = lfilter([sum(poles)], poles, block, zi=states[k])
        sound[start:stop] = block
    return sound / (sound.std() + 1e-9)


def _wander(time_s: np.ndarray, rate_hz: float, rng: np.random.Generator) -> np.ndarray:
    """A slow irregular motion of about unit size: three sinusoids with frequencies around ``rate_hz``."""
    total = np.zeros_like(time_s)
    for _ in range(3):
        total += np.sin(2 * np.pi * (rate_hz * rng.uniform(0.6, 1.6) * time_s + rng.uniform()))
    return total / np.sqrt(1.5)

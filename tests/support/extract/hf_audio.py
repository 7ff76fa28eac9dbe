"""Sound for Hugging Face sound models, and the encoders that are tested on it."""

import numpy as np

from extract.encoders import ENCODERS
from extract.encoders.base import joined
from extract.media import Sound
from extract.synthetic.voice import draw_voice, synthesize_voice

RATE_HZ = 16000
WAVES = ("wav2vec2", "wav2vec2_large", "hubert", "wavlm", "data2vec", "unispeech", "sew", "audeering")
ALL = (*WAVES, "wav2vec2_bert", "whisper")


def voice(seconds=1.0, start_s=0.0, seed=0):
    """A voice that becomes louder and softer, with faint noise."""
    rng, num = np.random.default_rng(seed), round(seconds * RATE_HZ)
    arousal = np.sin(np.arange(num) * (2 * np.pi / 5 / RATE_HZ))
    return Sound(synthesize_voice(draw_voice(rng), arousal, np.zeros(num), RATE_HZ, rng), RATE_HZ, start_s)


def build(models, name, **settings):
    return ENCODERS.build("hf_audio", model=str(models[name]), **settings)


def track(encoder, sound):
    return joined(encoder.encode(sound), encoder.dim)

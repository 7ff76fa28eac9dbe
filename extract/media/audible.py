"""Whether there is something to hear in a file, and whether its channels cancel each other out."""

import os

import numpy as np

from extract.media.audio_buffer import Samples
from extract.media.container import DecodeCounts, decode, open_media
from extract.media.mono import Mixer
from extract.media.streams import choose_audio_stream

MIN_PEAK = 1e-3  # -60 dB: below it there is nothing to hear, only the noise of a codec or a converter
ENOUGH_S = 5.0  # of audible sound
BLOCK_SAMPLES = 1 << 20


def is_audible(samples: Samples) -> bool:
    """Whether some sample is louder than noise; read only up to it, in blocks: the sound may be mapped from a file."""
    return any(
        np.abs(samples[first : first + BLOCK_SAMPLES]).max() >= MIN_PEAK
        for first in range(0, len(samples), BLOCK_SAMPLES)
    )


def look_for_sound(path: str | os.PathLike, audio_stream: int | None = None) -> tuple[bool, str]:
    """Whether a file's sound is audible, and which channel is taken where its channels cancel out, else "".

    No more is decoded than the first ``ENOUGH_S`` of audible sound. Raises NotFoundError, and MediaError where the file
    cannot be read or has no such stream.
    """
    mixer, audible_s = Mixer(), 0.0
    with open_media(path) as container:
        stream = choose_audio_stream(container, audio_stream)
        for frame in decode(container, stream, DecodeCounts()) if stream else ():
            if is_audible(mixer.mix(frame)):
                audible_s += frame.samples / frame.sample_rate
            if audible_s >= ENOUGH_S:
                break
    return audible_s > 0 or bool(mixer.loudest), mixer.loudest

"""The sound of a media file: mono, every sample at its true time."""

import os
from collections.abc import Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from extract.media.audio_buffer import AudioBuffer, Samples
from extract.media.container import DecodeCounts, MediaError, decode, open_media
from extract.media.mono import Mixer
from extract.media.streams import choose_audio_stream
from extract.media.timing import time_of

MAX_GAP_S = 3600.0  # in the sound; a longer one means broken time stamps, and its zeros would fill the memory


@dataclass(frozen=True)
class Sound:
    """Mono sound in [-1, 1]; the first sample is at ``start_s``. A clip without sound has no samples.

    ``samples`` may be mapped from a file: read slices, a copy of the whole may not fit into memory. ``gaps_s``: spans
    (start, stop) in which nothing could be decoded; their samples are zero. ``channel``: the one channel that was
    taken, as FFmpeg names it ("FL" is left), because channels cancel each other out when they are mixed; else "".
    """

    samples: Samples
    rate_hz: int
    start_s: float
    gaps_s: tuple[tuple[float, float], ...] = ()
    channel: str = ""

    @property
    def stop_s(self) -> float:
        """When the last sample ends."""
        return self.start_s + len(self.samples) / self.rate_hz


def sound(
    path: str | os.PathLike,
    rate_hz: int = 16000,
    counts: DecodeCounts | None = None,
    *,
    audio_stream: int | None = None,
) -> Sound:
    """Decode the main sound of a file to mono at ``rate_hz``, every sample at its true time.

    It is audio stream ``audio_stream``, by default the one flagged default, else FFmpeg's choice. Two channels give
    their mean, surround sound is mixed by its layout (``mono.Mixer``). Where the mix is nearly silent because channels
    are in opposite phase, the loudest channel is taken for the whole file, and ``channel`` names it.

    Missing sound is filled with zeros and listed in ``gaps_s``; overlapping sound is cut. ``counts`` receives what was
    lost. A file without sound gives no samples, at 0.0 s. Raises NotFoundError, and MediaError where the file cannot be
    read, no sound can be decoded, or its times jump by more than an hour.
    """
    return sounds(path, [rate_hz], counts=counts, audio_stream=audio_stream)[rate_hz]


def sounds(
    path: str | os.PathLike,
    rates_hz: Iterable[int],
    folder: Path | None = None,
    counts: DecodeCounts | None = None,
    *,
    audio_stream: int | None = None,
) -> dict[int, Sound]:
    """As ``sound`` at several rates, decoded once, or twice where channels cancel each other out.

    With ``folder`` the samples are memory-mapped from unnamed temporary files there, which vanish with the samples:
    even four hours of sound take no memory.
    """
    rates_hz, mixer = list(rates_hz), Mixer()
    counts = DecodeCounts() if counts is None else counts
    decoded = _decode_sounds(path, rates_hz, folder, counts, audio_stream, mixer)
    if mixer.loudest:
        decoded = _decode_sounds(path, rates_hz, folder, DecodeCounts(), audio_stream, Mixer(mixer.loudest))
    return decoded


def _decode_sounds(
    path: str | os.PathLike,
    rates_hz: list[int],
    folder: Path | None,
    counts: DecodeCounts,
    audio_stream: int | None,
    mixer: Mixer,
) -> dict[int, Sound]:
    with ExitStack() as files:
        buffers = [files.enter_context(closing(AudioBuffer(rate_hz, folder))) for rate_hz in rates_hz]
        if buffers:
            _decode_sound(path, buffers, counts, audio_stream, mixer)
        return {
            buffer.rate_hz: Sound(buffer.finish(), buffer.rate_hz, buffer.start_s, tuple(buffer.gaps_s), mixer.channel)
            for buffer in buffers
        }


def _decode_sound(
    path: str | os.PathLike, buffers: list[AudioBuffer], counts: DecodeCounts, audio_stream: int | None, mixer: Mixer
) -> None:
    """Decode one sound of a file into every buffer."""
    first, num_corrupt = buffers[0], counts.num_corrupt_packets
    with open_media(path) as container:
        stream: Any = choose_audio_stream(container, audio_stream)
        for frame in decode(container, stream, counts) if stream else ():
            time_s = time_of(frame, stream)
            if first.is_started and time_s is not None and time_s > first.stop_s + MAX_GAP_S:
                raise MediaError(
                    f"the sound of {path} jumps from {first.stop_s:.1f} s to {time_s:.1f} s: its time stamps are "
                    "broken, rewrite the file with ffmpeg"
                )
            samples = mixer.mix(frame)
            for buffer in buffers:
                buffer.append(samples, frame.sample_rate, time_s)
    num_corrupt = counts.num_corrupt_packets - num_corrupt
    if num_corrupt and not first.is_started:
        raise MediaError(
            f"no sound of {path} can be decoded ({num_corrupt} corrupt packets): download or copy the file again, or "
            "remove its audio stream"
        )
    counts.sound_gaps_s += sum(stop_s - start_s for start_s, stop_s in first.gaps_s)

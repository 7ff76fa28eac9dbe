"""The sound of a media file: mono, every sample at its true time."""

import math
import os
from collections.abc import Callable, Generator, Iterable
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from abaw.dataset.media_files import WHOLE, Part, is_picture
from extract.media.audio_buffer import AudioBuffer, Samples, SoundFrame, SoundOrder
from extract.media.container import DecodeCounts, MediaError, decode, open_media
from extract.media.mono import Mixer
from extract.media.scan import COUNTED_SOUND, Scan, scan
from extract.media.streams import choose_audio_stream
from extract.media.timing import time_of

MIN_PEAK = 1e-3  # -60 dB: below it there is nothing to hear, only the noise of a codec or a converter
ENOUGH_S = 5.0  # of audible sound
AROUND_S = 2.0  # of sound decoded beside a part: decoders need some before, and stamps are confirmed by those after
BLOCK_SAMPLES = 1 << 20


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

    def cut(self, part: Part) -> "Sound":
        """The samples in a part of the file, at the same times."""
        first, stop = (
            0 if each_s == -math.inf else math.ceil(round((each_s - self.start_s) * self.rate_hz, 6))
            for each_s in (part.start_s, min(part.stop_s, self.stop_s))
        )
        first = min(max(first, 0), len(self.samples))
        start_s = self.start_s + first / self.rate_hz
        stop_s = min(part.stop_s, self.stop_s)
        gaps_s = [(max(start_s, a), min(stop_s, b)) for a, b in self.gaps_s if a < stop_s and b > start_s]
        return replace(self, samples=self.samples[first : max(first, stop)], start_s=start_s, gaps_s=tuple(gaps_s))


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

    Missing sound is filled with zeros and listed in ``gaps_s`` where time stamps agree that it is missing; overlapping
    sound is cut. ``counts`` receives what was
    lost. A file without sound gives no samples, at 0.0 s. Raises NotFoundError, and MediaError where the file cannot be
    read or no sound can be decoded.
    """
    return sounds(path, [rate_hz], counts=counts, audio_stream=audio_stream)[rate_hz]


def sounds(
    path: str | os.PathLike,
    rates_hz: Iterable[int],
    folder: Path | None = None,
    counts: DecodeCounts | None = None,
    *,
    audio_stream: int | None = None,
    check: Callable[[], None] = lambda: None,
    part: Part = WHOLE,
) -> dict[int, Sound]:
    """As ``sound`` at several rates, decoded once, or twice where channels cancel each other out.

    Of a ``part`` of the file only the samples in it are given. A still picture has no sound.

    ``check`` is called at every decoded frame of sound and may raise to stop.
    With ``folder`` the samples are memory-mapped from unnamed temporary files there, which vanish with the samples:
    even four hours of sound take no memory.
    """
    rates_hz, mixer = list(rates_hz), Mixer()
    counts = DecodeCounts() if counts is None else counts
    if is_picture(Path(path)):
        return {rate_hz: Sound(np.zeros(0, np.float32), rate_hz, 0.0) for rate_hz in rates_hz}
    decode_with = partial(_decode_sounds, path, rates_hz, folder, audio_stream, check, part)
    decoded = decode_with(counts, mixer)
    return decode_with(DecodeCounts(), Mixer(mixer.loudest)) if mixer.loudest else decoded


def _decode_sounds(
    path: str | os.PathLike,
    rates_hz: list[int],
    folder: Path | None,
    audio_stream: int | None,
    check: Callable[[], None],
    part: Part,
    counts: DecodeCounts,
    mixer: Mixer,
) -> dict[int, Sound]:
    with ExitStack() as files:
        buffers = [files.enter_context(closing(AudioBuffer(rate_hz, folder))) for rate_hz in rates_hz]
        if buffers:
            _decode_sound(path, buffers, counts, audio_stream, mixer, check, part)
        decoded = [
            Sound(buffer.finish(), buffer.rate_hz, buffer.start_s, tuple(buffer.gaps_s), mixer.channel)
            for buffer in buffers
        ]
        return {each.rate_hz: each if part.is_whole else each.cut(part) for each in decoded}


def _decode_sound(
    path: str | os.PathLike,
    buffers: list[AudioBuffer],
    counts: DecodeCounts,
    audio_stream: int | None,
    mixer: Mixer,
    check: Callable[[], None],
    part: Part,
) -> None:
    """Decode one sound of a file into every buffer; of a part a little more before and after."""
    first, num_corrupt = buffers[0], counts.num_corrupt_packets
    with closing(sound_frames(path, mixer.mix, counts, audio_stream, check, part)) as frames:
        for frame in frames:
            for buffer in buffers:
                buffer.append(frame.samples, frame.rate_hz, frame.time_s)
            if first.stop_s > part.stop_s + AROUND_S:
                break
    num_corrupt = counts.num_corrupt_packets - num_corrupt
    if num_corrupt and not first.is_started:
        raise MediaError(
            f"no sound of {path} can be decoded ({num_corrupt} corrupt packets): download or copy the file again, or "
            "remove its audio stream"
        )
    counts.sound_gaps_s += sum(stop_s - start_s for start_s, stop_s in first.gaps_s)


def sound_frames(
    path: str | os.PathLike,
    samples_of: Callable[[Any], np.ndarray],
    counts: DecodeCounts,
    audio_stream: int | None = None,
    check: Callable[[], None] = lambda: None,
    part: Part = WHOLE,
) -> Generator[SoundFrame, None, None]:
    """Decode one sound of a file: ``samples_of`` each frame, at a time where that can be believed.

    Of a part they begin a little before; the caller stops after it. ``counts`` receives what was lost.
    """
    times = scan(path, audio_stream=audio_stream)
    order = SoundOrder(is_counted=times.format == "avi")

    def set_stamp(number: int, packet: Any) -> None:
        ticks = times.sound_ticks[number] if number < len(times.sound_ticks) else math.nan
        if packet.pts is None or ticks != packet.pts:
            packet.pts = packet.dts = None if math.isnan(ticks) else int(ticks)

    try:
        with open_media(path) as container:
            stream: Any = choose_audio_stream(container, audio_stream)
            start = _first_packet(times, stream, part.start_s) if stream else 0
            for frame in decode(container, stream, counts, set_stamp, first=start) if stream else ():
                check()
                yield from order.add(SoundFrame(samples_of(frame), frame.sample_rate, time_of(frame, stream)))
            yield from order.finish()
    finally:
        times.add_to(counts)
        if times.format not in COUNTED_SOUND:
            counts.num_mended_sound_stamps += order.num_mended


def _first_packet(times: Scan, stream: Any, start_s: float) -> int:
    """The number of the packet at which decoding starts, so that the sound from ``start_s`` on is whole."""
    if start_s == -math.inf or times.format in COUNTED_SOUND:
        return 0
    late = np.flatnonzero(times.sound_ticks * float(stream.time_base) >= start_s - AROUND_S)
    return int(late[0]) if len(late) else 0


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
    if is_picture(Path(path)):
        return False, ""
    with open_media(path) as container:
        stream = choose_audio_stream(container, audio_stream)
        for frame in decode(container, stream, DecodeCounts()) if stream else ():
            if is_audible(mixer.mix(frame)):
                audible_s += frame.samples / frame.sample_rate
            if audible_s >= ENOUGH_S:
                break
    return audible_s > 0 or bool(mixer.loudest), mixer.loudest

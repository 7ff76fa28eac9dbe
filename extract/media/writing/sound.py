"""The sound of a file as packets of another: copied, or decoded and encoded as AAC with every sample at its time."""

import math
import os
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any

import av
import numpy as np

from abaw.dataset.media_files import WHOLE, Part
from extract.media.audio import sound_frames
from extract.media.audio_buffer import MAX_JITTER_S, AudioBuffer, Block
from extract.media.container import DecodeCounts, open_media, packets
from extract.media.scan import COUNTED_SOUND, scan
from extract.media.streams import choose_audio_stream

if TYPE_CHECKING:
    from extract.media.writing.mp4 import WrittenVideo

COPIED = {"aac", "mp3"}  # codecs that all browsers play in .mp4
USUAL_HZ = 48_000  # of sound whose own rate AAC does not have
BIT_RATE = 96_000  # of each channel
_AAC_FRAME = 1024


@dataclass(frozen=True)
class SoundSource:
    """The sound of a file: audio stream ``stream``, by default the one that players play, in a ``part`` of the file."""

    path: str | os.PathLike
    stream: int | None = None
    part: Part = WHOLE

    @cached_property
    def _facts(self) -> tuple[str, int, int]:
        """Codec, rate in Hz and number of channels; "", 1 and 0 where there is no sound."""
        with open_media(self.path) as container:
            stream = choose_audio_stream(container, self.stream)
            if stream is None:
                return "", 1, 0
            context = stream.codec_context
            return context.codec.canonical_name, context.sample_rate, context.layout.nb_channels

    @property
    def exists(self) -> bool:
        """Whether the file has such a stream."""
        return self._facts[2] > 0

    @property
    def num_channels(self) -> int:
        """How many channels are written: more than two are mixed."""
        return min(2, self._facts[2])

    @cached_property
    def is_copied(self) -> bool:
        """Whether packets are copied as they are.

        They are where browsers play the codec in .mp4, the whole file is written, and each packet begins where the one
        before it ends by stamps that need no mending.
        """
        if not self.part.is_whole or self._facts[0] not in COPIED:
            return False
        scanned = scan(self.path, audio_stream=self.stream)
        if scanned.num_joins or scanned.format in COUNTED_SOUND:
            return False
        with open_media(self.path) as container:
            stream = choose_audio_stream(container, self.stream)
            stamps = [
                (np.nan if packet.pts is None else packet.pts, packet.duration or 0)
                for packet in packets(container, [stream], DecodeCounts())
            ]
            tick_s = float(stream.time_base)
        starts, durations = np.array(stamps, float).reshape(-1, 2).T
        durations[durations == 0] = np.median(durations)  # the first one's is unknown in Matroska
        late_s = (np.diff(starts) - durations[:-1]) * tick_s  # nan where there is no stamp
        return np.array_equal(starts, scanned.sound_ticks) and bool((np.abs(late_s) <= MAX_JITTER_S).all())

    @property
    def written_rate_hz(self) -> int:
        """Samples per second in the written file."""
        rate_hz = self._facts[1]
        return rate_hz if not self.exists or self.is_copied or rate_hz in _aac_rates() else USUAL_HZ


def _aac_rates() -> list[int]:
    return list(av.Codec("aac", "w").audio_rates or [])


def sound_packets(out: Any, source: SoundSource, written: "WrittenVideo") -> Iterator[Any]:
    """The packets of a sound in an .mp4 that is being written, its stream added; ``written`` says what became of it.

    Times of ``written.offset_s`` in the source are 0 there.
    """
    if not source.exists:
        return
    if source.is_copied and not written.offset_s:
        written.sound = "copied"
        yield from _copy(out, source)
    else:
        yield from _encode(out, source, written)


def _copy(out: Any, source: SoundSource) -> Iterator[Any]:
    with open_media(source.path) as container:
        stream = choose_audio_stream(container, source.stream)
        copied = out.add_stream_from_template(stream)
        for packet in packets(container, [stream], DecodeCounts()):
            packet.dts = packet.pts
            packet.stream = copied
            yield packet


def _encode(out: Any, source: SoundSource, written: "WrittenVideo") -> Iterator[Any]:
    rate_hz, num_channels = source.written_rate_hz, source.num_channels
    layout = "mono" if num_channels == 1 else "stereo"
    stream, start, waiting = None, 0, np.zeros((0, num_channels), np.float32)
    for first, block in _blocks(source, rate_hz, layout, written):
        if stream is None:
            stream, start = out.add_stream("aac", rate=rate_hz, layout=layout), first
            stream.codec_context.bit_rate = BIT_RATE * num_channels
        waiting = np.concatenate([waiting, block])
        while len(waiting) >= _AAC_FRAME:
            yield from stream.encode(_frame(waiting[:_AAC_FRAME], rate_hz, layout, start))
            start, waiting = start + _AAC_FRAME, waiting[_AAC_FRAME:]
    if stream is not None:
        yield from stream.encode(_frame(waiting, rate_hz, layout, start) if len(waiting) else None)
        yield from stream.encode(None) if len(waiting) else ()
    written.sound = "" if stream is None else "encoded"


def _frame(samples: Block, rate_hz: int, layout: str, position: int) -> Any:
    frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples.T), format="fltp", layout=layout)
    frame.sample_rate, frame.time_base, frame.pts = rate_hz, Fraction(1, rate_hz), position
    return frame


def _blocks(source: SoundSource, rate_hz: int, layout: str, written: "WrittenVideo") -> Iterator[tuple[int, Block]]:
    """Samples (n, channels) that follow each other, each block with the number of its first one, counted from 0 s."""
    buffer, position = AudioBuffer(rate_hz, num_channels=source.num_channels), None
    offset_s, part = float(written.offset_s), source.part
    first_kept, stop_kept = (
        each_s if math.isinf(each_s) else math.ceil(round((each_s - offset_s) * rate_hz, 6))
        for each_s in (max(part.start_s, offset_s), part.stop_s)
    )
    with closing(sound_frames(source.path, _channels(layout), DecodeCounts(), source.stream, part=part)) as frames:
        for frame in chain(frames, [None]):
            if frame is not None:
                buffer.append(frame.samples, frame.rate_hz, frame.time_s)
            block = buffer.take(last=frame is None)
            position = round((buffer.start_s - offset_s) * rate_hz) if position is None else position
            start = int(max(0, first_kept - position))
            kept = block[start : None if math.isinf(stop_kept) else max(start, int(stop_kept) - position)]
            if len(kept):
                yield position + start, kept
            position += len(block)
            if position > stop_kept:
                break
    written.sound_gaps_s = sum(stop_s - start_s for start_s, stop_s in buffer.gaps_s)


def _channels(layout: str) -> Callable[[Any], Block]:
    """A function that gives the samples of a decoded frame: (n, channels), mixed to at most two."""
    converters: dict[tuple[str, str, int], Any] = {}

    def convert(frame: Any) -> Block:
        key = frame.format.name, frame.layout.name, frame.sample_rate
        if key not in converters:
            converters[key] = av.AudioResampler(format="fltp", layout=layout, rate=frame.sample_rate)
        blocks = [each.to_ndarray() for each in converters[key].resample(frame)]
        samples = np.concatenate(blocks, axis=1).T if blocks else np.zeros((0, 1 + (layout == "stereo")), np.float32)
        return np.nan_to_num(samples, posinf=0, neginf=0).clip(-1, 1)

    return convert

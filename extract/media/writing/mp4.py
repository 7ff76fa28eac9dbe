"""A stream of pictures and one of sound as H.264 and AAC in .mp4, in bounded memory."""

import errno
import heapq
import math
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.reformatter import ColorPrimaries, ColorRange, Colorspace, ColorTrc

from abaw.errors import InputError
from abaw.files import atomic_write
from extract.media.colour import HD_HEIGHT_PX, HD_WIDTH_PX, Rgb
from extract.media.container import count_missing_bytes
from extract.media.writing.sound import SoundSource, sound_packets

MIN_TIMESCALE = 10_000  # FFmpeg doubles smaller ones until they reach it
MAX_TIMESCALE = 2**31 - 1
MAX_LATE_S = 60.0  # a file that starts later, such as a recording of broadcasts, is written from 0 s on
KEY_INTERVAL_S = 2.0  # between pictures to which players can jump


@dataclass
class WrittenVideo:
    """What was written.

    ``offset_s``: what to add to a time of the written file to have the time of its source; 0 unless the source starts
    before 0 s or later than ``MAX_LATE_S``, or a part of it was written. ``sound``: "copied", "encoded", or "" without
    sound. ``sound_gaps_s``: seconds of silence in place of sound that could not be decoded.
    """

    num_pictures: int = 0
    offset_s: Fraction = Fraction(0)
    sound: str = ""
    sound_gaps_s: float = 0.0


@dataclass(frozen=True)
class PictureTiming:
    """What is known of the times of pictures before the first one is decoded.

    ``tick_s``: of which all times are multiples, as far as none was mended. ``interval_s``: between two pictures, and
    how long the last one is shown. ``start_s``: when pictures or sound start. ``part_start_s``: where the part begins
    that is written; None for the whole file.
    """

    tick_s: Fraction
    interval_s: float = 0.04
    start_s: float = 0.0
    part_start_s: float | None = None

    @property
    def timescale(self) -> int:
        """Ticks per second of the written pictures: a multiple of the source's, so that times stay exact."""
        timescale = self.tick_s.denominator
        while timescale < MIN_TIMESCALE:
            timescale *= 2
        if timescale > MAX_TIMESCALE:
            raise InputError(f"the time stamps are multiples of {self.tick_s} s, which .mp4 cannot store: convert them")
        return timescale

    @property
    def offset_s(self) -> Fraction:
        """As in ``WrittenVideo``; a whole number of ticks."""
        if self.part_start_s is not None:
            return math.floor(Fraction(self.part_start_s) * self.timescale) * Fraction(1, self.timescale)
        if self.start_s < 0:
            return math.floor(Fraction(self.start_s) * self.timescale) * Fraction(1, self.timescale)
        return Fraction(math.floor(self.start_s)) if self.start_s > MAX_LATE_S else Fraction(0)


class _Pictures:
    """The pictures as packets of H.264, all of the size of the first; an odd one becomes even by one row or column."""

    def __init__(self, out: Any, timing: PictureTiming, crf: int, preset: str, written: WrittenVideo) -> None:
        self._out, self._timing, self._written = out, timing, written
        self._options = {"crf": str(crf), "preset": preset}
        self._shape = (0, 0)
        self._stream: Any = None
        self._waiting: Any = None

    def packets(self, pictures: Iterable[tuple[float, Rgb]]) -> Iterator[Any]:
        timescale, offset_s = self._timing.timescale, self._timing.offset_s
        for time_s, picture in pictures:
            if self._stream is None:
                height, width, _ = picture.shape
                self._shape = height, width
                self._stream = self._add_stream(height + height % 2, width + width % 2)
            frame = self._convert(picture)
            frame.time_base = Fraction(1, timescale)
            frame.pts = round((Fraction(time_s) - offset_s) * timescale)
            self._written.num_pictures += 1
            yield from self._encode_waiting(frame)
        if self._stream is not None:
            yield from self._encode_waiting(None)
            yield from self._stream.encode(None)

    def _encode_waiting(self, following: Any) -> Iterator[Any]:
        """Encode the picture before ``following``, which says how long it is shown."""
        frame, self._waiting = self._waiting, following
        if frame is None:
            return
        frame.duration = max(1, round(self._timing.interval_s * self._timing.timescale))
        if following is not None:
            following.pts = max(following.pts, frame.pts + 1)  # two mended times may fall on one tick
            frame.duration = following.pts - frame.pts
        yield from self._stream.encode(frame)

    def _add_stream(self, height: int, width: int) -> Any:
        rate = Fraction(1 / max(self._timing.interval_s, 1e-3)).limit_denominator(1001)
        stream: Any = self._out.add_stream("libx264", rate=rate, options=self._options)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        context = stream.codec_context
        stream.time_base = context.time_base = Fraction(1, self._timing.timescale)
        context.gop_size = max(1, round(KEY_INTERVAL_S * rate))
        is_hd = width >= HD_WIDTH_PX or height >= HD_HEIGHT_PX
        context.colorspace = Colorspace.ITU709 if is_hd else Colorspace.SMPTE170M
        context.color_primaries = ColorPrimaries.BT709 if is_hd else ColorPrimaries.SMPTE170M
        context.color_trc = ColorTrc.BT709 if is_hd else ColorTrc.SMPTE170M
        context.color_range = ColorRange.MPEG
        return stream

    def _convert(self, picture: Rgb) -> Any:
        if picture.shape[:2] != self._shape:
            other = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
            picture = other.to_ndarray(width=self._shape[1], height=self._shape[0], format="rgb24", threads=1)
        missing = (self._stream.height - self._shape[0], self._stream.width - self._shape[1])
        if any(missing):
            picture = np.pad(picture, ((0, missing[0]), (0, missing[1]), (0, 0)), mode="edge")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        return frame.reformat(format="yuv420p", dst_colorspace=self._stream.codec_context.colorspace, threads=1)


def write_mp4(
    path: Path,
    pictures: Iterable[tuple[float, Rgb]],
    timing: PictureTiming,
    sound: SoundSource | None = None,
    *,
    crf: int = 23,
    preset: str = "veryfast",
    comment: str = "",
) -> WrittenVideo:
    """Write pictures, each with its time in seconds of the source, and the sound of a file, at the same times.

    ``pictures``: uint8 RGB (height, width, 3); they are taken one by one. Times must increase. One of another size than
    the first is scaled to it, and odd sizes become even by one row or column more. ``crf`` and ``preset``: quality and
    speed of x264. ``comment``: a text that is stored in the file. The sound is copied where .mp4 holds it as it is
    (``sound_packets``), else encoded as AAC. The file is complete or absent; its index comes first, so that it plays
    while it is loaded.

    Raises InputError where there is neither a picture nor sound.
    """
    written = WrittenVideo(offset_s=timing.offset_s)
    rate_hz = 1 if sound is None else sound.written_rate_hz
    movie = math.lcm(timing.timescale, rate_hz)  # the unit in which the starts of streams are stored
    options = {"movflags": "+faststart", "movie_timescale": str(movie if movie <= MAX_TIMESCALE else timing.timescale)}
    with atomic_write(path) as temporary:
        url = f"file:{temporary}"
        try:
            with av.open(url, "w", format="mp4", container_options=options) as out:
                if comment:
                    out.metadata["comment"] = comment
                sources = [_Pictures(out, timing, crf, preset, written).packets(pictures)]
                if sound is not None:
                    sources.append(sound_packets(out, sound, written))
                for packet in heapq.merge(*sources, key=lambda packet: packet.dts * packet.time_base):
                    out.mux(packet)
        except OSError as error:  # such as a full disk
            if error.filename != url:
                raise
            raise OSError(error.errno, error.strerror, str(path)) from error
        if count_missing_bytes(temporary, "mov,mp4,m4a,3gp,3g2,mj2"):  # FFmpeg forgets an error of its last write
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        if not written.num_pictures and not written.sound:
            raise InputError(f"{path.name} would be empty: there is neither a picture nor sound")
    return written

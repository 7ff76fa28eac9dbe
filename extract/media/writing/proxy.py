"""The pictures of a media file, to be written at their own times; and a copy that browsers play."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import cv2
import numpy as np
from jaxtyping import UInt8

from abaw.dataset.media_files import WHOLE, Part, Streams, is_picture
from extract.media.colour import Rgb
from extract.media.container import DecodeCounts, open_media
from extract.media.scan import scan
from extract.media.streams import choose_video_stream, counted_rate
from extract.media.video import Picture, pictures
from extract.media.writing.mp4 import PictureTiming, WrittenVideo, write_mp4
from extract.media.writing.sound import SoundSource

PROXY_CRF, PROXY_HEIGHT_PX = 26, 720
STILL_S = 1.0  # how long a still picture is shown


@dataclass(frozen=True)
class VideoSource:
    """A media file as it is read for an analysis: its ``streams``, the ``part`` that is the clip, and an assumed rate.

    Raises NotFoundError and MediaError where the file cannot be read, as ``pictures`` does.
    """

    path: str | os.PathLike
    streams: Streams = field(default_factory=Streams)
    part: Part = WHOLE
    assume_fps: float | None = None

    def pictures(self, counts: DecodeCounts | None = None) -> Iterator[Picture]:
        """The pictures of the clip at their times, undecodable ones too."""
        return pictures(self.path, counts, self.streams.video, self.assume_fps, self.part)

    @cached_property
    def sound(self) -> SoundSource | None:
        """The sound of the clip; None where it has none."""
        if is_picture(Path(self.path)):
            return None
        source = SoundSource(self.path, self.streams.audio, self.part)
        return source if source.exists else None

    @cached_property
    def has_pictures(self) -> bool:
        """Whether the file has pictures and not sound alone."""
        if is_picture(Path(self.path)):
            return True
        with open_media(self.path) as container:
            return choose_video_stream(container, self.streams.video) is not None

    @cached_property
    def timing(self) -> PictureTiming:
        """What is known of the times of the pictures before they are decoded."""
        if is_picture(Path(self.path)):
            return PictureTiming(Fraction(1, 25), STILL_S)
        part_start_s = None if self.part.start_s <= 0 else self.part.start_s
        scanned = scan(self.path, video_stream=self.streams.video)
        with open_media(self.path) as container:
            stream = choose_video_stream(container, self.streams.video)
            rate_hz = None if stream is None else counted_rate(container, stream, self.assume_fps)
        times = scanned.pictures
        sound_start_s = float(np.maximum(0.0, scanned.sound_s[0]))  # what is before 0 s is the delay of its encoder
        if rate_hz is not None:
            rate = Fraction(rate_hz).limit_denominator(1001)
            return PictureTiming(1 / rate, 1 / rate_hz, 0.0, part_start_s)
        if times is None or not len(times.rows):
            return PictureTiming(Fraction(1, 90_000), start_s=sound_start_s, part_start_s=part_start_s)
        start_s = float(np.fmin(sound_start_s, times.time_s(times.rows[0])))
        interval_s = times.interval * float(times.tick_s) or PictureTiming.interval_s
        return PictureTiming(times.tick_s, interval_s, start_s, part_start_s)


def write_proxy(
    source: VideoSource, path: Path, *, max_height_px: int = PROXY_HEIGHT_PX, crf: int = PROXY_CRF
) -> WrittenVideo:
    """Write a copy that browsers play: H.264 and AAC in .mp4, the same pictures at the same times, the sound in step.

    Pictures are upright and their pixels square; those higher than ``max_height_px`` are scaled down. One that cannot
    be decoded is a repetition of the one before it, or black. The file is complete or absent. Raises as ``pictures``,
    and InputError where there is neither a picture nor sound.
    """
    shown = _shown(source, max_height_px) if source.has_pictures else iter(())
    return write_mp4(path, shown, source.timing, source.sound, crf=crf)


def _shown(source: VideoSource, max_height_px: int) -> Iterator[tuple[float, Rgb]]:
    for time_s, picture, _ in held_pictures(source.pictures()):
        yield time_s, _scale_down(picture, max_height_px)


def held_pictures(given: Iterator[Picture]) -> Iterator[tuple[float, Rgb, bool]]:
    """Each picture's time, pixels, and whether they are its own; else they are those of the one before it, or black.

    Black are those before the first decodable picture, of its size.
    """
    undecodable_s: list[float] = []
    shown: Rgb | None = None
    for picture in given:
        if picture.is_decodable:
            shown = picture.rgb()
            yield from ((time_s, np.zeros_like(shown), False) for time_s in undecodable_s)
            undecodable_s = []
            yield picture.time_s, shown, True
        elif shown is None:
            undecodable_s.append(picture.time_s)
        else:
            yield picture.time_s, shown, False


def _scale_down(picture: Rgb, max_height_px: int) -> UInt8[np.ndarray, "new_height new_width 3"]:
    height, width, _ = picture.shape
    if height <= max_height_px:
        return picture
    size = max(2, round(width * max_height_px / height)), max_height_px
    scaled: UInt8[np.ndarray, "new_height new_width 3"] = cv2.resize(picture, size, interpolation=cv2.INTER_AREA)
    return scaled

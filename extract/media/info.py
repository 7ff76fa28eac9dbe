"""Properties of a media file, from its packets."""

import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from abaw.dataset.media_files import is_picture
from extract.media.audio import sound
from extract.media.colour import HDR_CURVES
from extract.media.container import open_media
from extract.media.scan import scan
from extract.media.streams import choose_audio_stream, choose_video_stream, counted_rate, video_streams
from extract.media.video import pictures, read_still

NO_RATE = (math.nan, False)
MIN_SHORT_S = 0.5  # by which sound ends before the pictures


@dataclass(frozen=True)
class MediaInfo:
    """Properties of a file, from its packets; 0 or nan for what it does not have.

    ``width`` and ``height``: of a picture as shown, after the rotation by ``rotation_deg`` (counter-clockwise).
    ``num_packets``: of pictures to be shown; in a damaged file fewer can be decoded. ``is_variable``: some picture is
    more than a quarter of the median interval away from even spacing; one lost frame is enough. ``fps``: the mean rate,
    which rounding of stamps to 1 ms does not change; for a variable rate one over the median interval; nan below two
    pictures. The times of the sound may differ from those of decoded samples by one sound frame. ``num_video_streams``
    counts no cover art; ``video_stream`` and ``audio_stream`` are the indices, within their kind, of the streams that
    are read. ``pixel_aspect``: how many times wider than high the pixels are stored, where pictures are rescaled for
    it, else 1. ``hdr``: "PQ" or "HLG" where colours are mapped to those of common screens, else "". ``counted_fps``:
    the rate at which pictures without time stamps are counted; nan where the file has stamps. ``num_mended`` pictures
    have a wrong time stamp or none; the others as in ``DecodeCounts``.
    """

    has_video: bool
    has_sound: bool
    width: int
    height: int
    rotation_deg: int
    num_packets: int
    fps: float
    is_variable: bool
    first_picture_s: float
    last_picture_s: float
    sound_start_s: float
    sound_stop_s: float
    sound_rate_hz: int
    num_video_streams: int = 0
    num_audio_streams: int = 0
    video_stream: int | None = None
    audio_stream: int | None = None
    pixel_aspect: float = 1.0
    hdr: str = ""
    num_mended: int = 0
    num_joins: int = 0
    announced_s: float = 0.0
    readable_s: float = 0.0
    counted_fps: float = math.nan
    num_announced: int = 0
    num_missing_bytes: int = 0


def probe(
    path: str | os.PathLike,
    *,
    video_stream: int | None = None,
    audio_stream: int | None = None,
    assume_fps: float | None = None,
) -> MediaInfo:
    """Read a file's properties from its packets; only the first picture is decoded, for its size and rotation.

    ``video_stream``, ``audio_stream`` and ``assume_fps`` as in ``pictures`` and ``sounds``. Raises NotFoundError, and
    MediaError where the file cannot be read, has no such stream, or no picture of its video stream can be decoded.
    """
    if is_picture(Path(path)):
        height, width, _ = read_still(Path(path)).shape
        return MediaInfo(True, False, width, height, 0, 1, *NO_RATE, 0.0, 0.0, math.nan, math.nan, 0, 1, 0, 0)
    shown = pictures(path, video_stream=video_stream, assume_fps=assume_fps)
    first = next((each for each in shown if each.is_decodable), None)
    height, width, _ = (0, 0, 3) if first is None else first.rgb().shape
    scanned = scan(path, video_stream=video_stream, audio_stream=audio_stream)
    times, rows_s = scanned.pictures, np.zeros(0)
    if times is not None and not np.isnan(times.ticks).any():
        rows_s = np.array([times.time_s(ticks) for ticks in times.rows])
    with open_media(path) as container:
        video, audio = choose_video_stream(container, video_stream), choose_audio_stream(container, audio_stream)
        rate_hz = None if video is None else counted_rate(container, video, assume_fps)
        if rate_hz is not None and times is not None:
            rows_s = np.arange(len(times.ticks)) / rate_hz
        sound_s = scanned.sound_s
        if audio is not None and audio.start_time is not None:  # the first packets may hold only the encoder's delay
            sound_s = tuple(np.maximum(sound_s, float(audio.start_time * audio.time_base)).tolist())
        # a packet of AVI may hold more frames of sound than FFmpeg says; they are decoded where that may be so
        if container.format.name == "avi" and len(rows_s) and sound_s[1] < rows_s[-1] - MIN_SHORT_S:
            sound_s = (sound_s[0], max(sound_s[1], sound(path, 8000, audio_stream=audio_stream).stop_s))
        return MediaInfo(
            first is not None,
            not math.isnan(sound_s[0]),
            width,
            height,
            0 if first is None else first._frame.rotation,
            len(rows_s),
            *_rate(rows_s),
            float(rows_s[0]) if len(rows_s) else math.nan,
            float(rows_s[-1]) if len(rows_s) else math.nan,
            *sound_s,
            0 if math.isnan(sound_s[0]) else audio.sample_rate,
            len(video_streams(container)),
            len(container.streams.audio),
            None if video is None else container.streams.video.index(video),
            None if audio is None else container.streams.audio.index(audio),
            1.0 if first is None else first.pixel_aspect,
            "" if first is None else HDR_CURVES.get(first._frame.color_trc, ""),
            scanned.num_mended + scanned.num_untimed,
            scanned.num_joins,
            scanned.announced_s,
            scanned.readable_s,
            math.nan if rate_hz is None else rate_hz,
            scanned.num_announced if scanned.num_announced != len(rows_s) else 0,
            scanned.num_missing_bytes,
        )


@dataclass(frozen=True)
class MediaSize:
    """How much there is to decode: from the first to the last time of pictures and sound, and pictures of which size.

    ``width`` and ``height`` as the stream states them, in stored pixels; 0 without pictures.
    """

    length_s: float
    num_pictures: int
    width: int
    height: int
    has_sound: bool


def measure_size(path: str | os.PathLike) -> MediaSize:
    """Measure a file from its packets, without decoding any. Raises NotFoundError and MediaError."""
    scanned = scan(path)
    with open_media(path) as container:
        video = choose_video_stream(container, None)
        rate_hz = None if video is None else counted_rate(container, video, None)
        width, height = (0, 0) if video is None else (video.codec_context.width, video.codec_context.height)
    times, sound_s = scanned.pictures, scanned.sound_s
    ends_s = [each for each in sound_s if not math.isnan(each)]
    num_pictures = 0 if times is None else len(times.rows)
    if times is not None and rate_hz is not None:
        ends_s += [0.0, num_pictures / rate_hz]
    elif times is not None:
        known = times.rows[~np.isnan(times.rows)]
        ends_s += [times.time_s(ticks) for ticks in (known.min(), known.max())] if len(known) else []
    length_s = max(ends_s) - min(ends_s) if ends_s else 0.0
    return MediaSize(float(length_s), num_pictures, width, height, not math.isnan(sound_s[0]))


def num_streams(path: str | os.PathLike) -> tuple[int, int]:
    """How many video streams, without cover art, and audio streams a file has. Raises NotFoundError and MediaError."""
    if is_picture(Path(path)):
        return 1, 0
    with open_media(path) as container:
        return len(video_streams(container)), len(container.streams.audio)


def _rate(times_s: np.ndarray) -> tuple[float, bool]:
    """Rate in Hz and whether it is variable, as MediaInfo defines them."""
    if len(times_s) < 2:
        return math.nan, False
    median_s, mean_s = np.median(np.diff(times_s)), (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    is_variable = np.abs(times_s - times_s[0] - mean_s * np.arange(len(times_s))).max() > median_s / 4
    return float(1 / (median_s if is_variable else mean_s)), bool(is_variable)

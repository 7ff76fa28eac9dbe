"""Write media files of which every time is known, for tests and the synthetic data set."""

import heapq
import os
from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np

from abaw.errors import InputError
from abaw.files import atomic_write
from extract.media import Rgb, Sound

TICKS_HZ = 90_000  # of written timestamps: 7.5, 25, 30000/1001 and 60 fps are exact

_MUXERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".avi": "avi"}
_AAC_FRAME = 1024


def write_clip(
    path: str | os.PathLike,
    pictures: Iterable[Rgb],
    times_s: Sequence[float],
    sound: Sound | None = None,
    *,
    crf: int = 20,
) -> None:
    """Write a clip with pictures, uint8 RGB (height, width, 3), at ``times_s`` and sound from ``sound.start_s``.

    The suffix decides the format: .mp4, .mov and .mkv hold H.264 of quality ``crf`` and AAC at any increasing times,
    exact to 0.01 ms (.mkv 0.5 ms); .avi holds MJPEG and PCM at a constant rate from 0.0 s. Without pictures and times
    the file has only sound. The last picture is shown for the mean interval. The same input gives the same bytes on one
    machine; the file is complete or absent. Raises InputError for what the container cannot hold.

    AAC has frames of 1024 samples: sound is read back with up to one frame of silence after its end and, where it
    starts late in .mp4 or .mov, before its start. Each sample keeps its time.
    """
    path, starts_s = Path(path), np.asarray(times_s, dtype=float)
    if sound is not None and len(sound.samples) == 0:
        sound = None
    suffix = path.suffix.lower()
    _check_clip(path, starts_s, sound)
    options = {"fflags": "+bitexact"}
    if suffix in (".mp4", ".mov"):
        options["movie_timescale"] = str(TICKS_HZ)  # the unit of late starts, else 1 ms
    with (
        atomic_write(path) as temporary,
        av.open(f"file:{temporary}", "w", format=_MUXERS[suffix], container_options=options) as out,
    ):
        sources = [_encode_pictures(out, pictures, starts_s, suffix, crf)]
        sources += [] if sound is None else [_encode_sound(out, sound, suffix)]
        for packet in heapq.merge(*sources, key=lambda packet: packet.dts * packet.time_base):
            out.mux(packet)


def _check_clip(path: Path, times_s: np.ndarray, sound: Sound | None) -> None:
    """Raises InputError for what the container cannot hold."""
    if path.suffix.lower() not in _MUXERS:
        raise InputError(f"{path.name} has the suffix {path.suffix!r}, expected one of {', '.join(_MUXERS)}")
    if len(times_s) == 0 and sound is None:
        raise InputError(f"{path.name} would be empty: give pictures with times, or sound")
    is_increasing = (np.diff(np.rint(times_s * TICKS_HZ)) > 0).all()
    if not is_increasing or not (times_s >= 0).all() or (sound is not None and sound.start_s < 0):
        raise InputError(f"{path.name}: times must be 0 s or later and increase by at least 1/{TICKS_HZ} s")
    if path.suffix.lower() == ".avi":
        even_s = np.arange(len(times_s)) / float(_mean_rate(times_s))
        if np.abs(times_s - even_s).max(initial=0) > 0.001 or (sound is not None and sound.start_s > 0):
            raise InputError(f"{path.name}: .avi needs evenly spaced pictures, and sound from 0 s: write .mp4")
    elif sound is not None and sound.rate_hz not in (rates := av.Codec("aac", "w").audio_rates or []):
        raise InputError(f"{path.name}: AAC cannot store sound at {sound.rate_hz} Hz: resample to one of {rates}")


def _mean_rate(times_s: np.ndarray) -> Fraction:
    """The mean number of pictures per second; 25 for a single picture."""
    if len(times_s) < 2:
        return Fraction(25)
    return Fraction((len(times_s) - 1) / (times_s[-1] - times_s[0])).limit_denominator(1001)


def _encode_pictures(out: Any, pictures: Iterable[Rgb], times_s: np.ndarray, suffix: str, crf: int) -> Iterator[Any]:
    """The packets of all pictures; all must have the size of the first."""
    stream, shape, num = None, None, 0
    for num, picture in enumerate(pictures, 1):
        if num > len(times_s):
            raise InputError(f"more pictures than times ({len(times_s)}): give one time for each picture")
        shape = shape or (*picture.shape[:2], 3)
        if picture.shape != shape or picture.dtype != np.uint8:
            raise InputError(f"picture {num} is {picture.dtype} {picture.shape}, expected uint8 {shape} like the first")
        stream = stream or _add_picture_stream(out, shape, _mean_rate(times_s), suffix, crf)
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), format="rgb24")
        frame.time_base = stream.codec_context.time_base
        frame.pts = round(times_s[num - 1] / frame.time_base)
        yield from stream.encode(frame)
    if num < len(times_s):
        raise InputError(f"{num} pictures for {len(times_s)} times: give one time for each picture")
    if stream is not None:
        yield from stream.encode(None)


def _add_picture_stream(out: Any, shape: tuple[int, ...], rate: Fraction, suffix: str, crf: int) -> Any:
    height, width, _ = shape
    if suffix == ".avi":  # quality 3 of 2 (best) to 31, in units of FF_QP2LAMBDA
        options = {"flags": "+bitexact+qscale", "global_quality": str(3 * 118)}
        stream = out.add_stream("mjpeg", rate=rate, pix_fmt="yuvj420p", options=options)
    elif height % 2 or width % 2:
        raise InputError(f"{suffix} needs an even width and height, not {width}x{height}: crop or pad, or write .avi")
    else:  # one thread and no AVX-512, so that the same input gives the same bytes
        options = {"flags": "+bitexact", "crf": str(crf), "preset": "veryfast", "threads": "1"}
        options["x264-params"] = "cpu-independent=1"
        stream = out.add_stream("libx264", rate=rate, pix_fmt="yuv420p", options=options)
    stream.width, stream.height = width, height
    stream.time_base = stream.codec_context.time_base = 1 / rate if suffix == ".avi" else Fraction(1, TICKS_HZ)
    return stream


def _encode_sound(out: Any, sound: Sound, suffix: str) -> Iterator[Any]:
    codec = "pcm_s16le" if suffix == ".avi" else "aac"
    stream = out.add_stream(codec, rate=sound.rate_hz, layout="mono", options={"flags": "+bitexact"})
    for first in range(0, len(sound.samples), _AAC_FRAME):
        block = np.ascontiguousarray(sound.samples[None, first : first + _AAC_FRAME], dtype=np.float32)
        frame = av.AudioFrame.from_ndarray(block, format="fltp", layout="mono")
        frame.sample_rate, frame.time_base = sound.rate_hz, Fraction(1, sound.rate_hz)
        frame.pts = round(sound.start_s * sound.rate_hz) + first
        yield from stream.encode(frame)
    yield from stream.encode(None)

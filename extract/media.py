"""Pictures and sound of a media file at their true times.

Times are container times in seconds, shared by pictures and sound and never reset to zero for a stream. From a damaged
file everything decodable is returned, and losses are counted. Besides ``synthetic/write_clip.py`` only this file
imports PyAV.
"""

import heapq
import math
import os
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from abaw.errors import InputError, NotFoundError
from extract.audio_buffer import AudioBuffer, Samples

MAX_GAP_S = 3600.0  # in the sound; a longer one means broken time stamps, and its zeros would fill the memory

Rgb = UInt8[np.ndarray, "height width 3"]


class MediaError(InputError):
    """A file exists but nothing in it can be decoded. The message says why and what to do."""


@dataclass
class DecodeCounts:
    """How many pictures were decoded, how many packets were corrupt, and how many pictures were left out.

    ``num_dropped``: not later than the picture before; ``num_untimed``: without a time. A read error that ends a file
    early counts as one corrupt packet.
    """

    num_frames: int = 0
    num_corrupt_packets: int = 0
    num_dropped: int = 0
    num_untimed: int = 0


@dataclass(frozen=True)
class Picture:
    """A decoded picture and the time at which it is shown. ``rgb`` converts the colours when it is called."""

    time_s: float
    _frame: av.VideoFrame = field(repr=False)

    def rgb(self) -> Rgb:
        """The pixels, upright: mirrored and rotated as the container's display matrix says, never rescaled."""
        picture = self._frame.to_ndarray(format="rgb24", threads=1)  # a thread pool for each takes six times as long
        matrix: Any = self._frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return picture
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float)
        picture = picture[::-1] if a * d < b * c else picture
        return np.ascontiguousarray(np.rot90(picture, round(self._frame.rotation / 90)))


@dataclass(frozen=True)
class Sound:
    """Mono sound in [-1, 1]; the first sample is at ``start_s``. A clip without sound has no samples.

    ``samples`` may be mapped from a file: read slices, a copy of the whole may not fit into memory. ``gaps_s``: spans
    (start, stop) in which nothing could be decoded; their samples are zero.
    """

    samples: Samples
    rate_hz: int
    start_s: float
    gaps_s: tuple[tuple[float, float], ...] = ()

    @property
    def stop_s(self) -> float:
        """When the last sample ends."""
        return self.start_s + len(self.samples) / self.rate_hz


@dataclass(frozen=True)
class MediaInfo:
    """Properties of a file, from its packets; 0 or nan for what it does not have.

    ``width`` and ``height``: of a picture as shown, after the rotation by ``rotation_deg`` (counter-clockwise).
    ``num_packets``: of pictures to be shown; in a damaged file fewer can be decoded. ``is_variable``: some picture is
    more than a quarter of the median interval away from even spacing; one lost frame is enough. ``fps``: the mean rate,
    which rounding of stamps to 1 ms does not change; for a variable rate one over the median interval; nan below two
    pictures. The times of the sound may differ from those of decoded samples by one sound frame.
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


def pictures(path: str | os.PathLike, counts: DecodeCounts | None = None) -> Iterator[Picture]:
    """Decode the pictures of a file in the order in which they are shown; their times increase strictly.

    They come from the largest video stream that is not cover art; a file with sound alone yields none. Corrupt packets
    are skipped and added to ``counts``. While iterating it raises NotFoundError, and MediaError where the file cannot
    be read or no picture of its video stream can be decoded.
    """
    counts, latest_s = counts or DecodeCounts(), -math.inf
    with _open(path) as container:
        stream = _video_stream(container)
        if stream is None:
            return
        frames = _decode(container, stream, counts)
        for frame in _restamp(frames) if container.format.name == "avi" else frames:
            time_s = _time_s(frame, stream)
            if time_s is None:
                counts.num_untimed += 1
            elif time_s <= latest_s:
                counts.num_dropped += 1
            else:
                latest_s = time_s
                counts.num_frames += 1
                yield Picture(time_s, frame)
    if latest_s == -math.inf:
        raise MediaError(
            f"no picture of {path} can be decoded ({counts.num_corrupt_packets} corrupt packets, {counts.num_untimed} "
            "pictures without a time): download or copy the file again, or leave the clip out"
        )


def has_pictures(path: str | os.PathLike) -> bool:
    """Whether a file has a video stream other than cover art. Raises NotFoundError and MediaError."""
    with _open(path) as container:
        return _video_stream(container) is not None


def sound(path: str | os.PathLike, rate_hz: int = 16000) -> Sound:
    """Decode the main sound of a file to mono (the mean of its channels) at ``rate_hz``, every sample at its true time.

    Missing sound is filled with zeros and listed in ``gaps_s``; overlapping sound is cut. A file without sound gives no
    samples, at 0.0 s. Raises NotFoundError, and MediaError where the file cannot be read, no sound can be decoded, or
    its times jump by more than an hour.
    """
    return sounds(path, [rate_hz])[rate_hz]


def sounds(path: str | os.PathLike, rates_hz: Iterable[int], folder: Path | None = None) -> dict[int, Sound]:
    """As ``sound`` at several rates, decoded once.

    With ``folder`` the samples are memory-mapped from unnamed temporary files there, which vanish with the samples:
    even four hours of sound take no memory.
    """
    with ExitStack() as files:
        buffers = [files.enter_context(closing(AudioBuffer(rate_hz, folder))) for rate_hz in rates_hz]
        if buffers:
            _decode_sound(path, buffers)
        return {
            buffer.rate_hz: Sound(buffer.finish(), buffer.rate_hz, buffer.start_s, tuple(buffer.gaps_s))
            for buffer in buffers
        }


def _decode_sound(path: str | os.PathLike, buffers: list[AudioBuffer]) -> None:
    """Decode the main sound of a file into every buffer."""
    counts, first = DecodeCounts(), buffers[0]
    with _open(path) as container:
        stream: Any = container.streams.best("audio")
        for frame in _decode(container, stream, counts) if stream else ():
            time_s = _time_s(frame, stream)
            if first.is_started and time_s is not None and time_s > first.stop_s + MAX_GAP_S:
                raise MediaError(
                    f"the sound of {path} jumps from {first.stop_s:.1f} s to {time_s:.1f} s: its time stamps are "
                    "broken, rewrite the file with ffmpeg"
                )
            samples = _mono(frame)
            for buffer in buffers:
                buffer.append(samples, frame.sample_rate, time_s)
    if counts.num_corrupt_packets and not first.is_started:
        raise MediaError(
            f"no sound of {path} can be decoded ({counts.num_corrupt_packets} corrupt packets): download or copy the "
            "file again, or remove its audio stream"
        )


def probe(path: str | os.PathLike) -> MediaInfo:
    """Read a file's properties from its packets; only the first picture is decoded, for its size and rotation.

    Raises NotFoundError, and MediaError where the file cannot be read or no picture of its video stream decoded.
    """
    first = next(pictures(path), None)
    height, width, _ = (0, 0, 3) if first is None else first.rgb().shape
    with _open(path) as container:
        video, audio = _video_stream(container), container.streams.best("audio")
        picture_times_s: list[float] = []
        sound_times_s: list[float] = []
        for packet in _packets(container, [stream for stream in (video, audio) if stream], DecodeCounts()):
            time_s = _time_s(packet, packet.stream)
            if time_s is None or packet.is_discard:
                continue
            if packet.stream is video:
                picture_times_s.append(time_s)
            else:
                sound_times_s += [time_s, time_s + float((packet.duration or 0) * audio.time_base)]
        if sound_times_s and audio.start_time is not None:  # the first packets may hold only the encoder's delay
            sound_times_s = np.maximum(sound_times_s, float(audio.start_time * audio.time_base)).tolist()
        return MediaInfo(
            first is not None,
            bool(sound_times_s),
            width,
            height,
            0 if first is None else first._frame.rotation,
            len(picture_times_s),
            *_rate(np.unique(picture_times_s)),
            min(picture_times_s, default=math.nan),
            max(picture_times_s, default=math.nan),
            min(sound_times_s, default=math.nan),
            max(sound_times_s, default=math.nan),
            audio.sample_rate if sound_times_s else 0,
        )


# By PyAV's own types nearly everything may be None; containers and streams are Any from here on.


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[Any]:
    """The container of a file, open for reading. Raises NotFoundError and MediaError."""
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"no media file at {path}: check the path")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is an empty file: download or copy it again, or leave the clip out")
    try:  # "file:", or a colon in the name would start a protocol; tags need not be UTF-8
        container = av.open(f"file:{path}", metadata_errors="ignore")
    except av.FFmpegError as error:
        with path.open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
        problem = "its index (moov) is missing because the file was cut off" if is_mp4 else "it is not a media file"
        advice = "download or copy it again, or leave the clip out"
        raise MediaError(f"cannot read {path}: {problem} ({error.strerror}): {advice}") from error
    with container:
        if not container.streams.video and not container.streams.audio:
            raise MediaError(
                f"{path} has neither a video nor an audio stream: give a media file, or leave the clip out"
            )
        yield container


def _video_stream(container: Any) -> Any:
    """The largest video stream that is not cover art, the first of equally large ones; None without one."""
    attached = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & attached]
    return max(streams, key=lambda stream: getattr(stream, "width", 0) * getattr(stream, "height", 0), default=None)


def _packets(container: Any, streams: list, counts: DecodeCounts) -> Iterator[Any]:
    """The packets of some streams, up to the first read error, which is counted."""
    try:
        for packet in container.demux(streams):
            if packet.size:
                yield packet
            elif packet.dts is None:  # the end: PyAV would flush next, and fails on a stream first met while reading
                return
    except av.FFmpegError:
        counts.num_corrupt_packets += 1


def _decode(container: Any, stream: Any, counts: DecodeCounts) -> Iterator[Any]:
    """The decodable frames of a stream; errors are counted."""
    stream.thread_type = "SLICE"  # with frame threads one error can lose other frames too
    for packet in chain(_packets(container, [stream], counts), [None]):  # None flushes the decoder
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            counts.num_corrupt_packets += 1


def _restamp(frames: Iterator[Any]) -> Iterator[Any]:
    """The same frames with their time stamps sorted.

    AVI stores no presentation times: for H.264 with B frames FFmpeg guesses them out of order. The frames themselves
    are in order, and H.264 reorders over at most 16 frames.
    """
    waiting: deque[Any] = deque()
    stamps: list[int] = []
    for frame in frames:
        if _stamp(frame) is None:
            yield frame
            continue
        waiting.append(frame)
        heapq.heappush(stamps, _stamp(frame))
        if len(waiting) > 16:
            waiting[0].pts = heapq.heappop(stamps)
            yield waiting.popleft()
    for frame, frame.pts in zip(waiting, sorted(stamps), strict=True):
        yield frame


def _stamp(timed: Any) -> Any:
    """The pts of a packet or frame in ticks of its stream, else its dts, else None."""
    return timed.dts if timed.pts is None else timed.pts


def _time_s(timed: Any, stream: Any) -> float | None:
    """The container time of a packet or frame, None without one."""
    return None if _stamp(timed) is None else float(_stamp(timed) * stream.time_base)


def _rate(times_s: np.ndarray) -> tuple[float, bool]:
    """Rate in Hz and whether it is variable, as MediaInfo defines them."""
    if len(times_s) < 2:
        return math.nan, False
    median_s, mean_s = np.median(np.diff(times_s)), (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    is_variable = np.abs(times_s - times_s[0] - mean_s * np.arange(len(times_s))).max() > median_s / 4
    return float(1 / (median_s if is_variable else mean_s)), bool(is_variable)


def _mono(frame: av.AudioFrame) -> Samples:
    """The mean of a frame's channels, scaled to [-1, 1]."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind != "f":
        limits: Any = np.iinfo(samples.dtype)
        samples = (2.0 * samples - limits.min - limits.max - 1) / (limits.max - limits.min + 1)
    # damaged sound may decode to nan, which would spread through the resampler
    return np.nan_to_num(samples.mean(axis=0), posinf=0, neginf=0).clip(-1, 1).astype(np.float32)

"""Pictures and sound of a media file with their real times.

Time is container time in seconds, shared by picture and sound and never re-zeroed per stream. A damaged file
gives all that can be decoded, and what was lost is counted. Only this room and ``film.py`` know PyAV.
"""

import heapq
import io
import math
import os
import tempfile
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np
import soxr
from jaxtyping import Float32, UInt8

from abaw.errors import InputError, NotFoundError

# How far the stamp of a sound frame may lie from the end of the sound laid down so far and still be ignored. Stamps
# rounded to 1 ms (FLV, Matroska) stay far below; the shortest common frame (Opus 20 ms, AAC 21 ms) lies above, so that
# a single lost one is seen. It cannot add up: the distance is to where the samples really are.
MAX_JITTER_S = 0.010
MAX_GAP_S = 3600.0  # a longer one is a broken stamp, and its zeros would fill the memory

Rgb = UInt8[np.ndarray, "height width 3"]
Samples = Float32[np.ndarray, " n"]


class MediaError(InputError):
    """A file that is there, but of which nothing can be decoded: what is wrong with it and what to do."""


@dataclass
class DecodeCounts:
    """A tally of what decoding met: pictures given, packets lost, pictures left out.

    ``num_dropped`` pictures were not later than the one before, ``num_untimed`` had no time. A read error that
    ends a file early is one corrupt packet.
    """

    num_frames: int = 0
    num_corrupt_packets: int = 0
    num_dropped: int = 0
    num_untimed: int = 0


@dataclass(frozen=True)
class Picture:
    """A decoded picture and when it is shown; colours are converted only when asked for."""

    time_s: float
    _frame: av.VideoFrame = field(repr=False)

    def rgb(self) -> Rgb:
        """The picture upright: mirrored and rotated as the container says, its pixels not stretched."""
        picture = self._frame.to_ndarray(format="rgb24", threads=1)  # a thread pool for each costs six times as much
        matrix: Any = self._frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return picture
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float)
        picture = picture[::-1] if a * d < b * c else picture
        return np.ascontiguousarray(np.rot90(picture, round(self._frame.rotation / 90)))


@dataclass(frozen=True)
class Sound:
    """Mono sound in [-1, 1] whose first sample is heard at ``start_s``; no samples: a clip without sound.

    ``samples`` may be mapped from a file: a slice is read where it is needed, and a copy of the whole may not fit.

    ``gaps_s`` are the spans (start, stop) inside it for which nothing was decoded: their samples are zero.
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
    """What the packets of a file announce; zeros and nan for what it does not have.

    ``width`` and ``height`` are those of a picture as shown, ``rotation_deg`` (counter-clockwise) applied.
    ``num_packets`` of pictures to be shown: damage leaves fewer decodable. ``is_variable``: some picture is further
    than a quarter of the median interval from where evenly spaced ones would be; one lost frame is enough.
    ``fps`` is the mean rate (stamps rounded to 1 ms do not shift it), of a variable clip one over the median
    interval; nan below two pictures. Sound times may differ from the decoded ones by one sound frame.
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
    """Decode the pictures of a file once, forward, as they are shown; their times increase strictly.

    The stream is the largest that is not an attached picture (cover art); a file of sound alone yields nothing.
    Corrupt packets are survived and added to ``counts``. Raises, when iterated, FileNotFoundError, and MediaError
    where the file cannot be read or its video stream gives no picture.
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
            "pictures without a time): get the file again, or leave the clip out"
        )


def has_pictures(path: str | os.PathLike) -> bool:
    """Whether a file has a stream of pictures, cover art aside. Raises FileNotFoundError, and MediaError."""
    with _open(path) as container:
        return _video_stream(container) is not None


def sound(path: str | os.PathLike, rate_hz: int = 16000) -> Sound:
    """Decode the main sound of a file to mono (mean of channels) at ``rate_hz``, every sample at its own time.

    Where sound is missing zeros stand in and ``gaps_s`` tells; what overlaps is cut. A file without sound gives no
    samples, at 0.0 s. Raises FileNotFoundError, and MediaError where the file cannot be read, none of its sound
    can be decoded, or its times leap by more than an hour.
    """
    return sounds(path, [rate_hz])[rate_hz]


def sounds(path: str | os.PathLike, rates_hz: Iterable[int], folder: Path | None = None) -> dict[int, Sound]:
    """The sound at several rates, decoded once. With ``folder`` the samples lie in files there without a name, mapped
    into memory, so that four hours of it take none; the files are gone with the samples. Raises as ``sound`` does.
    """
    with ExitStack() as files:
        tapes = {rate_hz: files.enter_context(closing(_Tape(rate_hz, folder))) for rate_hz in rates_hz}
        if tapes:
            _lay_all(path, list(tapes.values()))
        return {rate_hz: tape.finish() for rate_hz, tape in tapes.items()}


def _lay_all(path: str | os.PathLike, tapes: "list[_Tape]") -> None:
    """Decode the main sound of a file onto every tape."""
    counts, first = DecodeCounts(), tapes[0]
    with _open(path) as container:
        stream: Any = container.streams.best("audio")
        for frame in _decode(container, stream, counts) if stream else ():
            time_s = _time_s(frame, stream)
            if first.is_started and time_s is not None and time_s > first.stop_s + MAX_GAP_S:
                raise MediaError(
                    f"the sound of {path} leaps from {first.stop_s:.1f} s to {time_s:.1f} s: its times are broken, "
                    "write the file anew with ffmpeg"
                )
            samples = _mono(frame)
            for tape in tapes:
                tape.lay(samples, frame.sample_rate, time_s)
    if counts.num_corrupt_packets and not first.is_started:
        raise MediaError(
            f"no sound of {path} can be decoded ({counts.num_corrupt_packets} corrupt packets): get the file again, "
            "or take its sound track out"
        )


def probe(path: str | os.PathLike) -> MediaInfo:
    """Tell what a file holds from its packets; of the pictures only the first is decoded, for its shape and rotation.

    Raises FileNotFoundError, and MediaError where the file cannot be read or its video stream gives no picture.
    """
    first = next(pictures(path), None)
    height, width, _ = (0, 0, 3) if first is None else first.rgb().shape
    with _open(path) as container:
        video, audio = _video_stream(container), container.streams.best("audio")
        shown: list[float] = []
        heard: list[float] = []
        for packet in _packets(container, [stream for stream in (video, audio) if stream], DecodeCounts()):
            time_s = _time_s(packet, packet.stream)
            if time_s is None or packet.is_discard:
                continue
            if packet.stream is video:
                shown.append(time_s)
            else:
                heard += [time_s, time_s + float((packet.duration or 0) * audio.time_base)]
        if heard and audio.start_time is not None:  # the first packets may hold no more than the encoder's delay
            heard = np.maximum(heard, float(audio.start_time * audio.time_base)).tolist()
        return MediaInfo(
            first is not None,
            bool(heard),
            width,
            height,
            0 if first is None else first._frame.rotation,
            len(shown),
            *_rate(np.unique(shown)),
            min(shown, default=math.nan),
            max(shown, default=math.nan),
            min(heard, default=math.nan),
            max(heard, default=math.nan),
            audio.sample_rate if heard else 0,
        )


# PyAV's own types say that nearly everything may be None; containers and streams are Any from here on.


@contextmanager
def _open(path: str | os.PathLike) -> Iterator[Any]:
    """A file opened for reading. Raises FileNotFoundError and MediaError."""
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"no media file at {path}: check the path")
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is an empty file: get it again, or leave the clip out")
    try:  # "file:" lest a colon in the name be read as a protocol; tags need not be UTF-8
        container = av.open(f"file:{path}", metadata_errors="ignore")
    except av.FFmpegError as error:
        with path.open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
        wrong = "its index (moov) is missing, it was cut off" if is_mp4 else "it is not a media file"
        advice = "get it again, or leave the clip out"
        raise MediaError(f"cannot read {path}: {wrong} ({error.strerror}): {advice}") from error
    with container:
        if not container.streams.video and not container.streams.audio:
            raise MediaError(f"{path} has neither a picture nor a sound stream: is it the right file?")
        yield container


def _video_stream(container: Any) -> Any:
    """The largest video stream that is not an attached picture, the first of equals; None without one."""
    attached = av.stream.Disposition.attached_pic
    streams = [stream for stream in container.streams.video if not stream.disposition & attached]
    return max(streams, key=lambda stream: getattr(stream, "width", 0) * getattr(stream, "height", 0), default=None)


def _packets(container: Any, streams: list, counts: DecodeCounts) -> Iterator[Any]:
    """The packets of some streams, up to where the file can be read."""
    try:
        for packet in container.demux(streams):
            if packet.size:
                yield packet
            elif packet.dts is None:  # the end: PyAV goes on to flush, and fails over a stream born while reading
                return
    except av.FFmpegError:
        counts.num_corrupt_packets += 1


def _decode(container: Any, stream: Any, counts: DecodeCounts) -> Iterator[Any]:
    """The frames of a stream that can be decoded; errors are counted."""
    stream.thread_type = "SLICE"  # with a thread for each frame an error can take other frames with it
    for packet in chain(_packets(container, [stream], counts), [None]):  # None: give out what is held back
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            counts.num_corrupt_packets += 1


def _restamp(frames: Iterator[Any]) -> Iterator[Any]:
    """The same frames with their stamps sorted.

    AVI holds no times of presentation: for H.264 with B frames FFmpeg guesses them out of order. The frames are in
    order, and by that standard none is more than 16 places from its stamp.
    """
    held: deque[Any] = deque()
    stamps: list[int] = []
    for frame in frames:
        if _stamp(frame) is None:
            yield frame
            continue
        held.append(frame)
        heapq.heappush(stamps, _stamp(frame))
        if len(held) > 16:
            held[0].pts = heapq.heappop(stamps)
            yield held.popleft()
    for frame, frame.pts in zip(held, sorted(stamps), strict=True):
        yield frame


def _stamp(timed: Any) -> Any:
    """The time of a packet or frame in ticks of its stream; without pts it takes dts; None without both."""
    return timed.dts if timed.pts is None else timed.pts


def _time_s(timed: Any, stream: Any) -> float | None:
    """The container time of a packet or frame."""
    return None if _stamp(timed) is None else float(_stamp(timed) * stream.time_base)


def _rate(times_s: np.ndarray) -> tuple[float, bool]:
    """Rate in Hz and whether it is variable, as MediaInfo defines them."""
    if len(times_s) < 2:
        return math.nan, False
    median_s, mean_s = np.median(np.diff(times_s)), (times_s[-1] - times_s[0]) / (len(times_s) - 1)
    is_variable = np.abs(times_s - times_s[0] - mean_s * np.arange(len(times_s))).max() > median_s / 4
    return float(1 / (median_s if is_variable else mean_s)), bool(is_variable)


def _mono(frame: av.AudioFrame) -> Samples:
    """The mean of a frame's channels, full scale at 1."""
    samples = frame.to_ndarray()
    if not frame.format.is_planar:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind != "f":
        limits: Any = np.iinfo(samples.dtype)
        samples = (2.0 * samples - limits.min - limits.max - 1) / (limits.max - limits.min + 1)
    # damage may decode to what is no number, and one such would spread through the resampler
    return np.nan_to_num(samples.mean(axis=0), posinf=0, neginf=0).clip(-1, 1).astype(np.float32)


class _Tape:
    """Mono sound at one rate, laid down piece by piece at its own times and resampled as it comes.

    The samples go to memory, or to a file without a name in ``folder``.
    """

    def __init__(self, rate_hz: int, folder: Path | None) -> None:
        self.rate_hz, self.start_s = rate_hz, 0.0
        self._laid: Any = io.BytesIO() if folder is None else tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._num_laid = 0
        self._gaps_s: list[tuple[float, float]] = []
        self._resampler: Any = None
        self._source_hz, self._source_start_s, self._num_fed = 1, 0.0, 0

    @property
    def is_started(self) -> bool:
        """Whether anything was laid down."""
        return self._resampler is not None

    @property
    def stop_s(self) -> float:
        """When the sound so far ends."""
        return self._source_start_s + self._num_fed / self._source_hz

    def lay(self, samples: Samples, source_hz: int, time_s: float | None) -> None:
        """Add samples that begin at ``time_s``; None: where the sound so far ends."""
        if not self.is_started:
            self.start_s = time_s or 0.0
        if source_hz != self._source_hz or not self.is_started:
            self._begin(source_hz)
        late_s = 0.0 if time_s is None else time_s - self.stop_s
        if late_s > MAX_JITTER_S:
            self._gaps_s.append((self.stop_s, self.stop_s + late_s))
            num_missing = round(late_s * source_hz)
            for first in range(0, num_missing, source_hz):  # a second at a time, a gap may be long
                self._feed(np.zeros(min(source_hz, num_missing - first), np.float32))
        elif late_s < -MAX_JITTER_S:
            samples = samples[round(-late_s * source_hz) :]
        self._feed(samples)

    def finish(self) -> Sound:
        """The whole sound; nothing can be laid down after it. Its file may be closed: the samples hold it."""
        self._flush()
        if not self._num_laid:
            samples = np.zeros(0, np.float32)
        elif isinstance(self._laid, io.BytesIO):
            samples = np.frombuffer(self._laid.getbuffer(), np.float32)
        else:
            self._laid.flush()
            samples = np.memmap(self._laid, np.float32, mode="c")  # may be written to, as torch wants, without effect
        return Sound(samples, self.rate_hz, self.start_s, tuple(self._gaps_s))

    def close(self) -> None:
        """Close the file; samples in memory stay where they are."""
        if not isinstance(self._laid, io.BytesIO):
            self._laid.close()

    def _begin(self, source_hz: int) -> None:
        """Go on with sound of another rate, from where the sound resampled so far ends."""
        self._flush()
        self._source_start_s = self.start_s + self._num_laid / self.rate_hz
        self._source_hz, self._num_fed = source_hz, 0
        self._resampler = soxr.ResampleStream(source_hz, self.rate_hz, 1, quality="HQ")

    def _feed(self, samples: Samples, last: bool = False) -> None:
        self._num_fed += len(samples)
        laid = self._resampler.resample_chunk(samples, last=last).clip(-1, 1)
        self._laid.write(laid.astype(np.float32, copy=False).tobytes())
        self._num_laid += len(laid)

    def _flush(self) -> None:
        if self.is_started:
            self._feed(np.zeros(0, np.float32), last=True)

"""The estimate of a dry run: clips, frames, gigabytes and time of an extraction, before anything is written."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from itertools import islice
from math import inf

import numpy as np

from abaw.dataset.clip import Clip
from abaw.dataset.face_images import FaceImages
from abaw.dataset.media_files import printable
from abaw.errors import InputError
from abaw.files.disks import find_disk
from abaw.files.names import first_few
from extract import media
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder
from extract.engine.plan import ExtractionPlan
from extract.engine.reading import check_files, count_frames_of_sound, extend_clock
from extract.engine.requests import ClipError, ReadRequest
from extract.engine.whole_pictures import count_whole_pictures
from extract.faces.tracking import with_later
from extract.media import Sound
from extract.store.track_file import num_row_bytes

TRIAL_S = 2.0  # how long each encoder is timed, after one batch to warm up
NUM_SAMPLE_FRAMES = 100  # decoded to measure how fast a clip is read


@dataclass
class Estimate:
    """The work that remains. ``num_rows`` and ``seconds``: of encoding, by folder; ``num_bytes``: of the new tracks.
    ``frames``: of each clip to extract. ``shapes``: feature -> the values in a row, and its rows a second (0: one for
    each frame).

    ``failing``: clip -> why it would fail. ``free_bytes``: on the store's disk. ``shares_cores``: reading and encoding
    take turns on the same processor cores, because the encoders run on the CPU.
    """

    num_clips: int = 0
    num_present: int = 0
    num_frames: int = 0
    failing: dict[str, str] = field(default_factory=dict)
    num_rows: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    num_bytes: float = 0.0
    read_s: float = 0.0
    free_bytes: float = inf
    shares_cores: bool = False
    frames: dict[str, int] = field(default_factory=dict)
    shapes: dict[str, tuple[int, float]] = field(default_factory=dict)

    @property
    def is_feasible(self) -> bool:
        """Whether nothing is known that would fail."""
        return not self.failing and self.num_bytes <= self.free_bytes

    @property
    def total_s(self) -> float:
        """The encoders run one after the other; reading runs beside them, for nothing where they have a GPU."""
        both = self.read_s, sum(self.seconds.values())
        return sum(both) if self.shares_cores else max(both)

    @property
    def min_s(self) -> float:
        """``total_s`` where reading and encoding hinder each other nowhere."""
        return max(self.read_s, sum(self.seconds.values()))

    def __str__(self) -> str:
        def about(seconds: float) -> str:
            return f"about {timedelta(seconds=round(seconds))}"

        by_reason: dict[str, list[str]] = {}
        for clip_id, reason in self.failing.items():
            by_reason.setdefault(reason, []).append(clip_id)
        lines = [f"would fail: {first_few(clips)}: {reason}" for reason, clips in by_reason.items()]
        if self.num_bytes > self.free_bytes:
            lines.append(f"would fail: {self.num_bytes / 1e9:.2f} GB, but {self.free_bytes / 1e9:.2f} GB are free")
        for name, num_rows in self.num_rows.items():
            lines.append(f"{name}: {num_rows:.0f} rows, {about(self.seconds[name])} of encoding")
        beside = "on the same cores" if self.shares_cores else "at the same time"
        lines.append(f"reading: {about(self.read_s)}, {beside}")
        lines.append(
            f"{self.num_clips} clips to extract, {self.num_present} done before, {len(self.failing)} would fail; "
            f"{self.num_frames} frames, {self.num_bytes / 1e9:.2f} GB, {about(self.total_s)}"
        )
        return "\n".join(lines)


def estimate(plan: ExtractionPlan, clip_ids: Iterable[str], num_readers: int, *, shares_cores: bool = True) -> Estimate:
    """Count the missing tracks, and time each encoder and the decoding of a first clip. Writes nothing.

    A clip of which extraction would fail, as far as its packets show, is in ``failing``. ``shares_cores``: whether the
    encoders run on the CPU, as reading does. Raises InputError where
    ``num_readers`` is below 1; MissingWeights as ``extract.engine.run.extract``; NotADirectoryError or PermissionError
    where the store could not be written.
    """
    if num_readers < 1:
        raise InputError(f"--readers is {num_readers}, expected 1 or more")
    plan.check_media()
    clip_ids = list(clip_ids)
    plan.check_detector(clip_ids)
    total = Estimate(num_rows=dict.fromkeys(plan.encoders, 0.0), shares_cores=shares_cores)
    speeds = {name: measure_speed(encoder) for name, encoder in plan.encoders.items()}
    frames_per_s: dict[str, float] = {}
    for clip_id in clip_ids:
        clip = plan.dataset.clips[clip_id]
        try:
            needed = plan.make_request(clip)
            if needed is None:
                total.num_present += 1
                continue
            request = _without_whole_pictures(needed[0])
            num_frames, sound_s = _extent(request)
            if task := _picture_task(request):
                frames_per_s[task] = frames_per_s.get(task) or _measure_reading(clip, request, task)
                total.read_s += num_frames / frames_per_s[task] / num_readers
        except (ClipError, OSError, ValueError) as error:
            total.failing[printable(clip_id)] = str(error)
            continue
        total.num_clips += 1
        total.num_frames += num_frames
        total.frames[clip_id] = num_frames
        for name, encoder in request.encoders.items():
            total.num_rows[name] += _num_rows(encoder, speeds[name], num_frames, len(request.images.numbers), sound_s)
    for name, encoder in plan.encoders.items():
        num_rows, speed = total.num_rows[name], speeds[name]
        total.shapes[plan.recipes[name]["name"]] = encoder.dim, speed.rows_hz
        row_bytes = num_row_bytes(plan.recipes[name]["stored_dtype"], encoder.dim)
        total.num_bytes += num_rows * (row_bytes + 9)  # 9: a time and a flag
        total.seconds[name] = num_rows / speed.rows_per_s
        total.read_s += num_rows * speed.prepare_s / num_readers
    if total.num_clips:
        total.free_bytes = find_disk(plan.store.root).free_bytes
    return total


@dataclass(frozen=True)
class Speed:
    """The rows that an encoder computes in a second, and the rows that a second of sound has.

    ``prepare_s``: of a reading thread, for what one row is computed from.
    """

    rows_per_s: float
    rows_hz: float = 0.0
    prepare_s: float = 0.0


def measure_speed(encoder: Encoder) -> Speed:
    """Time an encoder on noise."""
    if isinstance(encoder, SoundEncoder):
        samples = np.random.default_rng(0).normal(0, 0.1, 10 * encoder.rate_hz).astype(np.float32)
        sound = Sound(samples, encoder.rate_hz, 0.0)
        num_rows = sum(len(piece) for piece in encoder.encode(sound))
        num, took_s = _repeat(lambda: sum(len(piece) for piece in encoder.encode(sound)))
        return Speed(max(num, 1) / took_s, num_rows / 10)
    assert isinstance(encoder, PictureEncoder)
    side = encoder.crop.size_px if encoder.crop else 360
    picture = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    one = encoder.prepare([picture] * encoder.span)
    encoder.forward(one)
    start_s = time.perf_counter()
    encoder.forward(one)
    num_rows = min(encoder.batch_size, max(1, int(TRIAL_S / (time.perf_counter() - start_s + 1e-9))))
    start_s = time.perf_counter()
    batch = encoder.prepare([picture] * (encoder.span * num_rows))  # a whole batch may take a minute on a CPU
    prepare_s = (time.perf_counter() - start_s) / num_rows
    num, took_s = _repeat(lambda: len(encoder.forward(batch)))
    return Speed(num / took_s, prepare_s=prepare_s)


def _repeat(encode: Callable[[], int]) -> tuple[int, float]:
    """The rows encoded in ``TRIAL_S`` or a little more, and the seconds it took."""
    start_s, num_rows = time.perf_counter(), 0
    while (took_s := time.perf_counter() - start_s) < TRIAL_S or not num_rows:
        num_rows += encode()
    return num_rows, max(took_s, 1e-6)


def _extent(request: ReadRequest) -> tuple[int, float]:
    """The number of frames and the seconds of sound of a clip, by its packets.

    Raises InputError where extraction could not make the clip's clock.
    """
    check_files(request)
    num_pictures, sound_s, stop_s = 0, 0.0, None
    clip = request.clip
    if clip.media is not None:
        streams = {"video_stream": clip.streams.video, "audio_stream": clip.streams.audio}
        info = media.probe(clip.media, **streams, assume_fps=request.assume_fps)
        num_pictures = info.num_packets
        if info.has_sound:
            start_s, stop_s = max(info.sound_start_s, clip.part.start_s), min(info.sound_stop_s, clip.part.stop_s)
            sound_s = max(0.0, stop_s - start_s)
            stop_s -= clip.start_s or 0.0
        if num_pictures and not clip.part.is_whole:
            whole_s, part = info.last_picture_s - info.first_picture_s, clip.part
            part_s = min(part.stop_s, info.last_picture_s) - max(part.start_s, info.first_picture_s)
            num_pictures = max(1, round(num_pictures * min(1.0, max(0.0, part_s) / (whole_s or 1.0))))
    min_frames = max(request.num_rows, max(request.images.numbers, default=0))
    if request.clock is None:
        if not num_pictures and not min_frames:
            return count_frames_of_sound(stop_s, request.assume_fps or request.rows_hz), sound_s
        extend_clock(np.arange(num_pictures, dtype=np.float64), min_frames, request.assume_fps)
    return num_pictures or len(request.images.numbers), sound_s


def _without_whole_pictures(request: ReadRequest) -> ReadRequest:
    """The request without face images that are whole pictures and no series.

    Raises ClipError where there is no video instead.
    """
    path = request.clip.media
    if request.clip.is_series:
        return request
    num_whole = count_whole_pictures(request, lambda: media.num_streams(path) if path is not None else (0, 0))
    return replace(request, images=FaceImages()) if num_whole else request


def _picture_task(request: ReadRequest) -> str:
    """What reading a clip's pictures involves: "faces" (detection), "pictures" (decoding alone) or "" (nothing)."""
    if request.clip.media is None and not request.clip.is_series:
        return ""
    encoders = [encoder for encoder in request.encoders.values() if isinstance(encoder, PictureEncoder)]
    if any(encoder.crop is not None for encoder in encoders):
        is_whole = request.clip.is_series and count_whole_pictures(request, lambda: (0, 0))
        if request.fill or is_whole or not request.images.numbers:
            return "faces"
    return "pictures" if request.clock is None or any(encoder.crop is None for encoder in encoders) else ""


def _measure_reading(clip: Clip, request: ReadRequest, task: str) -> float:
    """The pictures per second that one thread reads from a clip, with face detection where the task includes it."""
    start_s, num = time.perf_counter(), 0
    fps = request.assume_fps

    def shown() -> Iterable[media.Picture]:
        if clip.media is not None:
            return media.pictures(clip.media, video_stream=clip.streams.video, assume_fps=fps)
        frames = np.arange(max(request.images.numbers))
        return media.pictures_of_series(request.images, frames / (fps or 1.0))

    selector = (
        request.target.make_selector(
            clip.side, clip.media, clip.streams, assume_fps=fps, part=clip.part, shown=None if clip.media else shown()
        )
        if task == "faces"
        else None
    )
    decodable = (picture for picture in shown() if picture.is_decodable)
    for picture, later in islice(with_later(decodable, request.target.detect_every), NUM_SAMPLE_FRAMES):
        rgb = picture.rgb()
        if selector is not None:
            selector.select(picture.time_s, rgb, later)
        num += 1
    return max(num, 1) / (time.perf_counter() - start_s)


def _num_rows(encoder: Encoder, speed: Speed, num_frames: int, num_images: int, sound_s: float) -> float:
    if isinstance(encoder, SoundEncoder):
        return sound_s * speed.rows_hz
    assert isinstance(encoder, PictureEncoder)
    return (num_images if num_images and encoder.crop is not None else num_frames) / encoder.stride

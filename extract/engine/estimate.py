"""What an extraction would do: clips, frames, gigabytes and time, before anything is written."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import islice

import numpy as np

from abaw.dataset.layout import Clip
from abaw.errors import InputError
from extract import media
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder
from extract.engine.plan import ExtractionPlan
from extract.engine.streams import ReadRequest
from extract.media import MediaError, Sound

TRIAL_S = 2.0  # how long an encoder is tried, after a first batch that warms it up
SAMPLE_FRAMES = 100


@dataclass
class Estimate:
    """Work that is left. ``num_rows`` and ``seconds`` by encoder's folder; bytes are those of the tracks to write."""

    num_clips: int = 0
    num_present: int = 0
    num_frames: int = 0
    unreadable: list[str] = field(default_factory=list)
    num_rows: dict[str, float] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    num_bytes: float = 0.0
    read_s: float = 0.0

    @property
    def total_s(self) -> float:
        """Reading and encoding go on at the same time, encoders one after the other."""
        return max(self.read_s, sum(self.seconds.values()))

    def __str__(self) -> str:
        def about(seconds: float) -> str:
            return f"about {timedelta(seconds=round(seconds))}"

        lines = [f"{clip_id}: cannot be read, it would fail" for clip_id in self.unreadable]
        for name, num_rows in self.num_rows.items():
            lines.append(f"{name}: {num_rows:.0f} rows, {about(self.seconds[name])} of encoding")
        lines.append(f"reading: {about(self.read_s)}, at the same time")
        lines.append(
            f"{self.num_clips} clips to extract, {self.num_present} done before, {len(self.unreadable)} unreadable; "
            f"{self.num_frames} frames, {self.num_bytes / 1e9:.2f} GB, {about(self.total_s)}"
        )
        return "\n".join(lines)


def estimate(work: ExtractionPlan, clip_ids: Iterable[str], num_readers: int) -> Estimate:
    """Count what is missing, and try each encoder and the decoding of the first clip for a moment. Writes nothing.

    ValueError where there are no readers.
    """
    if num_readers < 1:
        raise InputError(f"--readers is {num_readers}, expected 1 or more")
    found = Estimate(num_rows=dict.fromkeys(work.encoders, 0.0))
    speeds = {name: speed(encoder) for name, encoder in work.encoders.items()}
    frames_per_s: dict[str, float] = {}
    for clip_id in clip_ids:
        clip = work.dataset.clips[clip_id]
        try:
            ordered = work.order(clip)
            if ordered is None:
                found.num_present += 1
                continue
            order, _ = ordered
            num_frames, sound_s = _extent(clip, len(order.numbers))
            if looks := _looks(order):
                frames_per_s[looks] = frames_per_s.get(looks) or _reading_speed(clip, order, looks)
                found.read_s += num_frames / frames_per_s[looks] / num_readers
        except (MediaError, OSError, ValueError):
            found.unreadable.append(clip_id)
            continue
        found.num_clips += 1
        found.num_frames += num_frames
        for name, encoder in order.encoders.items():
            found.num_rows[name] += _num_rows(encoder, speeds[name], num_frames, len(order.numbers), sound_s)
    for name, encoder in work.encoders.items():
        num_rows, speed_ = found.num_rows[name], speeds[name]
        width = np.dtype(work.recipes[name]["stored_dtype"]).itemsize
        found.num_bytes += num_rows * (encoder.dim * width + 9)  # and a time and a flag
        found.seconds[name] = num_rows / speed_.rows_per_s
    return found


@dataclass(frozen=True)
class Speed:
    """Rows an encoder makes in a second of work, and of a second of sound."""

    rows_per_s: float
    rows_hz: float = 0.0


def speed(encoder: Encoder) -> Speed:
    """Try an encoder on noise."""
    if isinstance(encoder, SoundEncoder):
        samples = np.random.default_rng(0).normal(0, 0.1, 10 * encoder.rate_hz).astype(np.float32)
        sound = Sound(samples, encoder.rate_hz, 0.0)
        num_rows = sum(len(piece) for piece in encoder.encode(sound))
        num, took_s = _repeat(lambda: sum(len(piece) for piece in encoder.encode(sound)))
        return Speed(max(num, 1) / took_s, num_rows / 10)
    assert isinstance(encoder, PictureEncoder)
    side = encoder.crop.size_px if encoder.crop else 360
    picture = np.random.default_rng(0).integers(0, 255, (side, side, 3), np.uint8)
    batch = encoder.prepare([picture] * (encoder.span * encoder.batch_size))
    encoder.forward(batch)
    num, took_s = _repeat(lambda: len(encoder.forward(batch)))
    return Speed(num / took_s)


def _repeat(work: Callable[[], int]) -> tuple[int, float]:
    start_s, num = time.perf_counter(), 0
    while (took_s := time.perf_counter() - start_s) < TRIAL_S or not num:
        num += work()
    return num, max(took_s, 1e-6)


def _extent(clip: Clip, num_images: int) -> tuple[int, float]:
    """Pictures and seconds of sound of a clip, as its packets tell."""
    if clip.media is None:
        return num_images, 0.0
    info = media.probe(clip.media)
    return info.num_packets, info.sound_stop_s - info.sound_start_s if info.has_sound else 0.0


def _looks(order: ReadRequest) -> str:
    """What must be done with a clip's pictures: "faces" found, "pictures" decoded, or "" nothing."""
    if order.clip.media is None:
        return ""
    eyes = [encoder for encoder in order.encoders.values() if isinstance(encoder, PictureEncoder)]
    if any(eye.crop is not None for eye in eyes) and (order.fill or not order.numbers):
        return "faces"
    return "pictures" if order.clock is None or any(eye.crop is None for eye in eyes) else ""


def _reading_speed(clip: Clip, order: ReadRequest, looks: str) -> float:
    """Pictures a second that one thread decodes, and finds the faces of where that is needed, in one clip."""
    assert clip.media is not None
    start_s, num = time.perf_counter(), 0
    watcher = order.watch.begin(clip.side, clip.media) if looks == "faces" else None
    for picture in islice(media.pictures(clip.media), SAMPLE_FRAMES):
        rgb = picture.rgb()
        if watcher is not None:
            watcher.look(picture.time_s, rgb)
        num += 1
    return max(num, 1) / (time.perf_counter() - start_s)


def _num_rows(encoder: Encoder, speed_: Speed, num_frames: int, num_images: int, sound_s: float) -> float:
    if isinstance(encoder, SoundEncoder):
        return sound_s * speed_.rows_hz
    assert isinstance(encoder, PictureEncoder)
    return (num_images if num_images and encoder.crop is not None else num_frames) / encoder.stride

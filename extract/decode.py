"""One clip, decoded once, for every encoder asked for: pictures and sound in, a clock and tracks out."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import ceil
from pathlib import Path

import cv2
import numpy as np

from abaw.clips import Clip
from abaw.tracks import Clock, Track, empty_track
from extract import media
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder
from extract.faces import Box, FaceFinder, choose, cut, resize_face
from extract.media import Rgb


class ClipError(Exception):
    """Why a clip has no tracks, and at which stage it failed."""

    def __init__(self, stage: str, reason: Exception) -> None:
        # an unforeseen error's class says more than its text
        super().__init__(
            str(reason) if isinstance(reason, ValueError | OSError) else f"{type(reason).__name__}: {reason}"
        )
        self.stage = stage


@dataclass(frozen=True)
class Extracted:
    """``crops`` says whose faces the pictures' rows show: "organisers" or "found"; ``facts`` are what decoding met."""

    clock: Clock
    tracks: dict[str, Track]
    faces: Track | None
    crops: str
    facts: dict[str, int | float]


class _Lane:
    """The rows of one picture encoder, a batch at a time; a picture without its person is an unobserved row."""

    def __init__(self, name: str, encoder: PictureEncoder) -> None:
        self.name, self.encoder = name, encoder
        self._waiting: list[Rgb] = []
        self._rows: list[np.ndarray] = []
        self._seen: list[bool] = []

    def add(self, picture: Rgb | None) -> None:
        self._seen.append(picture is not None)
        if picture is not None:
            self._waiting.append(picture)
            if len(self._waiting) == self.encoder.batch_size:
                self._flush()

    def _flush(self) -> None:
        if self._waiting:
            with _stage(f"encode {self.name}"):
                self._rows.append(self.encoder.forward(self.encoder.prepare(self._waiting)))
            self._waiting = []

    def track(self, times_s: np.ndarray) -> Track:
        self._flush()
        seen = np.array(self._seen, bool)
        values = np.zeros((len(seen), self.encoder.dim), np.float32)
        if self._rows:
            values[seen] = np.concatenate(self._rows)
        with _stage(f"encode {self.name}"):
            return Track(values, times_s, seen)


def extract_clip(
    clip: Clip,
    numbers: list[int],
    encoders: Mapping[str, Encoder],
    finder: FaceFinder,
    num_rows: int,
    assume_fps: float | None,
) -> Extracted:
    """The clip's clock and a track for each encoder.

    ``numbers`` are its face images' frames, ``num_rows`` its label lines. Encoders that want a face take the
    organisers' images where the clip has any; the others, and all where there are none, take the decoded pictures.
    ClipError says which stage failed and why.
    """
    lanes = [_Lane(name, encoder) for name, encoder in encoders.items() if isinstance(encoder, PictureEncoder)]
    by_image = [lane for lane in lanes if numbers and (lane.encoder.crop is not None or clip.media is None)]
    by_video = [lane for lane in lanes if lane not in by_image]
    counts = media.DecodeCounts()
    times_s, faces = _decode_pictures(clip, by_video, finder, counts)
    ears = {name: encoder for name, encoder in encoders.items() if isinstance(encoder, SoundEncoder)}
    sounds = _decode_sounds(
        clip, {encoder.rate_hz for encoder in ears.values()} or ({16000} if not len(times_s) else set())
    )
    with _stage("clock"):
        if clip.media is None and not numbers:
            raise ValueError("nothing to see or hear: neither a media file nor face images")
        if numbers and numbers[0] < 1:
            raise ValueError(f"{clip.image(numbers[0])}: frames are numbered from 00001: delete or renumber it")
        clock, assumed = _clock(
            times_s, max(num_rows, max(numbers, default=0)), next(iter(sounds.values()), None), assume_fps
        )
    num_unreadable = _read_images(clip, numbers, by_image)
    tracks = {lane.name: lane.track(times_s) for lane in by_video}
    tracks |= {lane.name: lane.track(clock.times_s[np.array(numbers) - 1]) for lane in by_image}
    tracks |= {name: _listen(name, encoder, sounds[encoder.rate_hz]) for name, encoder in ears.items()}
    facts = {"num_frames": len(times_s), **vars(counts), "num_unreadable_images": num_unreadable, **assumed}
    return Extracted(clock, tracks, faces, "organisers" if by_image else "found", facts)


def _decode_pictures(
    clip: Clip, lanes: list[_Lane], finder: FaceFinder, counts: media.DecodeCounts
) -> tuple[np.ndarray, Track | None]:
    """Times of all decodable frames, and where the face was; the lanes are fed on the way."""
    times_s: list[float] = []
    boxes: list[Box | None] = []
    wants_face = any(lane.encoder.crop is not None for lane in lanes)
    before: Box | None = None
    for picture in _guarded("decode", media.pictures(clip.media, counts) if clip.media else ()):
        times_s.append(picture.time_s)
        if not lanes:
            continue
        with _stage("decode"):
            rgb = picture.rgb()
        if wants_face:
            with _stage("faces"):
                boxes.append(choose(finder.find(rgb), clip.side, rgb.shape[1], before))
            before = boxes[-1] or before
        _feed(lanes, rgb, boxes[-1] if wants_face else None)
    faces = _boxes_track(boxes, np.array(times_s)) if wants_face else None
    return np.array(times_s, np.float64), faces


def _feed(lanes: list[_Lane], rgb: Rgb, box: Box | None) -> None:
    cuts: dict[object, Rgb] = {}
    for lane in lanes:
        crop = lane.encoder.crop
        if crop is None:
            lane.add(rgb)
        elif box is None:
            lane.add(None)
        else:
            if crop not in cuts:
                cuts[crop] = cut(rgb, box, crop)
            lane.add(cuts[crop])


def _boxes_track(boxes: list[Box | None], times_s: np.ndarray) -> Track:
    values = np.array([(box.x, box.y, box.width, box.height) if box else (0, 0, 0, 0) for box in boxes], np.float32)
    return Track(values.reshape(-1, 4), times_s, np.array([box is not None for box in boxes], bool))


def _read_images(clip: Clip, numbers: list[int], lanes: list[_Lane]) -> int:
    """Feed the lanes with the organisers' faces; how many could not be read (those rows are not observed)."""
    num_unreadable = 0
    for number in numbers if lanes else ():
        with _stage("read images"):
            face = _read_image(clip.image(number))
        num_unreadable += face is None
        for lane in lanes:
            crop = lane.encoder.crop
            lane.add(face if face is None or crop is None else resize_face(face, crop))
    return num_unreadable


def _read_image(path: Path) -> Rgb | None:
    # imread cannot open some non-ASCII paths and prints to stderr on damage: decode from bytes
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _decode_sounds(clip: Clip, rates_hz: Iterable[int]) -> dict[int, media.Sound]:
    with _stage("decode"):
        silent = media.Sound(np.zeros(0, np.float32), 16000, 0.0)
        return {rate: media.sound(clip.media, rate) if clip.media else silent for rate in rates_hz}


def _listen(name: str, encoder: SoundEncoder, sound: media.Sound) -> Track:
    """The encoder's track; rows in a gap, where nothing was decoded, are not observed."""
    if not len(sound.samples):
        return empty_track(encoder.dim)
    with _stage(f"encode {name}"):
        track = encoder.encode(sound)
    observed = track.observed.copy()
    for start_s, stop_s in sound.gaps_s:
        observed &= (track.times_s < start_s) | (track.times_s >= stop_s)
    return Track(track.values, track.times_s, observed)


def _clock(
    times_s: np.ndarray, least: int, sound: media.Sound | None, assume_fps: float | None
) -> tuple[Clock, dict[str, float]]:
    """The clip's clock, at least ``least`` frames long, and the assumed frame rate where one was needed."""
    num = max(len(times_s), least) or _frames_of_sound(sound, assume_fps)
    beyond = np.arange(1, num - len(times_s) + 1)
    assumed: dict[str, float] = {}
    if len(times_s) > 1:
        interval_s = float(np.median(np.diff(times_s)))
    elif not len(beyond):
        interval_s = 0.0
    elif assume_fps is None:
        raise ValueError(f"no frame rate: {len(times_s)} frame(s) decoded, {num} on the clock: give --assume-fps FPS")
    else:
        interval_s, assumed = 1 / assume_fps, {"assumed_fps": assume_fps}
    last_s = times_s[-1] if len(times_s) else -interval_s
    times_s = np.concatenate([times_s, last_s + interval_s * beyond])
    return Clock(np.arange(1, num + 1), times_s, np.arange(num) < num - len(beyond)), assumed


def _frames_of_sound(sound: media.Sound | None, assume_fps: float | None) -> int:
    if sound is None or not len(sound.samples):
        raise ValueError("nothing to see or hear: no picture, no face image, no label and no sound")
    if assume_fps is None:
        raise ValueError("sound alone has no frames: give --assume-fps FPS for its clock")
    return ceil(sound.stop_s * assume_fps)


@contextmanager
def _stage(stage: str) -> Iterator[None]:
    """Any error inside is this clip's failure, so that one bad clip among many does not stop the rest."""
    try:
        yield
    except ClipError:
        raise
    except Exception as error:
        raise ClipError(stage, error) from error


def _guarded(stage: str, pictures: Iterable[media.Picture]) -> Iterator[media.Picture]:
    iterator = iter(pictures)
    while True:
        with _stage(stage):
            picture = next(iterator, None)
        if picture is None:
            return
        yield picture

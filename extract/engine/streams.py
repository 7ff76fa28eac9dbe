"""One clip, decoded once, for every encoder asked for: from media to portions that are ready to be encoded.

This runs in reading threads. What it makes it sends on at once, so that a clip of an hour takes no more memory than one
of a minute; when the clip is read it says which rows there are and when.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path

import cv2
import numpy as np

from abaw.dataset.layout import Clip
from abaw.errors import InputError
from abaw.tracks import Clock, Track
from extract import media
from extract.encoders.base import Encoder, PictureEncoder, SoundEncoder
from extract.faces.geometry import Face, cut, resize_face
from extract.faces.target import TargetConfig, TargetSelector
from extract.media import Rgb

PORTION_ROWS = 16  # rows prepared together: enough to be worth a message, few enough to keep the queue small


class ClipError(Exception):
    """Why a clip has no tracks, and at which stage it failed."""

    def __init__(self, stage: str, reason: Exception) -> None:
        # an unforeseen error's class says more than its text
        super().__init__(
            str(reason) if isinstance(reason, ValueError | OSError) else f"{type(reason).__name__}: {reason}"
        )
        self.stage, self.reason = stage, reason


@dataclass(frozen=True)
class ReadRequest:
    """What is to be read of a clip.

    ``numbers`` are its face images' frames, ``num_rows`` its label lines; ``encoders`` by their tracks' folders.
    ``fill``: frames without an image take the face of the video. ``clock``: the clip's, where it is known already.
    """

    clip: Clip
    numbers: list[int]
    num_rows: int
    encoders: Mapping[str, Encoder]
    watch: TargetConfig
    assume_fps: float | None = None
    fill: bool = False
    clock: Clock | None = None


@dataclass(frozen=True)
class Rows:
    """When the rows of a track are, which of them were seen, and which were filled from the video.

    ``about``: of pictures with a crop, whose faces they show ("organisers", "found", or "organisers and filled") and
    how many images could not be read.
    """

    times_s: np.ndarray
    observed: np.ndarray
    filled: np.ndarray | None = None
    about: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class ReadResult:
    """What reading a clip came to. ``rows`` of each picture encoder; ``facts`` are what decoding met, if it was new."""

    clock: Clock
    rows: dict[str, Rows]
    faces: Track | None
    facts: dict[str, int | float]


Send = Callable[[str, np.ndarray | media.Sound], None]


class _FrameStream:
    """The pictures of one encoder, sent on in portions; a picture without its person is an unobserved row.

    ``position`` is a frame's place on the clock. Rows of several pictures begin anew after a gap.
    """

    def __init__(self, name: str, encoder: PictureEncoder, send: Send) -> None:
        self.name, self.encoder, self._send = name, encoder, send
        self._window: deque[tuple[int, Rgb | None, bool]] = deque(maxlen=encoder.span)
        self._num_since_gap = 0
        self._waiting: list[Rgb] = []
        self._first: list[int] = []
        self._last: list[int] = []
        self._seen: list[bool] = []
        self._filled: list[bool] = []

    def add(self, position: int, picture: Rgb | None, filled: bool = False) -> None:
        if self.encoder.span > 1 and self._window and position != self._window[-1][0] + 1:
            self._window.clear()
            self._num_since_gap = 0
        self._window.append((position, picture, filled))
        self._num_since_gap += 1
        late = self._num_since_gap - self.encoder.span
        if late < 0 or late % self.encoder.stride:
            return
        pictures = [each for _, each, _ in self._window if each is not None]
        self._first.append(self._window[0][0])
        self._last.append(position)
        self._seen.append(len(pictures) == self.encoder.span)
        self._filled.append(any(flag for _, _, flag in self._window))
        if self._seen[-1]:
            self._waiting += pictures
        if len(self._waiting) >= PORTION_ROWS * self.encoder.span:
            self.flush()

    def flush(self) -> None:
        if self._waiting:
            with stage(f"prepare {self.name}"):
                portion = self.encoder.prepare(self._waiting)
            self._waiting = []
            self._send(self.name, portion)

    def rows(self, times_s: np.ndarray, about: Mapping[str, str]) -> Rows:
        first, last = np.array(self._first, int), np.array(self._last, int)
        filled = np.array(self._filled, bool)
        middle_s = (times_s[first] + times_s[last]) / 2
        return Rows(middle_s, np.array(self._seen, bool), filled if filled.any() else None, about)


def read_clip(order: ReadRequest, send: Send, folder: Path, check: Callable[[], None] = lambda: None) -> ReadResult:
    """ReadResult a clip: ``send`` gets, by encoder, portions of rows for ``forward`` in order, and sounds to encode.

    ``check`` is called at every picture and may raise, to end the reading.

    Encoders that want a face take the organisers' images where the clip has any; the others, and all where there are
    none, take the decoded pictures. Sound lies in ``folder`` meanwhile. ClipError says which stage failed and why.
    """
    clip, numbers = order.clip, order.numbers
    lanes = [
        _FrameStream(name, each, send) for name, each in order.encoders.items() if isinstance(each, PictureEncoder)
    ]
    by_image = [lane for lane in lanes if numbers and (lane.encoder.crop is not None or not _has_pictures(clip))]
    by_video = [lane for lane in lanes if lane not in by_image]
    ears = {name: encoder for name, encoder in order.encoders.items() if isinstance(encoder, SoundEncoder)}
    sounds = _sounds(clip, {encoder.rate_hz for encoder in ears.values()}, folder)
    for name, encoder in ears.items():
        send(name, sounds[encoder.rate_hz])
    images = _Images(clip, numbers, by_image)
    eyes = _FaceStream(order, by_video, by_image if order.fill else [])
    facts: dict[str, int | float] = {}
    clock = order.clock
    if clock is None or by_video or order.fill:
        counts, times_s = media.DecodeCounts(), []
        for place, picture in enumerate(_guarded("decode", media.pictures(clip.media, counts) if clip.media else ())):
            check()
            times_s.append(picture.time_s)
            eyes.look(place, picture, images.show(place))
        if clock is not None:
            _check_same(clock, np.array(times_s, np.float64))
        else:
            clock, assumed = _clock(order, np.array(times_s, np.float64), sounds, folder)
            facts = {"num_frames": len(times_s), **vars(counts), **assumed}
    images.show_rest()
    for lane in lanes:
        lane.flush()
    of_images = {"crops": "organisers and filled" if order.fill else "organisers"}
    of_images["num_unreadable_images"] = str(images.num_unreadable)
    rows = {lane.name: lane.rows(clock.times_s, of_images) for lane in by_image}
    rows |= {lane.name: lane.rows(clock.times_s, {"crops": "found"} if lane.encoder.crop else {}) for lane in by_video}
    return ReadResult(clock, rows, eyes.faces(clock.times_s), facts)


class _FaceStream:
    """What is seen in the video: the target's face for those who want it, the picture for the others."""

    def __init__(self, order: ReadRequest, lanes: list[_FrameStream], filling: list[_FrameStream]) -> None:
        self._lanes, self._filling = lanes, filling
        self._watcher: TargetSelector | None = None
        if filling or any(lane.encoder.crop is not None for lane in lanes):
            with stage("faces"):
                self._watcher = order.watch.begin(order.clip.side, order.clip.media)
        self._faces: list[Face | None] = []

    def look(self, place: int, picture: media.Picture, has_image: bool) -> None:
        if not self._lanes and not self._filling:
            return
        with stage("decode"):
            rgb = picture.rgb()
        face = None
        if self._watcher is not None:
            with stage("faces"):
                face = self._watcher.look(picture.time_s, rgb)
            self._faces.append(face)
        cuts: dict[object, Rgb] = {}
        for lane in self._lanes:
            self._show(lane, place, rgb, face, cuts)
        for lane in self._filling if face is not None and not has_image else []:
            self._show(lane, place, rgb, face, cuts, filled=True)

    def _show(
        self, lane: _FrameStream, place: int, rgb: Rgb, face: Face | None, cuts: dict[object, Rgb], filled: bool = False
    ) -> None:
        crop = lane.encoder.crop
        if crop is None or face is None:
            lane.add(place, rgb if crop is None else None)
            return
        if crop not in cuts:
            with stage("faces"):
                cuts[crop] = cut(rgb, face, crop)
        lane.add(place, cuts[crop], filled)

    def faces(self, times_s: np.ndarray) -> Track | None:
        """The target in each decoded frame: left, top, width, height, person, and whether found or followed there."""
        if self._watcher is None:
            return None
        values = np.zeros((len(self._faces), 6), np.float32)
        for row, face in enumerate(self._faces):
            if face is not None:
                box = face.box
                values[row] = (box.x, box.y, box.width, box.height, face.person, face.found)
        observed = np.array([face is not None for face in self._faces], bool)
        return Track(values, times_s[: len(values)], observed)


class _Images:
    """The organisers' faces, read in the order of their frames."""

    def __init__(self, clip: Clip, numbers: list[int], lanes: list[_FrameStream]) -> None:
        self._clip, self._lanes = clip, lanes
        self._left = deque(numbers)
        self.num_unreadable = 0
        if numbers and numbers[0] < 1:
            with stage("clock"):
                raise InputError(f"{clip.image(numbers[0])}: frames are numbered from 00001: delete or renumber it")

    def show(self, place: int) -> bool:
        """Show the lanes the image of a place on the clock; whether there is one."""
        if not self._left or self._left[0] != place + 1:
            return False
        number = self._left.popleft()
        face = None
        if self._lanes:
            with stage("read images"):
                face = _read_image(self._clip.image(number))
            self.num_unreadable += face is None
        for lane in self._lanes:
            crop = lane.encoder.crop
            lane.add(place, face if face is None or crop is None else resize_face(face, crop))
        return True

    def show_rest(self) -> None:
        """Images of frames past the decoded end, or of a clip without a video."""
        while self._left:
            self.show(self._left[0] - 1)


def _read_image(path: Path) -> Rgb | None:
    # imread cannot open some non-ASCII paths and prints to stderr on damage: decode from bytes
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)


def _sounds(clip: Clip, rates_hz: Iterable[int], folder: Path) -> dict[int, media.Sound]:
    with stage("decode"):
        if clip.media is None:
            return {rate_hz: media.Sound(np.zeros(0, np.float32), rate_hz, 0.0) for rate_hz in rates_hz}
        return media.sounds(clip.media, rates_hz, folder)


def _has_pictures(clip: Clip) -> bool:
    if clip.media is None:
        return False
    with stage("decode"):
        return media.has_pictures(clip.media)


def _check_same(clock: Clock, times_s: np.ndarray) -> None:
    """The stored clock holds where what is decoded now is what was decoded then: rows are laid at its times."""
    with stage("clock"):
        if not np.array_equal(times_s, clock.times_s[clock.decoded]):
            raise InputError(
                f"{len(times_s)} frames are decoded, not the {int(clock.decoded.sum())} of the stored clock or not at "
                "its times: the file or the decoder has changed; delete the clip's clock in the store, extract again"
            )


def _clock(
    order: ReadRequest, times_s: np.ndarray, sounds: Mapping[int, media.Sound], folder: Path
) -> tuple[Clock, dict[str, float]]:
    """The clip's clock, and the assumed frame rate where one was needed."""
    with stage("clock"):
        if order.clip.media is None and not order.numbers:
            raise InputError("nothing to see or hear: neither a media file nor face images")
        least = max(order.num_rows, max(order.numbers, default=0))
        if not len(times_s) and not least:
            # at one rate, whichever encoders there are: its end differs by a sample from rate to rate
            sound = sounds.get(16000) or _sounds(order.clip, [16000], folder)[16000]
            least = _frames_of_sound(sound, order.assume_fps)
        return _clock_of(times_s, least, order.assume_fps)


def _clock_of(times_s: np.ndarray, least: int, assume_fps: float | None) -> tuple[Clock, dict[str, float]]:
    """A clock of the decoded times that is at least ``least`` frames long."""
    num = max(len(times_s), least)
    beyond = np.arange(1, num - len(times_s) + 1)
    assumed: dict[str, float] = {}
    if len(times_s) > 1:
        interval_s = float(np.median(np.diff(times_s)))
    elif not len(beyond):
        interval_s = 0.0
    elif assume_fps is None:
        raise InputError(f"no frame rate: {len(times_s)} frame(s) decoded, {num} on the clock: give --assume-fps FPS")
    else:
        interval_s, assumed = 1 / assume_fps, {"assumed_fps": assume_fps}
    last_s = times_s[-1] if len(times_s) else -interval_s
    times_s = np.concatenate([times_s, last_s + interval_s * beyond])
    return Clock(np.arange(1, num + 1), times_s, np.arange(num) < num - len(beyond)), assumed


def _frames_of_sound(sound: media.Sound, assume_fps: float | None) -> int:
    if not len(sound.samples):
        raise InputError("nothing to see or hear: no picture, no face image, no label and no sound")
    if assume_fps is None:
        raise InputError("sound alone has no frames: give --assume-fps FPS for its clock")
    return ceil(sound.stop_s * assume_fps)


@contextmanager
def stage(name: str) -> Iterator[None]:
    """Any error inside is this clip's failure, so that one bad clip among many does not stop the rest."""
    try:
        yield
    except ClipError:
        raise
    except Exception as error:
        raise ClipError(name, error) from error


def _guarded(name: str, pictures: Iterable[media.Picture]) -> Iterator[media.Picture]:
    iterator = iter(pictures)
    while True:
        with stage(name):
            picture = next(iterator, None)
        if picture is None:
            return
        yield picture

"""The pictures, faces and face images of one clip on their way to its vision encoders.

The streams run in reading threads and send what they prepare at once: a clip of an hour takes no more memory than one
of a minute.
"""

from collections import deque
from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np

from abaw.dataset.layout import Clip
from abaw.errors import InputError
from abaw.tracks import Track
from extract import media
from extract.encoders.base import PictureEncoder
from extract.engine.requests import ReadRequest, Rows, Send, stage
from extract.faces.geometry import Face, cut, resize_face
from extract.faces.target import TargetSelector
from extract.media import Rgb

MAX_ROWS_PER_MESSAGE = 16  # enough to be worth a message, few enough to keep the queue small


class FrameStream:
    """The pictures for one encoder, prepared and sent in groups of rows; a row with a missing picture is unobserved.

    A picture's ``position`` is its index on the clock. A row of several pictures never spans a gap between positions.
    """

    def __init__(self, name: str, encoder: PictureEncoder, send: Send) -> None:
        self.name, self.encoder, self._send = name, encoder, send
        self._window: deque[tuple[int, Rgb | None, bool]] = deque(maxlen=encoder.span)
        self._num_since_gap = 0
        self._waiting: list[Rgb] = []
        self._first: list[int] = []
        self._last: list[int] = []
        self._observed: list[bool] = []
        self._filled: list[bool] = []

    def add(self, position: int, picture: Rgb | None, filled: bool = False) -> None:
        """Add the next picture; None: the person is not visible there. ``filled``: it replaces a missing image."""
        if self.encoder.span > 1 and self._window and position != self._window[-1][0] + 1:
            self._window.clear()
            self._num_since_gap = 0
        self._window.append((position, picture, filled))
        self._num_since_gap += 1
        num_past_first_row = self._num_since_gap - self.encoder.span
        if num_past_first_row < 0 or num_past_first_row % self.encoder.stride:
            return
        pictures = [each for _, each, _ in self._window if each is not None]
        self._first.append(self._window[0][0])
        self._last.append(position)
        self._observed.append(len(pictures) == self.encoder.span)
        self._filled.append(any(flag for _, _, flag in self._window))
        if self._observed[-1]:
            self._waiting += pictures
        if len(self._waiting) >= MAX_ROWS_PER_MESSAGE * self.encoder.span:
            self.flush()

    def flush(self) -> None:
        """Prepare and send the rows that are waiting."""
        if self._waiting:
            with stage(f"prepare {self.name}"):
                inputs = self.encoder.prepare(self._waiting)
            self._waiting = []
            self._send(self.name, inputs)

    def rows(self, times_s: np.ndarray, metadata: Mapping[str, str]) -> Rows:
        """All rows, each at the middle of its first and last picture; ``times_s``: of the clock."""
        first, last = np.array(self._first, int), np.array(self._last, int)
        filled = np.array(self._filled, bool)
        middle_s = (times_s[first] + times_s[last]) / 2
        return Rows(middle_s, np.array(self._observed, bool), filled if filled.any() else None, metadata)


class FaceStream:
    """The decoded pictures of a clip: the target's face to streams with a crop, the whole picture to the others.

    ``streams`` get every picture; ``filling`` get the face of pictures without a face image.
    """

    def __init__(self, request: ReadRequest, streams: list[FrameStream], filling: list[FrameStream]) -> None:
        self._streams, self._filling = streams, filling
        self._selector: TargetSelector | None = None
        if filling or any(stream.encoder.crop is not None for stream in streams):
            with stage("faces"):
                self._selector = request.target.make_selector(request.clip.side, request.clip.media)
        self._faces: list[Face | None] = []

    def add(self, position: int, picture: media.Picture, has_image: bool) -> None:
        """Add the next decoded picture; ``has_image``: the data set has a face image of it."""
        if not self._streams and not self._filling:
            return
        with stage("decode"):
            rgb = picture.rgb()
        face = None
        if self._selector is not None:
            with stage("faces"):
                face = self._selector.select(picture.time_s, rgb)
            self._faces.append(face)
        crops: dict[object, Rgb] = {}
        for stream in self._streams:
            self._add_to(stream, position, rgb, face, crops)
        for stream in self._filling if face is not None and not has_image else []:
            self._add_to(stream, position, rgb, face, crops, filled=True)

    def _add_to(
        self,
        stream: FrameStream,
        position: int,
        rgb: Rgb,
        face: Face | None,
        crops: dict[object, Rgb],
        filled: bool = False,
    ) -> None:
        crop = stream.encoder.crop
        if crop is None or face is None:
            stream.add(position, rgb if crop is None else None)
            return
        if crop not in crops:
            with stage("faces"):
                crops[crop] = cut(rgb, face, crop)
        stream.add(position, crops[crop], filled)

    def track(self, times_s: np.ndarray) -> Track | None:
        """The target's face in each picture: left, top, width, height, person, 1 if detected and 0 if tracked there.

        None where no encoder takes a face.
        """
        if self._selector is None:
            return None
        values = np.zeros((len(self._faces), 6), np.float32)
        for row, face in enumerate(self._faces):
            if face is not None:
                box = face.box
                values[row] = (box.x, box.y, box.width, box.height, face.person, face.detected)
        observed = np.array([face is not None for face in self._faces], bool)
        return Track(values, times_s[: len(values)], observed)


class ImageStream:
    """The face images of the data set, in the order of their frames. ``num_unreadable`` counts damaged ones."""

    def __init__(self, clip: Clip, numbers: list[int], streams: list[FrameStream]) -> None:
        self._clip, self._streams = clip, streams
        self._remaining = deque(numbers)
        self.num_unreadable = 0
        if numbers and numbers[0] < 1:
            with stage("clock"):
                raise InputError(
                    f"{clip.image(numbers[0])} is numbered below 1, but frames are numbered from 00001: delete or "
                    "rename the image"
                )

    def read_at(self, position: int) -> bool:
        """Read the image of a position on the clock and add it to the streams; False where there is none."""
        if not self._remaining or self._remaining[0] != position + 1:
            return False
        number = self._remaining.popleft()
        face = None
        if self._streams:
            with stage("read images"):
                face = read_image(self._clip.image(number))
            self.num_unreadable += face is None
        for stream in self._streams:
            crop = stream.encoder.crop
            stream.add(position, face if face is None or crop is None else resize_face(face, crop))
        return True

    def read_rest(self) -> None:
        """Read the images of frames beyond the decoded pictures."""
        while self._remaining:
            self.read_at(self._remaining[0] - 1)


def read_image(path: Path) -> Rgb | None:
    """An image file as RGB, None where it is empty or damaged. Raises OSError where it cannot be opened."""
    # imread cannot open some non-ASCII paths and prints to stderr on damage: decode from bytes
    image = cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    return None if image is None else cv2.cvtColor(image, cv2.COLOR_BGR2RGB)

"""The pictures, faces and face images of one clip on their way to its vision encoders.

The streams run in reading threads and send what they prepare at once: a clip of an hour takes no more memory than one
of a minute.
"""

from array import array
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np

from abaw.dataset.face_images import FaceImages
from abaw.tracks import Track
from extract import media
from extract.encoders.base import PictureEncoder
from extract.engine.requests import FoundFaces, ReadRequest, Rows, Send, stage
from extract.faces.geometry import Crop, Face, cut, resize_face
from extract.faces.target import TargetSelector
from extract.media import Rgb
from extract.media.stills.image_files import read_image

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
    """The pictures of a clip: the target's face to streams with a crop, the whole picture to the others.

    ``streams`` get every picture; ``filling`` get the face of pictures without a face image. ``check`` and ``shown``:
    as of ``TargetConfig.make_selector``.
    """

    def __init__(
        self,
        request: ReadRequest,
        streams: list[FrameStream],
        filling: list[FrameStream],
        check: Callable[[], None] = lambda: None,
        shown: Iterable[media.Picture] | None = None,
    ) -> None:
        self._streams, self._filling = streams, filling
        self._selector: TargetSelector | None = None
        if filling or any(stream.encoder.crop is not None for stream in streams):
            with stage("faces"):
                self._selector = request.target.make_selector(
                    request.clip.side,
                    request.clip.media,
                    request.clip.streams,
                    check,
                    assume_fps=request.assume_fps,
                    part=request.clip.part,
                    shown=shown,
                )
        self._positions: list[int] = []
        self._faces: list[Face | None] = []
        self._persons = array("f")  # an hour of two persons takes 6 MB
        self.num_others = 0  # pictures without the target, but with other persons
        self.num_filled = 0

    @property
    def is_read(self) -> bool:
        """Whether encoders take all their faces from the video."""
        return any(stream.encoder.crop is not None for stream in self._streams)

    @property
    def num_faces(self) -> int:
        """The number of pictures with the target's face."""
        return sum(face is not None for face in self._faces)

    def add(self, position: int, picture: media.Picture, has_image: bool, later: media.Picture | None = None) -> None:
        """Add the next picture, unobserved if it was not decoded; ``has_image``: the data set has its face image.

        ``later``: as in ``FaceTracker.track``.
        """
        if not self._streams and not self._filling:
            return
        if not picture.is_decodable:
            if self._selector is not None:
                self._add_faces(position, None, ())
            for stream in self._streams:
                stream.add(position, None)
            return
        with stage("decode"):
            rgb = picture.rgb()
        face = None
        if self._selector is not None:
            with stage("faces"):
                face = self._selector.select(picture.time_s, rgb, later)
            self._add_faces(position, face, self._selector.faces)
        crops: dict[object, Rgb] = {}
        for stream in self._streams:
            self._add_to(stream, position, rgb, face, crops)
        self.num_filled += bool(self._filling) and face is not None and not has_image
        for stream in self._filling if face is not None and not has_image else []:
            self._add_to(stream, position, rgb, face, crops, filled=True)

    def _add_faces(self, position: int, target: Face | None, faces: Sequence[Face]) -> None:
        self._positions.append(position)
        self._faces.append(target)
        self.num_others += target is None and bool(faces)
        for face in faces:
            self._persons.extend((position + 1, *face_columns(face)))

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
        is_filled = filled and crop is not None and face is not None
        stream.add(position, picture_for(crop, rgb, face, crops), is_filled)

    def found(self, times_s: np.ndarray) -> FoundFaces | None:
        """The target's face in each picture, and all persons'; None where no encoder takes a face."""
        if self._selector is None:
            return None
        values = np.zeros((len(self._faces), 6), np.float32)
        for row, face in enumerate(self._faces):
            if face is not None:
                values[row] = face_columns(face)
        observed = np.array([face is not None for face in self._faces], bool)
        persons = np.array(self._persons, np.float32).reshape(-1, 7)
        return FoundFaces(Track(values, times_s[np.array(self._positions, int)], observed), persons)


def picture_for(crop: Crop | None, rgb: Rgb, face: Face | None, crops: dict[object, Rgb]) -> Rgb | None:
    """What an encoder gets of a picture: all of it where it has no ``crop``, else the face; None without a face.

    ``crops``: those that were cut from this picture already.
    """
    if crop is None or face is None:
        return rgb if crop is None else None
    if crop not in crops:
        with stage("faces"):
            crops[crop] = cut(rgb, face, crop)
    return crops[crop]


def face_columns(face: Face) -> tuple[float, ...]:
    box = face.box
    return box.x, box.y, box.width, box.height, face.person, face.detected


class ImageStream:
    """The face images of the data set, in the order of their frames, counting the empty and the damaged ones."""

    def __init__(self, images: FaceImages, streams: list[FrameStream]) -> None:
        self._images, self._streams = images, streams
        self._remaining = deque(images.numbers)
        self.num_empty = self.num_damaged = 0

    @property
    def is_read(self) -> bool:
        """Whether there are images and encoders that take them."""
        return bool(self._streams and self._images.numbers)

    @property
    def num_unreadable(self) -> int:
        """How many images gave no picture."""
        return self.num_empty + self.num_damaged

    def read_at(self, position: int) -> bool:
        """Read the image of a position on the clock and add it to the streams; False where there is none."""
        if not self._remaining or self._remaining[0] != position + 1:
            return False
        number = self._remaining.popleft()
        face = None
        if self._streams:
            with stage("read images"):
                found = read_image(self._images.path(number))
            if isinstance(found, str):
                self.num_empty += found == "empty"
                self.num_damaged += found == "damaged"
            else:
                face = found
        for stream in self._streams:
            crop = stream.encoder.crop
            stream.add(position, face if face is None or crop is None else resize_face(face, crop))
        return True

    def read_rest(self) -> None:
        """Read the images of frames beyond the decoded pictures."""
        while self._remaining:
            self.read_at(self._remaining[0] - 1)

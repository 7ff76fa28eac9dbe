"""A clip: the recording of one subject, and the files that hold it."""

import math
from dataclasses import dataclass, field
from pathlib import Path

from abaw.dataset.face_images import FaceImages, find_images, find_series, list_images
from abaw.dataset.media_files import Part, Streams, stem_of
from abaw.dataset.names import split_side
from abaw.errors import InputError


@dataclass(frozen=True)
class Clip:
    """The recording of one subject.

    ``media``: its video, sound file or still picture, which the clips ``_left`` and ``_right`` of one video share.
    ``images``: the folder of its face images, named after their frames: 00001.jpg and so on. ``first_image``: the
    number in the names that means frame 1; None: 0 where an image is numbered 0, else 1. ``image_doubt``: why that
    cannot be known. ``streams``: which streams of ``media`` are read. ``unused``: files beside it that hold the same
    recording once more. ``problem``: why nothing of the clip can be read, whatever its files hold. ``fps``: the frame
    rate where ``media`` has none: of sound alone, of still pictures, and of a raw stream. ``start_s`` and ``stop_s``:
    the part of ``media`` that is the clip, on the file's own time axis; frame 1 is the first picture at or after
    ``start_s``. None: from its start, to its end. ``is_series``: the images are consecutive pictures that need not be
    crops of faces, under any names; see ``find_series``.
    """

    clip_id: str
    media: Path | None = None
    images: Path | None = None
    first_image: int | None = None
    image_doubt: str = ""
    streams: Streams = field(default_factory=Streams)
    unused: tuple[Path, ...] = ()
    problem: str = ""
    fps: float | None = None
    start_s: float | None = None
    stop_s: float | None = None
    is_series: bool = False

    @property
    def side(self) -> str | None:
        """Which person of the video this is: "left", "right", or None where there is one person."""
        side = split_side(self.clip_id)[1]
        has_side = self.media is not None and self.clip_id.endswith(f"{stem_of(self.media)}_{side}")
        return side if has_side else None

    @property
    def part(self) -> Part:
        """The part of ``media`` that is the clip."""
        start_s = -math.inf if self.start_s is None else self.start_s
        return Part(start_s, math.inf if self.stop_s is None else self.stop_s)

    def face_images(self) -> FaceImages:
        """The images by their frames. Raises InputError where the names do not determine the frames."""
        if self.images is None:
            return FaceImages()
        if self.image_doubt:
            raise InputError(self.image_doubt)
        names = list_images(self.images)
        if self.is_series:
            return find_series(self.images, names)
        return find_images(self.images, names, self.first_image)

    def image_numbers(self) -> list[int]:
        """The frames that have an image, ascending. A missing number is a frame without a face."""
        return list(self.face_images().numbers)

    def image(self, number: int) -> Path:
        """The path of a frame's image, whether it exists or not. It lists the folder: for many use ``face_images``."""
        return self.face_images().path(number)

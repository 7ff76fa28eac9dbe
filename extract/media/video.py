"""The pictures of a media file at their true times."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

import av
import numpy as np

from extract.media.colour import Rgb, shown_width, to_rgb
from extract.media.container import DecodeCounts, MediaError, decode, open_media
from extract.media.streams import choose_video_stream
from extract.media.timing import in_order_of_time, time_of


@dataclass(frozen=True)
class Picture:
    """A decoded picture and the time at which it is shown. ``rgb`` converts the colours when it is called."""

    time_s: float
    _frame: av.VideoFrame = field(repr=False)
    _pixel_aspect: Fraction | None = field(default=None, repr=False)

    @property
    def pixel_aspect(self) -> float:
        """How many times wider than high the pixels are stored; 1 where pictures are not rescaled for it."""
        is_rescaled = shown_width(self._frame.width, self._pixel_aspect) != self._frame.width
        return float(self._pixel_aspect or 1) if is_rescaled else 1.0

    def rgb(self) -> Rgb:
        """The pixels, upright: mirrored and rotated as the container's display matrix says.

        They are rescaled only where they are not square, and colours are those of ``colour.to_rgb``.
        """
        picture = to_rgb(self._frame, self._pixel_aspect)
        matrix: Any = self._frame.side_data.get("DISPLAYMATRIX")
        if matrix is None:
            return picture
        a, b, _, c, d = np.frombuffer(matrix, np.int32)[:5].astype(float)
        picture = picture[::-1] if a * d < b * c else picture
        return np.ascontiguousarray(np.rot90(picture, round(self._frame.rotation / 90)))


def pictures(
    path: str | os.PathLike, counts: DecodeCounts | None = None, video_stream: int | None = None
) -> Iterator[Picture]:
    """Decode the pictures of a file in the order in which they are shown; their times increase strictly.

    They come from video stream ``video_stream``, by default the one flagged default, else the largest; never from cover
    art. A file with sound alone yields none. Corrupt packets are skipped and added to ``counts``. While iterating it
    raises NotFoundError, and MediaError where the file cannot be read, has no such stream, or no picture of it can be
    decoded.
    """
    counts, latest_s = DecodeCounts() if counts is None else counts, -math.inf
    with open_media(path) as container:
        stream = choose_video_stream(container, video_stream)
        if stream is None:
            return
        frames = decode(container, stream, counts)
        for frame in in_order_of_time(frames) if container.format.name == "avi" else frames:
            time_s = time_of(frame, stream)
            if time_s is None:
                counts.num_untimed += 1
            elif time_s > latest_s:
                latest_s = time_s
                counts.num_decoded += 1
                yield Picture(time_s, frame, stream.sample_aspect_ratio)
    if latest_s == -math.inf:
        raise MediaError(
            f"no picture of {path} can be decoded ({counts.num_corrupt_packets} corrupt packets, {counts.num_untimed} "
            "pictures without a time): download or copy the file again, or leave the clip out"
        )

"""The pictures of a media file at their true times."""

import math
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import av
import numpy as np
from jaxtyping import UInt8

from extract.media.container import DecodeCounts, MediaError, decode, open_media, video_stream
from extract.media.timing import in_order_of_time, time_of

Rgb = UInt8[np.ndarray, "height width 3"]


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


def pictures(path: str | os.PathLike, counts: DecodeCounts | None = None) -> Iterator[Picture]:
    """Decode the pictures of a file in the order in which they are shown; their times increase strictly.

    They come from the largest video stream that is not cover art; a file with sound alone yields none. Corrupt packets
    are skipped and added to ``counts``. While iterating it raises NotFoundError, and MediaError where the file cannot
    be read or no picture of its video stream can be decoded.
    """
    counts, latest_s = DecodeCounts() if counts is None else counts, -math.inf
    with open_media(path) as container:
        stream = video_stream(container)
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
                yield Picture(time_s, frame)
    if latest_s == -math.inf:
        raise MediaError(
            f"no picture of {path} can be decoded ({counts.num_corrupt_packets} corrupt packets, {counts.num_untimed} "
            "pictures without a time): download or copy the file again, or leave the clip out"
        )


def has_pictures(path: str | os.PathLike) -> bool:
    """Whether a file has a video stream other than cover art. Raises NotFoundError and MediaError."""
    with open_media(path) as container:
        return video_stream(container) is not None

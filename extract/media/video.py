"""The pictures of a media file at their true times."""

import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Any

import av
import numpy as np

from abaw.dataset.face_images import FaceImages
from abaw.dataset.media_files import WHOLE, Part, is_picture
from abaw.errors import InputError, NotFoundError
from abaw.files.regular import check_regular
from extract.media.colour import Rgb, shown_width, to_rgb
from extract.media.container import DecodeCounts, MediaError, decode, number_stamps, open_media
from extract.media.rows import IndexedOrder, Row, RowOrder, SortedOrder
from extract.media.scan import scan
from extract.media.stills.image_files import read_image
from extract.media.streams import choose_video_stream, counted_rate, states_rate
from extract.media.timing import MAX_REORDERED, PictureTimes, stamp_of

# Decoders of which a packet that gives no picture and no error holds none: hidden references, or nothing that changed.
WITHOUT_PICTURE = {"vp8", "vp9", "mpeg4"}


@dataclass(frozen=True)
class Picture:
    """A picture and the time at which it is shown. ``rgb`` converts the colours when it is called.

    A picture that could not be decoded has a time, and ``is_decodable`` is False.
    """

    time_s: float
    _frame: Any = field(repr=False)  # an av.VideoFrame, None where it could not be decoded
    _pixel_aspect: Fraction | None = field(default=None, repr=False)

    @property
    def is_decodable(self) -> bool:
        """Whether there is a picture to see."""
        return self._frame is not None

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


@dataclass(frozen=True)
class StillPicture(Picture):
    """A picture that is a file of its own, upright as its Exif data say; ``_frame`` holds the pixels."""

    @property
    def pixel_aspect(self) -> float:
        """Always 1."""
        return 1.0

    def rgb(self) -> Rgb:
        """The pixels."""
        pixels: Rgb = self._frame
        return pixels


def read_still(path: Path) -> Rgb:
    """The pixels of a still picture. Raises NotFoundError, and MediaError where it is empty, cut off or no picture."""
    if not path.exists():
        raise NotFoundError(f"no picture at {path}: check the path")
    check_regular(path)
    found = read_image(path)
    if isinstance(found, str):
        problem = "is an empty file" if found == "empty" else "is cut off, damaged or no picture"
        raise MediaError(f"{path} {problem}: download or copy it again, or leave the clip out")
    return found


def pictures_of_series(images: FaceImages, times_s: Sequence[float] | np.ndarray) -> Iterator[Picture]:
    """The pictures of a folder of consecutive pictures, one for each time of a clock.

    Frames without a picture, and with one that is empty or damaged, are not decodable. Raises InputError where pictures
    differ in size: faces could not be followed from one to the next.
    """
    known, first = set(images.numbers), None
    for frame, time_s in enumerate(times_s, 1):
        found = read_image(images.path(frame)) if frame in known else "missing"
        if isinstance(found, str):
            yield StillPicture(time_s, None)
            continue
        first = first or (found.shape, images.path(frame))
        if found.shape != first[0]:
            (height, width, _), (first_height, first_width, _) = found.shape, first[0]
            raise InputError(
                f"{images.path(frame)} is {width} x {height} pixels, but {first[1]} {first_width} x {first_height}: "
                "pictures of one clip must have one size; put the others in a clip of their own"
            )
        yield StillPicture(time_s, found)


def pictures(
    path: str | os.PathLike,
    counts: DecodeCounts | None = None,
    video_stream: int | None = None,
    assume_fps: float | None = None,
    part: Part = WHOLE,
) -> Iterator[Picture]:
    """Decode the pictures of a file in the order in which they are shown; their times increase strictly.

    Only those in ``part`` are given, at the same times as of the whole file. A still picture is one at 0.0 s.

    They come from video stream ``video_stream``, by default the one flagged default, else the largest; never from cover
    art. A file with sound alone yields none. In a raw stream, which has no time stamps, pictures are counted at the
    rate that it states, else at ``assume_fps``, and are counted as untimed. Corrupt packets are skipped and added to
    ``counts``. While iterating it raises NotFoundError, and MediaError where the file cannot be read, has no such
    stream, or no picture of it, or of the part, can be decoded.
    """
    counts = DecodeCounts() if counts is None else counts
    if is_picture(Path(path)):
        counts.num_decoded += 1
        yield StillPicture(0.0, read_still(Path(path)))
        return
    num_decoded, num_corrupt = counts.num_decoded, counts.num_corrupt_packets
    scanned = scan(path, video_stream=video_stream)
    with open_media(path) as container:
        stream = choose_video_stream(container, video_stream)
        if stream is None:
            return
        scanned.add_to(counts)
        counts.num_mended_picture_stamps += scanned.num_mended
        counts.num_untimed += scanned.num_untimed
        times, rate_hz = scanned.pictures, counted_rate(container, stream, assume_fps)
        if rate_hz is not None:
            counts.assumed_fps = 0.0 if states_rate(stream) else rate_hz
            for number, frame in enumerate(decode(container, stream, counts)):
                if number / rate_hz >= part.stop_s:
                    break
                if part.holds(number / rate_hz):
                    counts.num_decoded += 1
                    counts.num_untimed = counts.num_decoded
                    yield Picture(number / rate_hz, frame, stream.sample_aspect_ratio)
        elif times is not None and not np.isnan(times.ticks).any():
            for ticks, frame in _rows(container, stream, times, counts, part.start_s):
                time_s = times.time_s(ticks)
                if time_s >= part.stop_s:
                    break
                if part.holds(time_s):
                    counts.num_decoded += frame is not None
                    counts.num_undecodable += frame is None
                    yield Picture(time_s, frame, stream.sample_aspect_ratio)
    if counts.num_decoded == num_decoded and not part.is_whole:
        last = (
            ""
            if times is None or not len(times.rows)
            else f", whose last one is at {times.time_s(times.rows[-1]):.3f} s"
        )
        raise MediaError(
            f"no picture of {path}{last}, can be decoded in the part {part}: correct the times of the clip"
        )
    if counts.num_decoded == num_decoded:
        raise MediaError(
            f"no picture of {path} can be decoded ({counts.num_corrupt_packets - num_corrupt} corrupt packets, "
            f"{scanned.num_untimed} pictures without a time): download or copy the file again, or leave the clip out"
        )


def _rows(
    container: Any, stream: Any, times: PictureTimes, counts: DecodeCounts, start_s: float = -math.inf
) -> Iterator[Row]:
    """The rows of a stream: when each is shown, in ticks, and its frame, None where it could not be decoded.

    Pictures before ``start_s`` need not be decoded.
    """
    if container.format.name == "avi" and len(times.lost):
        yield from _indexed_rows(container, stream, times, counts)
        return
    if container.format.name == "avi":
        failed: list[int] = []
        order, num_rows = SortedOrder(), 0
        for frame in chain(decode(container, stream, counts, fail=failed.append), [None]):
            for packet in failed[num_rows:]:
                if packet < len(times.ticks):
                    yield from order.add(float(times.ticks[packet]), None)
            num_rows = len(failed)
            if frame is not None and stamp_of(frame) is not None:
                yield from order.add(float(stamp_of(frame)), frame)
        yield from order.finish()
        return
    wrong: set[int] = set()
    is_silent = stream.codec_context.name in WITHOUT_PICTURE
    rows = RowOrder(times, lambda packet: not is_silent or packet in wrong)
    needed = np.flatnonzero(times.ticks * float(times.tick_s) >= start_s)
    first = int(needed[0] if len(needed) else len(times.ticks)) - MAX_REORDERED
    for frame in decode(container, stream, counts, number_stamps, wrong.add, first):
        yield from rows.add(frame.pts, frame)
    yield from rows.finish()
    counts.num_mended_picture_stamps += rows.num_mended


def _indexed_rows(container: Any, stream: Any, times: PictureTimes, counts: DecodeCounts) -> Iterator[Row]:
    """The rows of an AVI of which some pictures are missing."""
    rows = times.rows
    numbers = np.searchsorted(rows, times.ticks)
    order = IndexedOrder(rows, np.searchsorted(rows, times.lost).tolist())

    def fail(packet: int) -> None:
        if packet < len(numbers) and not times.is_hidden[packet]:
            order.lose(int(numbers[packet]))

    for frame in decode(container, stream, counts, number_stamps, fail):
        if frame.pts is not None and frame.pts < len(numbers) and not times.is_hidden[frame.pts]:
            is_b = frame.pict_type == av.video.frame.PictureType.B
            yield from order.add(int(numbers[frame.pts]), is_b, frame)
    yield from order.finish()

"""Opens media files and reads packets and frames; losses are counted."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import av

from abaw.errors import InputError, NotFoundError
from abaw.files.regular import check_regular


class MediaError(InputError):
    """A file exists but nothing in it can be decoded. The message says why and what to do."""


MAX_READ_ERRORS = 100  # in a row; some demuxers find their way back after damage, others repeat the error for ever


@dataclass
class DecodeCounts:
    """What was decoded from a file, and what was lost or mended on the way.

    Pictures: ``num_decoded``; ``num_undecodable`` have a row but could not be decoded; ``num_untimed`` had no time
    stamp, and their times come from their neighbours. ``num_mended_picture_stamps`` and ``num_mended_sound_stamps``
    were wrong and were replaced. ``num_joins``: places where the time stamps of the file start anew, as where
    recordings were joined. ``num_corrupt_packets``: of pictures and sound, read errors included. ``sound_gaps_s``:
    seconds of silence in place of lost sound. ``announced_s`` is the length by the file's header, and ``readable_s``
    the length of what could be read; both are 0 where the file does not say. ``assumed_fps``: the rate given by the
    user at which pictures without time stamps were counted; 0: none was needed. ``num_announced``: the number of
    pictures by the header, 0 where it does not say.
    """

    num_decoded: int = 0
    num_undecodable: int = 0
    num_untimed: int = 0
    num_mended_picture_stamps: int = 0
    num_mended_sound_stamps: int = 0
    num_joins: int = 0
    num_corrupt_packets: int = 0
    sound_gaps_s: float = 0.0
    announced_s: float = 0.0
    readable_s: float = 0.0
    assumed_fps: float = 0.0
    num_announced: int = 0


# By PyAV's own types nearly everything may be None; containers and streams are Any from here on.


@contextmanager
def open_media(path: str | os.PathLike, options: dict[str, str] | None = None) -> Iterator[Any]:
    """The container of a file, open for reading; ``options`` of FFmpeg. Raises NotFoundError and MediaError."""
    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"no media file at {path}: check the path")
    check_regular(path)
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is an empty file: download or copy it again, or leave the clip out")
    try:  # "file:", or a colon in the name would start a protocol; tags need not be UTF-8
        container = av.open(f"file:{path}", metadata_errors="ignore", options=options)
    except av.FFmpegError as error:
        with path.open("rb") as file:
            is_mp4 = file.read(8)[4:] == b"ftyp"
        problem = "its index (moov) is missing because the file was cut off" if is_mp4 else "it is not a media file"
        advice = "download or copy it again, or leave the clip out"
        raise MediaError(f"cannot read {path}: {problem} ({error.strerror}): {advice}") from error
    with container:
        if not container.streams.video and not container.streams.audio:
            raise MediaError(
                f"{path} has neither a video nor an audio stream: give a media file, or leave the clip out"
            )
        yield container


def packets(container: Any, streams: list, counts: DecodeCounts) -> Iterator[Any]:
    """The packets of some streams; reading goes on after an error, which is counted, until nothing more comes."""
    num_errors = 0
    while num_errors < MAX_READ_ERRORS:
        try:
            for packet in container.demux(streams):
                if packet.size:
                    num_errors = 0
                    yield packet
                elif packet.dts is None:  # the end: PyAV flushes next, and fails on a stream first met while reading
                    return
            return
        except av.FFmpegError:
            counts.num_corrupt_packets += not num_errors
            num_errors += 1


def number_stamps(number: int, packet: Any) -> None:
    """Replace the stamps of a packet by its number, which its frames then have: a ``prepare`` for ``decode``.

    PyAV has an attribute ``opaque`` for this, but two threads that use it lose their values.
    """
    packet.pts = packet.dts = number


def decode(
    container: Any,
    stream: Any,
    counts: DecodeCounts,
    prepare: Callable[[int, Any], None] = lambda *_: None,
    fail: Callable[[int], None] = lambda _: None,
) -> Iterator[Any]:
    """The decodable frames of a stream; errors are counted.

    ``prepare`` is called with the number of each packet and the packet before it is decoded, ``fail`` with the number
    of a packet that cannot be decoded.
    """
    stream.thread_type = "SLICE"  # with frame threads one error can lose other frames too
    for number, packet in enumerate(chain(packets(container, [stream], counts), [None])):  # None flushes the decoder
        if packet is not None:
            prepare(number, packet)
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            counts.num_corrupt_packets += 1
            fail(number)

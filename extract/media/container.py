"""Opens media files and reads packets and frames; losses are counted."""

import os
import re
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import av

from abaw.errors import InputError, NotFoundError
from abaw.files.regular import check_regular


class MediaError(InputError):
    """A file exists but nothing in it can be decoded. The message says why and what to do."""


# a playlist would make FFmpeg open other files and addresses: whoever sends it would read what they must not
PLAYLISTS = {"concat", "dash", "hls", "imf", "rtp", "rtp_mpegts", "rtsp", "sdp", "webm_dash_manifest"}
ONE_FILE = {"format_whitelist": ",".join(sorted(av.formats_available - PLAYLISTS)), "protocol_whitelist": "file"}
ANNOUNCING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "avi", "asf"}  # containers that state their length
MAX_AVI_HEADER_BYTES = 1 << 17  # of an AVI, within which its streams are described
MAX_READ_ERRORS = 100  # in a row; some demuxers find their way back after damage, others repeat the error for ever


@dataclass
class DecodeCounts:
    """What was decoded from a file, and what was lost or mended on the way.

    Pictures: ``num_decoded``; ``num_undecodable`` have a row but could not be decoded; ``num_untimed`` had no time
    stamp, and their times come from their neighbours. ``num_mended_picture_stamps`` and ``num_mended_sound_stamps``
    were wrong and were replaced. ``num_joins``: places where the time stamps of the file start anew, as where
    recordings were joined. ``num_corrupt_packets``: of pictures and sound, read errors included. ``sound_gaps_s``:
    seconds of silence in place of lost sound. ``announced_s`` is the length by the file's header, and ``readable_s``
    the length of what could be read; only an AVI may announce less than can be read. Both are 0 where the file does not
    say. ``num_missing_bytes``: at the end of the file, by its own structure. ``assumed_fps``: the rate given by the
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
    num_missing_bytes: int = 0


# By PyAV's own types nearly everything may be None; containers and streams are Any from here on.


@contextmanager
def open_media(path: str | os.PathLike, options: dict[str, str] | None = None) -> Iterator[Any]:
    """The container of a file, open for reading; ``options`` of FFmpeg. No other file is read for it.

    Raises NotFoundError, and MediaError for a file that is none or a playlist.
    """
    path = Path(path)
    if not path.exists():
        raise NotFoundError(f"no media file at {path}: check the path")
    check_regular(path)
    if path.stat().st_size == 0:
        raise MediaError(f"{path} is an empty file: download or copy it again, or leave the clip out")
    try:  # "file:", or a colon in the name would start a protocol; tags need not be UTF-8
        container = av.open(f"file:{path}", metadata_errors="ignore", options={**ONE_FILE, **(options or {})})
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
    first: int = 0,
) -> Iterator[Any]:
    """The decodable frames of a stream; errors are counted.

    ``prepare`` is called with the number of each packet and the packet before it is decoded, ``fail`` with the number
    of a packet that cannot be decoded. ``first``: the number of the packet whose frame is needed first; frames of
    earlier packets are given only as far as it may depend on them.
    """
    stream.thread_type = "SLICE"  # with frame threads one error can lose other frames too
    numbered = enumerate(chain(packets(container, [stream], counts), [None]))  # None flushes the decoder
    for number, packet in _from_key_packet(numbered, first) if first > 0 else numbered:
        is_corrupt = False
        if packet is not None:
            prepare(number, packet)
            is_corrupt = packet.is_corrupt
        try:
            yield from stream.decode(packet)
        except av.FFmpegError:
            is_corrupt = True
            fail(number)
        counts.num_corrupt_packets += is_corrupt


def _from_key_packet(numbered: Iterator[tuple[int, Any]], first: int) -> Iterator[tuple[int, Any]]:
    """The packets from the second last key packet before the packet ``first``.

    The pictures that are shown before the last one, but come after it in the file, depend on the one before.
    """
    waiting: list[tuple[int, Any]] = []
    keys: list[int] = []  # numbers of the last two key packets
    for number, packet in numbered:
        if number >= first:
            yield from waiting
            yield number, packet
            yield from numbered
            return
        if packet is not None and packet.is_keyframe:
            keys = [*keys[-1:], number]
            waiting = [each for each in waiting if each[0] >= keys[0]]
        waiting.append((number, packet))
    yield from waiting


def announced_length_s(path: str | os.PathLike, container: Any) -> float:
    """The length in seconds by a file's header; 0 where it states none.

    That of an AVI is the length of its longest stream: FFmpeg takes that of its pictures for the whole file's.
    """
    if container.format.name == "avi":
        with Path(path).open("rb") as file:
            lengths_s = list(_lengths_in_avi(file.read(MAX_AVI_HEADER_BYTES)))
        return 0.0 if 0.0 in lengths_s else max(lengths_s, default=0.0)
    return (container.duration or 0) / 1e6 if container.format.name in ANNOUNCING else 0.0


def _lengths_in_avi(head: bytes) -> Iterator[float]:
    """The length of each stream of pictures or sound that a file's first bytes describe; 0 where none is stated."""
    for found in re.finditer(rb"strh.{4}(?:vids|auds).{16}(.{16})", head, re.DOTALL):
        scale, rate, start, length = struct.unpack("<4I", found[1])
        yield (start + length) * scale / rate if rate else 0.0


def count_missing_bytes(path: str | os.PathLike, form: str) -> int:
    """How many bytes are missing at the end of a file by the sizes that it states itself; 0 where it states none.

    ``form``: the container's format, as FFmpeg names it.
    """
    count = MISSING_BYTES.get(form)
    if count is None:
        return 0
    with Path(path).open("rb") as file:
        return max(0, count(file, os.fstat(file.fileno()).st_size))


def _missing_in_riff(file: BinaryIO, size: int) -> int:
    """AVI and WAV: chunks follow each other; recorders that cannot go back write 0 or the largest number as a size."""
    stop = 0
    while stop < size:
        file.seek(stop)
        head = file.read(8)
        length = int.from_bytes(head[4:], "little")
        if head[:4] not in (b"RIFF", b"RF64") or length in (0, 2**32 - 1):
            return 0
        stop += 8 + length
    return stop - size


def _missing_in_mp4(file: BinaryIO, size: int) -> int:
    """MP4 and MOV: boxes follow each other; size 1 stands before one of 64 bits, 0 is "to the end"."""
    stop = 0
    while stop + 8 <= size:
        file.seek(stop)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        length = int.from_bytes(head[8:], "big") if length == 1 else length
        if length < 8 or not head[4:8].isalnum():
            return 0
        stop += length
    return stop - size


def _missing_in_matroska(file: BinaryIO, size: int) -> int:
    """Matroska and WebM: the header and one segment, each with a size of as many bytes as the first has leading zeros.

    A size of ones alone is unknown.
    """
    stop = 0
    for identifier in (b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67"):
        file.seek(stop)
        head = file.read(12)
        num = 9 - head[4].bit_length() if len(head) == 12 else 9
        length = int.from_bytes(head[4 : 4 + num], "big") & ((1 << 7 * num) - 1)
        if not head.startswith(identifier) or num > 8 or length == (1 << 7 * num) - 1:
            return 0
        stop += 4 + num + length
    return stop - size


def _missing_in_mpegts(file: BinaryIO, size: int) -> int:
    """MPEG-TS: packets of 188 bytes, or of 192 or 204 with a stamp or a checksum, each of which begins with 0x47."""
    head = file.read(6 * 204)
    for length in (188, 192, 204):
        for start in range(length):
            if len(head) > 5 * length + start and all(head[start + num * length] == 0x47 for num in range(5)):
                start -= 4 * (length == 192)
                return -(size - start) % length
    return 0


def _missing_in_mpeg(file: BinaryIO, size: int) -> int:
    """MPEG program streams: the last packet of a stream states its size."""
    start = max(0, size - 2**17)
    file.seek(start)
    tail = file.read()
    last = max(tail.rfind(b"\0\0\1" + bytes([number])) for number in (0xBD, *range(0xC0, 0xF0)))
    return start + last + 6 + int.from_bytes(tail[last + 4 : last + 6], "big") - size if last >= 0 else 0


def _missing_in_ogg(file: BinaryIO, size: int) -> int:
    """Ogg: the last page states the sizes of its segments."""
    start = max(0, size - 2**17)
    file.seek(start)
    tail = file.read()
    last = tail.rfind(b"OggS")
    head = tail[last : last + 27]
    if last < 0 or len(head) < 27:
        return 0 if last < 0 else 27 - len(head)
    sizes = tail[last + 27 : last + 27 + head[26]]
    return start + last + 27 + head[26] + sum(sizes) - size


MISSING_BYTES: dict[str, Callable[[BinaryIO, int], int]] = {
    "avi": _missing_in_riff,
    "wav": _missing_in_riff,
    "mov,mp4,m4a,3gp,3g2,mj2": _missing_in_mp4,
    "matroska,webm": _missing_in_matroska,
    "mpegts": _missing_in_mpegts,
    "mpeg": _missing_in_mpeg,
    "ogg": _missing_in_ogg,
}

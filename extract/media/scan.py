"""A first pass over the packets of a file, without decoding: the times of its pictures and sound, joins mended."""

import math
import os
import time
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

from extract.media.container import DecodeCounts, announced_length_s, count_missing_bytes, open_media, packets
from extract.media.joins import find_joins, shift_pieces
from extract.media.mpeg import MAX_STUFFED, time_mpeg
from extract.media.streams import choose_audio_stream, choose_video_stream
from extract.media.timing import (
    MAX_PAUSE_S,
    MAX_REORDERED,
    ROUNDING_S,
    PictureTimes,
    Stamps,
    Ticks,
    confirm,
    count_on,
    extent_s,
    mend_pictures,
    time_by_index,
    without_delay,
)

# In these containers not every packet has a stamp of its own: the demuxer counts on from the one before.
COUNTING = {"mpegts", "mpeg"}
# In these a packet may be lost altogether; mp4 and mov list all of them in an index.
WITHOUT_INDEX = {"mpegts", "mpeg", "matroska,webm", "flv"}
# These store when a packet is decoded; elsewhere FFmpeg makes that up from the times of presentation.
WITH_DTS = {"mov,mp4,m4a,3gp,3g2,mj2", "flv", "mpegts", "mpeg"}
# The standards of these codecs allow no picture to be left out.
ALWAYS_EVEN = {"mpeg1video", "mpeg2video"}
MIN_HOLE_BYTES = 64  # between packets; headers of packets and clusters are shorter
MIN_COUNTING_HOLE_BYTES = 16384  # where packets are cut into pieces, among those of other streams
MAX_COUNTING_PAUSE_S = 1.0  # their recorders do not pause; other files are simply appended to them
MAX_SOUND_JITTER_S = 0.01
# In these no frame of sound has a stamp: FFmpeg counts chunks of AVI, and samples on a page of Ogg.
COUNTED_SOUND = {"avi", "ogg"}
MIN_AGE_S = 2.0  # of a file whose scan is kept; file systems store times of change this coarsely
AVI_HEADER_BYTES = 8  # between where AVI's index has a chunk and where its data begin


@dataclass(frozen=True)
class Scan:
    """What the packets of a file say of the times of its main streams.

    ``sound_ticks``: of each packet, shifted at joins, nan where it has no stamp. ``sound_s``: when the first packet of
    sound starts and the last one ends; nan without sound. ``num_untimed`` and ``num_mended`` count pictures.
    ``format``: as FFmpeg names it.
    """

    pictures: PictureTimes | None
    sound_ticks: Ticks
    sound_s: tuple[float, float]
    num_untimed: int
    num_mended: int
    num_joins: int
    announced_s: float
    readable_s: float
    num_announced: int = 0
    num_missing_bytes: int = 0
    format: str = ""

    def add_to(self, counts: DecodeCounts) -> None:
        """Record what concerns the whole file, pictures and sound alike."""
        counts.num_joins, counts.announced_s, counts.readable_s = self.num_joins, self.announced_s, self.readable_s
        counts.num_announced, counts.num_missing_bytes = self.num_announced, self.num_missing_bytes


@dataclass(frozen=True)
class _Stream:
    """The stamps of a stream's packets; where in the file each begins (nan: unknown), and the zeros at its end."""

    stamps: Stamps
    positions: np.ndarray
    codec: str
    is_reordered: bool
    num_zeros: np.ndarray
    is_key: np.ndarray


@dataclass(frozen=True)
class _File:
    """The main streams of a file; ``damage``: positions at which bytes were lost.

    ``index``: where the pictures of an AVI begin, and their numbers.
    """

    format: str
    pictures: _Stream | None
    sound: _Stream | None
    damage: np.ndarray
    announced_s: float
    num_announced: int = 0
    index: tuple[tuple[int, int], ...] = ()

    def is_damaged(self, stream: _Stream | None, before: int, packet: int) -> bool:
        """Whether bytes were lost from the beginning of one packet of a stream to that of another."""
        if stream is None:
            return False
        first, stop = np.nanmin(stream.positions[[before, packet]]), np.nanmax(stream.positions[[before, packet]])
        if self.format in COUNTING:  # a damaged packet may have begun before
            first -= MIN_COUNTING_HOLE_BYTES
        return bool(((self.damage >= first) & (self.damage <= stop)).any())


def scan(path: str | os.PathLike, *, video_stream: int | None = None, audio_stream: int | None = None) -> Scan:
    """Read all packets of a file; more than once where a container that counts stamps has doubtful ones.

    The latest scans are kept: the pictures and the sound of a file need the same. Raises NotFoundError and MediaError.
    """
    key = (os.path.abspath(path), video_stream, audio_stream)
    try:
        status = os.stat(path)
    except OSError:
        return _scan(*key)
    if time.time() - status.st_mtime < MIN_AGE_S:  # a change soon after this one may not be seen
        return _scan(*key)
    return _scan_once(*key, (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))


@lru_cache(maxsize=2)
def _scan_once(path: str, video_stream: int | None, audio_stream: int | None, _: tuple[int, ...]) -> Scan:
    return _scan(path, video_stream, audio_stream)


def _scan(path: str, video_stream: int | None, audio_stream: int | None) -> Scan:
    choice = (path, video_stream, audio_stream)
    file = _read(*choice)
    own, pieces = file, None
    if file.format in COUNTING and not (_is_even(file.pictures) and _follows(file.sound)):
        own = _with_own_stamps(file, _read(*choice, "nofillin"))
        pieces = _read(*choice, "nofillin+noparse").pictures
    picture_shifts, sound_shifts, num_joins = _find_joins(own)
    if own is not file and _is_even(file.pictures) and not picture_shifts.any():
        own = replace(own, pictures=file.pictures)
    pictures, num_untimed, num_mended = None, 0, 0
    if own.pictures is not None and file.pictures is not None:
        stamps = own.pictures.stamps.shifted(picture_shifts)
        piece_ticks = np.zeros(0)
        if own.pictures is not file.pictures and pieces is not None:
            piece_ticks = shift_pieces(pieces.stamps.either, own.pictures.stamps.either, picture_shifts)
        pictures = _time_pictures(own, stamps, file.pictures.stamps, piece_ticks)
        is_stamped, shown = ~np.isnan(stamps.either), ~stamps.is_hidden
        num_untimed = 0 if file.format in COUNTING else int((~is_stamped & shown).sum())
        num_mended = int((np.abs(pictures.ticks - stamps.either) > 1)[is_stamped & shown].sum())
    sound = None if own.sound is None else own.sound.stamps.shifted(sound_shifts)
    if sound is not None and file.sound is not None and (file.format, file.sound.codec) == ("ogg", "vorbis"):
        sound = without_delay(sound)
    sound_s = (math.nan, math.nan) if sound is None else extent_s(sound)
    ends_s = [0.0, *sound_s]
    if pictures is not None and len(pictures.rows):
        ends_s += [pictures.time_s(pictures.rows[0]), pictures.time_s(pictures.rows[-1] + pictures.interval)]
    readable_s = float(np.nanmax(ends_s) - np.nanmin(ends_s))
    # the header counts in what wrong stamps and joins leap over, but not what comes before 0
    announced_s = max(0.0, file.announced_s - max(0.0, _stamped_s(file) - readable_s))
    announced_s = max(announced_s, readable_s if announced_s and file.format != "avi" else 0.0)
    return Scan(
        pictures,
        np.zeros(0) if sound is None else sound.either,
        sound_s,
        num_untimed,
        num_mended,
        num_joins,
        announced_s,
        readable_s,
        file.num_announced,
        count_missing_bytes(path, file.format),
        file.format,
    )


def _stamped_s(file: _File) -> float:
    """How long the file is by all of its stamps, wrong ones included."""
    ends_s = [0.0]
    for stream in (file.pictures, file.sound):
        if stream is not None:
            stops = stream.stamps.either + stream.stamps.durations
            ends_s += [float(each) * float(stream.stamps.tick_s) for each in (*stream.stamps.either, *stops)]
    return float(np.nanmax(ends_s) - np.nanmin(ends_s))


def _find_joins(file: _File) -> tuple[np.ndarray, np.ndarray, int]:
    streams = (file.pictures, file.sound)
    stamps, of_sound = (None if stream is None else stream.stamps for stream in streams)
    pause_s = MAX_COUNTING_PAUSE_S if file.format in COUNTING else MAX_PAUSE_S
    return find_joins(stamps, of_sound, lambda at, packet: file.is_damaged(streams[at], packet - 1, packet), pause_s)


def _time_pictures(file: _File, stamps: Stamps, counted: Stamps, pieces: np.ndarray) -> PictureTimes:
    """The times of pictures from their shifted stamps, those that the demuxer ``counted``, and those of ``pieces``.

    Pieces are packets as the container cuts them, in which a picture was even where its bytes are gone.
    """
    stream, lost = file.pictures, np.zeros(0)
    assert stream is not None
    if file.index:
        number_at = dict(file.index)
        numbers = np.array([number_at.get(int(position), np.nan) for position in stream.positions])
        lost = np.setdiff1d(list(number_at.values()), numbers)
        if len(lost) and np.isfinite(numbers).any():
            return time_by_index(stamps, numbers, lost)
    if not len(pieces):
        times = mend_pictures(stamps, stream.is_reordered)
        return confirm(replace(times, lost=_find_lost(file, times)), stamps.dts)
    if stream.codec in ALWAYS_EVEN and _is_constant(counted):
        offsets = np.where(stream.is_key, np.inf, counted.pts - counted.dts)
        ticks, lost = time_mpeg(stamps, offsets, stream.num_zeros, pieces)
        return replace(mend_pictures(replace(stamps, pts=ticks), stream.is_reordered), lost=lost, is_regular=True)
    times = mend_pictures(count_on(stamps, counted), stream.is_reordered)
    pieces = pieces[~np.isin(pieces, stamps.either)]
    rows, near = np.sort(times.ticks), 0.5 * times.interval
    places = np.clip(np.searchsorted(rows, pieces), 1, len(rows) - 1)
    apart = np.minimum(np.abs(pieces - rows[places - 1]), np.abs(rows[places] - pieces))
    lost = np.unique(pieces[(apart > near) & (pieces > rows[0] - MAX_REORDERED * times.interval)])
    times = replace(times, lost=lost[lost < rows[-1] + MAX_REORDERED * times.interval])
    times = replace(times, lost=np.concatenate([times.lost, _find_lost(file, times)]))
    return confirm(times, np.full(len(stamps), np.nan))


def _read(path: str | os.PathLike, video_stream: int | None, audio_stream: int | None, flags: str = "") -> _File:
    """The packets of a file; ``flags`` switch off what FFmpeg makes up."""
    with open_media(path, {"fflags": flags} if flags else None) as container:
        video, audio = choose_video_stream(container, video_stream), choose_audio_stream(container, audio_stream)
        streams = {"video": video, "audio": audio}
        names = {stream.index: name for name, stream in streams.items() if stream is not None}
        form = container.format.name
        packets_of: dict[str, list] = {name: [] for name in names.values()}
        spans, damage = [], []
        index = _read_index(video) if form == "avi" and video is not None else ()
        for packet in packets(container, list(container.streams), DecodeCounts()):
            position, size = packet.pos, packet.size
            if position is not None:
                spans.append((position, size))
                if packet.is_corrupt:
                    damage.append(position)
            name = names.get(packet.stream_index)
            if name is not None:
                is_first = not packets_of[name]
                num_zeros = _count_zeros(bytes(packet), is_first) if form in COUNTING and name == "video" else 0
                times = (packet.pts, packet.dts, packet.duration)
                packets_of[name].append((*times, position, packet.is_discard, num_zeros, packet.is_keyframe))
        found = {name: _stream(streams[name], rows, form in WITH_DTS) for name, rows in packets_of.items() if rows}
        holes = _find_holes(np.array(spans, float).reshape(-1, 2), form) if form in WITHOUT_INDEX else np.zeros(0)
        announced_s = announced_length_s(path, container)
        # AVI has no time stamps: pictures that are lost in the middle leave no gap
        num_announced = video.frames if form == "avi" and video is not None else 0
    lost = np.concatenate([damage, holes])
    return _File(form, found.get("video"), found.get("audio"), lost, announced_s, num_announced, index)


def _read_index(stream: Any) -> tuple[tuple[int, int], ...]:
    """Where the pictures of a stream begin by the index at the end of the file, and their numbers."""
    return tuple((each.pos + AVI_HEADER_BYTES, each.timestamp) for each in stream.index_entries if each.size)


def _stream(stream: Any, rows: list[tuple], has_dts: bool) -> _Stream:
    pts, dts, durations, positions, hidden, num_zeros, keys = (
        np.array(column, float) for column in zip(*rows, strict=True)
    )
    if not has_dts:
        dts = np.where(np.isnan(pts), dts, np.nan)
    known = np.where(np.isnan(pts), dts, pts)
    steps = np.diff(np.unique(known[~np.isnan(known)]))
    interval = float(np.median(steps)) if len(steps) else 0.0
    stamps = Stamps(pts, dts, np.nan_to_num(durations), hidden.astype(bool), stream.time_base, interval)
    codec = stream.codec_context
    return _Stream(stamps, positions, codec.name, bool(getattr(codec, "has_b_frames", False)), num_zeros, keys > 0)


def _count_zeros(data: bytes, is_first: bool) -> int:
    """How many zero bytes end the data: a picture that was erased is read as the end of the one before.

    The first picture has none before it, and is read as the beginning of the second.
    """
    num_zeros = len(data) - len(data.rstrip(b"\0"))
    num_leading = len(data) - len(data.lstrip(b"\0")) if is_first else 0
    return num_zeros if num_leading <= 2 * MAX_STUFFED else max(num_leading, num_zeros)


def _find_holes(spans: np.ndarray, form: str) -> np.ndarray:
    """Positions of bytes that belong to no packet and are more than headers."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    is_counting = form in COUNTING
    stops = np.maximum.accumulate(spans[:, 0] + spans[:, 1] * (1.2 if is_counting else 1))
    is_hole = spans[1:, 0] > stops[:-1] + (MIN_COUNTING_HOLE_BYTES if is_counting else MIN_HOLE_BYTES)
    return spans[1:, 0][is_hole]


def _is_even(pictures: _Stream | None) -> bool:
    """Whether none was erased, and all are evenly spaced, or as unevenly as film on a television."""
    if pictures is None:
        return True
    if np.median(pictures.num_zeros) <= MAX_STUFFED < pictures.num_zeros.max():
        return False
    stamps = pictures.stamps
    rounding = ROUNDING_S / float(stamps.tick_s)
    steps = np.diff(np.sort(stamps.pts))  # nan, where a stamp is missing, is not even
    share = 0.25 if _is_constant(stamps) else 0.6
    return bool((np.abs(steps - stamps.interval) <= share * stamps.interval + rounding).all())


def _is_constant(stamps: Stamps) -> bool:
    """Whether all pictures are meant to be shown equally long."""
    return bool(stamps.durations.max(initial=0) <= 1.2 * stamps.durations.min(initial=np.inf))


def _follows(sound: _Stream | None) -> bool:
    """Whether every sound starts where the one before ends."""
    if sound is None:
        return True
    late = np.diff(sound.stamps.pts) - sound.stamps.durations[:-1]
    return bool((np.abs(late) <= MAX_SOUND_JITTER_S / float(sound.stamps.tick_s)).all())


def _with_own_stamps(file: _File, own: _File) -> _File:
    """The file with only those stamps that are its packets' own."""
    found: list[_Stream | None] = []
    for stream, bare in ((file.pictures, own.pictures), (file.sound, own.sound)):
        if stream is not None and bare is not None and len(stream.stamps) == len(bare.stamps):
            stamps = replace(stream.stamps, pts=bare.stamps.pts, dts=bare.stamps.dts)
            stream = replace(stream, stamps=stamps, num_zeros=bare.num_zeros)
        found.append(stream)
    return replace(file, pictures=found[0], sound=found[1])


def _find_lost(file: _File, times: PictureTimes) -> np.ndarray:
    """Times of pictures of which not even a packet is left: gaps of whole intervals in an even stream, at damage."""
    stream, order = file.pictures, np.argsort(times.ticks, kind="stable")
    steps = np.diff(times.ticks[order]) / (times.interval or 1)
    gaps = np.flatnonzero(steps > 1.5)
    if stream is None or file.format not in WITHOUT_INDEX or not len(gaps):
        return np.zeros(0)
    rounding = ROUNDING_S / float(times.tick_s) / (times.interval or 1)
    if (np.abs(steps - 1) <= 0.25 + rounding).mean() < 0.9 * (1 - len(gaps) / len(steps)):
        return np.zeros(0)
    lost = []
    for gap in gaps:
        before, after = int(order[gap]), int(order[gap + 1])
        if stream.codec in ALWAYS_EVEN or file.is_damaged(stream, before, after):
            lost.append(np.linspace(times.ticks[before], times.ticks[after], round(steps[gap]) + 1)[1:-1])
    return np.concatenate([np.zeros(0), *lost])

"""A first pass over the packets of a file, without decoding: the times of its pictures and sound, joins mended."""

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from extract.media.container import DecodeCounts, open_media, packets, video_stream
from extract.media.joins import find_joins
from extract.media.timing import ROUNDING_S, PictureTimes, Stamps, Ticks, mend_pictures

# In these containers not every packet has a stamp of its own: the demuxer counts on from the one before.
COUNTING = {"mpegts", "mpeg"}
# In these a packet may be lost altogether; mp4 and mov list all of them in an index.
WITHOUT_INDEX = {"mpegts", "mpeg", "matroska,webm", "flv"}
# These say in their header how long they are.
ANNOUNCING = {"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm", "flv", "avi", "asf"}
# The standards of these codecs allow no picture to be left out.
ALWAYS_EVEN = {"mpeg1video", "mpeg2video"}
MIN_HOLE_BYTES = 64  # between packets; headers of packets and clusters are shorter
MIN_COUNTING_HOLE_BYTES = 16384  # where packets are cut into pieces, among those of other streams
MAX_SOUND_JITTER_S = 0.01


@dataclass(frozen=True)
class Scan:
    """What the packets of a file say of the times of its main streams.

    ``sound_ticks``: of each packet, shifted at joins, nan where it has no stamp. ``sound_s``: when the first packet of
    sound starts and the last one ends; nan without sound. ``num_untimed`` and ``num_mended`` count pictures.
    """

    pictures: PictureTimes | None
    sound_ticks: Ticks
    sound_s: tuple[float, float]
    num_untimed: int
    num_mended: int
    num_joins: int
    announced_s: float
    readable_s: float


@dataclass(frozen=True)
class _Stream:
    """The stamps of a stream's packets, and where in the file each begins (nan: unknown)."""

    stamps: Stamps
    positions: np.ndarray
    codec: str
    is_reordered: bool


@dataclass(frozen=True)
class _File:
    """The main streams of a file; ``damage``: positions at which bytes were lost."""

    format: str
    pictures: _Stream | None
    sound: _Stream | None
    damage: np.ndarray
    announced_s: float

    def is_damaged(self, stream: _Stream | None, before: int, packet: int) -> bool:
        """Whether bytes were lost from the beginning of one packet of a stream to that of another."""
        if stream is None:
            return False
        first, stop = np.nanmin(stream.positions[[before, packet]]), np.nanmax(stream.positions[[before, packet]])
        return bool(((self.damage >= first) & (self.damage <= stop)).any())


def scan(path: str | os.PathLike) -> Scan:
    """Read all packets of a file; twice where a container that counts stamps has doubtful ones.

    Raises NotFoundError and MediaError.
    """
    file = _read(path)
    if file.format in COUNTING and not _is_even(file):
        file = _with_own_stamps(file, _read(path, {"fflags": "nofillin"}))
    streams = (file.pictures, file.sound)
    picture_shifts, sound_shifts, num_joins = find_joins(
        *(None if stream is None else stream.stamps for stream in streams),
        lambda of_sound, packet: file.is_damaged(streams[of_sound], packet - 1, packet),
    )
    pictures, num_untimed, num_mended = None, 0, 0
    if file.pictures is not None:
        stamps = file.pictures.stamps.shifted(picture_shifts)
        pictures = mend_pictures(stamps, file.pictures.is_reordered)
        if file.format not in COUNTING:
            num_untimed = int(np.isnan(stamps.either[~stamps.is_hidden]).sum())
        was_stamped = ~np.isnan(stamps.either) & ~stamps.is_hidden
        num_mended = int((pictures.ticks != stamps.either)[was_stamped].sum())
        pictures = replace(pictures, lost=_find_lost(file, pictures))
    sound = None if file.sound is None else file.sound.stamps.shifted(sound_shifts)
    sound_s = (math.nan, math.nan) if sound is None else _extent_s(sound)
    ends_s = [0.0, *sound_s]
    if pictures is not None and len(pictures.rows):
        ends_s += [pictures.time_s(pictures.rows[0]), pictures.time_s(pictures.rows[-1] + pictures.interval)]
    return Scan(
        pictures,
        np.zeros(0) if sound is None else sound.either,
        sound_s,
        num_untimed,
        num_mended,
        num_joins,
        file.announced_s,
        float(np.nanmax(ends_s) - np.nanmin(ends_s)),
    )


def _read(path: str | os.PathLike, options: dict[str, str] | None = None) -> _File:
    with open_media(path, options) as container:
        streams = {"video": video_stream(container), "audio": container.streams.best("audio")}
        names = {stream.index: name for name, stream in streams.items() if stream is not None}
        packets_of: dict[str, list] = {name: [] for name in names.values()}
        spans, damage = [], []
        for packet in packets(container, list(container.streams), DecodeCounts()):
            position, size = packet.pos, packet.size
            if position is not None:
                spans.append((position, size))
                if packet.is_corrupt:
                    damage.append(position)
            name = names.get(packet.stream_index)
            if name is not None:
                packets_of[name].append((packet.pts, packet.dts, packet.duration, position, packet.is_discard))
        form = container.format.name
        found = {name: _stream(streams[name], rows) for name, rows in packets_of.items() if rows}
        holes = _find_holes(np.array(spans, float).reshape(-1, 2), form) if form in WITHOUT_INDEX else np.zeros(0)
        announced_s = (container.duration or 0) / 1e6 if form in ANNOUNCING else 0.0
    return _File(form, found.get("video"), found.get("audio"), np.concatenate([damage, holes]), announced_s)


def _stream(stream: Any, rows: list[tuple]) -> _Stream:
    pts, dts, durations, positions, hidden = zip(*rows, strict=True)
    stamps = Stamps(
        np.array(pts, float),
        np.array(dts, float),
        np.nan_to_num(np.array(durations, float)),
        np.array(hidden, bool),
        stream.time_base,
    )
    codec = stream.codec_context
    return _Stream(stamps, np.array(positions, float), codec.name, bool(getattr(codec, "has_b_frames", False)))


def _find_holes(spans: np.ndarray, form: str) -> np.ndarray:
    """Positions of bytes that belong to no packet and are more than headers."""
    spans = spans[np.argsort(spans[:, 0], kind="stable")]
    is_counting = form in COUNTING
    stops = np.maximum.accumulate(spans[:, 0] + spans[:, 1] * (1.2 if is_counting else 1))
    is_hole = spans[1:, 0] > stops[:-1] + (MIN_COUNTING_HOLE_BYTES if is_counting else MIN_HOLE_BYTES)
    return spans[1:, 0][is_hole]


def _is_even(file: _File) -> bool:
    """Whether pictures are evenly spaced and sounds follow each other."""
    if file.pictures is not None:
        stamps = file.pictures.stamps
        rounding = ROUNDING_S / float(stamps.tick_s)
        steps = np.diff(np.sort(stamps.pts))  # nan, where a stamp is missing, is not even
        if not (np.abs(steps - stamps.interval) <= stamps.interval / 4 + rounding).all():
            return False
    if file.sound is not None:
        stamps = file.sound.stamps
        late = np.diff(stamps.pts) - stamps.durations[:-1]
        return bool((np.abs(late) <= MAX_SOUND_JITTER_S / float(stamps.tick_s)).all())
    return True


def _with_own_stamps(file: _File, own: _File) -> _File:
    """The file with only those stamps that are its packets' own."""
    found = []
    for stream, bare in ((file.pictures, own.pictures), (file.sound, own.sound)):
        if stream is not None and bare is not None and len(stream.stamps) == len(bare.stamps):
            stamps = stream.stamps
            offsets = stamps.pts - stamps.dts if stream is file.pictures else None
            stream = replace(stream, stamps=replace(stamps, pts=bare.stamps.pts, dts=bare.stamps.dts, offsets=offsets))
        found.append(stream)
    return replace(file, pictures=found[0], sound=found[1])


def _find_lost(file: _File, times: PictureTimes) -> Ticks:
    """Times of pictures of which not even a packet is left: gaps of whole intervals in an even stream, at damage."""
    stream, order = file.pictures, np.argsort(times.ticks, kind="stable")
    steps = np.diff(times.ticks[order]) / (times.interval or 1)
    gaps = np.flatnonzero(steps > 1.5)
    if stream is None or file.format not in WITHOUT_INDEX or not len(gaps):
        return np.zeros(0)
    rounding = ROUNDING_S / float(times.tick_s) / times.interval
    if (np.abs(steps - 1) <= 0.25 + rounding).mean() < 0.9 * (1 - len(gaps) / len(steps)):
        return np.zeros(0)
    lost = []
    for gap in gaps:
        before, after = order[gap], order[gap + 1]
        if stream.codec in ALWAYS_EVEN or file.is_damaged(stream, before, after):
            lost.append(np.linspace(times.ticks[before], times.ticks[after], round(steps[gap]) + 1)[1:-1])
    return np.concatenate([np.zeros(0), *lost])


def _extent_s(stamps: Stamps) -> tuple[float, float]:
    """When the first packet of sound starts and the last one ends, by stamps that others confirm."""
    ticks = stamps.either
    known = np.flatnonzero(~np.isnan(ticks))
    if not len(known):
        return math.nan, math.nan
    stops = ticks + stamps.durations
    return float(int(np.min(ticks[known])) * stamps.tick_s), float(int(np.max(stops[known])) * stamps.tick_s)

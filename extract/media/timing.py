"""The one place where time stamps become times, for pictures and sound alike. Needs no PyAV.

What is believed, in this order:

1. Stamps that start anew and go on from there, in pictures and sound at the same place, are a *join* of recordings:
   everything after it is shifted by one offset, so that pictures go on at their interval and the sound stays with them.
2. A stamp that leaps and returns is wrong: the picture gets a time between its neighbours, the sound is counted on.
3. All other stamps hold, and so do gaps: of a variable frame rate, of sound that starts late.
"""

import math
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

MAX_PAUSE_S = 10.0  # pictures and sound that both leap ahead by more than this were joined; FFmpeg draws the line there
MAX_LEAP_S = 3600.0  # nor is this a gap where only one of them leaps
MIN_SOUND_LEAP_S = 0.5  # sound alone that goes back by less overlaps, and is cut
MAX_UNCONFIRMED_S = 1.0  # a stamp of sound that is farther from both neighbours says nothing of its extent
MAX_DURATION = 20  # of a packet of sound, in medians
MAX_REORDERED = 16  # pictures, in H.264 and HEVC
MAX_FAR = 64  # wrong stamps that are found one by one; with more of them a file has no order
ROUNDING_S = 0.0015  # of stamps stored in milliseconds
NUM_NEIGHBOURS = 4  # pictures looked at on each side to choose between two stamps

Ticks = Float[np.ndarray, " packets"]


def stamp_of(timed: Any) -> Any:
    """The pts of a packet or frame in ticks of its stream, else its dts, else None."""
    return timed.dts if timed.pts is None else timed.pts


def time_of(timed: Any, stream: Any) -> float | None:
    """The container time of a packet or frame, None without one."""
    return None if stamp_of(timed) is None else float(stamp_of(timed) * stream.time_base)


@dataclass(frozen=True)
class Stamps:
    """The stamps of a stream's packets in the order of the file, in ticks of ``tick_s``; nan where there is none.

    ``interval``: median ticks between two packets in the order of presentation, 0 for one packet. ``is_hidden``: to be
    decoded but not shown.
    """

    pts: Ticks
    dts: Ticks
    durations: Ticks
    is_hidden: Bool[np.ndarray, " packets"]
    tick_s: Fraction
    interval: float

    def __len__(self) -> int:
        return len(self.pts)

    @property
    def either(self) -> Ticks:
        """The pts of each packet, else its dts."""
        return np.where(np.isnan(self.pts), self.dts, self.pts)

    def shifted(self, by: Ticks) -> "Stamps":
        """The same stamps, each moved."""
        return replace(self, pts=self.pts + by, dts=self.dts + by)


@dataclass(frozen=True)
class PictureTimes:
    """When the picture of each packet is shown, in ticks; never nan unless no packet has a stamp.

    ``is_trusted``: False where the stamp was wrong or missing. ``lost``: pictures of which not even a packet is left.
    ``is_reordered``: packets are not in the order of presentation. ``is_regular``: the stamps confirm each other.
    """

    ticks: Ticks
    is_trusted: Bool[np.ndarray, " packets"]
    is_hidden: Bool[np.ndarray, " packets"]
    tick_s: Fraction
    interval: float
    is_reordered: bool
    is_regular: bool
    lost: Float[np.ndarray, " lost"]

    def time_s(self, ticks: float) -> float:
        """A time in seconds, exact where it is a stamp of the file."""
        return float(int(ticks) * self.tick_s) if float(ticks).is_integer() else ticks * float(self.tick_s)

    @property
    def rows(self) -> Float[np.ndarray, " rows"]:
        """When each row is shown, in ticks."""
        return np.sort(np.concatenate([self.ticks[~self.is_hidden], self.lost]))


def mend_pictures(stamps: Stamps, is_reordered: bool) -> PictureTimes:
    """The times of pictures, from stamps without joins; those that are wrong or missing lie between their neighbours.

    Nothing is lost or confirmed yet. ``is_reordered``: the codec may have packets out of the order of presentation.
    """
    pts, interval, tick_s = stamps.either, stamps.interval, float(stamps.tick_s)
    is_trusted = ~np.isnan(pts)
    num_backward = int((np.diff(pts[is_trusted]) <= 0).sum())
    is_reordered = num_backward > (0 if is_reordered else len(pts) / 4)
    if is_reordered:
        is_trusted &= ~_are_far(pts)
        order = np.argsort(np.where(is_trusted, pts, np.nan), kind="stable")[: is_trusted.sum()]
        is_trusted[order] &= _are_confirmed_ends(pts[order], interval, MAX_PAUSE_S / tick_s)
        ticks = _into_widest_gaps(np.where(is_trusted, pts, np.nan), interval)
    else:
        is_trusted &= are_in_order(pts, interval, max_end=MAX_PAUSE_S / tick_s)
        ticks = interpolate(np.where(is_trusted, pts, np.nan), interval)
    nothing = np.zeros(0)
    return PictureTimes(ticks, is_trusted, stamps.is_hidden, stamps.tick_s, interval, is_reordered, False, nothing)


def count_on(own: Stamps, counted: Stamps) -> Stamps:
    """``own`` stamps, those missing taken from ``counted``, moved by what the own stamps around them were moved."""
    moved = interpolate(own.either - counted.either, 0.0)
    return replace(
        own,
        pts=np.where(np.isnan(own.either), counted.pts + moved, own.either),
        dts=np.where(np.isnan(own.dts), counted.dts + moved, own.dts),
    )


def are_in_order(ticks: Ticks, interval: float, max_end: float = np.inf) -> Bool[np.ndarray, " packets"]:
    """Which stamps can be believed of a sequence that must increase; nan stays True, and is passed over.

    At either end a single step of more than ``max_end`` has no other packet to confirm it.
    """
    good = np.ones(len(ticks), bool)
    places = np.flatnonzero(~np.isnan(ticks))
    known = ticks[places]
    steps = np.diff(known)
    if not (steps > 0).all():
        latest, is_good = -np.inf, np.ones(len(known), bool)
        for place, tick in enumerate(known):
            if is_good[place]:
                is_good[place : place + NUM_NEIGHBOURS] &= believe(known[place : place + NUM_NEIGHBOURS], latest)
            if is_good[place]:
                latest = tick
        good[places] = is_good
    if len(known) > 2 and max_end < np.inf:
        good[places] &= _are_confirmed_ends(known, interval, max_end)
    return good


def _are_confirmed_ends(ticks: Ticks, interval: float, max_end: float) -> Bool[np.ndarray, " packets"]:
    """False for the first and the last stamp where they are far from the one next to them."""
    good = np.ones(len(ticks), bool)
    if len(ticks) > 2:
        steps = np.diff(ticks)
        good[[0, -1]] = steps[[0, -1]] < max(max_end, 20 * interval)
    return good


def believe(ticks: Ticks, latest: float) -> Bool[np.ndarray, " ahead"]:
    """Which of the next stamps in order of presentation can be believed, as far as the first of them is concerned.

    One wrong stamp contradicts all others on the way; where two contradict each other, the one that lies farther from
    the middle of its neighbours is wrong. nan is passed over.
    """
    good = np.ones(len(ticks), bool)
    first = ticks[0]
    if first <= latest:
        good[0] = False
        return good
    smaller = 1 + np.flatnonzero(ticks[1:] <= first)
    if len(smaller) == 1:
        other = int(smaller[0])
        wrong = 0 if _stray(ticks, 0, other, latest) >= _stray(ticks, other, 0, latest) else other
        good[wrong] = False
    elif len(smaller):
        good[0] = False
    return good


def _stray(ticks: Ticks, place: int, other: int, latest: float) -> float:
    """How far a stamp lies from where its neighbours put it, the ``other`` suspect left in place."""
    before = [each for each in ticks[:place] if not np.isnan(each)]
    after = [each for each in ticks[place + 1 :] if not np.isnan(each)]
    left, right = before[-1] if before else latest, after[0] if after else np.nan
    if not np.isfinite(left) or np.isnan(right):
        known = [each for each in np.delete(ticks, place) if not np.isnan(each)]
        return float(np.abs(np.array(known) - ticks[place]).min(initial=np.inf))
    return float(abs(ticks[place] - (left + right) / 2))


def interpolate(ticks: Ticks, interval: float) -> Ticks:
    """The same sequence with nan replaced: on the line between its neighbours, at the interval beyond the ends."""
    known = np.flatnonzero(~np.isnan(ticks))
    if not len(known) or len(known) == len(ticks):
        return ticks
    places = np.arange(len(ticks))
    filled = np.interp(places, known, ticks[known])
    filled -= interval * np.maximum(known[0] - places, 0)
    return filled + interval * np.maximum(places - known[-1], 0)


def _are_far(pts: Ticks) -> Bool[np.ndarray, " packets"]:
    """Which stamps lie farther from the order of the packets than a decoder could have reordered them."""
    is_far = np.isnan(pts)
    for num_passes in range(2 * MAX_FAR):
        places = np.flatnonzero(~is_far)
        ranks = np.argsort(np.argsort(pts[places], kind="stable"), kind="stable")
        moved = np.abs(ranks - np.arange(len(places)))
        if not len(moved) or moved.max() <= MAX_REORDERED:
            break
        is_few = num_passes < MAX_FAR  # one at a time: each moves the ranks of all others
        is_far[places[int(np.argmax(moved))] if is_few else places[moved > MAX_REORDERED]] = True
    return is_far


def _into_widest_gaps(ticks: Ticks, interval: float) -> Ticks:
    """Replace nan in packets out of order by the middle of the widest gap that is near enough.

    Where there are many, they lie between the packets before and after them in the file.
    """
    if np.isnan(ticks).sum() > 2 * MAX_FAR:
        return interpolate(ticks, interval)
    ticks = ticks.copy()
    for place in np.flatnonzero(np.isnan(ticks)):
        known = np.sort(ticks[~np.isnan(ticks)])
        if not len(known):
            return ticks
        ends = np.concatenate([[known[0] - 2 * interval], known, [known[-1] + 2 * interval]])
        first = min(max(int(place) - MAX_REORDERED, 0), len(ends) - 2)
        gaps = np.diff(ends)[first : int(place) + MAX_REORDERED + 2]
        is_end = np.isin(first + np.arange(len(gaps)), [0, len(ends) - 2])
        if (gaps[~is_end] > 1.5 * interval).any():
            gaps[is_end] = 0
        widest = first + int(np.argmax(gaps))
        ticks[place] = (ends[widest] + ends[widest + 1]) / 2
    return ticks


def confirm(times: PictureTimes, dts: Ticks) -> PictureTimes:
    """The same times, ``is_regular`` where they confirm each other.

    They do where rows are evenly spaced, or at the container's own times of decoding, a few packets later; the last
    of these have nothing to confirm them but their spacing.
    """
    rows, rounding = times.rows, ROUNDING_S / float(times.tick_s)
    steps = np.diff(rows)
    if not times.is_trusted.all() or (steps <= 0).any():
        return replace(times, is_regular=False)
    is_even = not len(steps) or np.abs(steps - times.interval).max() <= times.interval / 4 + rounding
    shown = np.sort(times.ticks)
    is_decoded_so = any(
        np.abs(shown[: len(shown) - late] - dts[late:]).max() <= rounding
        and (np.diff(shown[len(shown) - late - 1 :]) <= 1.5 * times.interval + rounding).all()
        for late in range(min(MAX_REORDERED, len(shown)))
    )
    return replace(times, is_regular=bool(is_even or is_decoded_so))


def time_by_index(stamps: Stamps, numbers: np.ndarray, lost: np.ndarray) -> PictureTimes:
    """The times of an AVI's pictures from their ``numbers`` in its index, in the order of decoding.

    FFmpeg counts those that it finds. What is not in the index, nan, is no picture.
    """
    start = float(np.nanmin(stamps.either[:MAX_REORDERED]) - np.nanmin(np.where(np.isnan(stamps.dts), 0, stamps.dts)))
    is_bogus, nothing = np.isnan(numbers), np.ones(len(numbers), bool)
    ticks = np.nan_to_num(numbers) + start
    return PictureTimes(ticks, nothing, is_bogus, stamps.tick_s, stamps.interval, False, False, lost + start)


def without_delay(sound: Stamps) -> Stamps:
    """The stamps of Ogg Vorbis, moved where FFmpeg starts to count at the first packet, which holds no sound.

    It does so where all packets are on one page; elsewhere it counts back from the end of the first page.
    """
    return sound.shifted(np.full(len(sound), -sound.durations[0])) if sound.either[0] == 0 else sound


def extent_s(stamps: Stamps) -> tuple[float, float]:
    """When the first packet of sound starts and the last one ends, by stamps that others confirm."""
    known = np.flatnonzero(~np.isnan(stamps.either))
    if not len(known):
        return math.nan, math.nan
    # before a leap MP4 stores a packet's duration up to the next one
    durations, usual = stamps.durations, np.median(stamps.durations)
    durations = np.where((durations > MAX_DURATION * usual) & (usual > 0), usual, durations)
    late_s = (stamps.either - np.cumsum(durations))[known] * float(stamps.tick_s)
    is_near = np.abs(np.diff(late_s)) <= MAX_UNCONFIRMED_S
    is_confirmed = np.append(is_near, False) | np.insert(is_near, 0, False)
    known = known[is_confirmed] if is_confirmed.any() else known
    first = known[np.argmin(stamps.either[known])]
    last = known[np.argmax((stamps.either + durations)[known])]
    stop_s = float(int(stamps.either[last]) * stamps.tick_s) + float(int(durations[last]) * stamps.tick_s)
    return float(int(stamps.either[first]) * stamps.tick_s), stop_s

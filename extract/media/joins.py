"""Joins: places of a file where the time stamps of pictures and sound start anew."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from extract.media.timing import (
    MAX_LEAP_S,
    MAX_PAUSE_S,
    MAX_REORDERED,
    MIN_SOUND_LEAP_S,
    NUM_NEIGHBOURS,
    Stamps,
    Ticks,
)

MIN_SOUND_STEP_S = 0.02  # back; a smaller one is a rounded stamp
MAX_PIECES_APART = 100  # packets to look ahead for the one that a piece belongs to
MAX_APART_S = 3.0  # between the leaps of pictures and of sound at one join


@dataclass(frozen=True)
class _Leap:
    """A stream's stamps from packet ``first`` on are ``by_s`` later than those before it go on."""

    first: int
    at_s: float
    by_s: float


def find_joins(
    pictures: Stamps | None,
    sound: Stamps | None,
    is_damaged: Callable[[bool, int], bool] = lambda *_: False,
    max_pause_s: float = MAX_PAUSE_S,
) -> tuple[np.ndarray, np.ndarray, int]:
    """What to add to each stamp of pictures and of sound, in ticks, and the number of joins.

    ``is_damaged(of_sound, packet)``: whether the file is damaged before a packet, where a leap ahead is lost data.
    ``max_pause_s``: by how much both may leap ahead in a recording that paused.

    Both streams are shifted by one offset where both leap at the same place: pictures then go on at their interval. A
    stream that goes back alone is shifted alone. A stream that leaps ahead alone has a gap, up to an hour.
    """
    leaps = [
        []
        if stamps is None
        else [
            leap
            for leap in _leaps(stamps, of_sound, max_pause_s)
            if leap.by_s < 0 or not is_damaged(of_sound, leap.first)
        ]
        for of_sound, stamps in ((False, pictures), (True, sound))
    ]
    both = pictures is not None and sound is not None
    joins = [pair for pair in _pair(*leaps) if _is_join(*pair, both, max_pause_s)]
    shifts = [np.zeros(0 if stamps is None else len(stamps)) for stamps in (pictures, sound)]
    for pair in joins:
        offset_s = None
        for stamps, shift, leap in zip((pictures, sound), shifts, pair, strict=True):
            if stamps is not None and leap is not None:
                offset_s = _offset_s(stamps, shift, leap) if offset_s is None else offset_s
                shift[leap.first :] = round(offset_s / stamps.tick_s)
    return shifts[0], shifts[1], len(joins)


def shift_pieces(pieces: np.ndarray, packets: np.ndarray, shifts: np.ndarray) -> np.ndarray:
    """The stamps that pieces have, shifted like the packets with the same stamps, or like the piece before."""
    shifted, latest = [], 0
    for ticks in pieces[~np.isnan(pieces)]:
        same = np.flatnonzero(packets[latest : latest + MAX_PIECES_APART] == ticks)
        latest += int(same[0]) if len(same) else 0
        shifted.append(ticks + shifts[min(latest, len(shifts) - 1)])
    return np.array(shifted)


def _is_join(of_pictures: _Leap | None, of_sound: _Leap | None, both: bool, max_pause_s: float) -> bool:
    if of_pictures is not None and of_sound is not None:
        return of_pictures.by_s < 0 or of_pictures.by_s > max_pause_s
    alone = of_pictures or of_sound
    assert alone is not None
    if alone.by_s > 0:
        return alone.by_s > MAX_LEAP_S or (alone is of_pictures and not both and alone.by_s > MAX_PAUSE_S)
    return alone is of_pictures or alone.by_s < -MIN_SOUND_LEAP_S


def _leaps(stamps: Stamps, is_sound: bool, max_pause_s: float) -> list[_Leap]:
    """Where the stamps leap and do not return, in the order of decoding."""
    tick_s, interval = float(stamps.tick_s), stamps.interval
    has_dts = not (np.isnan(stamps.dts) & ~np.isnan(stamps.pts)).any()
    ticks = stamps.dts if has_dts else stamps.pts
    is_decoding = has_dts or (np.diff(ticks[~np.isnan(ticks)]) <= 0).sum() < len(ticks) / 10
    places = np.flatnonzero(~np.isnan(ticks))
    known = ticks[places]
    num_near = NUM_NEIGHBOURS if is_decoding else MAX_REORDERED
    back = MIN_SOUND_STEP_S / tick_s if is_sound else 1.2 * interval if is_decoding else 3 * interval
    steps = np.diff(known)
    leaps: list[_Leap] = []
    for first in 1 + np.flatnonzero((steps <= 0) | (steps > max_pause_s / tick_s)):
        if leaps and places[first] - leaps[-1].first < num_near / 2:
            continue
        low = int(np.searchsorted(places, leaps[-1].first)) if leaps else 0
        before, after = slice(max(first - num_near, low), first), slice(first, first + num_near)
        if min(len(known[before]), len(known[after])) < 2:
            continue
        # the middle of each side, so that one wrong stamp among them does not count
        left, right = (known[side] - interval * places[side] for side in (before, after))
        middle, by = float(np.median(right)), float(np.median(right) - np.median(left))
        is_leap = by > 0.8 * max_pause_s / tick_s or by < -back
        # of two stamps that contradict each other the middle says nothing
        is_leap &= all((np.abs(side - np.median(side)) < abs(by) / 2).mean() > 0.5 for side in (left, right))
        if is_leap and abs(known[first] - interval * places[first] - middle) < abs(by) / 2:
            leaps.append(_Leap(int(places[first]), float(known[first - 1]) * tick_s, by * tick_s))
    return leaps


def _pair(of_pictures: list[_Leap], of_sound: list[_Leap]) -> list[tuple[_Leap | None, _Leap | None]]:
    """Leaps of both streams at one place together, the others alone, in order."""
    pairs: list[tuple[_Leap | None, _Leap | None]] = []
    waiting = list(of_sound)
    for leap in of_pictures:
        near = [
            each
            for each in waiting
            if abs(each.by_s - leap.by_s) < MAX_APART_S and abs(each.at_s - leap.at_s) < MAX_APART_S
        ]
        if near:
            pairs += [(None, each) for each in waiting[: waiting.index(near[0])]]
            waiting = waiting[waiting.index(near[0]) + 1 :]
        pairs.append((leap, near[0] if near else None))
    return pairs + [(None, each) for each in waiting]


def _offset_s(stamps: Stamps, shifts: Ticks, leap: _Leap) -> float:
    """What brings the packets from a leap on to where those before it, shifted already, go on."""
    interval, first, shown = stamps.interval, leap.first, stamps.either
    leapt = round(shifts[first - 1] - leap.by_s / float(stamps.tick_s))
    if np.isnan(shown).any():
        return float(leapt * stamps.tick_s)
    left = (shown + shifts)[max(first - MAX_REORDERED, 0) : first]
    right = shown[first : first + MAX_REORDERED]
    left = left[np.abs(left - np.median(left)) <= 2 * MAX_REORDERED * interval]
    right = right[np.abs(right - np.median(right)) <= 2 * MAX_REORDERED * interval]
    if not len(left) or not len(right):  # stamps without any order: there is no interval to go on at
        return float(leapt * stamps.tick_s)
    tried = [leapt, left.max() + interval - right.min(), *(leapt + step * interval for step in range(-3, 4))]
    best = min(tried, key=lambda offset: np.abs(np.diff(np.sort(np.append(left, right + offset))) - interval).sum())
    return float(best * stamps.tick_s)

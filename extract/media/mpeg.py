"""The times of MPEG-1 and MPEG-2 pictures, of which a container stamps only some. Needs no PyAV.

Both codecs show a picture at every interval: a B picture when it is decoded, any other when the next such picture is
decoded. So the stamps that are there give the times of all pictures, and where some are missing from the file.
"""

from itertools import pairwise

import numpy as np

from extract.media.timing import Stamps, Ticks, are_in_order

MAX_STUFFED = 3  # zero bytes after a picture that is followed by another one


def time_mpeg(stamps: Stamps, offsets: Ticks, num_zeros: Ticks, pieces: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """When each packet's picture is shown, and when those were that are missing from the file; in ticks.

    ``stamps`` are those in the file. ``offsets``: from decoding to presentation, 0 only for B pictures. ``num_zeros``:
    bytes at the end of each packet, where an erased picture was. ``pieces``: the stamps of all pictures in the file,
    erased or not. Without any usable stamp the times are those of ``stamps``, and nothing is missing.
    """
    interval = stamps.interval
    own = np.where(np.isnan(stamps.dts), stamps.pts, stamps.dts)
    own = np.where(_agree(own, num_zeros, interval), own, np.nan)
    if np.isnan(own).all() or not interval:
        return stamps.either, np.zeros(0)
    slots, moved = _find_slots(own, num_zeros, interval)
    packets, missing = slots[:-1], _between(slots, interval)
    is_late = np.concatenate([offsets > 0, np.zeros(len(missing), bool)])
    is_unsure = np.concatenate([moved | np.isnan(offsets), np.ones(len(missing), bool)])
    decoded = np.concatenate([packets, missing])
    shown = _shown(decoded, is_late, is_unsure, slots[-1]) if is_late.any() else decoded
    erased = pieces[~np.isin(pieces, stamps.either)]
    ends = np.append(erased, [shown.min(), shown.max()])
    before = np.arange(ends.min(), shown.min() - interval / 2, interval)
    after = np.arange(shown.max() + interval, ends.max() + interval / 2, interval)
    most = len(shown) // 4 + 1  # more is a wrong stamp rather than erased pictures
    ends_lost = [each for each in (before, after) if len(each) <= most]
    return shown[: len(packets)], np.concatenate([shown[len(packets) :], *ends_lost])


def _agree(own: Ticks, num_zeros: Ticks, interval: float) -> np.ndarray:
    """Which stamps agree with those around them, counted by packets.

    The first and the last have a neighbour on one side only: they may be apart from it where a picture was erased.
    """
    own = own.copy()
    late = own - interval * np.arange(len(own))
    places = np.flatnonzero(~np.isnan(own))
    apart = np.abs(np.diff(late[places])) > interval / 2
    for before, place, after in zip(places, places[1:], places[2:], strict=False):
        if abs(late[after] - late[before]) < interval / 2 and abs(late[place] - late[after]) > interval / 2:
            own[place] = np.nan
    if len(places) > 2:
        ends = ((0, apart[0] and not apart[1], places[:2]), (-1, apart[-1] and not apart[-2], places[-2:]))
        for end, is_apart, (first, stop) in ends:
            if is_apart and num_zeros[max(first - 1, 0) : stop].max() <= MAX_STUFFED:
                own[places[end]] = np.nan
    return are_in_order(own, interval) & ~np.isnan(own)


def _find_slots(own: Ticks, num_zeros: Ticks, interval: float) -> tuple[np.ndarray, np.ndarray]:
    """When each packet is decoded, with the end of the last one; and which packets have the stamp of an erased one."""
    known = np.flatnonzero(~np.isnan(own))
    slots = own[known[0]] + interval * (np.arange(len(own) + 1.0) - known[0])
    moved, hole = np.zeros(len(own), bool), -1
    for before, after in pairwise(known.tolist()):
        late = own[after] - slots[after]
        if round(late / interval) > 0:
            first = max(before - 1, 0)
            most = first + int(np.argmax(num_zeros[first:after]))
            hole = most if num_zeros[most] > MAX_STUFFED else int(after) - 1
            moved[before] |= hole < before  # the picture after an erased one was given its stamp
            slots[hole + 1 :] += late
        elif before and slots[before] + late > slots[before - 1] + interval / 2:
            slots[before:] += late  # after a hole the first stamp was that of an erased picture
        else:
            slots[after:] += late
    if np.median(num_zeros) <= MAX_STUFFED:  # after the last stamp, only the zeros show where a picture was
        after_last = np.arange(len(own)) >= max(known[-1] - 1, hole + 1)
        for hole in np.flatnonzero((num_zeros > MAX_STUFFED) & after_last).tolist():
            slots[hole + 1 :] += interval
            moved[known[-1]] |= hole < known[-1]
    return slots, moved


def _between(slots: np.ndarray, interval: float) -> np.ndarray:
    """The times of decoding at which there is no packet."""
    steps = np.rint(np.diff(slots) / interval)
    return np.concatenate(
        [np.zeros(0), *(slots[gap] + interval * np.arange(1, steps[gap]) for gap in np.flatnonzero(steps > 1))]
    )


def _shown(decoded: np.ndarray, is_late: np.ndarray, is_unsure: np.ndarray, end: float) -> np.ndarray:
    """Times of presentation from those of decoding.

    ``is_late``: not a B picture. Where that is unsure, as many B pictures follow each other as elsewhere.
    """
    order, is_late = np.argsort(decoded, kind="stable"), is_late.copy()
    run = int(np.median(np.diff(np.flatnonzero(is_late)))) if is_late.sum() > 1 else 1
    since = 0
    for place in order:
        since += 1
        is_late[place] = since >= run if is_unsure[place] else is_late[place]
        since = 0 if is_late[place] else since
    shown, late = decoded.copy(), order[is_late[order]]
    shown[late] = np.append(decoded[late[1:]], end)
    return shown

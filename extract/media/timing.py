"""The times of packets and frames."""

import heapq
from collections import deque
from collections.abc import Iterator
from typing import Any


def stamp_of(timed: Any) -> Any:
    """The pts of a packet or frame in ticks of its stream, else its dts, else None."""
    return timed.dts if timed.pts is None else timed.pts


def time_of(timed: Any, stream: Any) -> float | None:
    """The container time of a packet or frame, None without one."""
    return None if stamp_of(timed) is None else float(stamp_of(timed) * stream.time_base)


def in_order_of_time(frames: Iterator[Any]) -> Iterator[Any]:
    """The same frames with their time stamps sorted.

    AVI stores no presentation times: for H.264 with B frames FFmpeg guesses them out of order. The frames themselves
    are in order, and H.264 reorders over at most 16 frames.
    """
    waiting: deque[Any] = deque()
    stamps: list[int] = []
    for frame in frames:
        if stamp_of(frame) is None:
            yield frame
            continue
        waiting.append(frame)
        heapq.heappush(stamps, stamp_of(frame))
        if len(waiting) > 16:
            waiting[0].pts = heapq.heappop(stamps)
            yield waiting.popleft()
    for frame, frame.pts in zip(waiting, sorted(stamps), strict=True):
        yield frame

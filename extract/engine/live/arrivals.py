"""Threads that read a live source, and what has arrived: pictures in a queue, sound resampled in pieces."""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from extract.media import Picture, Samples
from extract.media.audio_buffer import AudioBuffer
from extract.media.live.sources import LiveSource

LATE_S = 0.08  # a picture that waited longer than this, and longer than its sound needs, is dropped for a newer one
SOUND_WAIT_S = 0.1  # how much longer than it should need a picture waits for its sound
MAX_WAITING = 64  # pictures in memory; of older ones only the times stay
READ_AHEAD_S = 1.0  # of sound, where nothing sets the pace
POLL_S = 0.2


@dataclass(frozen=True)
class Arrival:
    """A picture, its number from 1, and when it arrived on the machine's monotonic clock."""

    number: int
    picture: Picture
    arrived_s: float

    def without_picture(self) -> "Arrival":
        """The same, of which only the time is left."""
        return replace(self, picture=Picture(self.picture.time_s, None))


@dataclass(frozen=True)
class SoundPiece:
    """Samples that have arrived, at one rate; ``start_s``: of the whole sound. ``gaps_s``: all so far."""

    samples: Samples
    start_s: float
    gaps_s: tuple[tuple[float, float], ...]
    is_last: bool = False


class Arrivals:
    """What has arrived of a source. Use it in a ``with`` statement.

    ``real_time``: a recording is played at its own pace, and late pictures are dropped. Otherwise nothing is dropped,
    and reading waits for the analysis. ``delay_s``: how long after a picture its sound is needed.
    """

    def __init__(self, source: LiveSource, rates_hz: Iterable[int], *, real_time: bool, delay_s: float) -> None:
        self._source, self._real_time, self._delay_s = source, real_time, delay_s
        self._buffers = {rate_hz: AudioBuffer(rate_hz) for rate_hz in rates_hz}
        self._changed = threading.Condition()
        self._pictures: deque[Arrival] = deque()
        self._sounds: dict[int, list[SoundPiece]] = {rate_hz: [] for rate_hz in self._buffers}
        self._sound_until_s = -np.inf if source.has_sound and self._buffers else np.inf
        self._wanted_s = -np.inf
        self._missed_s = np.nan  # where the sound ended when a picture waited for it in vain
        self._pace: tuple[float, float] | None = None  # monotonic time, time of the source
        self._has_ended = self._stops = False
        self._errors: dict[str, BaseException] = {}  # by what was read
        self.num_without_sound = 0  # pictures whose sound came too late
        reading = {"pictures": self._read_pictures}
        if self._sound_until_s < np.inf:
            reading["sound"] = self._read_sound
        self._threads = [threading.Thread(target=self._guarded, args=each, daemon=True) for each in reading.items()]

    def __enter__(self) -> "Arrivals":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop reading. It may be called again, and before anything was read."""
        with self._changed:
            self._stops = True
            self._changed.notify_all()
        for thread in self._threads:
            if thread.is_alive():
                thread.join(timeout=2.0)  # a device may block for ever: its thread ends with the process
        self._source.close()

    def next(self) -> tuple[list[Arrival], Arrival | None]:
        """The pictures that are dropped, and the next one; None at the end, or once it is closed.

        Raises what a reading thread raised.
        """
        with self._changed:
            while not self._pictures:
                if "pictures" in self._errors:
                    raise self._errors["pictures"]
                if self._has_ended or self._stops:
                    return [], None
                self._changed.wait(POLL_S)
            dropped = []
            if self._real_time and self._is_late(self._pictures[0], LATE_S):
                while len(self._pictures) > 1 and self._is_late(self._pictures[0], 0.0):
                    dropped.append(self._pictures.popleft().without_picture())
            found = self._pictures.popleft()
            self._changed.notify_all()
            return dropped, found

    def sound(self, arrival: Arrival) -> dict[int, list[SoundPiece]]:
        """The sound that is new since the last call, once it reaches ``delay_s`` after a picture."""
        until_s = arrival.picture.time_s + self._delay_s
        with self._changed:
            self._wanted_s = until_s
            self._changed.notify_all()
            while self._sound_until_s < until_s:
                if "sound" in self._errors:
                    raise self._errors["sound"]
                left_s = arrival.arrived_s + self._delay_s + SOUND_WAIT_S - time.monotonic()
                if self._real_time and (left_s <= 0 or self._missed_s == self._sound_until_s):
                    self.num_without_sound += 1
                    self._missed_s = self._sound_until_s  # later pictures do not wait until sound comes again
                    break
                self._changed.wait(min(left_s, POLL_S) if self._real_time else POLL_S)
            found = self._sounds
            self._sounds = {rate_hz: [] for rate_hz in found}
            return found

    def _is_late(self, arrival: Arrival, by_s: float) -> bool:
        return time.monotonic() - arrival.arrived_s - self._delay_s > by_s

    def _is_far_ahead(self, until_s: float) -> bool:
        """Whether sound may wait: the analysis needs none so late, and has what it needs, unlike after a gap."""
        return until_s > self._wanted_s + READ_AHEAD_S and self._sound_until_s >= self._wanted_s

    def _guarded(self, what: str, read: Callable[[], None]) -> None:
        try:
            read()
        except BaseException as error:  # raised again in the thread that analyses
            with self._changed:
                self._errors[what] = error
                self._changed.notify_all()

    def _read_pictures(self) -> None:
        for number, picture in enumerate(self._source.pictures(), 1):
            due_s = self._wait_until(picture.time_s)
            with self._changed:
                while not self._real_time and len(self._pictures) > 1 and not self._stops:
                    self._changed.wait(POLL_S)
                if self._stops:
                    return
                self._pictures.append(Arrival(number, picture, due_s))
                if len(self._pictures) > MAX_WAITING:
                    self._pictures[-MAX_WAITING - 1] = self._pictures[-MAX_WAITING - 1].without_picture()
                self._changed.notify_all()
        with self._changed:
            self._has_ended = True
            self._changed.notify_all()

    def _read_sound(self) -> None:
        first = next(iter(self._buffers.values()))
        for frame in self._source.sound():
            if not first.is_started and frame.time_s is not None:
                with self._changed:  # before its beginning there is nothing to wait for
                    self._sound_until_s = frame.time_s
            for buffer in self._buffers.values():
                buffer.append(frame.samples, frame.rate_hz, frame.time_s)
            self._wait_until(first.stop_s)
            if not self._give(min(each.resampled_s for each in self._buffers.values()), is_last=False):
                return
        self._give(np.inf, is_last=True)

    def _give(self, until_s: float, *, is_last: bool) -> bool:
        """Hand over what the buffers hold; False where reading is to stop."""
        with self._changed:
            while not self._real_time and not is_last and not self._stops and self._is_far_ahead(until_s):
                self._changed.wait(POLL_S)
            for rate_hz, buffer in self._buffers.items():
                samples = buffer.take(last=is_last)
                piece = SoundPiece(samples, buffer.start_s, tuple(buffer.gaps_s), is_last)
                self._sounds[rate_hz].append(piece)
            self._sound_until_s = until_s
            self._changed.notify_all()
            return not self._stops

    def _wait_until(self, time_s: float) -> float:
        """Wait until something of this time is due, and return when that was on the monotonic clock."""
        now_s = time.monotonic()
        if not (self._real_time and self._source.is_recorded):
            return now_s
        with self._changed:
            if self._pace is None:
                self._pace = now_s, time_s
            start_s, first_s = self._pace
            due_s = start_s + time_s - first_s
            while not self._stops and (left_s := due_s - time.monotonic()) > 0:
                self._changed.wait(left_s)
        return due_s

"""What has arrived of a live source: late pictures are dropped for newer ones, and sound is waited for."""

import threading

import numpy as np
import pytest

from extract.engine.live import arrivals
from extract.engine.live.arrivals import Arrivals
from extract.media import MediaError, Picture
from extract.media.audio_buffer import SoundFrame
from extract.media.live.sources import LiveSource

RATE_HZ = 16000


class Drawn(LiveSource):
    """Pictures and sound at once; ``stalls``: sound that never comes; ``gap_s``: in it, after a second."""

    name, is_recorded = "drawn", False

    def __init__(self, num=10, sound_s=0.0, stalls=False, fails=False, gap_s=0.0):
        super().__init__()
        self.num, self.sound_s, self.stalls, self.fails, self.gap_s = num, sound_s, stalls, fails, gap_s
        self.has_sound = sound_s > 0 or stalls
        self.never, self.is_closed = threading.Event(), False

    def pictures(self):
        for i in range(self.num):
            yield Picture(i / 25, object())
        if self.fails:
            raise MediaError("no picture of drawn can be decoded")

    def sound(self):
        if self.stalls:
            self.never.wait()
        for first in np.arange(0, self.sound_s, 0.02):
            yield SoundFrame(np.full(320, 0.1, np.float32), RATE_HZ, float(first + self.gap_s * (first >= 1)))

    def close(self):
        self.is_closed = True
        self.never.set()


def everything_arrived(found):
    """Wait until all pictures are in the queue."""
    found._threads[0].join(timeout=30)
    assert not found._threads[0].is_alive()


def test_without_real_time_nothing_is_dropped_and_reading_waits():
    source = Drawn(10, sound_s=2.0)
    numbers, sound_s = [], []
    with Arrivals(source, [RATE_HZ], real_time=False, delay_s=0.1) as found:
        while (step := found.next())[1] is not None:
            dropped, arrival = step
            assert not dropped
            numbers.append(arrival.number)
            pieces = found.sound(arrival)[RATE_HZ]
            sound_s.append(sum(len(each.samples) for each in pieces) / RATE_HZ)
            assert sum(sound_s) >= arrival.picture.time_s + 0.1
            assert sum(sound_s) <= arrival.picture.time_s + 0.1 + arrivals.READ_AHEAD_S + 0.1
    assert numbers == list(range(1, 11))
    assert source.is_closed


@pytest.mark.timeout(30)
def test_a_gap_in_the_sound_stops_nothing():
    with Arrivals(Drawn(150, sound_s=2.0, gap_s=3.0), [RATE_HZ], real_time=False, delay_s=0.1) as found:
        pieces = []
        while (arrival := found.next()[1]) is not None:
            pieces += found.sound(arrival)[RATE_HZ]
    assert len(np.concatenate([each.samples for each in pieces])) == 5 * RATE_HZ
    assert pieces[-1].gaps_s == ((pytest.approx(1.0), pytest.approx(4.0)),)


def test_late_pictures_are_dropped_for_the_newest_and_keep_their_times(monkeypatch):
    monkeypatch.setattr(arrivals, "LATE_S", 0.0)
    with Arrivals(Drawn(10), [], real_time=True, delay_s=0.0) as found:
        everything_arrived(found)
        dropped, arrival = found.next()
        assert [each.number for each in dropped] == list(range(1, 10))
        assert not any(each.picture.is_decodable for each in dropped)
        assert arrival.number == 10
        assert arrival.picture.is_decodable
        assert found.next() == ([], None)


def test_of_pictures_that_wait_in_large_numbers_only_the_times_stay(monkeypatch):
    monkeypatch.setattr(arrivals, "MAX_WAITING", 4)
    monkeypatch.setattr(arrivals, "LATE_S", 1e9)
    with Arrivals(Drawn(10), [], real_time=True, delay_s=0.0) as found:
        everything_arrived(found)
        kept = [found.next()[1].picture.is_decodable for _ in range(10)]
    assert kept == [False] * 6 + [True] * 4


def test_a_picture_whose_sound_does_not_come_is_given_without_it_and_counted(monkeypatch):
    monkeypatch.setattr(arrivals, "SOUND_WAIT_S", 0.0)
    source = Drawn(2, stalls=True)
    with Arrivals(source, [RATE_HZ], real_time=True, delay_s=0.01) as found:
        _, arrival = found.next()
        assert found.sound(arrival) == {RATE_HZ: []}
        assert found.num_without_sound == 1
        monkeypatch.setattr(arrivals, "SOUND_WAIT_S", 1e9)  # the next one does not wait again
        _, arrival = found.next()
        assert found.sound(arrival) == {RATE_HZ: []}
        assert found.num_without_sound == 2
        source.never.set()


def test_what_a_reading_thread_raises_is_raised_after_the_pictures_before_it():
    source = Drawn(2, sound_s=1.0, fails=True)
    with Arrivals(source, [RATE_HZ], real_time=False, delay_s=0.1) as found:
        everything_arrived(found)
        for number in (1, 2):
            arrival = found.next()[1]
            assert arrival.number == number
            assert found.sound(arrival).keys() == {RATE_HZ}
        with pytest.raises(MediaError, match="no picture of drawn"):
            found.next()

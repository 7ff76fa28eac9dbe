"""Progress: lines without a terminal, a bar on one, and a time left that is sane after a pause and on resuming."""

import io
import logging
import sys

import pytest

from abaw.progress import Progress, TimeLeft, with_progress


class Clock:
    def __init__(self):
        self.s = 100.0

    def __call__(self):
        return self.s


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def lines(caplog):
    caplog.set_level(logging.INFO, "abaw")
    return caplog


def work(progress, clock, durations, total=None):
    """Report before each item, and advance the clock by its duration."""
    for done, duration_s in enumerate(durations):
        progress(f"clip{done}", done, total or len(durations))
        clock.s += duration_s


def test_without_a_terminal_a_line_comes_every_ten_seconds_at_most(clock, lines):
    with Progress("extract", now_s=clock) as progress:
        work(progress, clock, [1.0] * 35)
    assert lines.messages == [
        "extract: 10 of 35 clips (clip10), about 25 s left",
        "extract: 20 of 35 clips (clip20), about 15 s left",
        "extract: 30 of 35 clips (clip30), about 5 s left",
    ]


def test_short_work_says_nothing_and_what_is_counted_has_its_name(clock, lines):
    with Progress("verify", "track", now_s=clock) as progress:
        work(progress, clock, [0.1] * 90)
        assert lines.messages == []
        work(progress, clock, [4.0] * 4)
    assert lines.messages == ["verify: 3 of 4 tracks (clip3), about 4 s left"]


def test_under_q_nothing_is_said(clock, caplog):
    caplog.set_level(logging.WARNING, "abaw")
    with Progress("extract", now_s=clock) as progress:
        work(progress, clock, [20.0] * 5)
    assert caplog.messages == []


def test_a_new_piece_of_work_has_a_time_of_its_own_and_its_total_may_change(clock, lines):
    with Progress("analyze", "", now_s=clock) as progress:
        work(progress, clock, [0.01] * 50)
        work(progress, clock, [11.0] * 2, total=4)
        progress("clip2", 2, 3)
    assert lines.messages == [
        "analyze: 1 of 4 (clip1), about 33 s left",
        "analyze: 2 of 3 (clip2), about 11 s left",
    ]


def test_a_resumed_extraction_forgets_the_clips_that_were_done_before():
    left, now_s = TimeLeft(), 0.0
    for done in range(1, 1001):  # looked at in a second
        left.estimate_s(now_s, done, 1100)
        now_s += 0.001
    for done in range(1001, 1007):
        now_s += 10.0
        found = left.estimate_s(now_s, done, 1100)
    assert found == pytest.approx(940, rel=0.4)  # by all items so far it would be 6 s
    for done in range(1007, 1020):
        now_s += 10.0
        found = left.estimate_s(now_s, done, 1100)
    assert found == pytest.approx(810, rel=0.01)


def test_a_pause_counts_for_a_minute_at_most():
    left, now_s = TimeLeft(), 0.0
    for done in range(100):
        left.estimate_s(now_s, done, 1000)
        now_s += 1.0 + 3600.0 * (done == 30)
    assert left.estimate_s(now_s, 100, 1000) == pytest.approx(900, rel=0.02)


def test_nothing_is_known_before_the_first_item_is_done_and_nothing_is_left_at_the_end():
    left = TimeLeft()
    assert left.estimate_s(0.0, 0, 5) is None
    assert left.estimate_s(30.0, 0, 5) is None
    assert left.estimate_s(40.0, 5, 5) == 0
    assert left.estimate_s(50.0, 6, 5) == 0


def test_millions_of_items_take_no_memory():
    left = TimeLeft()
    for done in range(200_000):
        left.estimate_s(done * 1e-3, done, 10**9)
    assert len(left._marks) < 1000


def test_on_a_terminal_there_is_a_bar_with_the_time_left(clock, lines, monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    with Progress("extract", now_s=clock) as progress:
        work(progress, clock, [2.0] * 5)
    drawn = [each.strip() for each in shown.getvalue().split("\r") if each.strip()]
    assert any("2/5" in each and "about 6 s left, clip2" in each for each in drawn)
    assert "5/5" in drawn[-1]
    assert lines.messages == []


def test_log_lines_appear_above_the_bar_and_go_where_they_went_afterwards(clock, lines, monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)
    handler = logging.StreamHandler(shown)
    logging.getLogger().addHandler(handler)
    with Progress("train", "", now_s=clock) as progress:
        progress("epoch 1", 0, 2)
        logging.getLogger("abaw").info("epoch 1/2: loss 0.5")
        progress("epoch 2", 1, 2)
    assert any(each.strip() == "epoch 1/2: loss 0.5" for each in shown.getvalue().replace("\r", "\n").split("\n"))
    assert handler in logging.getLogger().handlers


def test_items_are_reported_by_name_before_each_is_done():
    said = []
    for item in with_progress([1, 2], lambda *given: said.append(given), "clip {}".format):
        said.append(item)
    assert said == [("clip 1", 0, 2), 1, ("clip 2", 1, 2), 2]


def test_a_bar_of_failed_work_is_not_filled(clock, lines, monkeypatch):
    shown = Terminal()
    monkeypatch.setattr(sys, "stderr", shown)

    def fail():
        with Progress("extract", now_s=clock) as progress:
            work(progress, clock, [2.0] * 3, total=10)
            raise OSError("disk full")

    with pytest.raises(OSError, match="full"):
        fail()
    assert "10/10" not in shown.getvalue()

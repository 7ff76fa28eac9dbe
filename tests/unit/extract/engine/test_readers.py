"""Reader threads: every clip is read once, leased ones are retried, and nothing is left open at the end."""

import threading
import time
import types

import pytest

from extract.engine import readers
from extract.engine.batching import OpenClip
from extract.engine.readers import Readers
from extract.engine.requests import ClipError


class Writer:
    is_closed = False

    def close(self):
        self.is_closed = True


class Plan:
    """Stands in for an ExtractionPlan over clips of which ``present`` ones lack nothing."""

    def __init__(self, clip_ids, present=()):
        self.dataset = types.SimpleNamespace(clips={clip_id: clip_id for clip_id in clip_ids})
        self.store, self.present, self.opened = types.SimpleNamespace(root=None), present, {}

    def make_request(self, clip, *, remember):
        assert remember
        return None if clip in self.present else (Request(clip), "source")

    def open_clip(self, request, source):
        self.opened[request] = OpenClip(str(request), source)
        self.opened[request].add_writer("x", Writer())
        return self.opened[request]


class Request(str):
    """A request for the clip of this name."""

    source = None


class Leases:
    """Leases of which ``taken`` ones belong to another process for the first ``num_refusals`` attempts."""

    is_read_only = False

    def __init__(self, taken=(), num_refusals=2):
        self.taken, self.num_refusals, self.lock = taken, num_refusals, threading.Lock()

    def acquire(self, clip_id):
        with self.lock:
            if clip_id in self.taken and self.num_refusals:
                self.num_refusals -= 1
                return False
            return True


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    monkeypatch.setattr(readers, "POLL_S", 0.01)


def read_by(monkeypatch, read):
    monkeypatch.setattr(readers, "read_clip", lambda request, send, folder, check: read(request, send, check))


def messages_of(pool):
    found = []
    while not pool.are_done():
        if (message := pool.next()) is not None:
            found.append(message)
    return found


def test_every_clip_is_read_once_and_present_ones_are_only_reported(monkeypatch):
    read_by(monkeypatch, lambda request, send, check: f"result of {request}")
    with Readers(Plan("abcd", present="b"), Leases(), "abcd", 3) as pool:
        found = {message.clip_id: message for message in messages_of(pool)}
    assert sorted(found) == list("abcd")
    assert (found["b"].clip, found["b"].load) == (None, None)
    assert found["a"].load == "result of a"


def test_a_clip_of_another_process_is_retried_until_it_is_free(monkeypatch):
    read_by(monkeypatch, lambda request, send, check: "result")
    leases = Leases(taken="a")
    with Readers(Plan("ab"), leases, "ab", 1) as pool:
        assert [message.clip_id for message in messages_of(pool)] == ["b", "a"]
    assert leases.num_refusals == 0


def test_an_error_of_a_clip_is_a_message_and_a_crash_is_raised(monkeypatch):
    def fail(request, send, check):
        raise {"a": ClipError("decode", ValueError("cut off")), "b": OSError("gone")}[request]

    read_by(monkeypatch, fail)
    with Readers(Plan("ab"), Leases(), "ab", 1) as pool:
        assert [(each.error.stage, str(each.error)) for each in messages_of(pool)] == [
            ("decode", "cut off"),
            ("read", "gone"),
        ]

    def crash(request, send, check):
        raise KeyboardInterrupt

    read_by(monkeypatch, crash)
    plan = Plan("a")
    with pytest.raises(KeyboardInterrupt), Readers(plan, Leases(), "a", 1) as pool:
        messages_of(pool)
    assert plan.opened["a"].writers["x"].is_closed


@pytest.mark.parametrize("num_loads", [1, 20])
def test_clips_left_in_the_queue_or_in_work_are_closed_at_the_end(monkeypatch, num_loads):
    """1: the clips are read and their messages wait; 20: the queue is full and the threads wait."""
    assert 2 * (1 + 1) < readers.MAX_MESSAGES < 20

    def read(request, send, check):
        for _ in range(num_loads):
            send("x", None)

    read_by(monkeypatch, read)
    plan = Plan("ab")
    with Readers(plan, Leases(), "ab", 2) as pool:
        while pool._messages.qsize() < min(4, readers.MAX_MESSAGES):
            time.sleep(0.01)
    assert sorted(plan.opened) == ["a", "b"] or num_loads == 20
    assert all(clip.writers["x"].is_closed for clip in plan.opened.values())


def test_reading_stops_once_an_encoder_has_failed_on_the_clip(monkeypatch):
    def read(request, send, check):
        plan.opened["a"].fail(ClipError("encode x", ValueError("too large")))
        check()
        pytest.fail("the rest was read")

    read_by(monkeypatch, read)
    plan = Plan("a")
    with Readers(plan, Leases(), "a", 1) as pool:
        assert [str(message.error) for message in messages_of(pool)] == ["too large"]

"""Batches across clips: what is encoded together, in which order rows return, and what a failing clip affects."""

import numpy as np
import pytest

from abaw.tracks import Clock, Track
from extract.encoders.base import PictureEncoder, SoundEncoder
from extract.engine.batching import Batcher, OpenClip
from extract.engine.requests import ClipError, ReadResult, Rows
from extract.media import Sound

NO_CLOCK = Clock(np.zeros(0, int), np.zeros(0), np.zeros(0, bool))


class Doubling(PictureEncoder):
    """A test encoder that doubles its inputs, refuses values above ``limit``, and records its batches."""

    crop, dim, batch_size = None, 1, 4

    def __init__(self, limit=1000.0):
        self.limit, self.batches = limit, []

    def recipe(self):
        return {"encoder": "doubling", "settings": {}, "version": 1}

    def prepare(self, pictures):
        return np.stack(pictures)

    def forward(self, batch):
        self.batches.append(len(batch))
        if (batch > self.limit).any():
            raise RuntimeError("too large")
        return 2.0 * batch[:, :1]


class Writer:
    """Stands in for a TrackWriter; it keeps what it gets."""

    def __init__(self):
        self.rows, self.is_closed, self.finished = [], False, None

    def add(self, rows):
        self.rows += rows[:, 0].tolist()

    def finish(self, times_s, observed, metadata, filled=None, *, sync=True):
        self.finished = (times_s, observed.tolist(), metadata, filled)

    def close(self):
        self.is_closed = True


def open_clip(clip_id):
    clip = OpenClip(clip_id, "source")
    clip.add_writer("x", Writer())
    return clip


def inputs(*values, width=1):
    return np.repeat(np.array(values, np.float32)[:, None], width, axis=1)


def rows_of(clip):
    return clip.writers["x"].rows


def test_a_batch_fills_across_clips_and_each_clip_gets_its_own_rows_in_order():
    encoder, a, b = Doubling(), open_clip("a"), open_clip("b")
    batcher = Batcher({"x": encoder})
    assert batcher.add(a, "x", inputs(1, 2, 3)) == []
    assert batcher.add(b, "x", inputs(4, 5, 6)) == [a, b]
    assert (encoder.batches, rows_of(a), rows_of(b)) == ([4], [2, 4, 6], [8])
    assert batcher.flush() == [b]
    assert (encoder.batches, rows_of(b)) == ([4, 2], [8, 10, 12])
    assert batcher.flush() == []


def test_a_long_input_is_encoded_in_several_batches():
    encoder, a = Doubling(), open_clip("a")
    Batcher({"x": encoder}).add(a, "x", inputs(*range(11)))
    assert encoder.batches == [4, 4]
    assert rows_of(a) == [2 * i for i in range(8)]


def test_inputs_of_another_size_start_a_new_batch():
    encoder, a, b = Doubling(), open_clip("a"), open_clip("b")
    batcher = Batcher({"x": encoder})
    batcher.add(a, "x", inputs(1))
    assert batcher.add(b, "x", inputs(2, width=3)) == [a]
    batcher.flush()
    assert encoder.batches == [1, 1]


def test_a_clip_that_the_encoder_refuses_fails_alone():
    encoder, clips = Doubling(limit=100), [open_clip(name) for name in "abc"]
    batcher = Batcher({"x": encoder})
    for clip, value in zip(clips, (1, 500, 3), strict=True):
        batcher.add(clip, "x", inputs(value))
    assert batcher.flush() == clips
    a, b, c = clips
    assert (rows_of(a), rows_of(b), rows_of(c)) == ([2], [], [6])
    assert (a.error, c.error) == (None, None)
    assert (b.error.stage, str(b.error)) == ("encode x", "RuntimeError: too large")
    assert b.writers["x"].is_closed
    assert batcher.add(b, "x", inputs(1)) == []


def test_an_encoder_that_returns_too_few_rows_is_an_error():
    class Short(Doubling):
        def forward(self, batch):
            return batch[:-1]

    a = open_clip("a")
    Batcher({"x": Short()}).add(a, "x", inputs(1, 2, 3, 4))
    assert str(a.error) == "the encoder x returned 3 rows, expected 4"


def test_a_clip_is_done_once_it_is_read_and_all_its_rows_have_returned():
    a, batcher = open_clip("a"), Batcher({"x": Doubling()})
    batcher.add(a, "x", inputs(1))
    assert not a.is_done
    a.is_read = True
    assert not a.is_done
    batcher.flush()
    assert a.is_done
    failed = open_clip("b")
    batcher.add(failed, "x", inputs(1))
    failed.is_read = True
    failed.fail(ClipError("decode", ValueError("broken")))
    assert failed.is_done
    failed.fail(ClipError("write", ValueError("later")))
    assert str(failed.error) == "broken"


def test_rows_of_nan_are_unobserved_only_for_an_encoder_that_may_miss():
    a = open_clip("a")
    a.expect_rows(3)
    a.add_rows("x", np.array([[1.0], [np.nan], [3.0]]), may_miss=True)
    observed = np.array([True, False, True, True])
    a.read = ReadResult(NO_CLOCK, {"x": Rows(np.arange(4.0), observed, None, {"crops": "found"})}, None, {})
    a.finish({"source": "s"})
    _, observed, metadata, filled = a.writers["x"].finished
    assert rows_of(a) == [1, 3]
    assert observed == [True, False, False, True]
    assert (metadata, filled) == ({"source": "s", "crops": "found"}, None)
    strict = open_clip("b")
    strict.add_rows("x", np.array([[1.0], [np.nan]]), may_miss=False)
    assert len(rows_of(strict)) == 2


class Beeping(SoundEncoder):
    """A test encoder with one row every half second."""

    dim, rate_hz = 1, 2

    def recipe(self):
        return {"encoder": "beeping", "settings": {}, "version": 1}

    def encode(self, sound):
        times_s = sound.start_s + np.arange(len(sound.samples)) / self.rate_hz
        yield Track(sound.samples[:2, None], times_s[:2], np.array([True, False])[: len(times_s[:2])])
        yield Track(sound.samples[2:, None], times_s[2:], np.ones(len(times_s[2:]), bool))


def test_rows_of_sound_from_the_start_of_a_gap_up_to_its_end_are_unobserved():
    a = open_clip("a")
    sound = Sound(np.arange(8, dtype=np.float32), 2, 1.0, ((2.0, 3.0),))
    assert Batcher({"x": Beeping()}).add(a, "x", sound) == [a]
    a.read = ReadResult(NO_CLOCK, {}, None, {})
    a.finish({})
    times_s, observed, _, _ = a.writers["x"].finished
    assert times_s.tolist() == [1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.5]
    assert observed == [True, False, False, False, True, True, True, True]
    assert rows_of(a) == [0, 4, 5, 6, 7]


def test_a_clip_without_sound_gets_a_track_without_rows_and_its_encoder_is_not_called(monkeypatch):
    monkeypatch.setattr(Beeping, "encode", lambda self, sound: pytest.fail("there is nothing to encode"))
    a = open_clip("a")
    Batcher({"x": Beeping()}).add(a, "x", Sound(np.zeros(0, np.float32), 2, 0.0))
    a.read = ReadResult(NO_CLOCK, {}, None, {})
    a.finish({})
    assert a.writers["x"].finished[1] == []

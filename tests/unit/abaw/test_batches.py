"""Windows become batches: padding at the end, three facts apart, tasks of some clips only."""

from dataclasses import fields

import numpy as np
import pytest
import torch

from abaw.batches import Batch, FeatureSource, Signal, Window, collate, windows
from abaw.tracks import Track


def make_window(clip_id="a", num_steps=3, first_step=0, *, names=("face",), tasks=("va",), dim=2):
    times_s = first_step + np.arange(num_steps) / 25
    values = np.arange(num_steps * dim, dtype=np.float16).reshape(num_steps, dim)
    return Window(
        clip_id=clip_id,
        first_step=first_step,
        times_s=torch.tensor(times_s),
        signals={name: Track(values, times_s, np.ones(num_steps, bool)) for name in names},
        target={task: torch.ones(num_steps, 2) for task in tasks},
        scored={task: torch.ones(num_steps, dtype=torch.bool) for task in tasks},
    )


def test_short_windows_are_padded_at_the_end_and_their_lengths_say_so():
    batch = collate([make_window("a", 3), make_window("b", 5, first_step=7)])
    assert batch.clip_ids == ("a", "b")
    assert batch.first_step.tolist() == [0, 7]
    assert batch.lengths.tolist() == batch.signals["face"].lengths.tolist() == [3, 5]
    assert batch.signals["face"].values.shape == (2, 5, 2)
    assert batch.signals["face"].values.dtype == torch.float32
    assert batch.signals["face"].observed[0].tolist() == [True] * 3 + [False] * 2
    assert batch.scored["va"][0].tolist() == [True] * 3 + [False] * 2
    torch.testing.assert_close(batch.times_s[1], 7 + torch.arange(5, dtype=torch.float64) / 25)


def test_a_task_that_some_windows_have_is_unscored_in_the_others():
    batch = collate(
        [make_window("a", 3, tasks=("va",)), make_window("b", 2, tasks=("expr",)), make_window("c", tasks=())]
    )
    assert set(batch.target) == set(batch.scored) == {"va", "expr"}
    assert batch.scored["va"].any(1).tolist() == [True, False, False]
    assert batch.scored["expr"].any(1).tolist() == [False, True, False]


def test_a_task_that_no_window_has_has_no_key():
    batch = collate([make_window(tasks=()), make_window(tasks=())])
    assert batch.target == batch.scored == {}


def test_windows_with_different_signals_are_an_error():
    with pytest.raises(ValueError, match=r"clip 'b' has signals \['voice'\], others of the batch have \['face'\]"):
        collate([make_window("a"), make_window("b", names=("voice",))])


def test_a_source_may_hand_out_read_only_memory():
    window = make_window()
    for array in (window.signals["face"].values, window.signals["face"].times_s, window.signals["face"].observed):
        array.flags.writeable = False
    assert collate([window]).signals["face"].values.shape == (1, 3, 2)


def test_a_batch_moves_as_one():
    batch = collate([make_window()])
    moved = batch.to("meta")
    assert isinstance(moved, Batch)
    assert isinstance(moved.signals["face"], Signal)
    assert moved.clip_ids == batch.clip_ids
    tensors = [moved.times_s, moved.lengths, moved.target["va"], moved.scored["va"]]
    tensors += [getattr(moved.signals["face"], field.name) for field in fields(Signal)]
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    assert batch.times_s.device.type == "cpu"


@pytest.mark.parametrize(
    ("num_steps", "length", "stride", "expected"),
    [
        (0, 4, 2, []),
        (3, 4, 2, [(0, 3)]),
        (4, 4, 2, [(0, 4)]),
        (5, 4, 2, [(0, 4), (1, 5)]),
        (8, 4, 4, [(0, 4), (4, 8)]),
        (9, 4, 3, [(0, 4), (3, 7), (5, 9)]),
        (1, 1, 1, [(0, 1)]),
    ],
)
def test_windows_cover_the_clip_and_the_last_one_ends_with_it(num_steps, length, stride, expected):
    assert windows(num_steps, length, stride) == expected


@pytest.mark.parametrize(
    ("length", "stride", "message"), [(0, 1, "at least 1 step"), (3, 0, "at least 1 step"), (3, 4, "skips steps")]
)
def test_senseless_windows_are_errors(length, stride, message):
    with pytest.raises(ValueError, match=message):
        windows(10, length, stride)


def test_anything_with_its_methods_is_a_feature_source():
    class Source:
        def names(self): ...

        def is_on_clock(self, name): ...
        def dim(self, name): ...
        def clock(self, clip_id): ...
        def read(self, name, clip_id, start_s, stop_s): ...

    assert isinstance(Source(), FeatureSource)
    assert not isinstance(object(), FeatureSource)

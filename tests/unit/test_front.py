"""The Front: standardised by what was observed in training, 0 where nothing was."""

import numpy as np
import pytest
import torch

from abaw.batches import Batch, Signal
from abaw.tracks import Clock, Track
from fusion.front import LIMIT_STD, Front, Spread, measure_spread


class OneTrack:
    """A source of one modality: clip -> (values, observed)."""

    def __init__(self, clips):
        self.clips = {
            clip: (np.asarray(values, np.float32), np.asarray(seen, bool)) for clip, (values, seen) in clips.items()
        }

    def names(self):
        return ("face",)

    def dim(self, name):
        return next(iter(self.clips.values()))[0].shape[1]

    def clock(self, clip_id):
        num = len(self.clips[clip_id][1])
        return Clock(np.arange(1, num + 1), np.arange(num) / 25, np.ones(num, bool))

    def read(self, name, clip_id, start_s, stop_s):
        values, seen = self.clips[clip_id]
        return Track(values, np.arange(len(seen)) / 25, seen)


def make_batch(values, observed=None, *, times_s=None, name="face"):
    values = torch.as_tensor(values, dtype=torch.float32)[None]
    num = values.shape[1]
    seen = torch.ones(1, num, dtype=torch.bool) if observed is None else torch.tensor([observed])
    clock_s = torch.arange(num if times_s is None else times_s, dtype=torch.float64)[None] / 25
    signal = Signal(values, torch.arange(num, dtype=torch.float64)[None] / 25, seen, torch.tensor([num]))
    return Batch(("a",), torch.tensor([0]), torch.tensor([clock_s.shape[1]]), clock_s, {name: signal}, {}, {})


def make_front(mean, std):
    front = Front({"face": len(mean)})
    front.set_spread({"face": Spread(np.array(mean, float), np.array(std, float))})
    return front


def test_the_spread_is_that_of_all_observed_rows_together():
    rng = np.random.default_rng(0)
    clips = {str(i): (rng.normal(i, i + 1, (n, 3)), rng.random(n) < 0.7) for i, n in enumerate((50, 1, 200))}
    spread = measure_spread(OneTrack(clips), clips)["face"]
    rows = np.concatenate([np.asarray(values, np.float32)[seen] for values, seen in clips.values()]).astype(float)
    np.testing.assert_allclose(spread.mean, rows.mean(0), rtol=1e-9)
    np.testing.assert_allclose(spread.std, rows.std(0), rtol=1e-9)


def test_unobserved_rows_do_not_enter_the_spread_even_as_nan():
    spread = measure_spread(OneTrack({"a": ([[1.0], [np.nan], [3.0]], [True, False, True])}), ["a"])["face"]
    assert (spread.mean[0], spread.std[0]) == (2, 1)


@pytest.mark.parametrize("constant", [0.0, 0.1, -12345.678])
def test_a_constant_feature_gets_std_1(constant):
    source = OneTrack({clip: (np.full((n, 1), constant), [True] * n) for clip, n in (("a", 7), ("b", 100))})
    spread = measure_spread(source, ["a", "b"])["face"]
    assert spread.std[0] == 1
    assert spread.mean[0] == pytest.approx(constant)


def test_a_small_feature_is_not_taken_for_a_constant():
    spread = measure_spread(OneTrack({"a": ([[1e-7], [-1e-7]], [True, True])}), ["a"])["face"]
    assert spread.std[0] == pytest.approx(1e-7)


def test_a_modality_never_observed_and_a_clip_without_a_frame_are_no_error():
    source = OneTrack({"a": (np.zeros((2, 2)), [False, False]), "empty": (np.zeros((0, 2)), [])})
    spread = measure_spread(source, ["a", "empty"])["face"]
    np.testing.assert_array_equal(spread.mean, [0, 0])
    np.testing.assert_array_equal(spread.std, [1, 1])


def test_values_are_standardised_and_unobserved_ones_become_0():
    steps = make_front([1.0, 10.0], [2.0, 5.0])(make_batch([[3.0, 0.0], [np.nan, np.inf]], [True, False]))
    assert steps.features["face"].tolist() == [[[1.0, -2.0], [0.0, 0.0]]]
    assert steps.observed["face"].tolist() == [[True, False]]


def test_a_value_far_out_of_its_range_is_held_at_the_limit():
    steps = make_front([0.0], [1e-3])(make_batch([[5.0], [-5.0]]))
    assert steps.features["face"].flatten().tolist() == [LIMIT_STD, -LIMIT_STD]


def test_the_spread_is_saved_with_the_weights():
    front, other = make_front([1.0], [2.0]), Front({"face": 1})
    other.load_state_dict(front.state_dict())
    batch = make_batch([[5.0]])
    assert torch.equal(other(batch).features["face"], front(batch).features["face"])


def test_signals_that_are_not_on_the_clock_are_refused():
    with pytest.raises(ValueError, match=r"'face' has 4 rows for 3 steps: signals must be on the clock"):
        make_front([0.0], [1.0])(make_batch(np.zeros((4, 1)), times_s=3))


def test_a_missing_signal_and_another_width_are_errors():
    with pytest.raises(ValueError, match=r"no signal 'face' in the batch, there are \['voice'\]"):
        make_front([0.0], [1.0])(make_batch([[0.0]], name="voice"))
    with pytest.raises(ValueError, match="'face' has 3 features, the model was built with 1"):
        make_front([0.0], [1.0])(make_batch([[0.0, 1.0, 2.0]]))


def test_each_modality_keeps_its_own_observed_flags():
    signals = {
        name: Signal(torch.ones(1, 3, 2), torch.zeros(1, 3, dtype=torch.float64), flags, torch.tensor([3]))
        for name, flags in (("a", torch.tensor([[True, False, True]])), ("b", torch.tensor([[False, True, True]])))
    }
    batch = Batch(("x",), torch.tensor([0]), torch.tensor([3]), torch.zeros(1, 3, dtype=torch.float64), signals, {}, {})
    steps = Front({"a": 2, "b": 2})(batch)
    for name, signal in signals.items():
        assert torch.equal(steps.observed[name], signal.observed)

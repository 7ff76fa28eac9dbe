"""Coefficients from a cut-off in Hz, the cosine basis, and the attention on it."""

import numpy as np
import pytest
import torch

from abaw.errors import InputError
from abaw.tracks import Clock
from fusion.layers.frequency import (
    FrequencySelfAttention,
    check_cutoff,
    cosine_basis,
    count_coefficients,
    padded_basis,
)


def times_of(num_steps, rate_hz, padding=0):
    times_s = 7.3 + torch.arange(num_steps, dtype=torch.float64) / rate_hz
    return torch.cat([times_s, torch.zeros(padding, dtype=torch.float64)])


def make_clock(num_frames, rate_hz):
    return Clock(np.arange(1, num_frames + 1), np.arange(num_frames) / rate_hz, np.ones(num_frames, bool))


@pytest.mark.parametrize(
    ("num_steps", "rate_hz", "cutoff_hz", "expected"),
    [
        (300, 30, 0.75, 16),
        (1000, 30, 0.75, 51),
        (1000, 30000 / 1001, 0.225, 16),
        (150, 30, 1.5, 16),
        (150, 30, 0.09, 1),  # below the first frequency, 0.1 Hz: the mean alone
        (150, 30, 0.1, 2),
        (40, 25, 12.5, 40),  # half the frame rate: all of them
        (1, 30, 1.5, 1),
    ],
)
def test_a_cut_off_in_hz_gives_the_coefficients_of_the_windows_duration(num_steps, rate_hz, cutoff_hz, expected):
    times_s = times_of(num_steps, rate_hz, padding=3)[None]
    assert count_coefficients(times_s, torch.tensor([num_steps]), cutoff_hz).tolist() == [expected]


def test_windows_of_one_batch_are_counted_by_their_own_frame_rates():
    times_s = torch.stack([times_of(50, 25), times_of(50, 10), times_of(20, 10, padding=30)])
    assert count_coefficients(times_s, torch.tensor([50, 50, 20]), 1.0).tolist() == [5, 11, 5]


@pytest.mark.parametrize("num_steps", [1, 2, 7, 300, 1000])
def test_the_basis_is_orthonormal_and_has_the_frequencies_it_is_said_to_have(num_steps):
    basis = cosine_basis(num_steps, num_steps)
    torch.testing.assert_close(basis.T @ basis, torch.eye(num_steps, dtype=torch.float64), atol=1e-12, rtol=0)
    crossings = (basis[1:].sign() != basis[:-1].sign()).sum(0)
    assert crossings.tolist() == [*range(num_steps)]  # vector u has u half periods


def test_a_batch_of_one_length_shares_a_basis_and_others_have_their_own():
    like = torch.zeros(1)
    assert padded_basis(torch.tensor([9, 9]), torch.tensor([4, 4]), 9, like).shape == (1, 9, 4)
    basis = padded_basis(torch.tensor([9, 5]), torch.tensor([4, 2]), 9, like)
    torch.testing.assert_close(basis[1, :5, :2], cosine_basis(5, 2).float())
    assert not basis[1, 5:].any()
    assert not basis[1, :, 2:].any()


def test_a_basis_that_was_first_needed_without_gradients_can_be_trained_with():
    layer, values, lengths = FrequencySelfAttention(4), torch.randn(1, 37, 4), torch.tensor([37])
    with torch.inference_mode():
        layer(values, lengths, torch.tensor([11]))
    layer(values, lengths, torch.tensor([11])).sum().backward()
    assert layer.query.weight.grad.abs().max() > 0


@pytest.mark.parametrize("mode", ["dot", "linsoftmax"])
def test_under_autocast_the_layer_computes_as_without(mode):
    torch.manual_seed(0)
    layer, values = FrequencySelfAttention(8, mode=mode), torch.randn(2, 200, 8)
    sizes = torch.tensor([200, 150]), torch.tensor([20, 15])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(layer(values, *sizes), layer.float()(values, *sizes))


@pytest.mark.parametrize("mode", ["dot", "linsoftmax"])
@pytest.mark.parametrize("head_dim", [1, 4])
def test_windows_of_zeros_or_of_one_step_have_finite_outputs_and_gradients(mode, head_dim):
    for seed in range(8):  # with one feature the cosine of a single step is 1 or -1
        torch.manual_seed(seed)
        layer = FrequencySelfAttention(4, head_dim=head_dim, mode=mode)
        values = torch.stack([torch.zeros(6, 4), torch.randn(6, 4)]).requires_grad_()
        out = layer(values, torch.tensor([6, 1]), torch.tensor([3, 1]))
        out.square().sum().backward()
        assert torch.isfinite(out).all()
        for tensor in (values, *layer.parameters()):
            assert torch.isfinite(tensor.grad).all()
            assert tensor.grad.abs().max() < 1e3


def test_repeats_share_their_weights():
    one, two = (FrequencySelfAttention(4, num_repeats=num) for num in (1, 2))
    two.load_state_dict(one.state_dict())
    values, sizes = torch.randn(1, 9, 4), (torch.tensor([9]), torch.tensor([3]))
    torch.testing.assert_close(two(values, *sizes), one(one(values, *sizes), *sizes))


def test_a_cut_off_above_half_the_frame_rate_is_refused_with_the_clips_rate():
    clocks = {"fast": make_clock(50, 30), "slow": make_clock(50, 5), "still": make_clock(1, 30)}
    match = (
        r"hidden.cutoff_hz is 4 Hz, but clip 'slow' has 5 frames a second, so that its highest frequency is 2.5 Hz "
        r"\(a period of 0.4 s\): set hidden.cutoff_hz to 2.5 or less"
    )
    with pytest.raises(InputError, match=match):
        check_cutoff("hidden.cutoff_hz", 4.0, clocks, 20)
    assert check_cutoff("hidden.cutoff_hz", 2.5, clocks, 20) == ""


def test_what_the_message_asks_for_is_accepted():
    rate_hz = 30000 / 1001 / 3  # its half has many digits
    with pytest.raises(InputError, match="to 4.995 or less"):
        check_cutoff("x", 6.0, {"a": make_clock(40, rate_hz)}, 40)
    assert check_cutoff("x", 4.995, {"a": make_clock(40, rate_hz)}, 40) == ""


def test_a_cut_off_below_the_first_frequency_of_a_window_is_said():
    clocks = {"long": make_clock(100, 10), "short": make_clock(10, 10), "still": make_clock(1, 10)}
    remark = check_cutoff("hidden.cutoff_hz", 0.2, clocks, 50)
    assert remark == (
        "hidden.cutoff_hz is 0.2 Hz: of windows below 2.5 s only the mean is kept, and those of 1 of 3 clips are as "
        "short as 1 s"
    )
    assert "2 of 3 clips" in check_cutoff("hidden.cutoff_hz", 0.2, clocks, 20)

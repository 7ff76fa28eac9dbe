"""Interpolation in time and filling of gaps."""

import torch

from fusion.layers.interpolation import fill_gaps, interpolate_at


def test_reading_between_rows_has_the_gradient_of_a_straight_line():
    values = torch.tensor([[[1.0], [5.0]]], requires_grad=True)
    times_s = torch.tensor([[0.0, 1.0]], dtype=torch.float64)
    goal_s = torch.tensor([[0.25, 1.0, 1.5]], dtype=torch.float64)
    read, seen = interpolate_at(values, times_s, torch.ones(1, 2, dtype=torch.bool), torch.tensor([2]), goal_s, 1.0)
    assert read.flatten().tolist() == [2.0, 5.0, 0.0]
    assert seen.tolist() == [[True, True, False]]
    read.sum().backward()
    assert values.grad.flatten().tolist() == [0.75, 1.25]


def test_gaps_are_filled_on_the_line_between_their_neighbours_in_time():
    times_s = torch.tensor([[0.0, 0.1, 0.4, 0.5, 0.9, 1.0, 1.1]], dtype=torch.float64)
    observed = torch.tensor([[False, True, False, True, False, True, False]])
    values = torch.where(
        observed[..., None], torch.tensor([[[9.0], [1.0], [9.0], [5.0], [9.0], [7.0], [9.0]]]), torch.nan
    )
    filled, flags = fill_gaps(values, times_s, observed, 0.45)
    assert flags.tolist() == [[False, True, True, True, False, True, False]], "0.5 s is too far, the ends have one side"
    torch.testing.assert_close(filled[flags][:, 0], torch.tensor([1.0, 4.0, 5.0, 7.0]))
    wider, flags = fill_gaps(values, times_s, observed, 0.5)
    assert flags[0, 4]
    torch.testing.assert_close(wider[0, 4, 0], torch.tensor(5.0 + 2.0 * 0.4 / 0.5))

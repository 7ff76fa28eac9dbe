"""Masks, masked means and modality dropout."""

import pytest
import torch

from fusion.layers.masks import draw_kept_modalities, masked_mean

MASK = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def assert_same(one, other, atol=1e-6):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("rest", [(), (3,), (2, 3)])
def test_a_mean_is_over_the_steps_that_count(rest):
    values = torch.randn(2, 5, *rest)
    expected = values[MASK].mean()
    values[~MASK] = torch.nan
    assert_same(masked_mean(values, MASK), expected)


def test_a_mean_over_nothing_is_0_with_a_gradient_of_0():
    values = torch.full((2, 5, 3), torch.nan, requires_grad=True)
    mean = masked_mean(values, torch.zeros(2, 5, dtype=torch.bool))
    assert mean == 0
    mean.backward()
    assert (values.grad == 0).all()


def test_each_modality_is_dropped_at_its_own_rate():
    torch.manual_seed(0)
    lost = ~draw_kept_modalities(torch.ones(100_000, 2, dtype=torch.bool), torch.tensor([0.8, 0.0]))
    assert lost.float().mean(0).tolist() == pytest.approx([0.8, 0.0], abs=0.01)


def test_the_last_modality_that_has_anything_to_show_is_never_lost():
    torch.manual_seed(0)
    present = torch.tensor([[True, True, True], [False, True, False], [False, False, False]]).repeat(500, 1)
    kept = draw_kept_modalities(present, torch.tensor([0.9, 0.9, 0.9]))
    assert (kept & present).any(1).equal(present.any(1))
    # which of three is the one that stays is not decided by their order
    shares = (kept & present)[0::3].float().mean(0)
    assert shares.min().item() > 0.25

"""Calibration after LiRank (Borisyuk et al. 2024, arXiv 2402.06859): the isotonic layer, and maps of held-out tables.

Bounds are those of the calibration world in which two contexts need opposite maps.
"""

import numpy as np
import pytest
import torch

from abaw.errors import InputError
from benchmarks.seed_systems.calibration import (
    fit_layer,
    fit_world,
    lose_on_small_sets,
    sklearn_loss,
    world,
)
from fusion.layers.heads.isotonic import IsotonicLayer

GRID = torch.linspace(-10, 10, 2001)


def random_layer(units=3, num_contexts=2, seed=0, **settings):
    """Random weights, about half of them negative."""
    torch.manual_seed(seed)
    layer = IsotonicLayer(units, num_contexts=num_contexts, **settings)
    for parameter in layer.parameters():
        torch.nn.init.normal_(parameter, std=1.5)
    return layer


def test_the_layer_is_the_identity_at_the_start():
    logits = GRID.clamp(-8, 8)[:, None].expand(-1, 4)
    for contexts in (1, 3):
        found = IsotonicLayer(4, num_contexts=contexts)(logits, torch.arange(len(GRID)) % contexts)
        assert (found - logits).abs().max() <= 1e-6  # 5e-7 relative to 8
        assert ((found - logits).abs() / logits.abs().clamp(min=1)).max() <= 5e-7


@pytest.mark.parametrize("seed", range(5))
def test_the_layer_is_monotone_for_any_weights(seed):
    layer = random_layer(seed=seed)
    for context in (0, 1):
        found = layer(GRID[:, None].expand(-1, 3), torch.full((len(GRID),), context))
        assert (found.diff(dim=0) >= -1e-5).all()
    assert (layer.slopes < 0).any()


@pytest.mark.parametrize(("low", "high", "step"), [(-8, 8, 0.25), (-1, 1, 0.05), (-17, 8, 0.05)])
def test_the_layer_equals_numpys_interpolation_on_its_knots(low, high, step):
    layer, logits = random_layer(low=low, high=high, step=step), GRID * high / 8
    for context in (0, 1):
        ends, values = layer.knots(context)
        found = layer(logits[:, None].expand(-1, 3), torch.full((len(GRID),), context)).detach()
        for unit in range(3):
            expected = np.interp(logits.numpy(), ends.numpy(), values[unit].numpy())
            scale = max(1, np.abs(expected).max())
            assert np.abs(found[:, unit].numpy() - expected).max() <= 1e-5 * scale


def test_every_bucket_gets_a_gradient_and_a_dead_one_can_rise_again():
    layer = IsotonicLayer(1)
    with torch.no_grad():
        layer.slopes[0, 40] = -0.1  # a plain ReLU would never leave this
    logits = GRID.clamp(-8, 8)[:, None]
    (layer(logits) - logits).square().mean().backward()
    assert layer.slopes.grad[0, 40] < 0, "a step against the gradient raises it"
    torch.nn.functional.mse_loss(layer(logits), 2 * logits).backward()
    assert all((parameter.grad != 0).all() for parameter in layer.parameters())


def test_a_dead_bucket_is_not_pushed_further_down():
    layer = IsotonicLayer(1)
    with torch.no_grad():
        layer.slopes.fill_(-0.1)
    layer(GRID[:, None]).sum().backward()  # falls where slopes to the right of 0 fall
    assert (layer.slopes.grad <= 0).all()


def test_a_logit_beyond_the_range_still_gets_the_gradient_that_brings_it_back():
    layer, logits = IsotonicLayer(1), torch.tensor([[12.0], [12.0]], requires_grad=True)
    (layer(logits) * torch.tensor([[1.0], [-1.0]])).sum().backward()
    assert logits.grad[0] > 0
    assert logits.grad[1] == 0


@pytest.mark.parametrize("words", [{"units": 0}, {"step": 0.0}, {"low": 1.0, "high": 1.0}, {"step": 0.3}])
def test_settings_that_make_no_buckets_are_errors(words):
    with pytest.raises(InputError):
        IsotonicLayer(**{"units": 1, **words})
    with pytest.raises(InputError, match="2 contexts"):
        IsotonicLayer(1, num_contexts=2)(torch.zeros(3, 1))


def test_maps_by_context_are_calibrated_where_one_map_is_wrong_in_both():
    train, test = world(20_000, 0), world(20_000, 1)
    for by_kind in (fit_world(train, test), fit_layer(train, test)):
        one, both = by_kind["one map"], by_kind["by context"]
        assert one.error <= 0.03, "overall, one map looks calibrated"
        assert min(one.context_errors) > 0.2
        assert max(both.context_errors) <= 0.03
        assert both.loss <= both.oracle + 0.005
        assert one.loss <= sklearn_loss(train, test) + 0.005


@pytest.mark.parametrize("num", [8, 30])
def test_small_validation_sets_lose_nothing_in_expectation(num):
    found = lose_on_small_sets("nothing to gain", num, draws=3)
    assert found.mean <= 0.005

"""Convolutions over time, compared with torch's own, and their receptive fields."""

import copy
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion.layers.convolution import Convolution, TemporalBlock, TemporalNetwork


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def assert_same(one, other, atol=1e-6):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel")
@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dilation", [1, 2, 4])
def test_a_convolution_is_torchs_as_long_as_its_input(kernel, dilation):
    ours = Convolution(3, 4, kernel, dilation=dilation)
    theirs = nn.Conv1d(3, 4, kernel, dilation=dilation, padding="same")
    theirs.load_state_dict(ours.layer.state_dict())
    values = torch.randn(2, 9, 3)
    inside = torch.ones(2, 9, dtype=torch.bool)
    assert_same(ours(values, inside), theirs(values.transpose(1, 2)).transpose(1, 2))


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("weight_norm", [True, False])
def test_a_convolution_reads_nothing_that_is_not_inside(causal, weight_norm):
    layer = Convolution(3, 4, 4, dilation=2, causal=causal, weight_norm=weight_norm)
    values = torch.randn(1, 9, 3)
    alone = layer(values, torch.ones(1, 9, dtype=torch.bool))
    padded = torch.cat([values, torch.full((1, 5, 3), torch.nan)], dim=1)
    assert_same(layer(padded, torch.arange(14)[None] < 9)[:, :9], alone)
    holes = torch.ones(1, 9, dtype=torch.bool)
    holes[:, 4] = False
    emptied = values.clone()
    emptied[:, 4] = 0
    values[:, 4] = torch.nan
    assert_same(layer(values, holes), layer(emptied, torch.ones_like(holes)))


@pytest.mark.parametrize("kernel", [1, 2, 5])
def test_a_causal_convolution_sees_itself_and_what_came_before(kernel):
    layer, inside = Convolution(3, 4, kernel, dilation=2, causal=True), torch.ones(1, 20, dtype=torch.bool)
    assert reach(layer, 3, inside, step=10) == [10 + 2 * i for i in range(kernel)]


def test_the_longer_half_of_an_even_kernel_looks_ahead():
    layer, inside = Convolution(3, 4, 4), torch.ones(1, 20, dtype=torch.bool)
    assert reach(layer, 3, inside, step=10) == [8, 9, 10, 11]


def reach(layer, dim, inside, step):
    """The steps whose output depends on ``step``."""
    values = torch.randn(*inside.shape, dim)
    changed = values.clone()
    changed[:, step] += 10
    with torch.no_grad():
        differs = (layer(values, inside) != layer(changed, inside)).any(-1)
    return differs[0].nonzero().flatten().tolist()


def test_weight_normalisation_leaves_only_the_direction_of_a_weight():
    layer, values = Convolution(3, 4, 3, weight_norm=True), torch.randn(2, 9, 3)
    inside = torch.ones(2, 9, dtype=torch.bool)
    state = layer.layer.state_dict()
    size, direction = state["magnitude"], state["direction"]
    weight = size * direction / direction.square().sum((1, 2), keepdim=True).sqrt()
    expected = F.conv1d(values.transpose(1, 2), weight, state["bias"], padding=1)
    assert_same(layer(values, inside), expected.transpose(1, 2))
    direction *= 3
    assert_same(layer(values, inside), expected.transpose(1, 2))


def test_a_weight_normed_convolution_can_be_pickled_and_copied():
    layer, values = Convolution(3, 4, 3, dilation=2, weight_norm=True), torch.randn(2, 9, 3)
    inside = torch.ones(2, 9, dtype=torch.bool)
    for again in (pickle.loads(pickle.dumps(layer)), copy.deepcopy(layer)):
        assert torch.equal(again(values, inside), layer(values, inside))


@pytest.mark.parametrize(("dim", "out_dim"), [(3, 4), (4, 4)])
def test_a_temporal_block_adds_two_convolutions_to_a_shortcut(dim, out_dim):
    block, values = TemporalBlock(dim, out_dim, 3, 0.5, dilation=2).eval(), torch.randn(2, 9, dim)
    inside = torch.ones(2, 9, dtype=torch.bool)
    hidden = block.second(block.first(values, inside).relu(), inside).relu()
    direct = values if dim == out_dim else F.linear(values, block.shortcut.weight, block.shortcut.bias)
    assert_same(block(values, inside), (hidden + direct).relu())


@pytest.mark.parametrize("causal", [True, False])
def test_the_receptive_field_of_a_temporal_network_is_as_documented(causal):
    """2 (kernel - 1) (2^num_layers - 1) steps: 2 * 2 * 7 = 28 of them, all behind it or half to each side."""
    network = TemporalNetwork(3, 16, 3, 3, 0.0, causal=causal)
    reached = reach(network, 3, torch.ones(1, 100, dtype=torch.bool), step=50)
    assert (reached[0], reached[-1]) == ((50, 78) if causal else (36, 64))


def test_a_temporal_network_passes_over_nan_outside_with_finite_gradients():
    network, values = TemporalNetwork(3, 4, 2, 3, 0.0), torch.randn(1, 9, 3)
    values[:, 6:] = torch.nan
    inside = torch.arange(9)[None] < 6
    network(values, inside)[:, :6].sum().backward()
    assert all(torch.isfinite(each.grad).all() for each in network.parameters())

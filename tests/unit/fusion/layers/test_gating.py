"""Dense gating, compared with its formula and at its two ends."""

import torch

from fusion.layers.gating import DenseGating


def test_each_feature_is_multiplied_by_its_gate_of_all_features():
    torch.manual_seed(0)
    layer, hidden = DenseGating(3), torch.randn(2, 4, 3)
    gates = 1 / (1 + torch.exp(-(hidden @ layer.gate.weight.T + layer.gate.bias)))
    torch.testing.assert_close(layer(hidden), hidden * gates)
    assert (gates[..., 0] != gates[..., 1]).all()


def test_a_gate_starts_almost_open_and_a_closed_one_passes_nothing_on():
    layer, hidden = DenseGating(4), torch.ones(1, 2, 4)
    assert (layer(hidden) > 0.7 * hidden).all()
    torch.nn.init.constant_(layer.gate.bias, -1000.0)
    assert (layer(hidden) == 0).all()


def test_a_step_does_not_see_the_others():
    layer, hidden = DenseGating(3), torch.randn(1, 5, 3)
    with_nan = hidden.clone()
    with_nan[:, 3:] = torch.nan
    torch.testing.assert_close(layer(with_nan)[:, :3], layer(hidden)[:, :3])

"""Residual DCN: its cross layers against DCN-V2, and the products that each can and cannot express.

``benchmarks/seed_systems/residual_dcn.py`` has the worlds and measures all of the papers' tables.
"""

import pytest
import torch

from benchmarks.seed_systems import residual_dcn as proofs
from fusion.layers import cross
from fusion.layers.cross import AttentionCross, CrossNetwork, LowRankCross, ParallelCrosses
from tests.support.fusion_checks import without_shape_checks


def test_identity_attention_without_skip_is_the_low_rank_cross_network_bit_for_bit():
    assert proofs.identity_difference() == 0.0


def test_full_rank_is_dcn_v2_in_plain_loops():
    assert proofs.full_rank_difference() <= 1e-12


def test_attention_weights_are_those_of_the_formula():
    torch.manual_seed(0)
    layer = AttentionCross(5, 3, temperature=0.5, skip=True)
    first, values = torch.randn(2, 5), torch.randn(2, 5)
    for i in range(2):
        query, key, value = ((each.weight @ values[i]).tolist() for each in (layer.query, layer.key, layer.down))
        rows = [torch.tensor([q * k / 0.5 for k in key]).softmax(0) for q in query]
        mixed = torch.stack([(row * torch.tensor(value)).sum() for row in rows]) + torch.tensor(value)
        expected = first[i] * (layer.up.weight @ mixed + layer.up.bias) + values[i]
        torch.testing.assert_close(layer(first, values)[i], expected)


@pytest.mark.parametrize(("function", "dim"), [(proofs.f1, 4), (proofs.f2, 3)])
def test_one_layer_learns_products_of_two_features_exactly_and_a_dense_network_does_not(function, dim):
    errors = []
    with without_shape_checks():
        for make in (lambda: proofs.make_cross(dim, 1), lambda: proofs.make_dense(dim, 8)):
            torch.manual_seed(0)
            errors.append(proofs.fit_exactly(make(), function, dim, num=200, iterations=80))
    assert errors[0] <= 1e-6 < 1e-3 < errors[1]


def test_attention_learns_which_product_the_context_chooses_and_low_rank_networks_do_not():
    with without_shape_checks():
        ours, size = proofs.fit_gated(proofs.make_parallel(0), 0, steps=400)
        rival, rival_size = proofs.fit_gated(proofs.make_rival(0), 0, steps=400)
    assert size <= rival_size
    assert rival > 0.22  # the floor of polynomials, which more steps do not lower
    assert ours <= 0.85 * rival  # 0.04 of it after 3,000 steps: see the benchmark


def test_chunks_of_steps_give_the_same_output_and_gradient_and_hold_no_large_tensor(monkeypatch):
    torch.manual_seed(0)
    network, values = ParallelCrosses(6, 4, 2), torch.randn(2, 40, 6)

    def trace():
        network.zero_grad()
        hidden = network(values)
        hidden.square().sum().backward()
        return [hidden.detach(), *(each.grad.clone() for each in network.parameters())]

    whole, sizes, softmax = trace(), [], torch.Tensor.softmax
    monkeypatch.setattr(cross, "MAX_SCORES", 16 * 9)  # nine steps at a time
    monkeypatch.setattr(torch.Tensor, "softmax", lambda x, dim: sizes.append(x.numel()) or softmax(x, dim))
    for one, other in zip(trace(), whole, strict=True):
        torch.testing.assert_close(one, other)
    assert max(sizes) <= 16 * 9
    assert len(sizes) == 2 * 2 * 9  # two layers, forward and again for the gradient, in nine chunks


def test_products_are_computed_in_float32_under_autocast():
    network = CrossNetwork([LowRankCross(6, 4), AttentionCross(6, 4, 1.0, True)])
    values = torch.randn(3, 6) * 50
    with torch.autocast("cpu", dtype=torch.bfloat16):
        lowered = network(values)
    assert lowered.dtype == torch.float32
    assert torch.equal(lowered, network(values))

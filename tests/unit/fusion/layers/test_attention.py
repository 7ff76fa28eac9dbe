"""Attention and transformer layers, compared with torch's own."""

import math

import pytest
import torch
from torch import nn

from fusion.layers.attention import MultiHeadAttention, TransformerLayer, sinusoidal_positions

MASK = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def assert_same(one, other, atol=1e-6):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


def torchs_attention(ours):
    """torch's layer with the weights of ours."""
    theirs = nn.MultiheadAttention(ours.query.in_features, ours.num_heads, batch_first=True).eval()
    no_bias = torch.zeros_like(ours.query.bias)  # ours has none for keys
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([part.weight for part in (ours.query, ours.key, ours.value)]))
        theirs.in_proj_bias.copy_(torch.cat([ours.query.bias, no_bias, ours.value.bias]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())
    return theirs


@pytest.mark.parametrize("num_heads", [1, 2, 6])
def test_attention_is_torchs_with_the_same_weights(num_heads):
    ours = MultiHeadAttention(6, num_heads).eval()
    values, memory = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    expected, _ = torchs_attention(ours)(values, memory, memory, key_padding_mask=~MASK)
    assert_same(ours(values, memory, MASK), expected)


def test_attention_never_looks_at_what_is_not_seen():
    layer, values, memory = MultiHeadAttention(6, 2), torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    other = torch.where(MASK[..., None], memory, 1e3)
    assert_same(layer(values, other, MASK), layer(values, memory, MASK))


def test_attention_to_nothing_is_0_with_finite_gradients():
    layer, values = MultiHeadAttention(6, 2), torch.randn(2, 5, 6, requires_grad=True)
    some = torch.stack([MASK[0], torch.zeros(5, dtype=torch.bool)])
    answer = layer(values, values, some)
    assert (answer[1] == 0).all()
    assert (answer[0] != 0).all()
    answer.sum().backward()
    assert torch.isfinite(values.grad).all()
    assert (values.grad[1] == 0).all()
    assert all(torch.isfinite(each.grad).all() for each in layer.parameters())


def test_heads_may_be_wider_than_their_share():
    layer = MultiHeadAttention(6, 4, head_dim=5)
    assert layer.query.out_features == 20
    assert layer(torch.randn(2, 3, 6), torch.randn(2, 5, 6), MASK).shape == (2, 3, 6)


def test_heads_that_do_not_divide_the_features_are_an_error():
    with pytest.raises(ValueError, match="4 heads do not divide 6 features: choose a num_heads that does"):
        MultiHeadAttention(6, 4)


@pytest.mark.parametrize(("activation", "word"), [(nn.ReLU, "relu"), (nn.GELU, "gelu")])
def test_a_transformer_layer_is_torchs_with_the_norm_first(activation, word):
    ours = TransformerLayer(6, 2, 8, dropout=0.3, activation=activation).eval()
    theirs = nn.TransformerEncoderLayer(6, 2, 8, activation=word, batch_first=True, norm_first=True).eval()
    theirs.self_attn = torchs_attention(ours.attention)
    theirs.linear1, theirs.linear2 = ours.feed_forward[0], ours.feed_forward[3]
    randomise(ours.norms)
    theirs.norm1, theirs.norm2 = ours.norms
    values = torch.randn(2, 5, 6)
    assert_same(ours(values, MASK), theirs(values, src_key_padding_mask=~MASK))


def randomise(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()


def test_a_transformer_layer_norms_its_memory_as_it_norms_its_values():
    layer = TransformerLayer(6, 2, 8, dropout=0.0)
    randomise(layer.norms)
    values, memory = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    attended = values + layer.attention(layer.norms[0](values), layer.norms[0](memory), MASK)
    assert_same(layer(values, MASK, memory), attended + layer.feed_forward(layer.norms[1](attended)))


@pytest.mark.parametrize("dim", [1, 2, 5, 8])
def test_positions_are_sines_and_cosines_of_falling_rates(dim):
    half = math.ceil(dim / 2)
    rates = [10_000 ** (-i / half) for i in range(half)]
    for step, found in enumerate(sinusoidal_positions(7, dim, torch.zeros(1)).tolist()):
        expected = [wave(step * rate) for wave in (math.sin, math.cos) for rate in rates]
        assert found == pytest.approx(expected[:dim], abs=1e-6)
    assert sinusoidal_positions(2, dim, torch.zeros(1, dtype=torch.float64)).dtype == torch.float64


def test_no_two_of_1000_positions_are_alike():
    found = sinusoidal_positions(1000, 64, torch.zeros(1))
    assert torch.cdist(found, found).fill_diagonal_(torch.inf).min() > 0.1

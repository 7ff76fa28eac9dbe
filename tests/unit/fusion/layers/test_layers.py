"""The shared layers against torch's own, or against loops, and what each promises about masks."""

import copy
import math
import pickle

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion.layers.attention import MultiHeadAttention, TransformerLayer, sinusoidal_positions
from fusion.layers.convolution import Convolution, TemporalBlock, TemporalNetwork
from fusion.layers.masks import check_settings, masked_mean
from fusion.layers.recurrent import Recurrent
from fusion.layers.scan import linear_scan

SEEN = torch.tensor([[True, False, True, True, False], [False, True, False, False, False]])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def assert_same(one, other, atol=1e-6):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


# ---- attention


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
    expected, _ = torchs_attention(ours)(values, memory, memory, key_padding_mask=~SEEN)
    assert_same(ours(values, memory, SEEN), expected)


def test_attention_never_looks_at_what_is_not_seen():
    layer, values, memory = MultiHeadAttention(6, 2), torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    other = torch.where(SEEN[..., None], memory, 1e3)
    assert_same(layer(values, other, SEEN), layer(values, memory, SEEN))


def test_attention_to_nothing_is_0_with_finite_gradients():
    layer, values = MultiHeadAttention(6, 2), torch.randn(2, 5, 6, requires_grad=True)
    some = torch.stack([SEEN[0], torch.zeros(5, dtype=torch.bool)])
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
    assert layer(torch.randn(2, 3, 6), torch.randn(2, 5, 6), SEEN).shape == (2, 3, 6)


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
    assert_same(ours(values, SEEN), theirs(values, src_key_padding_mask=~SEEN))


def randomise(module):
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.normal_()


def test_a_transformer_layer_norms_its_memory_as_it_norms_its_values():
    layer = TransformerLayer(6, 2, 8, dropout=0.0)
    randomise(layer.norms)
    values, memory = torch.randn(2, 3, 6), torch.randn(2, 5, 6)
    attended = values + layer.attention(layer.norms[0](values), layer.norms[0](memory), SEEN)
    assert_same(layer(values, SEEN, memory), attended + layer.feed_forward(layer.norms[1](attended)))


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


# ---- convolution


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
def test_a_convolution_reads_nothing_that_is_not_inside(causal, normed):
    layer = Convolution(3, 4, 4, dilation=2, causal=causal, weight_norm=normed)
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
def test_a_temporal_network_reaches_as_far_as_it_says(causal):
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


# ---- recurrent


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_recurrent_layer_gives_each_clip_what_torch_gives_it_alone(kind, bidirectional):
    layer = Recurrent(kind, 3, 4, bidirectional=bidirectional)
    values, lengths = torch.randn(3, 9, 3), torch.tensor([6, 9, 1])
    values[0, 6:] = torch.nan
    hidden = layer(values, lengths)
    assert hidden.shape == (3, 9, 8 if bidirectional else 4)
    for i, length in enumerate(lengths):
        assert_same(hidden[i, :length], layer.layer(values[i : i + 1, :length])[0][0])
        assert (hidden[i, length:] == 0).all()


# ---- scan


def loop(decay, added):
    states, state = [], torch.zeros_like(added[:, 0])
    for i in range(added.shape[1]):
        state = decay[:, i] * state + added[:, i]
        states.append(state)
    return torch.stack(states, dim=1)


def scan_inputs(num_steps, rest=(3,)):
    shape = (2, num_steps, *rest)
    decay, added = torch.rand(shape, dtype=torch.float64) * 1.5 - 0.5, torch.randn(shape, dtype=torch.float64)
    decay[:, num_steps // 2] = 0  # forgets all
    return decay.requires_grad_(), added.requires_grad_()


@pytest.mark.parametrize("rest", [(), (3,), (2, 3)])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 16, 300])
def test_a_scan_is_a_loop_over_time_and_so_is_its_gradient(num_steps, rest):
    decay, added = scan_inputs(num_steps, rest)
    weights = torch.randn_like(added)
    before = decay.detach().clone(), added.detach().clone()
    expected, found = loop(decay, added), linear_scan(decay, added)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad((states * weights).sum(), (decay, added)) for states in (found, expected)]
    for ours, loops in zip(*grads, strict=True):
        torch.testing.assert_close(ours, loops, rtol=1e-12, atol=1e-12)
    assert torch.equal(decay, before[0]), "the input was written to"
    assert torch.equal(added, before[1]), "the input was written to"


@pytest.mark.parametrize("num_steps", [1, 2, 7, 16])
def test_the_gradient_of_a_scan_is_that_of_finite_differences(num_steps):
    assert torch.autograd.gradcheck(linear_scan, scan_inputs(num_steps))


def test_a_scan_has_no_gradient_of_its_gradient():
    decay, added = scan_inputs(7)
    (grad,) = torch.autograd.grad(linear_scan(decay, added).square().sum(), added, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()


# ---- masks


@pytest.mark.parametrize("rest", [(), (3,), (2, 3)])
def test_a_mean_is_over_the_steps_that_count(rest):
    values = torch.randn(2, 5, *rest)
    expected = values[SEEN].mean()
    values[~SEEN] = torch.nan
    assert_same(masked_mean(values, SEEN), expected)


def test_a_mean_over_nothing_is_0_with_a_gradient_of_0():
    values = torch.full((2, 5, 3), torch.nan, requires_grad=True)
    mean = masked_mean(values, torch.zeros(2, 5, dtype=torch.bool))
    assert mean == 0
    mean.backward()
    assert (values.grad == 0).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dropout": 1.0}, "m: dropout is 1.0, expected 0 up to"),
        ({"dropout": -0.1}, "m: dropout is -0.1"),
        ({"dropout": 0.0, "kernel": 0}, "m: kernel is 0, expected at least 1"),
    ],
)
def test_senseless_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        check_settings("m", **settings)

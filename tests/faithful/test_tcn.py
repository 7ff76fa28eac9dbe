"""The temporal convolutional network against loops, and with a transformer against torch's."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion.models import FUSION_MODELS
from tests.support.inputs import DIMS, THREE, make_inputs, run
from tests.support.references import linear, weights_of


def values_of(inputs, i, name):
    """One clip's features and the flag, 0 where unobserved, without padding: float64."""
    length = int(inputs.lengths[i])
    flags = inputs.observed[name][i, :length, None]
    values = torch.where(flags, inputs.features[name][i, :length], 0)
    return torch.cat([values, flags], dim=1).double().numpy()


def convolution(rows, weights, layer, dilation, causal):
    """Bai et al. 2018 after Salimans and Kingma 2016, step by step."""
    size, direction = weights[f"{layer}.layer.magnitude"], weights[f"{layer}.layer.direction"]
    weight = np.stack([g * v / np.sqrt((v**2).sum()) for g, v in zip(size[:, 0, 0], direction, strict=True)])
    kernel = weight.shape[2]
    before = (kernel - 1) * dilation // (1 if causal else 2)
    result = []
    for step in range(len(rows)):
        total = weights[f"{layer}.layer.bias"].copy()
        for place in range(kernel):
            source = step + place * dilation - before
            if 0 <= source < len(rows):
                total += weight[:, :, place] @ rows[source]
        result.append(total)
    return np.array(result)


def temporal_network(rows, weights, network, num_layers, causal):
    """What a clip's rows become, block by block; no clip, mask or padding beside them."""
    for i in range(num_layers):
        block = f"{network}.blocks.{i}"
        hidden = np.maximum(0, convolution(rows, weights, f"{block}.first", 2**i, causal))
        hidden = np.maximum(0, convolution(hidden, weights, f"{block}.second", 2**i, causal))
        has_linear = f"{block}.shortcut.weight" in weights
        rows = np.maximum(0, hidden + (linear(rows, weights, f"{block}.shortcut") if has_linear else rows))
    return rows


@pytest.mark.parametrize("causal", [True, False])
@pytest.mark.parametrize("kernel", [2, 3])
def test_tcn_is_dilated_convolutions_of_all_modalities(causal, kernel):
    """Reference: loops over steps and places of the kernel, in float64; clips without their padding."""
    torch.manual_seed(4)
    settings = {"hidden_dim": 6, "num_layers": 3, "kernel": kernel, "causal": causal}
    model = FUSION_MODELS.build("tcn", dims=THREE, **settings).eval()
    weights, inputs = weights_of(model), make_inputs(THREE, seed=5)
    for i, clip in enumerate(run(model, inputs)[0]):
        rows = np.concatenate([values_of(inputs, i, name) for name in sorted(THREE)], axis=1)
        np.testing.assert_allclose(clip.numpy(), temporal_network(rows, weights, "network", 3, causal), atol=1e-5)


@pytest.mark.parametrize("causal", [True, False])
def test_only_a_causal_tcn_never_looks_ahead(causal):
    torch.manual_seed(4)
    model = FUSION_MODELS.build("tcn", dims=THREE, causal=causal).eval()
    inputs = make_inputs(THREE, (40,))
    ((before,), _) = run(model, inputs)
    for name in THREE:
        inputs.features[name][:, 30:] += 1
    ((after,), _) = run(model, inputs)
    assert torch.equal(before[:30], after[:30]) == causal
    assert not torch.equal(before[30:], after[30:])


def test_tcn_transformer_is_a_causal_tcn_each_then_torchs_encoder():
    """Reference: the loops above, then nn.TransformerEncoderLayer with the same weights, clip by clip."""
    torch.manual_seed(4)
    settings = {"hidden_dim": 8, "num_layers": 2, "num_heads": 2, "conv_dim": 6, "num_blocks": 3, "kernel": 3}
    model = FUSION_MODELS.build("tcn_transformer", dims=THREE, **settings).eval()
    weights, inputs = weights_of(model), make_inputs(THREE, seed=5)
    clips, losses = run(model, inputs)
    assert losses == {}
    for i, clip in enumerate(clips):
        convolved = [
            temporal_network(values_of(inputs, i, name), weights, f"convolve.{place}", 3, causal=True)
            for place, name in enumerate(sorted(THREE))
        ]
        hidden = torch.from_numpy(linear(np.concatenate(convolved, axis=1), weights, "project"))[None]
        for layer in model.layers:
            hidden = torchs_layer(layer, 8, 2, 8, "relu")(hidden)
        expected = F.layer_norm(hidden, (8,), model.norm.weight.double(), model.norm.bias.double())
        torch.testing.assert_close(clip.double(), expected[0], rtol=1e-5, atol=1e-5)


def torchs_layer(ours, dim, num_heads, mlp_dim, activation):
    """torch's layer with our weights, in float64."""
    theirs = nn.TransformerEncoderLayer(dim, num_heads, mlp_dim, 0.0, activation, batch_first=True, norm_first=True)
    state = ours.state_dict()
    renamed = {"self_attn.out_proj": "attention.out", "linear1": "feed_forward.0", "linear2": "feed_forward.3"}
    renamed |= {"norm1": "norms.0", "norm2": "norms.1"}
    carried = {f"{new}.{kind}": state[f"{old}.{kind}"] for new, old in renamed.items() for kind in ("weight", "bias")}
    weights = [state[f"attention.{part}.weight"] for part in ("query", "key", "value")]
    query, value = (state[f"attention.{part}.bias"] for part in ("query", "value"))
    carried["self_attn.in_proj_weight"] = torch.cat(weights)
    carried["self_attn.in_proj_bias"] = torch.cat([query, torch.zeros_like(query), value])  # ours has none for keys
    theirs.load_state_dict(carried)
    return theirs.double().eval()


def test_tcn_transformer_knows_the_order_of_steps_without_positions():
    """The attention has none: order is known only from the convolutions before it."""
    dims, orders = {"face": 5}, {}
    for kernel in (1, 5):
        torch.manual_seed(4)
        model = FUSION_MODELS.build("tcn_transformer", dims=dims, kernel=kernel).eval()
        inputs = make_inputs(dims, (9,), share=1.0)
        ((forwards,), _) = run(model, inputs)
        inputs.features["face"][:] = inputs.features["face"].flip(1)
        ((backwards,), _) = run(model, inputs)
        orders[kernel] = (forwards - backwards.flip(0)).abs().max().item()
    assert orders[1] < 1e-5
    assert orders[5] > 1e-2


@pytest.mark.parametrize("name", ["conv_dim", "num_blocks"])
def test_a_tcn_of_no_width_or_no_blocks_is_an_error(name):
    with pytest.raises(ValueError, match=f"'tcn_transformer': {name} is 0"):
        FUSION_MODELS.build("tcn_transformer", dims=DIMS, **{name: 0})


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="3 heads do not divide 128 features"):
        FUSION_MODELS.build("tcn_transformer", dims=DIMS, num_heads=3)

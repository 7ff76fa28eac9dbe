"""Mamba-VA against loops over time in float64: Bai et al. 2018 for the near, Gu and Dao 2023 for the far."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fusion.layers.recurrences import selective as selective_layer
from fusion.layers.recurrences.scan import linear_scan
from fusion.layers.recurrences.selective import MAX_STEP_SIZE, MIN_STEP_SIZE, SelectiveStateSpace
from fusion.models import FUSION_MODELS
from tests.support.inputs import THREE, make_inputs, run
from tests.support.references import linear, sigmoid, weights_of

H, STATES, KERNEL = 20, 3, 3  # 20 features: a pace of rank 2


def make(**settings):
    torch.manual_seed(4)
    sizes = {"hidden_dim": H, "state_dim": STATES, "kernel": KERNEL, "num_convolutions": 2, "num_layers": 2}
    return FUSION_MODELS.build("mamba", dims=THREE, **sizes, **settings).eval()


def test_it_is_the_papers_model():
    """Loops over clips, steps and features in float64, weights carried over; the whole model."""
    model, inputs = make().double(), make_inputs(THREE, seed=5)
    with torch.no_grad():
        for parameter in model.parameters():  # also what begins as 0, 1 or all alike
            parameter += 0.1 * torch.randn_like(parameter)
    weights = weights_of(model)
    inputs = replace(inputs, features={name: values.double() for name, values in inputs.features.items()})
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        hidden = np.zeros((len(clip), H))
        for m, name in enumerate(sorted(THREE)):
            flags = inputs.observed[name][i, : len(clip), None].numpy()
            rows = np.where(flags, inputs.features[name][i, : len(clip)].numpy(), 0)
            hidden += linear(np.concatenate([rows, flags], axis=1), weights, f"projections.{m}")
        np.testing.assert_allclose(clip.numpy(), reference(hidden, weights), rtol=1e-5, atol=1e-5)


def reference(hidden, weights):
    for n in range(2):
        first = np.maximum(0, convolved(hidden, weights, f"tcn.blocks.{n}.first.layer", 2**n))
        second = np.maximum(0, convolved(first, weights, f"tcn.blocks.{n}.second.layer", 2**n))
        hidden = np.maximum(0, hidden + second)
    hidden = standardised(hidden)
    for n in range(2):
        added = standardised(hidden + selective(hidden, weights, f"state_spaces.{n}"))
        hidden = added * weights[f"norms.{n}.weight"] + weights[f"norms.{n}.bias"]
    return np.maximum(0, linear(hidden, weights, "out.0"))


def convolved(rows, weights, name, dilation):
    """A causal convolution whose weight is g v / |v|, a norm for each output."""
    length, direction = weights[f"{name}.magnitude"], weights[f"{name}.direction"]
    weight = length * direction / np.sqrt((direction**2).sum((1, 2), keepdims=True))
    result = np.tile(weights[f"{name}.bias"], (len(rows), 1))
    for t in range(len(rows)):
        for back in range(KERNEL):
            if t - back * dilation >= 0:
                result[t] += weight[:, :, KERNEL - 1 - back] @ rows[t - back * dilation]
    return result


def standardised(rows):
    centred = rows - rows.mean(1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5)


def selective(rows, weights, name):
    """Algorithm 2 and figure 3 of Gu and Dao: one step after the other, one feature after the other."""
    entered = rows @ weights[f"{name}.in_projection.weight"].T
    values, gates = entered[:, :H], entered[:, H:]
    values = silu(depthwise(values, weights[f"{name}.convolve.weight"], weights[f"{name}.convolve.bias"]))
    rates = -np.exp(weights[f"{name}.log_rates"])
    state, outputs = np.zeros((H, STATES)), np.zeros_like(values)
    for t, x in enumerate(values):
        rank, b, c = np.split(weights[f"{name}.select.weight"] @ x, [2, 2 + STATES])
        delta = np.log1p(np.exp(weights[f"{name}.step_size.weight"] @ rank + weights[f"{name}.step_size.bias"]))
        for d in range(H):
            state[d] = np.exp(delta[d] * rates[d]) * state[d] + delta[d] * b * x[d]
            outputs[t, d] = c @ state[d] + weights[f"{name}.skip"][d] * x[d]
    return (outputs * silu(gates)) @ weights[f"{name}.out_projection.weight"].T


def depthwise(rows, weight, bias):
    padded = np.concatenate([np.zeros((3, H)), rows])
    return np.stack([(padded[t : t + 4] * weight[:, 0].T).sum(0) + bias for t in range(len(rows))])


def silu(x):
    return x * sigmoid(x)


def test_a_state_begins_with_a_memory_of_ten_to_a_thousand_steps():
    """Without input to choose by, the pace lies in the range of Gu and Dao, and the rates are 1 to state_dim."""
    layer = SelectiveStateSpace(64, 4)
    step_sizes = torch.nn.functional.softplus(layer.step_size.bias)
    assert MIN_STEP_SIZE * 0.99 < step_sizes.min() < 0.01 < 0.05 < step_sizes.max() < MAX_STEP_SIZE * 1.01
    torch.testing.assert_close(layer.log_rates.exp(), torch.arange(1.0, 5).expand(64, 4))


def test_what_is_far_reaches_across_a_window_and_what_is_near_does_not():
    """The convolutions see 2 (kernel - 1) (2^2 - 1) = 12 steps back; the states carry on."""
    model, inputs = make(), make_inputs(THREE, (100,), share=1.0)
    features = {name: values.clone() for name, values in inputs.features.items()}
    features["face"][0, 0] += 10
    inside = torch.ones(1, 100, dtype=torch.bool)
    with torch.no_grad():
        near = [
            model.tcn(each.features["face"] @ torch.ones(5, H), inside)[0]
            for each in (inputs, replace(inputs, features=features))
        ]
    assert (near[0] - near[1])[:13].abs().amax() > 0.01
    assert torch.equal(near[0][13:], near[1][13:])
    (before,), _ = run(model, inputs)
    (after,), _ = run(model, replace(inputs, features=features))
    assert (before - after)[50:].abs().amax() > 1e-5


def test_half_precision_of_the_linear_layers_leaves_the_states_in_full(monkeypatch):
    model, inputs, precisions = make(), make_inputs(THREE, (200,)), []

    def noting(decay, added):
        precisions.extend([decay.dtype, added.dtype])
        return linear_scan(decay, added)

    monkeypatch.setattr(selective_layer, "linear_scan", noting)
    expected = model(inputs).hidden
    with torch.autocast("cpu", torch.bfloat16):
        fused = model(inputs)
    assert set(precisions) == {torch.float32}
    torch.testing.assert_close(fused.hidden.float(), expected, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("key", ["num_convolutions", "state_dim"])
def test_senseless_sizes_are_errors(key):
    with pytest.raises(ValueError, match=f"'mamba': {key} is 0"):
        FUSION_MODELS.build("mamba", dims=THREE, **{key: 0})

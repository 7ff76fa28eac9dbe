"""RJCMA, with weights on the feature axis, against loops over clips, steps and modalities."""

import numpy as np
import pytest
import torch

from fusion.models import FUSION_MODELS
from fusion.models.joint_cross_attention import JointAttention
from tests.faithful.test_tcn import temporal_network, values_of
from tests.support.inputs import THREE, make_inputs, run
from tests.support.references import linear, weights_of


def build(dims=THREE, **settings):
    torch.manual_seed(4)
    settings = {"hidden_dim": 4, "num_layers": 2, "kernel": 3, **settings}
    return FUSION_MODELS.build("joint_cross_attention", dims=dims, **settings).eval()


@pytest.mark.parametrize("num_recursions", [1, 2, 3])
def test_joint_cross_attention_is_its_equations(num_recursions):
    """Reference: loops in float64 over what the docstrings say; clips without their padding, weights carried over."""
    model = build(num_recursions=num_recursions)
    with torch.no_grad():
        for norm in (*model.norms, model.project[1]):
            norm.weight.normal_()
            norm.bias.normal_()
    weights, inputs = weights_of(model), make_inputs(THREE, seed=5)
    inputs.observed["face"][1, :3] = False
    inputs.observed["voice"][1, 3:] = False  # face and voice are never observed together
    clips, losses = run(model, inputs)
    assert losses == {}
    for i, clip in enumerate(clips):
        values = []
        for place, name in enumerate(sorted(THREE)):
            rows = temporal_network(values_of(inputs, i, name), weights, f"convolve.{place}", 2, causal=False)
            values.append(layer_norm(rows, weights, f"norms.{place}"))
        flags = [inputs.observed[name][i, : len(clip)].numpy() for name in sorted(THREE)]
        for number in range(num_recursions):
            values = reference_recursion(values, flags, weights, f"attend.{number}")
        hidden = linear(np.concatenate(values, axis=1), weights, "project.0")
        hidden = layer_norm(hidden, weights, "project.1")
        np.testing.assert_allclose(clip.numpy(), np.where(hidden > 0, hidden, 0.01 * hidden), atol=1e-5)


def reference_recursion(values, flags, weights, attend):
    attended = []
    for m, own in enumerate(values):
        correlations = []
        for other, other_flags in zip(values, flags, strict=True):
            together = [
                np.outer(weights[f"{attend}.correlate.{m}.weight"] @ own[t], other[t])
                for t in range(len(own))
                if flags[m][t] and other_flags[t]
            ]
            correlations.append(np.mean(together, axis=0) if together else np.zeros((own.shape[1], own.shape[1])))
        correlation = np.tanh(np.concatenate(correlations, axis=1))
        rows = []
        for x in own:
            seen = weights[f"{attend}.project_correlated.{m}.weight"] @ correlation.T @ x / np.sqrt(len(x))
            looked_at = np.maximum(0, linear(x, weights, f"{attend}.project.{m}") + seen)
            rows.append(x + linear(looked_at, weights, f"{attend}.out.{m}"))
        attended.append(np.array(rows))
    return attended


def layer_norm(rows, weights, layer):
    normed = (rows - rows.mean(1, keepdims=True)) / np.sqrt(rows.var(1, keepdims=True) + 1e-5)
    return normed * weights[f"{layer}.weight"] + weights[f"{layer}.bias"]


def attention_and_values(num_steps):
    torch.manual_seed(4)
    return JointAttention(2, 4, 0.6).eval(), torch.randn(2, num_steps, 2, 4), torch.rand(2, num_steps, 2) < 0.7


def test_a_repeated_window_gives_the_same_states():
    """A correlation is a mean over steps: no length scales it."""
    attend, values, observed = attention_and_values(7)
    once, twice = attend(values, observed), attend(values.repeat(1, 2, 1, 1), observed.repeat(1, 2, 1))
    torch.testing.assert_close(twice, once.repeat(1, 2, 1, 1), rtol=1e-5, atol=1e-6)


def test_steps_in_which_only_one_side_was_observed_do_not_correlate():
    attend, values, observed = attention_and_values(7)
    observed[..., 0], observed[..., 1] = torch.arange(7) < 4, torch.arange(7) >= 4
    changed = values.clone()
    changed[:, :, 1] += 5
    before, after = attend(values, observed), attend(changed, observed)
    assert torch.equal(before[:, :, 0], after[:, :, 0])
    observed[:, 3] = True
    assert not torch.equal(attend(values, observed)[:, :, 0], attend(changed, observed)[:, :, 0])


def test_each_recursion_has_weights_of_its_own():
    model = build(num_recursions=2)
    one, other = (each.state_dict() for each in model.attend)
    assert all(not torch.equal(one[name], other[name]) for name in one)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"num_recursions": 0}, "'joint_cross_attention': num_recursions is 0"),
        ({"conv_dropout": 1.0}, "conv_dropout is 1.0"),
        ({"conv_dropout": -0.1}, "conv_dropout is -0.1"),
    ],
)
def test_senseless_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)

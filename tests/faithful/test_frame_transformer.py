"""frame_transformer (Wen et al. 2024) against loops over clips and steps written from the paper."""

from dataclasses import replace
from math import erf, sqrt

import numpy as np
import pytest
import torch

from fusion.models import FUSION_MODELS
from tests.support.inputs import make_inputs, run
from tests.support.references import linear, weights_of

DIMS = {"face": 5, "voice": 3}
WIDTHS = {"transformer": 2, "attention": 2, "both": 3, "none": 1}


def build(**settings):
    torch.manual_seed(4)
    return FUSION_MODELS.build("frame_transformer", dims=DIMS, **settings).eval()


@pytest.mark.parametrize("variant", WIDTHS)
def test_frame_transformer_is_the_seeds(variant):
    """Reference in float64, weights carried over; heads of the paper's size on features that they do not divide."""
    model, inputs = build(variant=variant), make_inputs(DIMS, share=1.0)
    weights = weights_of(model)
    clips, losses = run(model, inputs)
    assert model.hidden_dim == 8 * WIDTHS[variant]
    assert losses == {}
    for i, clip in enumerate(clips):
        features = np.concatenate([inputs.features[name][i, : len(clip)].double().numpy() for name in sorted(DIMS)], 1)
        np.testing.assert_allclose(clip.numpy(), reference(features, weights, variant), rtol=1e-5, atol=1e-5)


def test_several_layers_follow_each_other():
    model, inputs = build(num_layers=3, num_heads=4, head_dim=2, mlp_dim=7), make_inputs(DIMS, (6,), share=1.0)
    (clip,), _ = run(model, inputs)
    features = np.concatenate([inputs.features[name][0].double().numpy() for name in sorted(DIMS)], 1)
    expected = reference(features, weights_of(model), "transformer", num_layers=3, num_heads=4, head_dim=2)
    np.testing.assert_allclose(clip.numpy(), expected, rtol=1e-5, atol=1e-5)


def reference(features, weights, variant, num_layers=1, num_heads=2, head_dim=64):
    parts = [features]
    if variant in ("attention", "both"):
        parts.append(attention(features, weights, "attention", num_heads, head_dim))
    if variant in ("transformer", "both"):
        hidden = features
        for i in range(num_layers):
            layer = f"transformer.{i}"
            normed = norm(hidden, weights, f"{layer}.norms.0")
            hidden = hidden + attention(normed, weights, f"{layer}.attention", num_heads, head_dim)
            wide = linear(norm(hidden, weights, f"{layer}.norms.1"), weights, f"{layer}.feed_forward.0")
            hidden = hidden + linear(gelu(wide), weights, f"{layer}.feed_forward.3")
        parts.append(hidden)
    return np.concatenate(parts, axis=1)


def attention(rows, weights, layer, num_heads, head_dim):
    """Every step asks every step, head by head."""
    query, key, value = (linear(rows, weights, f"{layer}.{part}") for part in ("query", "key", "value"))
    heads = []
    for head in range(num_heads):
        part = slice(head * head_dim, (head + 1) * head_dim)
        answers = []
        for asked in query[:, part]:
            shares = np.exp([asked @ offered / sqrt(head_dim) for offered in key[:, part]])
            answers.append(shares / shares.sum() @ value[:, part])
        heads.append(answers)
    return linear(np.concatenate(heads, axis=1), weights, f"{layer}.out")


def norm(rows, weights, layer):
    spread = np.sqrt(rows.var(1, keepdims=True) + 1e-5)
    return (rows - rows.mean(1, keepdims=True)) / spread * weights[f"{layer}.weight"] + weights[f"{layer}.bias"]


def gelu(x):
    return x / 2 * (1 + np.vectorize(erf)(x / sqrt(2)))


def test_a_step_without_anything_is_not_attended_to():
    """It stands in the window as if that were one step shorter."""
    model, inputs = build(variant="both"), make_inputs(DIMS, (6,), share=1.0)
    for flags in inputs.observed.values():
        flags[:, 5] = False
    (clip,), _ = run(model, inputs)
    (shorter,), _ = run(model, replace(inputs, lengths=torch.tensor([5])))
    torch.testing.assert_close(clip[:5], shorter, rtol=1e-5, atol=1e-5)


def test_a_step_with_one_modality_is_attended_to():
    model, inputs = build(), make_inputs(DIMS, (6,), share=1.0)
    inputs.observed["face"][:, 5] = False
    (before,), _ = run(model, inputs)
    inputs.features["voice"][:, 5] *= -1
    (after,), _ = run(model, inputs)
    assert (before - after)[:5].abs().max() > 1e-3


def test_dropout_lies_on_features_and_transformer_alike():
    model, inputs = build(), make_inputs(DIMS, (50,), share=1.0)
    hidden = model.train()(inputs).hidden[0]
    for part in hidden.split(8, dim=1):
        assert 0.3 < (part == 0).float().mean() < 0.7


def test_an_unknown_variant_is_an_error():
    with pytest.raises(ValueError, match="expected one of transformer, attention, both, none"):
        build(variant="lstm")


def test_senseless_sizes_are_errors():
    for key in ("head_dim", "mlp_dim"):
        with pytest.raises(ValueError, match=f"'frame_transformer': {key} is 0"):
            build(**{key: 0})

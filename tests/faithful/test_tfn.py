"""TFN against MMSA's, weights carried over; other numbers of modalities against an outer product in numpy."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fusion.models import FUSION_MODELS
from tests.support.fusion_checks import check_context
from tests.support.inputs import DIMS as FIVE
from tests.support.inputs import THREE, make_inputs, make_model, run
from tests.support.references import linear, lstm, weights_of

DIMS = {"audio": 3, "text": 5, "video": 4}
HIDDEN, FACTOR = 6, 3


def build(**settings):
    return lambda *, dims: FUSION_MODELS.build("tfn", dims=dims, **settings)


def make_theirs(mmsa):
    settings = SimpleNamespace(
        feature_dims=tuple(DIMS[name] for name in ("text", "audio", "video")),
        hidden_dims=(HIDDEN, FACTOR, FACTOR),
        text_out=FACTOR,
        post_fusion_dim=HIDDEN,
        dropouts=(0.3,) * 4,
        num_classes=HIDDEN,
        train_mode="classification",
    )
    return mmsa.TFN(settings).eval()


def carry_subnetworks(ours, theirs):
    """Ours into MMSA's; its batch norm, our front's standardisation, stays what it is before training: none."""
    for name, network in zip(ours.names, ours.networks, strict=True):
        if name == "text":
            theirs.text_subnet.rnn, theirs.text_subnet.linear_1 = network.recurrent.layer, network.out
            continue
        other = getattr(theirs, f"{name}_subnet")
        other.norm.eps = 0.0
        other.linear_1, other.linear_2, other.linear_3 = network[1], network[3], network[5]


def last_answer(theirs, inputs):
    """What MMSA makes of the whole text and of the last step of the others."""
    with torch.no_grad():
        return theirs(inputs.features["text"], inputs.features["audio"][:, -1:], inputs.features["video"][:, -1:])


@pytest.mark.peers
def test_tfn_is_mmsas_at_the_last_step(mmsa):
    torch.manual_seed(3)
    ours = make_model(build(hidden_dim=HIDDEN, factor_dim=FACTOR, recurrent=("text",)), DIMS)
    theirs = make_theirs(mmsa)
    carry_subnetworks(ours.subnetworks, theirs)
    _, first, _, second, _ = ours.output
    with torch.no_grad():
        # its tensor has the order audio, video, text
        entries = first.weight.unflatten(1, (FACTOR + 1,) * 3).transpose(2, 3).flatten(1)
        theirs.post_fusion_layer_1.weight.copy_(entries)
        theirs.post_fusion_layer_1.bias.copy_(first.bias)
        theirs.post_fusion_layer_3.weight.copy_(torch.eye(HIDDEN))
        theirs.post_fusion_layer_3.bias.zero_()
    theirs.post_fusion_layer_2 = second
    inputs = make_inputs(DIMS, (7, 7, 7), share=1.0)
    clips, _ = run(ours, inputs)
    expected = last_answer(theirs, inputs)["M"]
    assert (expected > 0).any()
    torch.testing.assert_close(torch.stack(clips)[:, -1], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_modalities", [1, 2, 3, 5])
def test_tfn_is_the_outer_product_of_all_or_of_all_pairs(num_modalities):
    """Reference: clip by clip and step by step in float64, with missing modalities and one that is recurrent."""
    dims = dict(sorted(FIVE.items())[:num_modalities])
    model = make_model(build(hidden_dim=HIDDEN, factor_dim=FACTOR, recurrent=("body",)), dims)
    inputs, weights = make_inputs(dims), weights_of(model)
    for i, clip in enumerate(run(model, inputs)[0]):
        rows = [features(inputs, i, len(clip), name, place, weights) for place, name in enumerate(dims)]
        expected = [fuse(of_step, weights) for of_step in zip(*rows, strict=True)]
        np.testing.assert_allclose(clip.numpy(), expected, rtol=1e-5, atol=1e-5)


def features(inputs, clip, length, name, place, weights):
    layer, observed = f"subnetworks.networks.{place}", inputs.observed[name][clip, :length, None].numpy()
    rows = np.where(observed, inputs.features[name][clip, :length], 0).astype(float)
    if name == "body":
        return linear(lstm(rows, weights, f"{layer}.recurrent.layer", HIDDEN), weights, f"{layer}.out")
    for i in (1, 3, 5):
        rows = np.maximum(0, linear(rows, weights, f"{layer}.{i}"))
    return np.where(observed, rows, 0)


def fuse(of_step, weights):
    factors = [np.concatenate([[1.0], row]) for row in of_step]
    groups = [factors] if len(factors) <= 3 else combinations(factors, 2)
    hidden = np.concatenate([product(group) for group in groups])
    for layer in ("output.1", "output.3"):
        hidden = np.maximum(0, linear(hidden, weights, layer))
    return hidden


def product(factors):
    table = np.ones(())
    for factor in factors:
        table = np.multiply.outer(table, factor)
    return table.ravel()


@pytest.mark.parametrize(("num_modalities", "width"), [(1, 128), (2, 63), (3, 15), (4, 25), (5, 19)])
def test_factors_are_as_wide_as_4096_entries_allow(num_modalities, width):
    model = make_model(build(), dict.fromkeys("abcde"[:num_modalities], 2))
    _, first, _, _, _ = model.output
    num_products, order = (
        (1, num_modalities) if num_modalities <= 3 else (num_modalities * (num_modalities - 1) // 2, 2)
    )
    assert first.in_features == num_products * (width + 1) ** order <= 4096
    assert num_products * (width + 2) ** order > 4096 or width == model.hidden_dim


@pytest.mark.parametrize(
    ("factor_dim", "num_modalities", "message"),
    [
        (16, 3, "factor_dim 16 makes a product of 4913 entries for 3 modalities, expected at most 4096"),
        (20, 5, "factor_dim 20 makes a product of 4410 entries for 5 modalities"),
        (0, 50, "factor_dim 1 makes a product of 4900 entries for 50 modalities"),
        (-1, 2, "factor_dim is -1, expected at least 1, or 0"),
    ],
)
def test_factors_too_wide_are_an_error(factor_dim, num_modalities, message):
    with pytest.raises(ValueError, match=message):
        build(factor_dim=factor_dim)(dims={f"modality_{i}": 2 for i in range(num_modalities)})


def test_recurrent_modalities_see_the_past():
    check_context(build(recurrent=("face",)), THREE, "past")
    with pytest.raises(ValueError, match="recurrent names 'smell', which is not a modality; known: face, scene, voice"):
        build(recurrent=("smell",))(dims=THREE)

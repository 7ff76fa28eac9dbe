"""Reliability-aware fusion against torch's own attention and transformer layers, clip by clip."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fusion.models import FUSION_MODELS
from tests.support.inputs import DIMS, THREE, make_inputs, run

H, HEADS = 8, 2
FOUR = {name: DIMS[name] for name in ("face", "scene", "voice", "words")}


def make(dims, **settings):
    torch.manual_seed(4)
    sizes = {"hidden_dim": H, "num_heads": HEADS, "num_layers": 2}
    return FUSION_MODELS.build("reliability_gate", dims=dims, **sizes, **settings).eval()


@pytest.mark.parametrize("context", [(), ("voice",), ("voice", "words")])
def test_it_is_the_papers_fusion(context):
    """Reference: loops over clips and steps for the gates, torch's MultiheadAttention and TransformerEncoderLayer."""
    model, inputs = make(FOUR, context=context).double(), make_inputs(FOUR, seed=5, share=0.4)
    inputs = replace(inputs, features={name: values.double() for name, values in inputs.features.items()})
    weights = model.state_dict()
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        features = {name: inputs.features[name][i, : len(clip)] for name in FOUR}
        observed = {name: inputs.observed[name][i, : len(clip)] for name in FOUR}
        with torch.no_grad():
            expected = reference(features, observed, context, weights)
        torch.testing.assert_close(clip, expected, rtol=1e-5, atol=1e-5)


def reference(features, observed, context, weights):
    summed = [name for name in features if name not in context]
    places = {name: place for place, name in enumerate([*summed, *(name for name in features if name in context)])}
    projected = {name: affine(values, weights, f"projections.{places[name]}") for name, values in features.items()}
    hidden = torch.stack([weighed(t, projected, observed, summed, weights) for t in range(len(projected["face"]))])
    observed_rows = torch.cat([projected[name][observed[name]] for name in context]) if context else ()
    if len(observed_rows):
        latents = weights["context_attention.latents"]
        latents = norm(
            latents + attention("context_attention.summarise", weights)(latents, observed_rows, observed_rows)[0],
            weights,
            "norm_latents",
        )
        queries = norm(hidden, weights, "norm_queries")
        attended = attention("context_attention.attend", weights)(queries, latents, latents)[0]
        hidden = norm(hidden + attended, weights, "norm_output")
        was_seen = torch.stack([observed[name] for name in summed]).any(0)
        if was_seen.any():
            hidden[~was_seen] = 0
    for n in range(2):
        hidden = encoder_layer(f"layers.{n}", weights)(hidden)
    return nn.functional.gelu(affine(norm(hidden, weights, "out.0", within=""), weights, "out.1"))


def weighed(t, projected, observed, summed, weights):
    """One step: a softmax over the reliabilities of what was observed there."""
    here = [name for name in summed if observed[name][t]]
    if not here:
        return torch.zeros(H, dtype=torch.float64)
    reliability = []
    for name in here:
        gate = f"gates.{summed.index(name)}"
        hidden = nn.functional.gelu(affine(projected[name][t], weights, f"{gate}.0"))
        reliability.append(np.exp(affine(hidden, weights, f"{gate}.3").item()))
    return sum(r / sum(reliability) * projected[name][t] for r, name in zip(reliability, here, strict=True))


def affine(values, weights, name):
    return values @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]


def norm(values, weights, name, within="context_attention."):
    return nn.functional.layer_norm(values, (H,), weights[f"{within}{name}.weight"], weights[f"{within}{name}.bias"])


def attention(name, weights):
    layer = nn.MultiheadAttention(H, HEADS).double().eval()
    query, value = (weights[f"{name}.{part}.bias"] for part in ("query", "value"))
    layer.load_state_dict(
        {
            "in_proj_weight": torch.cat([weights[f"{name}.{part}.weight"] for part in ("query", "key", "value")]),
            "in_proj_bias": torch.cat([query, torch.zeros_like(query), value]),  # ours has none for keys
            "out_proj.weight": weights[f"{name}.out.weight"],
            "out_proj.bias": weights[f"{name}.out.bias"],
        }
    )
    return layer


def encoder_layer(name, weights):
    layer = nn.TransformerEncoderLayer(H, HEADS, 4 * H, activation="gelu", norm_first=True).double().eval()
    layer.self_attn = attention(f"{name}.attention", weights)
    for ours, theirs in {"feed_forward.0": "linear1", "feed_forward.3": "linear2", "norms.0": "norm1"}.items():
        load(layer.get_submodule(theirs), f"{name}.{ours}", weights)
    load(layer.norm2, f"{name}.norms.1", weights)
    return layer


def load(layer, name, weights):
    layer.load_state_dict({key: weights[f"{name}.{key}"] for key in ("weight", "bias")})


def test_weights_are_one_in_all_over_what_was_observed_and_exactly_zero_elsewhere():
    model, inputs = make(THREE), make_inputs(THREE, seed=5, share=0.4)
    with torch.no_grad():
        states, observed = model._project(inputs, model.names, model.projections)
        weights = model._weigh(states, observed)
    assert not weights[~observed].any()
    assert (weights[observed] > 0).all()
    torch.testing.assert_close(weights.sum(-1), observed.any(-1).float())
    assert (~observed.any(-1)).sum() > 3, "some steps have nothing"


def test_context_reaches_all_steps_but_is_not_summed():
    """Another word changes every step, also before it; a window without words is that of a model that lacks them."""
    model, inputs = make(FOUR, context=("words",)), make_inputs(FOUR, (6,), share=1.0)
    (before,), _ = run(model, inputs)
    inputs.features["words"][0, 4] += 1
    (after,), _ = run(model, inputs)
    assert ((before - after).abs().amax(-1) > 1e-6).all()
    three = {name: FOUR[name] for name in ("face", "scene", "voice")}
    without = make(three)
    gone = ("projections.3", "context_attention")  # the words' projection is the last: what is summed comes first
    known = {key: value for key, value in model.state_dict().items() if not key.startswith(gone)}
    without.load_state_dict(known)
    silent = replace(inputs, observed={**inputs.observed, "words": torch.zeros_like(inputs.observed["words"])})
    torch.testing.assert_close(run(model, silent)[0][0], run(without, inputs)[0][0])


@pytest.mark.parametrize("dims", [{"face": 5}, {"face": 5, "voice": 3}])
def test_a_modality_that_is_summed_alone_has_no_gate_that_could_not_learn(dims):
    model = make(dims, context=tuple(dims)[1:])
    assert not [name for name, _ in model.named_parameters() if "gates" in name]
    inputs = make_inputs(dims)
    model(inputs).hidden[inputs.observed["face"]].square().sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in model.parameters())


def test_context_of_unknown_name_is_an_error_that_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"context names 'sound', which is not a modality; known: face, scene, voice"):
        make(THREE, context=("sound",))


def test_context_of_all_modalities_is_an_error():
    with pytest.raises(ValueError, match=r"context names all modalities \(face, scene, voice\): leave at least one"):
        make(THREE, context=("voice", "face", "scene"))


def test_a_modality_that_is_summed_alone_weighs_nothing_where_it_was_not_observed():
    dims = {"face": 5, "voice": 3}
    model, inputs = make(dims, context=("voice",)), make_inputs(dims, (9,), seed=5, share=0.4)
    states, observed = model._project(inputs, model.names, model.projections[:1])
    assert torch.equal(model._weigh(states, observed), observed.float())
    assert 0 < observed.sum() < observed.numel()

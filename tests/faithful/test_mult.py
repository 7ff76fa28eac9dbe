"""MulT against MMSA's, all weights carried over; what MMSA leaves out (positions) against the formula."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion.base import FusionInput
from fusion.models import FUSION_MODELS
from tests.support.inputs import THREE, make_inputs, make_model, run

DIMS = {"language": 5, "sound": 3, "video": 4}  # MMSA's order, which is also that of the alphabet
LETTERS = "lav"
HIDDEN, HEADS, LAYERS = 6, 2, 2


def build(**changed):
    settings = {"hidden_dim": HIDDEN, "num_heads": HEADS, "num_layers": LAYERS, "kernel": 3} | changed
    return lambda *, dims: FUSION_MODELS.build("mult", dims=dims, **settings)


def make_theirs(mmsa):
    dropouts = ["attn", "attn_dropout_a", "attn_dropout_v", "relu", "embed", "res", "output", "text"]
    settings = {key if "dropout" in key else f"{key}_dropout": 0.1 for key in dropouts}
    settings |= {f"conv1d_kernel_size_{letter}": 3 for letter in LETTERS}
    return mmsa.MULT(
        SimpleNamespace(
            **settings,
            use_bert=False,
            feature_dims=tuple(DIMS.values()),
            dst_feature_dim_nheads=(HIDDEN, HEADS),
            nlevels=LAYERS,
            attn_mask=False,
            num_classes=3 * 2 * HIDDEN,
            train_mode="classification",
        )
    ).eval()


def carry_over(ours, theirs):
    """Random weights, also where layers start at 0 or 1; MMSA's last layer, our task's head, is the identity."""
    with torch.no_grad():
        for parameter in ours.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
        theirs.out_layer.weight.copy_(torch.eye(len(theirs.out_layer.bias)))
        theirs.out_layer.bias.zero_()
    for letter, projection in zip(LETTERS, ours.projections, strict=True):
        layer = getattr(theirs, f"proj_{letter}")
        layer.weight, layer.bias = projection.layer.weight, projection.layer.bias
    for pair, (to, source) in enumerate(ours.pairs):
        carry_transformer(ours.crossmodal, pair, getattr(theirs, f"trans_{LETTERS[to]}_with_{LETTERS[source]}"))
    for i, letter in enumerate(LETTERS):
        carry_transformer(ours.over_time, i, getattr(theirs, f"trans_{letter}_mem"))
    theirs.proj1, theirs.proj2 = ours.residual[0], ours.residual[3]


def carry_transformer(ours, group, theirs):
    state = {"version": theirs.version}
    for i, layer in enumerate(ours.layers):
        linears = {"self_attn.out_proj": layer.out, "fc1": layer.feed_forward[0], "fc2": layer.feed_forward[3]}
        norms = {f"layer_norms.{place}": norm for place, norm in enumerate(layer.norms)}
        for key, part in (linears | norms).items():
            state |= {f"layers.{i}.{key}.{name}": value for name, value in of_group(part, group).items()}
        in_proj = [of_group(part, group) for part in (layer.query, layer.key_value)]
        for name in ("weight", "bias"):
            state[f"layers.{i}.self_attn.in_proj_{name}"] = torch.cat([part[name] for part in in_proj])
    state |= {f"layer_norm.{name}": value for name, value in of_group(ours.norm, group).items()}
    theirs.load_state_dict(state)


def of_group(part, group):
    """One group's weight (a linear layer's the way torch has it) and bias."""
    weight, bias = part.weight[group].squeeze(), part.bias[group].squeeze()
    return {"weight": weight.T if weight.dim() == 2 else weight, "bias": bias}


def make_pair(mmsa, **changed):
    torch.manual_seed(3)
    ours, theirs = make_model(build(**changed), DIMS), make_theirs(mmsa)
    carry_over(ours, theirs)
    return ours, theirs


def answer(theirs, inputs):
    """MMSA's convolutions shorten: the zeros that ours assume around a window are put there."""
    with torch.no_grad():
        return theirs(*(F.pad(inputs.features[name], (0, 0, 1, 1)) for name in DIMS))["M"]


class Sinusoids(nn.Module):
    """Vaswani et al. 2017, entry by entry: half of them sines, half cosines, from place 0 on."""

    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, of_steps):
        half = self.dim // 2
        table = np.zeros((of_steps.shape[1], self.dim))
        for place in range(len(table)):
            for i in range(half):
                angle = place / 10_000 ** (i / half)
                table[place, i], table[place, half + i] = np.sin(angle), np.cos(angle)
        return torch.tensor(table, dtype=torch.float32).expand(len(of_steps), -1, -1)


@pytest.mark.peers
def test_mult_is_mmsas_at_the_last_step(mmsa):
    ours, theirs = make_pair(mmsa, with_positions=False)
    inputs = make_inputs(DIMS, (7, 7, 7), share=1.0)
    clips, _ = run(ours, inputs)
    torch.testing.assert_close(torch.stack(clips)[:, -1], answer(theirs, inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_mult_with_positions_is_mmsas_with_them(mmsa):
    ours, theirs = make_pair(mmsa, with_positions=True)
    for transformer in theirs.modules():
        if hasattr(transformer, "embed_positions"):
            transformer.embed_positions = Sinusoids(transformer.embed_dim)
    inputs = make_inputs(DIMS, (7, 7, 7), share=1.0)
    clips, _ = run(ours, inputs)
    torch.testing.assert_close(torch.stack(clips)[:, -1], answer(theirs, inputs), rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_a_modality_seen_only_at_first_is_a_shorter_memory(mmsa):
    """MMSA takes sequences of unlike length: the crossmodal transformers alone, with a memory cut after four steps."""
    ours, theirs = make_pair(mmsa, with_positions=False)
    values, memory = torch.randn(6, 2, 7, HIDDEN), torch.randn(6, 2, 7, HIDDEN)
    observed = (torch.arange(7) < 4).expand(6, 2, 7)
    with torch.no_grad():
        crossed = ours.crossmodal(values, observed, memory)
        for pair, (to, source) in enumerate(ours.pairs):
            transformer = getattr(theirs, f"trans_{LETTERS[to]}_with_{LETTERS[source]}")
            cut = memory[pair, :, :4].transpose(0, 1)
            expected = transformer(values[pair].transpose(0, 1), cut, cut).transpose(0, 1)
            torch.testing.assert_close(crossed[pair], expected, rtol=1e-5, atol=1e-5)


def test_every_ordered_pair_has_a_transformer_of_its_own():
    model = make_model(build(), dict(zip("abcd", (2, 3, 4, 5), strict=True)))
    assert model.pairs == [(to, source) for to in range(4) for source in range(4) if to != source]
    assert model.hidden_dim == 4 * 3 * HIDDEN
    weights = model.crossmodal.layers[0].query.weight
    assert weights.shape == (12, HIDDEN, HIDDEN)
    assert len({tuple(weight.flatten().tolist()) for weight in weights}) == 12


def test_one_modality_attends_to_itself_alone():
    model = make_model(build(), {"face": 3})
    assert not hasattr(model, "crossmodal")
    assert model.hidden_dim == HIDDEN


def test_self_attention_has_at_least_three_layers():
    for num_layers, expected in ((1, 3), (3, 3), (5, 5)):
        model = make_model(build(num_layers=num_layers), THREE)
        assert (len(model.crossmodal.layers), len(model.over_time.layers)) == (num_layers, expected)


def test_a_step_without_anything_observed_is_never_looked_at():
    """Without places and neighbours the others then answer as if it were not there."""
    model, inputs = make_model(build(kernel=1, with_positions=False), DIMS), make_inputs(DIMS, (7,), share=1.0)
    keep = [0, 1, 3, 4, 6]
    cut = FusionInput(
        {name: values[:, keep] for name, values in inputs.features.items()},
        {name: flags[:, keep] for name, flags in inputs.observed.items()},
        inputs.times_s[:, keep],
        torch.tensor([len(keep)]),
    )
    for flags in inputs.observed.values():
        flags[:, [2, 5]] = False
    (whole,), _ = run(model, inputs)
    (expected,), _ = run(model, cut)
    torch.testing.assert_close(whole[keep], expected, rtol=1e-5, atol=1e-5)


def test_nothing_is_found_in_a_modality_never_observed():
    """Neither its values nor the bias of what reads it arrive in the others."""
    model, inputs = make_model(build(), DIMS), make_inputs(DIMS)
    inputs.observed["sound"][:] = False
    expected, _ = run(model, inputs)
    reads_sound = [pair for pair, (_, source) in enumerate(model.pairs) if source == 1]
    with torch.no_grad():
        for layer in model.crossmodal.layers:
            layer.out.bias[reads_sound] += torch.randn(len(reads_sound), 1, HIDDEN)
    for clip, other in zip(run(model, inputs)[0], expected, strict=True):
        torch.testing.assert_close(clip, other)


def test_heads_that_do_not_divide_are_an_error():
    with pytest.raises(ValueError, match="mult: 4 heads do not divide hidden_dim 6"):
        build(num_heads=4)(dims=THREE)

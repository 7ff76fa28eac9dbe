"""MBT against torch's transformer layers, clip by clip, each modality with what it may see and nothing else."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from fusion.models import FUSION_MODELS
from tests.faithful.test_tcn import torchs_layer
from tests.support.inputs import THREE, make_inputs, run


def build(dims=THREE, **settings):
    torch.manual_seed(4)
    settings = {"hidden_dim": 8, "num_heads": 2, **settings}
    return FUSION_MODELS.build("bottleneck", dims=dims, **settings).eval()


def without(inputs, name, rows=slice(None)):
    """Nothing of one modality in these clips."""
    observed = {key: flags.clone() for key, flags in inputs.observed.items()}
    observed[name][rows] = False
    return replace(inputs, observed=observed)


@pytest.mark.parametrize("fusion_layer", [0, 1, 2, 3])
@pytest.mark.parametrize("num_bottlenecks", [1, 4])
def test_bottleneck_is_mbt_with_the_same_weights(fusion_layer, num_bottlenecks):
    """Reference: the paper's equations 8 and 9 on nn.TransformerEncoderLayer, in float64, one clip and modality at a
    time; a modality of which nothing was observed is not there at all."""
    model = build(num_layers=3, fusion_layer=fusion_layer, num_bottlenecks=num_bottlenecks)
    with torch.no_grad():
        model.norm.weight.normal_()
    inputs = without(make_inputs(THREE, seed=5), "face", [1])
    clips, losses = run(model, inputs)
    assert losses == {}
    for i, clip in enumerate(clips):
        expected = reference(model, inputs, i, 3, fusion_layer)
        torch.testing.assert_close(clip.double(), expected, rtol=1e-5, atol=1e-5)


def reference(model, inputs, i, num_layers, fusion_layer):
    length = int(inputs.lengths[i])
    waves = sines_and_cosines(length, 8)
    flags = {name: inputs.observed[name][i, :length] for name in sorted(THREE)}
    hidden = {}
    for place, name in enumerate(sorted(THREE)):
        if flags[name].any():
            values = torch.where(flags[name][:, None], inputs.features[name][i, :length], 0)
            values = torch.cat([values, flags[name][:, None]], dim=1).double()
            layer = model.projections[place]
            hidden[place, name] = F.linear(values, layer.weight.double(), layer.bias.double()) + waves
    tokens = model.tokens.double() if fusion_layer < num_layers else None
    for number in range(num_layers):
        received = []
        for place, name in hidden:
            layer = torchs_layer(model.layers[number].layers[place], 8, 2, 32, "gelu")
            unseen = ~flags[name]
            if number < fusion_layer:
                hidden[place, name] = layer(hidden[place, name][None], src_key_padding_mask=unseen[None])[0]
            else:
                both = torch.cat([hidden[place, name], tokens])
                unseen = torch.cat([unseen, torch.zeros(len(tokens), dtype=torch.bool)])
                both = layer(both[None], src_key_padding_mask=unseen[None])[0]
                hidden[place, name] = both[:length]
                received.append(both[length:])
        if received:
            tokens = sum(received) / len(received)
    weight, bias = model.norm.weight.double(), model.norm.bias.double()
    return sum(F.layer_norm(each, (8,), weight, bias) for each in hidden.values()).detach() / len(hidden)


def sines_and_cosines(num_steps, dim):
    rates = 10_000.0 ** (-torch.arange(dim // 2, dtype=torch.float64) / (dim // 2))
    angles = torch.arange(num_steps, dtype=torch.float64)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


@pytest.mark.parametrize("fusion_layer", [0, 1, 2, 3])
def test_modalities_exchange_from_the_second_layer_with_tokens_on(fusion_layer):
    """Of three layers: what one writes, the others read a layer later. Else they meet only in the last mean."""
    dims = {"face": 5, "voice": 3}
    model, inputs = build(dims, num_layers=3, fusion_layer=fusion_layer), make_inputs(dims)
    both, face, voice = (run(model, each)[0] for each in (inputs, without(inputs, "voice"), without(inputs, "face")))
    gap = max((a - (b + c) / 2).abs().max().item() for a, b, c in zip(both, face, voice, strict=True))
    assert (gap > 1e-6) == (fusion_layer < 2)


def test_late_fusion_has_no_tokens():
    assert "tokens" in build(num_layers=3, fusion_layer=2).state_dict()
    assert "tokens" not in build(num_layers=3, fusion_layer=3).state_dict()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"fusion_layer": -1}, r"fusion_layer is -1, expected 0 to num_layers \(4\)"),
        ({"fusion_layer": 5}, r"fusion_layer is 5, expected 0 to num_layers \(4\)"),
        ({"num_bottlenecks": 0}, "num_bottlenecks is 0"),
        ({"num_heads": 3}, "3 heads do not divide 8 features"),
    ],
)
def test_senseless_settings_are_errors(settings, message):
    with pytest.raises(ValueError, match=message):
        build(**settings)

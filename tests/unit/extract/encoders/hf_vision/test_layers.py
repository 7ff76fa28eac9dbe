"""Hidden layers of vision models equal the library's."""

import shutil

import numpy as np
import pytest

from tests.support.extract.hf_vision import build, documented, pictures, rows


@pytest.mark.parametrize("model", ["vit", "clip", "siglip", "dinov2_registers", "dinov3", "data2vec", "vit_mae"])
def test_hidden_layers_equal_the_librarys(models, model):
    given = pictures(2)
    before = {"siglip": 0, "dinov2_registers": 4, "dinov3": 5}.get(model, 1)
    more = {}
    if model == "vit_mae":
        import torch

        more = {"noise": torch.arange(16.0).expand(2, -1)}
        shutil.copytree(models[model], folder := models[model].parent / "vit_mae_whole", dirs_exist_ok=True)
        text = (folder / "config.json").read_text().replace('"mask_ratio": 0.75', '"mask_ratio": 0.0')
        (folder / "config.json").write_text(text)
    else:
        folder = models[model]
    states = documented(folder, given, output_hidden_states=True, **more).hidden_states
    mean = [state[:, before:].mean(1).numpy() for state in states]
    assert np.abs(rows(build(models[model], pool="mean", layer=1), given) - mean[1]).max() <= 1e-5
    several = rows(build(models[model], pool="mean", layer="0+-1", combine="sum"), given)
    assert np.abs(several - (mean[0] + mean[-1])).max() <= 1e-5
    averaged = rows(build(models[model], pool="mean", layer="-2..-1"), given)
    assert np.abs(averaged - (mean[-2] + mean[-1]) / 2).max() <= 1e-5


def test_layers_of_a_convolutional_network_are_its_maps_and_combine_only_at_the_same_width(models):
    given = pictures(2)
    states = documented(models["convnext"], given, output_hidden_states=True).hidden_states
    found = rows(build(models["convnext"], pool="mean", layer="2+3"), given)
    expected = (states[2].mean((2, 3)) + states[3].mean((2, 3))) / 2
    assert np.abs(found - expected.numpy()).max() <= 1e-5
    with pytest.raises(
        ValueError, match=r"have the widths \[8, 8, 16, 16, 16\]: only layers of the same width can be combined"
    ):
        build(models["convnext"], pool="mean", layer="1+3")


def test_a_layer_that_does_not_exist_is_refused(models):
    with pytest.raises(ValueError, match="there is no layer 3: the network has hidden layers 0 to 2"):
        build(models["vit"], layer=3)

"""Layers by index: the outputs of the network's own blocks, the last one after the final normalisation."""

import shutil

import numpy as np
import pytest

from tests.support.extract.blocks import hidden_states, scramble_norms
from tests.support.extract.hf_vision import build, documented, pictures, rows

# name -> blocks, the module that normalises after the last one (None: there is none), and tokens before the patches
FAMILIES = {
    "vit": ("layers", "layernorm", 1),
    "clip": ("encoder.layers", None, 1),  # its last normalisation applies to the class token only: pool=pooler
    "siglip": ("encoder.layers", "post_layernorm", 0),
    "dinov2": ("encoder.layer", "layernorm", 1),
    "dinov2_registers": ("encoder.layer", "layernorm", 4),
    "dinov3": ("model.layer", "norm", 5),
    "vit_mae": ("layers", "layernorm", 1),
    "data2vec": ("encoder.layer", None, 1),  # it normalises the mean of the patches: pool=pooler
    "videomae": ("encoder.layer", "layernorm", 0),
    "vjepa2": ("encoder.layer", "encoder.layernorm", 0),
}


@pytest.mark.parametrize("name", FAMILIES)
def test_a_layer_is_what_its_block_gives_and_the_last_one_follows_the_final_norm(models, tmp_path, name):
    import torch
    import transformers as tf

    blocks, norm, before = FAMILIES[name]
    shutil.copytree(models[name], folder := tmp_path / name)
    whole = tf.AutoModel.from_pretrained(folder, **({"mask_ratio": 0.0} if name == "vit_mae" else {})).eval()
    scramble_norms(whole)
    whole.save_pretrained(folder)
    model, final = getattr(whole, "vision_model", whole), build(folder, pool="mean")
    given = pictures(2 * final.span)
    inputs = {model.main_input_name: torch.from_numpy(final.prepare(given))}
    if name == "vit_mae":
        inputs["noise"] = torch.arange(16.0).expand(2, -1)
    if name == "vjepa2":
        inputs["skip_predictor"] = True
    states = [state[:, before:].mean(1).numpy() for state in hidden_states(model, blocks, norm, **inputs)]
    assert len(states) == 3
    assert np.abs(states[1] - states[2]).max() > 1e-3
    for index in (0, 1, 2):
        found = rows(build(folder, pool="mean", layer=index), given)
        assert np.abs(found - states[index]).max() <= 1e-5, index
    assert np.abs(rows(final, given) - states[2]).max() <= 1e-5
    summed = build(folder, pool="mean", layer="-2..-1", combine="sum")
    assert np.abs(rows(summed, given) - (states[1] + states[2])).max() <= 1e-5
    assert summed.recipe()["layers"] == 2
    assert "layers" not in final.recipe()
    assert "layers" not in build(folder, pool="mean", layer="0+-2").recipe()


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

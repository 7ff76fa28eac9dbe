"""Frozen torch networks: choice of layers, precision, device, and inference without gradients."""

import re

import numpy as np
import pytest
import torch

from abaw.errors import InputError
from extract.networks.frozen import Layers, check_batch_size, freeze, inference, parse_layers, precision_on, torch_dtype

STATES = [torch.full((2, 3), float(value)) for value in (1, 2, 4, 8)]


@pytest.mark.parametrize(
    ("layer", "indices"),
    [(-1, (-1,)), ("12", (12,)), ("-4..-1", (-4, -3, -2, -1)), ("0..2", (0, 1, 2)), ("3+6+9", (3, 6, 9))],
)
def test_a_layer_setting_is_a_number_a_range_or_a_list(layer, indices):
    assert parse_layers(layer, "mean").indices == indices


@pytest.mark.parametrize("layer", ["last", "", "3..1", "-1..1", "1.5", "1+", "1..2..3"])
def test_another_layer_setting_is_refused(layer):
    with pytest.raises(InputError, match=re.escape(f"layer is '{layer}', expected a number")):
        parse_layers(layer, "mean")


def test_layers_are_combined_by_mean_or_sum():
    assert torch.equal(Layers((0, -1), "mean").combined(STATES), torch.full((2, 3), 4.5))
    assert torch.equal(Layers((0, -1), "sum").combined(STATES), torch.full((2, 3), 9.0))
    assert torch.equal(Layers((2,)).combined(STATES), STATES[2])


@pytest.mark.parametrize("index", [4, -5])
def test_a_layer_that_does_not_exist_is_refused(index):
    with pytest.raises(InputError, match=f"there is no layer {index}: the network has hidden layers 0 to 3"):
        Layers((0, index)).combined(STATES)


def test_only_the_last_layer_alone_is_the_final_output():
    assert Layers((-1,)).is_final
    assert not Layers((-2, -1)).is_final
    assert not Layers((3,)).is_final


def test_a_frozen_network_is_in_eval_mode_without_gradients_in_its_precision():
    net = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.9)).train()
    made = freeze(net, "cpu", "bf16")
    assert not any(part.training for part in made.modules())
    assert not any(parameter.requires_grad for parameter in made.parameters())
    assert {parameter.dtype for parameter in made.parameters()} == {torch.bfloat16}


def test_an_unknown_device_is_refused():
    with pytest.raises(InputError, match="no device 'nonsense' on this machine: .*give --device cpu"):
        freeze(torch.nn.Linear(1, 1), "nonsense")


def test_precisions_are_torchs_dtypes():
    assert [torch_dtype(each) for each in ("fp32", "bf16", "fp16")] == [torch.float32, torch.bfloat16, torch.float16]


@pytest.mark.parametrize(("capability", "expected"), [((9, 0), "bf16"), ((7, 5), "fp32")])
def test_the_automatic_precision_is_bf16_on_a_device_that_has_it(monkeypatch, capability, expected):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda number: capability)
    assert precision_on("cuda", "auto") == precision_on("cuda:1", "auto") == expected
    assert precision_on("cuda:2", "auto") == "fp32"  # there is none: freeze says so
    assert precision_on("cpu", "auto") == "fp32"
    assert precision_on("cuda", "fp32") == "fp32"
    assert precision_on("cpu", "bf16") == "bf16"


def test_inference_has_no_gradients_and_no_tf32_and_restores_both(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    weight = torch.ones(1, requires_grad=True)
    with inference():
        assert not (weight * 2).requires_grad
        assert not torch.backends.cudnn.allow_tf32
    assert (weight * 2).requires_grad
    assert torch.backends.cudnn.allow_tf32


def test_a_batch_size_under_1_is_refused():
    assert check_batch_size("x", 1) == 1
    for batch_size in (0, -1):
        with pytest.raises(InputError, match=f"x: batch_size is {batch_size}, expected 1 or more"):
            check_batch_size("x", batch_size)


def test_half_precision_states_are_combined_in_float32():
    states = [torch.full((1,), 1.0, dtype=torch.bfloat16), torch.full((1,), 1 / 256, dtype=torch.bfloat16)]
    assert np.isclose(Layers((0, 1), "sum").combined(states).item(), 1 + 1 / 256, atol=1e-6)

"""Which parameters decay: listed for every fusion model by the kind of layer that owns them."""

import pytest
import torch
from torch import nn

from abaw.errors import InputError
from abaw.tasks import TASKS
from fusion.models import FUSION_MODELS
from fusion.module import FusionModule
from fusion.weight_decay import split_by_decay
from tests.support.inputs import THREE
from tests.support.memory import make_config, with_training

RECURRENT = {"weight_ih_l0", "weight_hh_l0", "weight_ih_l0_reverse", "weight_hh_l0_reverse"}
# layer -> its parameters that decay, its parameters that are spared. A model with a parameter that is in neither fails:
# decide where it belongs
LAYERS = {
    "Linear": ({"weight"}, {"bias"}),
    "NonDynamicallyQuantizableLinear": ({"weight"}, {"bias"}),
    "MultiheadAttention": ({"in_proj_weight"}, {"in_proj_bias"}),
    "GroupedLinear": ({"weight"}, {"bias"}),
    "Conv1d": ({"weight"}, {"bias"}),
    "WeightNormConv1d": ({"magnitude", "direction"}, {"bias"}),
    "LSTM": (RECURRENT, {name.replace("weight", "bias") for name in RECURRENT}),
    "GRU": (RECURRENT, {name.replace("weight", "bias") for name in RECURRENT}),
    "LSTMCell": ({"weight_ih", "weight_hh"}, {"bias_ih", "bias_hh"}),
    "LayerNorm": (set(), {"weight", "bias"}),
    "GroupedNorm": (set(), {"weight", "bias"}),
    "SelectiveStateSpace": (set(), {"log_rates", "skip"}),  # Mamba's A and D
    "Bottleneck": (set(), {"tokens"}),
    "ContextAttention": (set(), {"latents"}),
    "Branch": (set(), {"missing"}),
    "_Crosses": (set(), {"absent"}),
    "FrequencySelfAttention": (set(), {"gain", "bias"}),
    "PersonBlock": (set(), {"constants"}),
    "LowRankFusion": (set(), {"weights", "bias"}),  # a factor for each rank
}
CONTEXT = {"context": (min(THREE),)}
CASES = [(name, {}) for name in FUSION_MODELS.names()] + [("reliability_gate", CONTEXT)]


def kinds(module, names):
    owners = dict(module.named_modules())
    return {(type(owners[name.rpartition(".")[0]]).__name__, name.rpartition(".")[2]) for name in names}


@pytest.mark.parametrize(("name", "settings"), CASES)
def test_the_matrices_of_a_model_decay_and_nothing_else(name, settings):
    model = FUSION_MODELS.build(name, dims=THREE, **settings)
    decayed, spared = split_by_decay(model)
    assert {**decayed, **spared}.keys() == dict(model.named_parameters()).keys()
    for layer, leaf in kinds(model, decayed):
        assert leaf in LAYERS[layer][0], f"{layer}.{leaf} decays"
    for layer, leaf in kinds(model, spared):
        assert leaf in LAYERS[layer][1], f"{layer}.{leaf} is spared"


def test_every_listed_layer_is_in_a_model():
    models = [FUSION_MODELS.build(name, dims=THREE, **settings) for name, settings in CASES]
    found = {type(layer).__name__ for model in models for layer in model.modules()}
    assert LAYERS.keys() <= found


class Positioned(nn.Module):
    """What a plug-in may have."""

    def __init__(self):
        super().__init__()
        self.positions = nn.Parameter(torch.ones(5, 4))
        self.classes = nn.Embedding(3, 4)
        self.kernel = nn.utils.parametrizations.weight_norm(nn.Conv1d(4, 4, 3))
        self.norm = nn.BatchNorm1d(4)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight


def test_positions_and_embeddings_of_a_plug_in_are_spared_and_a_shared_weight_decays_once():
    decayed, spared = split_by_decay(Positioned())
    kernel = "kernel.parametrizations.weight.original"
    assert list(decayed) == [f"{kernel}0", f"{kernel}1", "first.weight"]
    biases = ["kernel.bias", "first.bias", "second.bias"]
    assert sorted(spared) == sorted(["positions", "classes.weight", "norm.weight", "norm.bias", *biases])


@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_a_step_without_a_gradient_changes_only_what_decays(optimizer):
    settings = with_training(make_config(), learning_rate=0.1, weight_decay=0.5, optimizer=optimizer)
    model = FUSION_MODELS.build("mamba", dims=THREE)
    module = FusionModule(model, {"va": TASKS.build("va")}, settings, THREE)
    names = split_by_decay(module)[0]
    assert "heads.va.weight" in names
    before = {name: each.detach().clone() for name, each in module.named_parameters()}
    for parameter in module.parameters():
        parameter.grad = torch.zeros_like(parameter)
    module.configure_optimizers().step()
    changed = {name for name, each in module.named_parameters() if not torch.equal(each, before[name])}
    assert changed == {name for name in names if before[name].any()}


def test_a_resume_file_whose_decay_was_of_every_parameter_is_refused():
    module = FusionModule(FUSION_MODELS.build("concat", dims=THREE), {"va": TASKS.build("va")}, make_config(), THREE)
    optimizer = torch.optim.AdamW(module.parameters())
    with pytest.raises(InputError, match="resume.ckpt was written by an older version"):
        module.on_load_checkpoint({"num_steps": None, "optimizer_states": [optimizer.state_dict()]})

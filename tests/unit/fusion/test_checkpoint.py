"""A run's weights on disk."""

import pytest
import torch

from fusion.checkpoint import build_module, load_module
from fusion.train import train
from tests.support.memory import make_config, make_tasks, replace_training


def test_weights_on_disk_give_the_same_module_again(source, labels, tmp_path):
    config, tasks = make_config(), make_tasks()
    module = train(config, tasks, labels, source, tmp_path)
    again = load_module(tmp_path, config, tasks)
    assert again.dims == {"face": 3, "voice": 2}
    assert again.scores == module.scores
    assert not torch.equal(again.input_stage.channels[0].mean, torch.zeros(3))
    for key, value in module.state_dict().items():
        assert torch.equal(value, again.state_dict()[key])


def test_missing_or_foreign_weights_are_errors(source, labels, tmp_path):
    tasks = make_tasks()
    with pytest.raises(FileNotFoundError, match=r"no weights at .*model.safetensors: run abaw train"):
        load_module(tmp_path, make_config(), tasks)
    train(make_config(max_epochs=1), tasks, labels, source, tmp_path)
    with pytest.raises(ValueError, match="does not hold weights of this config"):
        load_module(tmp_path, make_config("attention"), tasks)
    with pytest.raises(ValueError, match="does not hold weights of this config"):
        load_module(tmp_path, make_config(), make_tasks("va"))
    (tmp_path / "weights" / "model.safetensors").write_bytes(b"nothing")
    with pytest.raises(ValueError, match="does not hold weights of this config"):
        load_module(tmp_path, make_config(), tasks)


def test_the_same_seed_builds_the_same_module_and_leaves_the_callers_random_state():
    config, dims = make_config(), {"face": 3, "voice": 2}
    before = torch.get_rng_state()
    one, two = (build_module(config, make_tasks(), dims) for _ in range(2))
    other = build_module(config.model_copy(update={"training": replace_training(config, seed=1)}), make_tasks(), dims)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(one.heads["va"].weight, two.heads["va"].weight)
    assert not torch.equal(one.heads["va"].weight, other.heads["va"].weight)

"""A task's head with an isotonic layer, trained with it."""

import numpy as np
import pytest
import torch

from abaw.errors import InputError
from abaw.tasks import TASKS
from fusion.checkpoint import build_module
from fusion.layers.heads.calibrator import Calibrator
from fusion.train import train
from fusion.weight_decay import split_by_decay
from tests.support.memory import make_config, make_tasks

DIMS = {"face": 3, "voice": 2}


def calibrated(config, *names):
    tasks = {name: config.tasks[name].model_copy(update={"calibration": "isotonic"}) for name in names}
    return config.model_copy(update={"tasks": {**config.tasks, **tasks}})


def test_each_set_of_observed_modalities_has_a_map_of_its_own():
    found = Calibrator(TASKS.build("expr"), DIMS)
    with torch.no_grad():
        found.layer.context_bias[2] += torch.arange(8.0)  # voice is not observed
    observed = {"face": torch.tensor([[True, True]]), "voice": torch.tensor([[True, False]])}
    mapped = found(torch.zeros(1, 2, 8), observed)
    torch.testing.assert_close(mapped[0, 0], torch.zeros(8))
    torch.testing.assert_close(mapped[0, 1], torch.arange(8.0))


def test_values_pass_and_a_task_of_values_alone_is_refused():
    found, raw = Calibrator(TASKS.build("mtl"), DIMS), torch.randn(1, 4, 22)
    with torch.no_grad():
        found.layer.bias += 1
    observed = dict.fromkeys(DIMS, torch.ones(1, 4, dtype=torch.bool))
    torch.testing.assert_close(found(raw, observed)[..., :2], raw[..., :2], rtol=0, atol=0)
    torch.testing.assert_close(found(raw, observed)[..., 2:], raw[..., 2:] + 1)
    with pytest.raises(InputError, match="CCC is no calibration target"):
        Calibrator(TASKS.build("va"), DIMS)
    with pytest.raises(InputError, match="there are 7 features"):
        Calibrator(TASKS.build("expr"), [f"f{i}" for i in range(7)])


def test_a_run_trains_the_maps_and_is_the_plain_one_at_the_start(source, labels, tmp_path):
    config, tasks = make_config(), make_tasks()
    torch.manual_seed(0)
    plain = build_module(config, tasks, DIMS)
    both = build_module(calibrated(config, "expr"), tasks, DIMS)
    assert not plain.calibrators
    assert set(both.calibrators) == {"expr"}
    assert not [name for name in split_by_decay(both)[0] if name.startswith("calibrators")]
    found = train(calibrated(config, "expr"), tasks, labels, source, tmp_path)
    assert not torch.equal(found.calibrators["expr"].layer.bias, both.calibrators["expr"].layer.bias)
    assert np.isfinite(found.scores["expr"]["F1"])

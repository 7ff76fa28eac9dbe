"""Learning rate, optimizers and statistics of a training run."""

import pytest
import torch

from fusion.checkpoint import build_module
from fusion.data import ClipDataModule
from fusion.module import FusionModule
from fusion.train import train
from tests.support.memory import make_config, make_tasks, replace_training


def rates(module):
    """The learning rate of every optimizer step of a run."""
    seen = []
    step = type(module).optimizer_step

    def noted(self, epoch, batch, optimizer, closure=None):
        seen.append(optimizer.param_groups[0]["lr"])
        step(self, epoch, batch, optimizer, closure)

    return seen, noted


@pytest.mark.parametrize(("schedule", "shape"), [("constant", [0.5, 1, 1, 1]), ("cosine", [0.5, 1, 0.75, 0.25])])
def test_the_learning_rate_warms_up_and_follows_its_schedule(schedule, shape, source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=4)
    config = config.model_copy(
        update={"training": replace_training(config, warmup_epochs=1, schedule=schedule, batch_size=1000)}
    )
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    assert seen == pytest.approx([0.01 * share for share in shape])


def test_the_warm_up_counts_optimizer_steps_not_batches(source, labels, tmp_path, monkeypatch):
    config = make_config(max_epochs=3, accumulate_grad_batches=2)
    config = config.model_copy(update={"training": replace_training(config, warmup_epochs=2)})
    of_epoch = -(-len(ClipDataModule(config, make_tasks(), labels, source).train_dataloader()) // 2)
    assert of_epoch > 1
    seen, noted = rates(build_module(config, make_tasks(), {"face": 3, "voice": 2}))
    monkeypatch.setattr(FusionModule, "optimizer_step", noted)
    train(config, make_tasks(), labels, source, tmp_path)
    shares = [min(1.0, (step + 1) / (2 * of_epoch + 1)) for step in range(3 * of_epoch)]
    assert seen == pytest.approx([0.01 * share for share in shares])


def test_adam_decays_by_the_gradient_and_adamw_by_itself(source, labels, tmp_path):
    kinds = []
    for name in ("adam", "adamw"):
        config = make_config()
        config = config.model_copy(update={"training": replace_training(config, optimizer=name, weight_decay=1e-5)})
        kinds.append(build_module(config, make_tasks(), {"face": 3, "voice": 2}).configure_optimizers())
    assert [type(kind) for kind in kinds] == [torch.optim.Adam, torch.optim.AdamW]
    assert all(kind.param_groups[0]["weight_decay"] == 1e-5 for kind in kinds)

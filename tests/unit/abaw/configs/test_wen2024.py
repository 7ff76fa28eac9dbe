"""The configs after Wen et al. 2024 train with the losses, clipping and schedule of the public code."""

import pytest
import torch

from abaw.configs.file import read_config
from abaw.configs.sections import Config
from abaw.tasks import TASKS
from fusion.module import FusionModule
from fusion.train import train
from fusion.trainer_settings import find_config_errors
from tests.support.memory import make_config, make_labels, make_source, make_tasks

VA = ("va_wen2024_attention", "va_wen2024_mctn", "va_wen2024_mfn")


def config_of(name):
    return Config.model_validate(read_config(name).values)


def loss_of(config, task, raw, target):
    section = config.tasks[task]
    settings, weight = section.settings, section.weight
    return weight * TASKS.build(task, **settings).loss(raw, target, torch.ones(raw.shape[:2], dtype=torch.bool)).item()


@pytest.mark.parametrize("name", VA)
def test_the_loss_of_valence_arousal_is_two_minus_the_means_over_windows(name):
    made = torch.Generator().manual_seed(0)
    target = torch.rand(32, 1000, 2, generator=made) / 4 + torch.linspace(-0.7, 0.7, 32)[:, None, None]
    raw = target + torch.randn(32, 1000, 2, generator=made) * torch.tensor([0.1, 0.2])
    means = []
    for goal in range(2):
        ccc = []
        for p, t in zip(raw[..., goal], target[..., goal], strict=True):
            both = torch.stack([p, t])
            shared = ((p - p.mean()) * (t - t.mean())).mean()
            ccc.append(2 * shared / (both.var(1).sum() + (p.mean() - t.mean()) ** 2))
        means.append(torch.stack(ccc).mean().item())
    config = config_of(name)
    assert loss_of(config, "va", raw, target) == pytest.approx(2 - sum(means), abs=2e-3)
    whole = config.model_copy(update={"tasks": {"va": config.tasks["va"].model_copy(update={"ccc_over": "batch"})}})
    assert loss_of(whole, "va", raw, target) < loss_of(config, "va", raw, target) - 0.5  # another loss


def test_the_loss_of_expression_is_eight_tenths_focal_and_two_tenths_divergence():
    made = torch.Generator().manual_seed(0)
    raw, classes = 2 * torch.randn(8, 64, 8, generator=made), torch.randint(8, (8, 64, 1), generator=made)
    logs, truth = raw.flatten(0, 1).log_softmax(-1), torch.eye(8)[classes.flatten()]
    smooth = 0.9 * truth + 0.1 / 8
    entropy, sure = -(smooth * logs).sum(1), (logs.exp() * truth).sum(1)
    focal = (0.9 * (1 - sure) ** 2 * entropy).mean()
    divergence = (smooth * (smooth.log() - logs)).sum(1).mean()
    expected = 0.8 * focal + 0.2 * divergence
    found = loss_of(config_of("expr_wen2024"), "expr", raw, classes.float())
    assert found == pytest.approx(expected.item(), rel=1e-5)


def test_mctn_clips_each_gradient_and_not_their_norm(tmp_path, monkeypatch):
    trainer = config_of("va_wen2024_mctn").trainer
    assert (trainer["gradient_clip_val"], trainer["gradient_clip_algorithm"]) == (0.8, "value")
    seen, bound = [], 1e-3  # at 0.8 nothing is clipped here
    clip = FusionModule.configure_gradient_clipping

    def noted(self, optimizer, **how):
        before = [each.grad.clone() for each in self.parameters() if each.grad is not None]
        clip(self, optimizer, **how)
        seen.append((before, [each.grad.clone() for each in self.parameters() if each.grad is not None]))

    monkeypatch.setattr(FusionModule, "configure_gradient_clipping", noted)
    source = make_source(dict.fromkeys(("both", "only_va", "only_expr", "val_both", "val_va"), 40))
    settings = {"max_epochs": 1, "gradient_clip_val": bound, "gradient_clip_algorithm": "value"}
    train(make_config("concat", **settings), make_tasks(), make_labels(source), source, tmp_path)
    before, after = (torch.cat([each.flatten() for each in part]) for part in seen[0])
    assert (before.abs() > bound).any()
    assert torch.equal(after, before.clamp(-bound, bound))


def test_the_learning_rate_follows_the_public_code():
    training = config_of("expr_wen2024").training
    assert (training.schedule, training.warmup_epochs) == ("plateau", 0)
    for name in VA:
        assert (config_of(name).training.schedule, config_of(name).training.warmup_epochs) == ("constant", 0)
    assert [find_config_errors(config_of(name)) for name in (*VA, "expr_wen2024")] == [[]] * 4

"""Tasks of one label a clip: a sequence is one step, a table one row."""

import numpy as np
import pytest
import torch

from abaw.tasks import TASKS
from abaw.tasks.clip_level import one_step


def test_a_sequence_of_a_clip_level_task_is_one_step():
    raw = torch.arange(12.0).reshape(2, 3, 2).requires_grad_()
    target = torch.tensor([[[9.0], [1.0], [1.0]], [[0.0], [0.0], [0.0]]])
    scored = torch.tensor([[False, True, True], [False, False, False]])
    mean, goal, there = one_step(raw, target, scored)
    assert mean.tolist() == [[[3.0, 4.0]], [[0.0, 0.0]]]  # of steps 1 and 2: (2 + 4) / 2, (3 + 5) / 2
    assert (goal[0].tolist(), there.tolist()) == ([[1.0]], [[True], [False]])
    (gradient,) = torch.autograd.grad(mean.sum(), raw)
    assert gradient.tolist() == [[[0, 0], [0.5, 0.5], [0.5, 0.5]], [[0, 0]] * 3]


@pytest.mark.parametrize("name", ["emi", "ah"])
def test_a_longer_sequence_weighs_no_more_than_a_shorter_one(name):
    task, rng = TASKS.build(name), np.random.default_rng(0)
    one, two = (torch.tensor(rng.normal(size=(1, 1, task.out_dim)), dtype=torch.float32) for _ in range(2))
    goals = torch.tensor([[[1.0] * task.out_dim], [[0.0] * task.out_dim]])
    short = task.loss(torch.cat([one, two]), goals, torch.ones(2, 1, dtype=torch.bool))
    raw = torch.cat([one.expand(1, 7, -1), two.expand(1, 7, -1)])
    scored = torch.tensor([[True] * 7, [True] + [False] * 6])
    assert task.loss(raw, goals.expand(-1, 7, -1), scored).item() == pytest.approx(short.item(), rel=1e-6)


@pytest.mark.parametrize("name", ["emi", "ah"])
def test_a_table_of_a_clip_decodes_to_one_row_of_the_mean_logits(name):
    task = TASKS.build(name)
    assert task.resolution == "clip"
    raw = np.random.default_rng(0).normal(size=(9, task.out_dim))
    row = task.to_labels(task.probabilities(raw))
    mean = 1 / (1 + np.exp(-raw.mean(axis=0)))
    assert len(row) == 1
    np.testing.assert_allclose(row[0, -task.out_dim :], mean, atol=1e-6)

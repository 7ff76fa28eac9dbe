"""Losses towards targets of other networks: what they are smallest at, and which steps and units count."""

import numpy as np
import pytest
import torch

from abaw.errors import InputError
from abaw.tasks import TASKS
from abaw.teachers.distillation import check_teachable, distillation_loss

ALL = torch.ones(2, 6, dtype=torch.bool)


def raw_of(task, seed=0):
    return torch.randn(2, 6, task.out_dim, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("name", ["va", "expr", "au", "mtl"])
def test_the_loss_of_distillation_is_smallest_where_student_and_teacher_agree(name):
    task = TASKS.build(name)
    taught = raw_of(task)
    student = taught.clone().requires_grad_()
    loss = distillation_loss(task, student, taught, ALL, 3.0)
    loss.backward()
    assert loss.item() == pytest.approx(0, abs=1e-5)
    assert student.grad.abs().max() < 1e-3
    assert distillation_loss(task, raw_of(task, 1), taught, ALL, 3.0) > 0.1


def test_the_divergence_of_classes_is_that_of_both_outputs_at_the_temperature():
    task = TASKS.build("expr")
    student, taught = raw_of(task, 1).double(), raw_of(task).double()
    p, q = ((each / 2.5).softmax(-1) for each in (taught, student))
    expected = 2.5**2 * (p * (p / q).log()).sum(-1).mean()
    assert distillation_loss(task, student, taught, ALL, 2.5).item() == pytest.approx(expected.item(), rel=1e-5)


def test_the_divergence_of_units_is_that_of_both_outcomes():
    task = TASKS.build("au")
    student, taught = raw_of(task, 1), raw_of(task)
    p, q = ((each / 2).sigmoid() for each in (taught, student))
    expected = 4 * (p * (p / q).log() + (1 - p) * ((1 - p) / (1 - q)).log()).mean()
    assert distillation_loss(task, student, taught, ALL, 2.0).item() == pytest.approx(expected.item(), rel=1e-4)


@pytest.mark.parametrize("name", ["va", "expr", "au"])
def test_steps_without_a_teacher_change_nothing(name):
    task, there = TASKS.build(name), ALL.clone()
    there[0, 3:] = False
    student, taught = raw_of(task, 1), raw_of(task)
    before = distillation_loss(task, student, taught, there, 2.0)
    taught[0, 3:] = np.nan
    assert distillation_loss(task, student, taught, there, 2.0) == before
    student.requires_grad_()
    nothing = distillation_loss(task, student, taught, torch.zeros_like(ALL), 2.0)
    nothing.backward()
    assert (nothing.item(), student.grad.abs().sum().item()) == (0, 0)


def test_a_unit_without_a_pseudo_label_does_not_count():
    task, target = TASKS.build("au"), torch.zeros(2, 6, 12)
    target[..., 0] = 1
    target[..., 1:] = np.nan
    raw = raw_of(task).requires_grad_()
    loss = task.loss(raw, target, ALL)
    loss.backward()
    expected = torch.nn.functional.softplus(-raw[..., 0]).mean()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert torch.isfinite(raw.grad).all()
    assert not raw.grad[..., 1:].any()


def test_units_with_and_without_a_pseudo_label_stand_side_by_side_in_mtl():
    task, target = TASKS.build("mtl"), torch.full((2, 6, 15), float("nan"))
    target[..., 3] = 1  # the first unit
    raw = raw_of(task).requires_grad_()
    loss = task.loss(raw, target, ALL)
    loss.backward()
    assert loss.item() == pytest.approx(torch.nn.functional.softplus(-raw[..., 10]).mean().item(), rel=1e-5)
    assert raw.grad.isfinite().all()
    assert raw.grad[..., 10].all()


def test_outputs_without_a_defined_confidence_are_refused():
    with pytest.raises(InputError, match="emi cannot have teachers"):
        check_teachable(TASKS.build("emi"))
    check_teachable(TASKS.build("mtl"))

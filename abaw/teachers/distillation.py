"""Targets of a task that come from teachers: their names, and the loss of distillation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from abaw.errors import InputError
from abaw.tasks.clip_level import one_step

if TYPE_CHECKING:
    from torch import Tensor

    from abaw.tasks.base import Task

PSEUDO_LABELS, DISTILLATION = "pseudo_labels", "distillation"  # kinds of targets: sections of the config


def key_of(task: str, kind: str) -> str:
    """The name of a task's targets of this kind; its labels have the name of the task.

    >>> key_of("va", DISTILLATION)
    'va/distillation'
    """
    return f"{task}/{kind}"


def task_of(key: str) -> str:
    """The task that targets of this name belong to.

    >>> task_of("va"), task_of("va/distillation")
    ('va', 'va')
    """
    return key.partition("/")[0]


def check_teachable(task: Task) -> None:
    """Raises InputError where a task's outputs are not classes, values and units, one for each column of its tables."""
    width = sum(num for _, num in task.blocks)
    if not width or width != task.out_dim or width != len(task.columns):
        raise InputError(
            f"{task.name} cannot have teachers: no confidence or distance is defined for its outputs, which are not "
            "classes, values or units; train it on labels alone"
        )


def distillation_loss(task: Task, raw: Tensor, taught: Tensor, scored: Tensor, temperature: float) -> Tensor:
    """The distance of raw outputs (batch time out) from those of a teacher, a scalar; 0 where both are equal.

    The sum over the task's blocks of outputs. Classes and units: KL(teacher || student), both at ``temperature`` T,
    times T squared (Hinton et al. 2015, arXiv 1503.02531), mean over the scored steps (batch time) and the units.
    Values: 1 - CCC over the scored steps of the batch, plus the squared error. Without a scored step: 0 with a gradient
    of 0.
    """
    from torch.nn.functional import log_softmax, logsigmoid

    from abaw.tasks.va import concordance_loss

    if task.resolution == "clip":
        raw, taught, scored = one_step(raw, taught, scored)
    if not bool(scored.any()):
        return raw[:0].sum()
    outputs, goals, start = raw[scored].float(), taught[scored].float(), 0
    loss = outputs[:0].sum()
    for kind, width in task.blocks:
        own, goal = outputs[:, start : start + width], goals[:, start : start + width]
        start += width
        if kind == "values":
            loss = loss + concordance_loss(own[None], goal[None], scored[scored][None], "batch", 1.0, 0.0)
            continue
        own, goal = own / temperature, goal / temperature
        if kind == "classes":
            logs = log_softmax(goal, -1)
            divergence = (logs.exp() * (logs - log_softmax(own, -1))).sum(-1)
        else:  # a unit is active or not: two outcomes
            divergence = own.new_zeros(())
            for sign in (1, -1):
                logs = logsigmoid(sign * goal)
                divergence = divergence + logs.exp() * (logs - logsigmoid(sign * own))
        loss = loss + temperature**2 * divergence.mean()
    return loss

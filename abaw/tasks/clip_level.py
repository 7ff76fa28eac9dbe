"""What the losses of clip-level tasks share."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


def one_step(raw: Tensor, target: Tensor, scored: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Each sequence of a clip-level task's batch as one step, which is scored if any of its steps is.

    raw (batch time out) becomes its mean over the scored steps (batch 1 out), target (batch time goal), which is the
    same at all of them, that of the first (batch 1 goal). Unscored steps influence neither value nor gradient.
    """
    num = scored.sum(1, keepdim=True)
    mean = raw.float().masked_fill(~scored[..., None], 0).sum(1, keepdim=True) / num.clamp(min=1)[..., None]
    first = scored.int().argmax(1)  # the first of equal maxima
    return mean, target[range(len(target)), first][:, None], num > 0

"""Statistics over the observed steps of a window, and heads that pool steps."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.tasks.base import Task
from fusion.base import FusionInput
from fusion.layers.masks import make_length_mask, zero_unobserved

TINY = 1e-6  # of a variance: the gradient of its root is infinite at 0


def masked_moments(
    values: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
) -> tuple[Float[Tensor, "batch dim"], Float[Tensor, "batch dim"]]:
    """Mean and standard deviation over the steps where ``mask`` is True; where there is none, 0 and almost 0.

    >>> mean, std = masked_moments(torch.tensor([[[1.0], [3.0], [9.0]]]), torch.tensor([[True, True, False]]))
    >>> mean.item(), round(std.item(), 3)
    (2.0, 1.0)
    """
    values = zero_unobserved(values, mask).float()
    num = mask.sum(1).clamp(min=1)[:, None]
    mean = values.sum(1) / num
    squares = zero_unobserved((values - mean[:, None]).square(), mask).sum(1) / num
    return mean, (squares + TINY).sqrt()


def masked_quantiles(
    values: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"], levels: Sequence[float]
) -> Float[Tensor, "batch levels dim"]:
    """Quantiles over the steps where ``mask`` is True, with linear interpolation; 0 where there is none.

    >>> values = torch.tensor([[[5.0], [1.0], [9.0], [3.0]]])
    >>> masked_quantiles(values, torch.tensor([[True, True, False, True]]), (0.25, 0.5)).flatten().tolist()
    [2.0, 3.0]
    """
    if not values.shape[1]:
        return values.new_zeros(len(values), len(levels), values.shape[2])
    ordered = _sort(torch.where(mask[..., None], values, torch.inf).float().transpose(1, 2)).transpose(1, 2)
    last = (mask.sum(1) - 1).clamp(min=0)
    position = last[:, None] * torch.tensor(levels, device=values.device)
    low = position.floor().long()
    high = torch.minimum(low + 1, last[:, None])

    def at(index: Tensor) -> Tensor:
        return ordered.gather(1, index[..., None].expand(-1, -1, values.shape[2]))

    has_any = mask.any(1)[:, None, None]
    lower, upper = (torch.where(has_any, at(index), 0.0) for index in (low, high))
    return lower + (upper - lower) * (position - low)[..., None]


def _sort(values: Float[Tensor, "batch dim time"]) -> Float[Tensor, "batch dim time"]:
    """Sorted over time. On a CPU numpy takes a seventh of torch's time, where no gradient is needed."""
    if values.requires_grad or values.device.type != "cpu":
        return values.sort(dim=2).values
    return torch.from_numpy(np.sort(values.contiguous().numpy(), axis=2))


class PoolingHead(nn.Module):
    """A linear head on the hidden states of a window as a whole: the same raw outputs at every step of it.

    ``pooling`` "attention": the mean of the states, weighted by a softmax over the steps of a score that a linear layer
    gives each of them (Lin et al. 2017, arXiv 1703.03130, with one hop). "statistics": their mean and standard
    deviation (Snyder et al. 2018, x-vectors). Only steps where ``mask`` is True count.
    """

    def __init__(self, dim: int, out_dim: int, pooling: Literal["attention", "statistics"]) -> None:
        super().__init__()
        self.score = nn.Sequential(nn.Linear(dim, dim), nn.Tanh(), nn.Linear(dim, 1, bias=False))
        if pooling == "statistics":
            self.score = None  # type: ignore[assignment]
        self.out = nn.Linear(dim if pooling == "attention" else 2 * dim, out_dim)

    def forward(
        self, hidden: Float[Tensor, "batch time dim"], mask: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time out"]:
        if self.score is None:
            pooled = torch.cat(masked_moments(hidden, mask), dim=-1)
        else:
            scores = torch.where(mask[..., None], self.score(zero_unobserved(hidden, mask)), -torch.inf)
            has_any = mask.any(1)[:, None, None]
            weights = torch.where(has_any, scores, 0.0).softmax(dim=1)
            pooled = (weights * zero_unobserved(hidden, mask)).sum(1)
        return self.out(pooled)[:, None].expand(-1, hidden.shape[1], -1)


def apply_to_steps(head: nn.Module, hidden: Tensor) -> Tensor:
    """Raw outputs (batch time out) of hidden states (batch time dim); of a state that all steps share, a single one.

    The rows of a matrix product can differ in their last bit even where its inputs are equal, so a window whose state
    is the same at every step (an expanded tensor) would not have one answer.
    """
    if hidden.stride(1) or not hidden.shape[1]:
        return head(hidden)
    return head(hidden[:, :1]).expand(-1, hidden.shape[1], -1)


def find_pooled_steps(inputs: FusionInput) -> Tensor:
    """The steps (batch time) of a window at which something was observed; all of its steps where nothing was."""
    inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
    seen = torch.stack(list(inputs.observed.values())).any(0) & inside
    return torch.where(seen.any(1, keepdim=True), seen, inside)


def build_head(dim: int, task: Task, config: Config) -> nn.Module:
    """The head of a task on ``dim`` features. Raises InputError where a task that is not clip-level is to pool."""
    section = config.tasks.get(task.name)
    pooling = section.pooling if section else "mean"
    if pooling == "mean":
        return nn.Linear(dim, task.out_dim)
    if task.resolution != "clip":
        raise InputError(
            f"tasks.{task.name}: pooling is {pooling!r}, but the task has a label for every frame: remove it"
        )
    return PoolingHead(dim, task.out_dim, pooling)

"""A selective state space: a recurrence that chooses by its input what to keep, what to add and what to tell."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fusion.layers.scan import linear_scan

# how far a state moves in one step at first, as Gu and Dao draw it: a memory of about 10 to 1000 steps
MIN_PACE, MAX_PACE = 0.001, 0.1


class SelectiveStateSpace(nn.Module):
    """The Mamba block (Gu and Dao 2023, arXiv 2312.00752), causal: a step sees itself and what came before.

    Two branches of ``dim`` features; one through a causal depthwise convolution over ``kernel`` steps, SiLU and the
    state space, times SiLU of the other; a linear layer. Every feature has ``state_dim`` states that decay by
    exp(pace * A) and take in pace * B * feature; C reads them. Pace, B and C are functions of the step.
    """

    def __init__(self, dim: int, state_dim: int, kernel: int = 4) -> None:
        super().__init__()
        self.reach = kernel - 1
        self.widths = (-(-dim // 16), state_dim, state_dim)  # of the pace, B and C
        self.enter = nn.Linear(dim, 2 * dim, bias=False)
        self.convolve = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.select = nn.Linear(dim, sum(self.widths), bias=False)
        self.pace = nn.Linear(self.widths[0], dim)
        self.log_rates = nn.Parameter(torch.arange(1, state_dim + 1).float().log().repeat(dim, 1))
        self.skip = nn.Parameter(torch.ones(dim))
        self.leave = nn.Linear(dim, dim, bias=False)
        bound = self.widths[0] ** -0.5
        nn.init.uniform_(self.pace.weight, -bound, bound)
        paces = torch.empty(dim).uniform_(math.log(MIN_PACE), math.log(MAX_PACE)).exp()
        with torch.no_grad():
            self.pace.bias.copy_(paces + (-torch.expm1(-paces)).log())  # softplus of this is the pace

    def forward(self, values: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        values, gate = self.enter(values).chunk(2, dim=-1)
        before = F.pad(values.transpose(1, 2), (self.reach, 0))
        values = F.silu(self.convolve(before).transpose(1, 2))
        low_rank, write, read = self.select(values).split(self.widths, dim=-1)
        # in the precision of the rates also where the linear layers run in half of it
        pace = F.softplus(self.pace(low_rank).to(self.log_rates.dtype))
        told = _scan(pace, values, write, read, self.log_rates)
        return self.leave((told + self.skip * values) * F.silu(gate))


def _scan(
    pace: Float[Tensor, "batch time dim"],
    values: Float[Tensor, "batch time dim"],
    write: Float[Tensor, "batch time state"],
    read: Float[Tensor, "batch time state"],
    log_rates: Float[Tensor, "dim state"],
) -> Float[Tensor, "batch time dim"]:
    """The state space alone: its input held over a step is taken in by Euler's rule, as in the authors' code."""
    decay = (pace[..., None] * -log_rates.exp()).exp()
    added = (pace * values)[..., None] * write[:, :, None]
    return (linear_scan(decay, added) @ read[..., None]).squeeze(-1)

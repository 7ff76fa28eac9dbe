"""Selective state space block of Mamba: a recurrence whose coefficients depend on its input."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from fusion.layers.recurrences.scan import linear_scan

# range of initial step sizes, as in Gu and Dao 2023: a memory of about 10 to 1000 steps
MIN_STEP_SIZE, MAX_STEP_SIZE = 0.001, 0.1


class SelectiveStateSpace(nn.Module):
    """Causal Mamba block (Gu and Dao 2023, arXiv 2312.00752).

    Two branches of ``dim`` features: the first goes through a causal depthwise convolution over ``kernel`` steps, SiLU
    and the state space; it is multiplied by the SiLU of the second; a linear layer follows. Each feature has
    ``state_dim`` states that decay by exp(step_size * A), receive step_size * B * feature and are read out by C. Step
    size, B and C are computed from the features of each step.
    """

    def __init__(self, dim: int, state_dim: int, kernel: int = 4) -> None:
        super().__init__()
        self.reach = kernel - 1
        self.widths = (-(-dim // 16), state_dim, state_dim)  # of the low-rank step size, B and C
        self.in_projection = nn.Linear(dim, 2 * dim, bias=False)
        self.convolve = nn.Conv1d(dim, dim, kernel, groups=dim)
        self.select = nn.Linear(dim, sum(self.widths), bias=False)
        self.step_size = nn.Linear(self.widths[0], dim)
        self.log_rates = nn.Parameter(torch.arange(1, state_dim + 1).float().log().repeat(dim, 1))
        self.skip = nn.Parameter(torch.ones(dim))
        self.out_projection = nn.Linear(dim, dim, bias=False)
        bound = self.widths[0] ** -0.5
        nn.init.uniform_(self.step_size.weight, -bound, bound)
        step_sizes = torch.empty(dim).uniform_(math.log(MIN_STEP_SIZE), math.log(MAX_STEP_SIZE)).exp()
        with torch.no_grad():
            # the inverse of softplus, which is applied in forward
            self.step_size.bias.copy_(step_sizes + (-torch.expm1(-step_sizes)).log())

    def forward(self, values: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
        values, gate = self.in_projection(values).chunk(2, dim=-1)
        before = F.pad(values.transpose(1, 2), (self.reach, 0))
        values = F.silu(self.convolve(before).transpose(1, 2))
        low_rank, write, read = self.select(values).split(self.widths, dim=-1)
        # full precision, also where the linear layers run in half precision
        step_size = F.softplus(self.step_size(low_rank).to(self.log_rates.dtype))
        readout = _scan(step_size, values, write, read, self.log_rates)
        return self.out_projection((readout + self.skip * values) * F.silu(gate))


def _scan(
    step_size: Float[Tensor, "batch time dim"],
    values: Float[Tensor, "batch time dim"],
    write: Float[Tensor, "batch time state"],
    read: Float[Tensor, "batch time state"],
    log_rates: Float[Tensor, "dim state"],
) -> Float[Tensor, "batch time dim"]:
    """The state space alone, discretised by Euler's method for the input, as in the authors' code."""
    decay = (step_size[..., None] * -log_rates.exp()).exp()
    added = (step_size * values)[..., None] * write[:, :, None]
    return (linear_scan(decay, added) @ read[..., None]).squeeze(-1)

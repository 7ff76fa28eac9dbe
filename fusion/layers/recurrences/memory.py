"""Layers of memory fusion networks: LSTMs with their cell states, delta-memory attention, a gated memory."""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.layers.recurrences.scan import linear_scan
from fusion.layers.recurrent import Recurrent


def make_mlp(dim: int, hidden_dim: int, out_dim: int, dropout: float) -> nn.Sequential:
    """A multi-layer perceptron: Linear, ReLU, dropout, Linear."""
    return nn.Sequential(nn.Linear(dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout), nn.Linear(hidden_dim, out_dim))


def shift_one_step(values: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time dim"]:
    """Each step's value at the step before; 0 for the first step."""
    return F.pad(values, (0, 0, 1, -1))


class LstmStates(nn.Module):
    """An LSTM that returns hidden and cell state of every step (torch's LSTM returns only the last cell state).

    Torch's fused LSTM computes all hidden states. From them, the gates of all steps are one matrix product with the
    same weights, and the cell states a linear recurrence: exact, and without a Python loop over time. In padding both
    outputs are finite but undefined.
    """

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.recurrent = Recurrent(nn.LSTM, dim, hidden_dim, bidirectional=False)
        # rows of the input gate, the forget gate and the candidate; those of the output gate follow
        self.num_gated = 3 * hidden_dim

    def forward(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch time hidden"]]:
        hidden = self.recurrent(values, lengths)
        from_values, from_hidden, bias, other_bias = (
            weight[: self.num_gated] for weight in self.recurrent.layer.all_weights[0]
        )
        gates = F.linear(values, from_values, bias) + F.linear(shift_one_step(hidden), from_hidden, other_bias)
        input_gate, forget_gate, candidate = gates.chunk(3, dim=-1)
        return hidden, linear_scan(forget_gate.sigmoid(), input_gate.sigmoid() * candidate.tanh())


class GatedMemory(nn.Module):
    """Multi-view gated memory u(t) = retain(t) u(t-1) + update(t) candidate(t).

    The candidate, in (-1, 1), is computed from ``attended`` at t; the two gates, in (0, 1), from ``attended`` at t and
    u(t-1). All three are multi-layer perceptrons. The loop over time contains only what depends on u: two small matrix
    products for both gates together. Dropout is drawn for all steps at once.

    Source: Zadeh et al. 2018, arXiv 1802.00927.
    """

    def __init__(self, dim: int, memory_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.dim, self.memory_dim, self.dropout = dim, memory_dim, dropout
        self.candidate = make_mlp(dim, hidden_dim, memory_dim, dropout)
        self.retain = make_mlp(dim + memory_dim, hidden_dim, memory_dim, dropout)
        self.update = make_mlp(dim + memory_dim, hidden_dim, memory_dim, dropout)

    def forward(self, attended: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time memory"]:
        """The memory at every step, starting from 0. A step depends on earlier steps only."""
        # axes: time, gate, batch, hidden
        (weight, bias), (out_weight, out_bias) = (self._of_both_gates(layer) for layer in (0, 3))
        from_attended, from_memory = weight.split((self.dim, self.memory_dim), dim=-1)
        given = F.linear(attended, from_attended.flatten(0, 1), bias.flatten()).unflatten(-1, bias.shape)
        given = given.permute(1, 2, 0, 3).contiguous()
        kept = F.dropout(torch.ones_like(given), self.dropout, self.training)
        candidates = self.candidate(attended).tanh().transpose(0, 1)
        # full precision: in half precision a retain gate of 0.999 would be rounded to 1
        with torch.autocast(attended.device.type, enabled=False):
            given, kept, candidates = (each.to(weight.dtype) for each in (given, kept, candidates))
            return self._remember(given, kept, candidates, from_memory.mT, out_weight.mT, out_bias[:, None])

    def _remember(
        self,
        given: Float[Tensor, "time 2 batch hidden"],
        kept: Float[Tensor, "time 2 batch hidden"],
        candidates: Float[Tensor, "time batch memory"],
        from_memory: Float[Tensor, "2 memory hidden"],
        out_weight: Float[Tensor, "2 hidden memory"],
        out_bias: Float[Tensor, "2 1 memory"],
    ) -> Float[Tensor, "batch time memory"]:
        memory, memories = candidates.new_zeros(candidates.shape[1:]), []
        for given_now, kept_now, candidate in zip(given.unbind(), kept.unbind(), candidates.unbind(), strict=True):
            hidden = torch.baddbmm(given_now, memory.expand(2, -1, -1), from_memory).relu() * kept_now
            retain, update = torch.baddbmm(out_bias, hidden, out_weight).sigmoid().unbind()
            memory = torch.addcmul(retain * memory, update, candidate)
            memories.append(memory)
        return torch.stack(memories, dim=1)

    def _of_both_gates(self, layer: int) -> tuple[Float[Tensor, "2 out in"], Float[Tensor, "2 out"]]:
        pairs = zip(self.retain[layer].parameters(), self.update[layer].parameters(), strict=True)
        weight, bias = (torch.stack(pair) for pair in pairs)
        return weight, bias


class MemoryFusion(nn.Module):
    """Body of the Memory Fusion Network: hidden states of all modalities and the memory, concatenated, at every step.

    An LSTM for each modality; delta-memory attention, a softmax over the features of all cell states of this step and
    the one before; the gated memory. ``dim`` is the width of the output.
    """

    def __init__(self, dims: Sequence[int], hidden_dim: int, memory_dim: int, dropout: float) -> None:
        super().__init__()
        self.recurrent = nn.ModuleList(LstmStates(dim, hidden_dim) for dim in dims)
        width = 2 * hidden_dim * len(dims)
        self.attend = make_mlp(width, hidden_dim, width, dropout)
        self.memory = GatedMemory(width, memory_dim, hidden_dim, dropout)
        self.dim = hidden_dim * len(dims) + memory_dim

    def forward(
        self, values: Sequence[Float[Tensor, "batch time _"]], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time out"]:
        states = [recurrent(each, lengths) for recurrent, each in zip(self.recurrent, values, strict=True)]
        cells = torch.cat([cell for _, cell in states], dim=-1)
        cells = torch.cat([shift_one_step(cells), cells], dim=-1)
        attended = self.attend(cells).softmax(-1) * cells
        return torch.cat([*(hidden for hidden, _ in states), self.memory(attended)], dim=-1)

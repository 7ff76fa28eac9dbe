"""Sequence to sequence with attention: what one modality says, told in the features of another."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fusion.layers.masks import within
from fusion.layers.recurrent import Recurrent


class Translator(nn.Module):
    """A bidirectional LSTM reads the source, an LSTM that attends to its states writes the target, step by step.

    Joint states are the sum of the two directions, with dropout. The decoder starts from the state tanh(W [sum of both
    directions' last states]) and a step of zeros. At every step it attends to the joint states (Bahdanau et al. 2015,
    arXiv 1409.0473: the softmax of v tanh(query(state) + key(joint))), reads the step before and what it attended to,
    and says a linear layer of both its state and that. Sources narrower than ``dim`` and targets narrower than
    ``out_dim`` lack the last features, as if these were 0: so one translator may go both ways.
    """

    def __init__(self, dim: int, out_dim: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.dim, self.out_dim = dim, out_dim
        self.encoder = Recurrent(nn.LSTM, dim, hidden_dim, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.start, self.query, self.key = (nn.Linear(hidden_dim, hidden_dim, bias=False) for _ in range(3))
        self.score = nn.Linear(hidden_dim, 1, bias=False)
        self.cell = nn.LSTMCell(out_dim + hidden_dim, hidden_dim)
        self.out = nn.Linear(2 * hidden_dim, out_dim)

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        truth: Float[Tensor, "batch time goal"],
        told: Bool[Tensor, "batch time"],
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch time goal"]]:
        """Joint states, and the translation in the truth's features.

        After a step that is ``told`` the decoder reads the truth, else what it said itself.
        """
        joint, start = self.read(values, lengths)
        inside = within(lengths, values.shape[1])
        dtype = self.out.weight.dtype
        with torch.autocast(values.device.type, enabled=False):  # the loop's gradient is by hand, in one precision
            return joint, self._write(joint.to(dtype), inside, start.to(dtype), truth.to(dtype), told)

    def read(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch hidden"]]:
        """Joint states, and the state from which the decoder starts."""
        states = self.encoder(F.pad(values, (0, self.dim - values.shape[-1])), lengths)
        forwards, backwards = states.chunk(2, dim=-1)
        last = forwards[torch.arange(len(lengths), device=lengths.device), lengths - 1]
        return self.dropout(forwards + backwards), self.start(last + backwards[:, 0]).tanh()

    def _write(self, joint: Tensor, inside: Tensor, start: Tensor, truth: Tensor, told: Tensor) -> Tensor:
        """What the cell reads of a step is linear in it, and what it says is linear in [state, attended].

        Composed, its own words go back in without leaving the hidden width (``echo``), and the features of all steps
        are read and written in one product each, outside of the loop.
        """
        dim = truth.shape[-1]
        read, write, write_bias = self.cell.weight_ih[:, :dim], self.out.weight[:dim], self.out.bias[:dim]
        recur = torch.cat([self.cell.weight_hh, self.cell.weight_ih[:, self.out_dim :]], dim=1)
        bias = self.cell.bias_ih + self.cell.bias_hh
        said = _Decoder.apply(
            *(joint, self.key(joint), inside, start, F.linear(truth, read, bias), told),
            *(self.query.weight, self.score.weight[0], recur, bias, read @ write, read @ write_bias + bias),
        )
        return F.linear(said, write, write_bias).transpose(0, 1)


class _Decoder(torch.autograd.Function):
    """[state, attended] of every step, (time batch 2 hidden), and its gradient by hand, backwards through time.

    Autograd would keep (batch time hidden) for every step written, and add to every weight's gradient at every step:
    here what the attention compares and weighs is computed anew, so that memory grows with the length and not with its
    square, and a weight's gradient is one product over all steps.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        memory, keys, inside, state, given, told, query, v, recur, bias, echo, echo_bias = inputs
        cell, read, energy = torch.zeros_like(state), bias.expand(len(state), -1), torch.empty_like(keys)
        # room for all steps at once: small tensors kept between large ones that come and go would tear up the heap
        said, cells, gates = (state.new_empty(given.shape[1], len(state), n * state.shape[1]) for n in (2, 1, 4))
        for i, (truth, is_told) in enumerate(zip(given.unbind(1), told[..., None].unbind(1), strict=True)):
            weights = _weights(_energy(keys, state @ query.T, energy), v, inside)
            attended = torch.bmm(weights[:, None], memory)[:, 0]
            torch.addmm(read, torch.cat([state, attended], dim=1), recur.T, out=gates[i])
            state, cell = _cell(gates[i], cell)
            cells[i] = cell
            torch.cat([state, attended], dim=1, out=said[i])
            read = torch.where(is_told, truth, torch.addmm(echo_bias, said[i], echo.T))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*inputs, said, cells, gates)
        return said

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        memory, keys, inside, start, _, told, query, v, recur, _, echo, _, said, cells, gates = ctx.saved_tensors
        told, width = told.T[..., None], start.shape[1]
        states, cells_before = torch.cat([start[None], said[:-1, :, :width]]), F.pad(cells, (0, 0, 0, 0, 1, -1))
        queries = states @ query.T
        to_memory, to_keys, to_v, to_states, to_cells = map(torch.zeros_like, (memory, keys, v, start, start))
        to_read, energy = torch.zeros_like(gates[0]), torch.empty_like(keys)
        to_gates, to_query = torch.empty_like(gates), torch.empty_like(cells)
        for i in reversed(range(len(said))):
            to_said = grad[i] + torch.where(told[i], 0.0, to_read) @ echo
            to_states = to_states + to_said[:, :width]
            to_read, to_cells = _cell_gradient(to_states, to_cells, gates[i], cells[i], cells_before[i])
            to_states, to_attended = (to_read @ recur).split(width, dim=1)
            to_attended = to_attended + to_said[:, width:]
            weights = _weights(_energy(keys, queries[i], energy), v, inside)
            to_memory.baddbmm_(weights[..., None], to_attended[:, None])
            to_weights = torch.bmm(memory, to_attended[..., None])[..., 0]
            to_scores = weights * (to_weights - (weights * to_weights).sum(-1, keepdim=True))
            to_query[i] = _score_gradient(to_scores, energy, v, to_keys, to_v)
            to_states = to_states + to_query[i] @ query
            to_gates[i] = to_read
        after = F.pad(to_gates[1:], (0, 0, 0, 0, 0, 1))  # of what was read after a step
        to_echoed = torch.where(told, 0.0, after)
        both = torch.cat([states, said[..., width:]], dim=-1)
        return (
            *(to_memory, to_keys, None, to_states, torch.where(told, after, 0.0).transpose(0, 1), None),
            *(_product(to_query, states), to_v, _product(to_gates, both), to_gates[0].sum(0)),
            *(_product(to_echoed, said), to_echoed.sum((0, 1))),
        )


def _energy(keys: Tensor, query: Tensor, out: Tensor) -> Tensor:
    return torch.add(keys, query[:, None], out=out).tanh_()


def _weights(energy: Tensor, v: Tensor, inside: Tensor) -> Tensor:
    return torch.where(inside, energy @ v, -torch.inf).softmax(-1)


def _score_gradient(grad: Tensor, energy: Tensor, v: Tensor, to_keys: Tensor, to_v: Tensor) -> Tensor:
    """The gradient of the scores for the query; those for keys and ``v`` are added where they are summed."""
    to_v += grad.flatten() @ energy.flatten(0, 1)
    slopes = energy.square_().neg_().add_(1).mul_(grad[..., None]).mul_(v)
    to_keys += slopes
    return slopes.sum(1)


def _cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """An LSTM's state and cell from its gates, in torch's order."""
    enter, forget, new, leave = gates.chunk(4, dim=1)
    cell = forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
    return leave.sigmoid() * cell.tanh(), cell


def _cell_gradient(
    to_state: Tensor, to_cell: Tensor, gates: Tensor, cell: Tensor, before: Tensor
) -> tuple[Tensor, Tensor]:
    """From the gradients for state and cell those for the gates and the cell before."""
    enter, forget, leave = (gates.chunk(4, dim=1)[i].sigmoid() for i in (0, 1, 3))
    new, shown = gates.chunk(4, dim=1)[2].tanh(), cell.tanh()
    to_cell = to_cell + to_state * leave * (1 - shown**2)
    to_gates = [
        to_cell * new * enter * (1 - enter),
        to_cell * before * forget * (1 - forget),
        to_cell * enter * (1 - new**2),
        to_state * shown * leave * (1 - leave),
    ]
    return torch.cat(to_gates, dim=1), to_cell * forget


def _product(grads: Tensor, inputs: Tensor) -> Tensor:
    """A weight's gradient, over all steps of all clips."""
    return grads.flatten(0, 1).T @ inputs.flatten(0, 1)

"""Sequence-to-sequence translation with attention, from the features of one modality to those of another."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from fusion.layers.masks import make_length_mask
from fusion.layers.recurrent import Recurrent


class Translator(nn.Module):
    """Translates a source sequence into a target sequence: a bidirectional LSTM encoder and an LSTM decoder.

    The joint states are the sum of both directions of the encoder, with dropout. The decoder starts from the state
    tanh(W [sum of the last states of both directions]) and an input of zeros. At every step it attends to the joint
    states with the additive attention softmax(v tanh(query(state) + key(joint))) of Bahdanau et al. 2015 (arXiv
    1409.0473). Its inputs are the previous step of the target and the attended state; its output is a linear layer of
    its state and the attended state. With ``one_step`` the decoder is a bidirectional LSTM that sees one step at a time
    from states of 0, its two directions added, so that only the attention knows the step before.

    A source with fewer than ``dim`` features or a target with fewer than ``out_dim`` is padded with zero features, so
    that one translator can be used in both directions.
    """

    def __init__(self, dim: int, out_dim: int, hidden_dim: int, dropout: float, *, one_step: bool = False) -> None:
        super().__init__()
        self.dim, self.out_dim = dim, out_dim
        self.encoder = Recurrent(nn.LSTM, dim, hidden_dim, bidirectional=True)
        self.dropout = nn.Dropout(dropout)
        self.start, self.query, self.key = (nn.Linear(hidden_dim, hidden_dim, bias=False) for _ in range(3))
        self.score = nn.Linear(hidden_dim, 1, bias=False)
        # from states of 0 an LSTM needs neither forget gates nor recurrent weights: input, candidate, output; twice
        self.cell: nn.LSTMCell | nn.Linear
        if one_step:
            self.cell = nn.Linear(out_dim + hidden_dim, 6 * hidden_dim)
            for parameter in self.cell.parameters():
                nn.init.uniform_(parameter, -(hidden_dim**-0.5), hidden_dim**-0.5)  # as in nn.LSTM
        else:
            self.cell = nn.LSTMCell(out_dim + hidden_dim, hidden_dim)
        self.out = nn.Linear(2 * hidden_dim, out_dim)

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        target: Float[Tensor, "batch time goal"],
        teacher_forced: Bool[Tensor, "batch time"],
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch time goal"]]:
        """Joint states, and the translation into the features of ``target``.

        After a step where ``teacher_forced`` is True the decoder receives the target, else its own output.
        """
        joint, start = self.encode(values, lengths)
        inside = make_length_mask(lengths, values.shape[1])
        dtype = self.out.weight.dtype
        with torch.autocast(values.device.type, enabled=False):  # the decoder's own gradient needs one dtype
            return joint, self._decode(joint.to(dtype), inside, start.to(dtype), target.to(dtype), teacher_forced)

    def encode(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> tuple[Float[Tensor, "batch time hidden"], Float[Tensor, "batch hidden"]]:
        """Joint states, and the initial state of the decoder."""
        states = self.encoder(F.pad(values, (0, self.dim - values.shape[-1])), lengths)
        forwards, backwards = states.chunk(2, dim=-1)
        last = forwards[torch.arange(len(lengths), device=lengths.device), lengths - 1]
        return self.dropout(forwards + backwards), self.start(last + backwards[:, 0]).tanh()

    def _decode(self, joint: Tensor, inside: Tensor, start: Tensor, target: Tensor, teacher_forced: Tensor) -> Tensor:
        """The outputs of the decoder at all steps.

        Input and output layers of the cell are linear. Their composition (``echo``) feeds an output back as the next
        input without leaving the hidden width, so that the loop over time contains no product as wide as the features.
        """
        dim = target.shape[-1]
        if isinstance(self.cell, nn.LSTMCell):
            enter, bias = self.cell.weight_ih, self.cell.bias_ih + self.cell.bias_hh
            recur = torch.cat([self.cell.weight_hh, enter[:, self.out_dim :]], dim=1)
        else:
            enter, bias = self.cell.weight, self.cell.bias
            recur = F.pad(enter[:, self.out_dim :], (start.shape[1], 0))
        read, write, write_bias = enter[:, :dim], self.out.weight[:dim], self.out.bias[:dim]
        outputs = _Decoder.apply(
            *(joint, self.key(joint), inside, start, F.linear(target, read, bias), teacher_forced),
            *(self.query.weight, self.score.weight[0], recur, bias, read @ write, read @ write_bias + bias),
        )
        return F.linear(outputs, write, write_bias).transpose(0, 1)


class _Decoder(torch.autograd.Function):
    """[state, attended] at every step, (time batch 2 hidden), with a hand-written backward pass.

    Autograd would store a tensor (batch time hidden) for every decoded step and accumulate weight gradients step by
    step. Here attention energies are recomputed, so that memory grows linearly with the length, and each weight
    gradient is one matrix product over all steps.
    """

    @staticmethod
    def forward(ctx: Any, *inputs: Tensor) -> Tensor:
        memory, keys, inside, state, given, teacher_forced, query, v, recur, bias, echo, echo_bias = inputs
        cell, entering, energy = torch.zeros_like(state), bias.expand(len(state), -1), torch.empty_like(keys)
        # allocated for all steps at once: many small tensors between large temporary ones would fragment the heap
        width, one_step = state.shape[1], given.shape[2] != 4 * state.shape[1]
        sizes = (2 * width, width, given.shape[2])
        outputs, cells, gates = (state.new_empty(given.shape[1], len(state), size) for size in sizes)
        for i, (target, is_teacher_forced) in enumerate(
            zip(given.unbind(1), teacher_forced[..., None].unbind(1), strict=True)
        ):
            weights = _weights(_energy(keys, state @ query.T, energy), v, inside)
            attended = torch.bmm(weights[:, None], memory)[:, 0]
            torch.addmm(entering, torch.cat([state, attended], dim=1), recur.T, out=gates[i])
            state, cell = (_fresh_cells(gates[i]), cell) if one_step else _cell(gates[i], cell)
            cells[i] = cell
            torch.cat([state, attended], dim=1, out=outputs[i])
            entering = torch.where(is_teacher_forced, target, torch.addmm(echo_bias, outputs[i], echo.T))
        if any(ctx.needs_input_grad):
            ctx.save_for_backward(*inputs, outputs, cells, gates)
        return outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        memory, keys, inside, start, _, teacher_forced, query, v, recur, _, echo, _, outputs, cells, gates = (
            ctx.saved_tensors
        )
        teacher_forced, width = teacher_forced.T[..., None], start.shape[1]
        one_step = gates.shape[2] != 4 * width
        states, cells_before = torch.cat([start[None], outputs[:-1, :, :width]]), F.pad(cells, (0, 0, 0, 0, 1, -1))
        queries = states @ query.T
        to_memory, to_keys, to_v, to_states, to_cells = map(torch.zeros_like, (memory, keys, v, start, start))
        to_read, energy = torch.zeros_like(gates[0]), torch.empty_like(keys)
        to_gates, to_query = torch.empty_like(gates), torch.empty_like(cells)
        for i in reversed(range(len(outputs))):
            to_outputs = grad[i] + torch.where(teacher_forced[i], 0.0, to_read) @ echo
            to_states = to_states + to_outputs[:, :width]
            if one_step:
                to_read = _fresh_gradient(to_states, gates[i])
            else:
                to_read, to_cells = _cell_gradient(to_states, to_cells, gates[i], cells[i], cells_before[i])
            to_states, to_attended = (to_read @ recur).split(width, dim=1)
            to_attended = to_attended + to_outputs[:, width:]
            weights = _weights(_energy(keys, queries[i], energy), v, inside)
            to_memory.baddbmm_(weights[..., None], to_attended[:, None])
            to_weights = torch.bmm(memory, to_attended[..., None])[..., 0]
            to_scores = weights * (to_weights - (weights * to_weights).sum(-1, keepdim=True))
            to_query[i] = _score_gradient(to_scores, energy, v, to_keys, to_v)
            to_states = to_states + to_query[i] @ query
            to_gates[i] = to_read
        after = F.pad(to_gates[1:], (0, 0, 0, 0, 0, 1))  # gradient of the input that follows a step
        to_echoed = torch.where(teacher_forced, 0.0, after)
        both = torch.cat([states, outputs[..., width:]], dim=-1)
        return (
            *(to_memory, to_keys, None, to_states, torch.where(teacher_forced, after, 0.0).transpose(0, 1), None),
            *(_product(to_query, states), to_v, _product(to_gates, both), to_gates[0].sum(0)),
            *(_product(to_echoed, outputs), to_echoed.sum((0, 1))),
        )


def _energy(keys: Tensor, query: Tensor, out: Tensor) -> Tensor:
    return torch.add(keys, query[:, None], out=out).tanh_()


def _weights(energy: Tensor, v: Tensor, inside: Tensor) -> Tensor:
    return torch.where(inside, energy @ v, -torch.inf).softmax(-1)


def _score_gradient(grad: Tensor, energy: Tensor, v: Tensor, to_keys: Tensor, to_v: Tensor) -> Tensor:
    """Gradient of the scores with respect to the query; those for keys and ``v`` are accumulated in place."""
    to_v += grad.flatten() @ energy.flatten(0, 1)
    slopes = energy.square_().neg_().add_(1).mul_(grad[..., None]).mul_(v)
    to_keys += slopes
    return slopes.sum(1)


def _cell(gates: Tensor, cell: Tensor) -> tuple[Tensor, Tensor]:
    """Hidden and cell state of an LSTM from its gates, in torch's order."""
    input_gate, forget_gate, candidate, output_gate = gates.chunk(4, dim=1)
    cell = forget_gate.sigmoid() * cell + input_gate.sigmoid() * candidate.tanh()
    return output_gate.sigmoid() * cell.tanh(), cell


def _cell_gradient(
    to_state: Tensor, to_cell: Tensor, gates: Tensor, cell: Tensor, before: Tensor
) -> tuple[Tensor, Tensor]:
    """Gradients of the gates and of the previous cell state, from those of hidden and cell state."""
    input_gate, forget_gate, output_gate = (gates.chunk(4, dim=1)[i].sigmoid() for i in (0, 1, 3))
    candidate, squashed = gates.chunk(4, dim=1)[2].tanh(), cell.tanh()
    to_cell = to_cell + to_state * output_gate * (1 - squashed**2)
    to_gates = [
        to_cell * candidate * input_gate * (1 - input_gate),
        to_cell * before * forget_gate * (1 - forget_gate),
        to_cell * input_gate * (1 - candidate**2),
        to_state * squashed * output_gate * (1 - output_gate),
    ]
    return torch.cat(to_gates, dim=1), to_cell * forget_gate


def _fresh_cells(gates: Tensor) -> Tensor:
    """The sum of the hidden states of two LSTMs that start from 0, from their gates without forget gates."""
    both = (half.chunk(3, dim=1) for half in gates.chunk(2, dim=1))
    one, other = (leave.sigmoid() * (enter.sigmoid() * new.tanh()).tanh() for enter, new, leave in both)
    return one + other


def _fresh_gradient(to_state: Tensor, gates: Tensor) -> Tensor:
    """Gradient of these gates, from that of the sum."""
    parts = []
    for half in gates.chunk(2, dim=1):
        enter, candidate, leave = half.chunk(3, dim=1)
        enter, candidate, leave = enter.sigmoid(), candidate.tanh(), leave.sigmoid()
        squashed = (enter * candidate).tanh()
        to_cell = to_state * leave * (1 - squashed**2)
        parts += [to_cell * candidate * enter * (1 - enter), to_cell * enter * (1 - candidate**2)]
        parts.append(to_state * squashed * leave * (1 - leave))
    return torch.cat(parts, dim=1)


def _product(grads: Tensor, inputs: Tensor) -> Tensor:
    """Gradient of a weight matrix, over all steps of all windows."""
    return grads.flatten(0, 1).T @ inputs.flatten(0, 1)

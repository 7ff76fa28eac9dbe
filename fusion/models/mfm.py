"""Multimodal Factorization Model: what all modalities share answers, what each has of its own helps to rebuild it."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, mean_over, ordered, seen
from fusion.layers.memory import MemoryFusion, perceptron
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Tsai et al. 2019, Learning Factorized Multimodal Representations, arXiv 1806.06176",
    "context": "past",
    "differs": "The paper answers once and rebuilds a clip of some 20 words from its last step's factors: here every "
    "step answers from the past, and each piece of 32 steps is rebuilt, where observed, from the factors of its last "
    "step; unobserved steps enter as 0, missing modalities are not inferred, and the last linear layer is the task's "
    "head. All factors have one width and stand side by side: there is no product of them whose size would need a "
    "limit. The losses' weights are those of the authors' best MOSI setting in their code (the median over "
    "modalities), and in evaluation the Gaussian of mmd is not drawn, its expectation is taken.",
}

# FusionInput that are rebuilt from one step's factors: about what the paper's clips had.
PIECE = 32
# mmd compares every row with every other one: of more rows, as many at equal distances are taken.
MAX_ROWS = 1024


@FUSION_MODELS.register
def mfm(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    memory_dim: int = 128,
    factor_dim: int = 64,
    dropout: float = 0.5,
) -> FusionModel:
    """MFN as encoder of a shared factor, a factor for each modality, from both each is rebuilt."""
    return Mfm(dims, hidden_dim, memory_dim, factor_dim, dropout)


class Mfm(FusionModel):
    """Tsai et al. 2019 (arXiv 1806.06176) with the Memory Fusion Network as encoder of the shared factor.

    ``hidden_dim`` and ``memory_dim`` are the encoder's, ``factor_dim`` is the width of every factor and the fused one.
    Losses: "reconstruction", the sum over modalities of the mean squared error over observed steps; "mmd", the sum
    over factors of their distance from a Gaussian, over the pieces in which their modalities were observed.
    Raises ValueError for settings that make no sense.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, memory_dim: int, factor_dim: int, dropout: float
    ) -> None:
        super().__init__()
        sizes = {"hidden_dim": hidden_dim, "memory_dim": memory_dim, "factor_dim": factor_dim}
        check_settings("mfm", dropout=dropout, **sizes)
        self.names = ordered(dims)
        self.hidden_dim = factor_dim
        self.loss_weights = {"reconstruction": 0.5, "mmd": 1.0}
        self.fusion = MemoryFusion([dims[name] for name in self.names], hidden_dim, memory_dim, dropout)
        self.shared = nn.Linear(self.fusion.dim, factor_dim)
        self.shared_factor = _factor(factor_dim, dropout)
        self.own = nn.ModuleList(Recurrent(nn.LSTM, dims[name], factor_dim, bidirectional=False) for name in self.names)
        self.own_projections = nn.ModuleList(nn.Linear(factor_dim, factor_dim) for _ in self.names)
        self.own_factors = nn.ModuleList(_factor(factor_dim, dropout) for _ in self.names)
        self.decoders = nn.ModuleList(Decoder(2 * factor_dim, dims[name]) for name in self.names)
        self.out = nn.Sequential(nn.Linear(factor_dim, factor_dim), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, steps: FusionInput) -> FusionOutput:
        values, observed = zip(*(seen(steps, name) for name in self.names), strict=True)
        shared = self.shared(self.fusion(values, steps.lengths))
        factor = self.shared_factor(shared)
        hidden = self.out(factor)
        if not steps.wants_losses:
            return FusionOutput(hidden)
        own = [
            project(at_ends(recurrent(each, steps.lengths), steps.lengths))
            for recurrent, project, each in zip(self.own, self.own_projections, values, strict=True)
        ]
        losses = {
            "reconstruction": self._reconstruction(values, observed, at_ends(factor, steps.lengths), own),
            "mmd": self._mmd([*own, at_ends(shared, steps.lengths)], observed),
        }
        return FusionOutput(hidden, losses)

    def _reconstruction(
        self,
        values: Sequence[Float[Tensor, "batch time _"]],
        observed: Sequence[Bool[Tensor, "batch time"]],
        shared: Float[Tensor, "batch piece hidden"],
        own: Sequence[Float[Tensor, "batch piece hidden"]],
    ) -> Float[Tensor, ""]:
        num_steps = values[0].shape[1]
        losses = []
        for each, flags, factor, latent, decode in zip(
            values, observed, self.own_factors, own, self.decoders, strict=True
        ):
            pieces = decode(torch.cat([shared, factor(latent)], dim=-1), min(PIECE, num_steps))
            losses.append(mean_over((pieces.flatten(1, 2)[:, :num_steps] - each).square(), flags))
        return torch.stack(losses).sum()

    def _mmd(
        self, latents: Sequence[Float[Tensor, "batch piece hidden"]], observed: Sequence[Bool[Tensor, "batch time"]]
    ) -> Float[Tensor, ""]:
        """Of every modality's own latents in their order, the shared ones last: the order in which noise is drawn."""
        counted = [in_pieces(flags) for flags in observed]
        counted.append(torch.stack(counted).any(0))
        rows = [latent[flags] for latent, flags in zip(latents, counted, strict=True)]
        rows = [each[:: max(1, math.ceil(len(each) / MAX_ROWS))] for each in rows]
        return torch.stack([mean_discrepancy(each, drawn=self.training) for each in rows]).sum()


class Decoder(nn.Module):
    """Rebuilds the steps of a piece from its factors: an LSTM reads them first, then its own last hidden state."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(dim, dim)
        self.out = nn.Linear(dim, out_dim)

    def forward(
        self, factors: Float[Tensor, "batch piece dim"], num_steps: int
    ) -> Float[Tensor, "batch piece step out"]:
        state, hidden = None, []
        entering = factors.flatten(0, 1)
        for _ in range(num_steps):  # no more than a piece has, however long the window is
            state = self.cell(entering, state)
            entering = state[0]
            hidden.append(entering)
        return self.out(torch.stack(hidden, dim=1)).unflatten(0, factors.shape[:2])


def at_ends(
    values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch piece dim"]:
    """The values at the last step of every piece of a window; the last piece ends where the window does."""
    num_pieces = -(-values.shape[1] // PIECE)
    ends = torch.arange(1, num_pieces + 1, device=lengths.device) * PIECE
    last = torch.minimum(ends, lengths[:, None]) - 1
    return values.gather(1, last[..., None].expand(-1, -1, values.shape[-1]))


def in_pieces(observed: Bool[Tensor, "batch time"]) -> Bool[Tensor, "batch piece"]:
    """True for pieces with an observed step."""
    return torch.stack([piece.any(1) for piece in observed.split(PIECE, dim=1)], dim=1)


def mean_discrepancy(rows: Float[Tensor, "row dim"], *, drawn: bool) -> Float[Tensor, ""]:
    """The maximum mean discrepancy of rows from a standard Gaussian, by the kernel exp(-|x - y|^2 / dim^2).

    ``drawn``: from as many rows of noise; else its expectation over all noise. 0 where there is no row.
    """
    num, dim = rows.shape
    if not num:
        return rows.sum()
    rows = rows if rows.dtype == torch.float64 else rows.float()  # in half precision its terms, all near 1, cancel
    if drawn:
        noise = torch.randn_like(rows)
        return _kernel(noise, noise).mean() + _kernel(rows, rows).mean() - 2 * _kernel(noise, rows).mean()
    scale = dim**2
    between_noise = 1 / num + (1 - 1 / num) * (1 + 4 / scale) ** (-dim / 2)
    to_noise = (1 + 2 / scale) ** (-dim / 2) * (-rows.square().sum(-1) / (scale + 2)).exp()
    return between_noise + _kernel(rows, rows).mean() - 2 * to_noise.mean()


def _kernel(rows: Float[Tensor, "row dim"], others: Float[Tensor, "other dim"]) -> Float[Tensor, "row other"]:
    return (-(torch.cdist(rows, others) / rows.shape[-1]).square()).exp()


def _factor(dim: int, dropout: float) -> nn.Sequential:
    return nn.Sequential(*perceptron(dim, dim, dim, dropout), nn.ReLU())

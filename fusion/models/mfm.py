"""Multimodal Factorization Model: a shared factor for prediction, modality-specific factors for reconstruction."""

import math
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, masked_mean, sort_modalities
from fusion.layers.recurrences.memory import MemoryFusion, make_mlp
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Tsai et al. 2019, Learning Factorized Multimodal Representations, arXiv 1806.06176",
    "context": "past",
    "differs": "The paper predicts once and reconstructs a clip of about 20 words from the factors of its last step; "
    "here every step is predicted from the past, and each segment of 32 steps is reconstructed, where observed, from "
    "the factors of its last step. Unobserved steps are 0, missing modalities are not inferred, and the last linear "
    "layer is the head of the task. All factors have the same width and are concatenated. The weights of the losses "
    "are those of the authors' best MOSI setting in their code (the median over modalities). In evaluation mmd is "
    "computed against the expectation of the Gaussian instead of random draws.",
}

SEGMENT_STEPS = 32  # steps reconstructed from the factors of one step: about the length of the paper's clips
# mmd compares all pairs of rows; of more rows than this, evenly spaced ones are used
MAX_ROWS = 1024


@FUSION_MODELS.register
def mfm(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    memory_dim: Size = 128,
    factor_dim: Size = 64,
    dropout: DropoutRate = 0.5,
) -> FusionModel:
    """MFN encodes a shared factor; each modality is reconstructed from it and a factor of its own."""
    return Mfm(dims, hidden_dim, memory_dim, factor_dim, dropout)


class Mfm(FusionModel):
    """MFM of Tsai et al. 2019 (arXiv 1806.06176), with the Memory Fusion Network as encoder of the shared factor.

    ``hidden_dim`` and ``memory_dim`` are the sizes of that encoder, ``factor_dim`` is the width of every factor and of
    the output. Auxiliary losses: "reconstruction", the sum over modalities of the mean squared error at observed steps;
    "mmd", the sum over factors of their maximum mean discrepancy from a Gaussian, over the segments in which their
    modalities were observed.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, memory_dim: int, factor_dim: int, dropout: float
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = factor_dim
        self.loss_weights = {"reconstruction": 0.5, "mmd": 1.0}
        self.fusion = MemoryFusion([dims[name] for name in self.names], hidden_dim, memory_dim, dropout)
        self.shared = nn.Linear(self.fusion.dim, factor_dim)
        self.shared_factor = _factor(factor_dim, dropout)
        self.specific = nn.ModuleList(
            Recurrent(nn.LSTM, dims[name], factor_dim, bidirectional=False) for name in self.names
        )
        self.specific_projections = nn.ModuleList(nn.Linear(factor_dim, factor_dim) for _ in self.names)
        self.specific_factors = nn.ModuleList(_factor(factor_dim, dropout) for _ in self.names)
        self.decoders = nn.ModuleList(Decoder(2 * factor_dim, dims[name]) for name in self.names)
        self.out = nn.Sequential(nn.Linear(factor_dim, factor_dim), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, observed = zip(*(mask_features(inputs, name) for name in self.names), strict=True)
        shared = self.shared(self.fusion(values, inputs.lengths))
        factor = self.shared_factor(shared)
        hidden = self.out(factor)
        if not inputs.wants_losses:
            return FusionOutput(hidden)
        specific = [
            project(take_segment_ends(recurrent(each, inputs.lengths), inputs.lengths))
            for recurrent, project, each in zip(self.specific, self.specific_projections, values, strict=True)
        ]
        losses = {
            "reconstruction": self._reconstruction(
                values, observed, take_segment_ends(factor, inputs.lengths), specific
            ),
            "mmd": self._mmd([*specific, take_segment_ends(shared, inputs.lengths)], observed),
        }
        return FusionOutput(hidden, losses)

    def _reconstruction(
        self,
        values: Sequence[Float[Tensor, "batch time _"]],
        observed: Sequence[Bool[Tensor, "batch time"]],
        shared: Float[Tensor, "batch segment hidden"],
        specific: Sequence[Float[Tensor, "batch segment hidden"]],
    ) -> Float[Tensor, ""]:
        num_steps = values[0].shape[1]
        losses = []
        for each, flags, factor, latent, decode in zip(
            values, observed, self.specific_factors, specific, self.decoders, strict=True
        ):
            segments = decode(torch.cat([shared, factor(latent)], dim=-1), min(SEGMENT_STEPS, num_steps))
            losses.append(masked_mean((segments.flatten(1, 2)[:, :num_steps] - each).square(), flags))
        return torch.stack(losses).sum()

    def _mmd(
        self, latents: Sequence[Float[Tensor, "batch segment hidden"]], observed: Sequence[Bool[Tensor, "batch time"]]
    ) -> Float[Tensor, ""]:
        """Sum over the latents of the modalities, then the shared ones: the order in which noise is drawn."""
        counted = [has_observed(flags) for flags in observed]
        counted.append(torch.stack(counted).any(0))
        rows = [latent[flags] for latent, flags in zip(latents, counted, strict=True)]
        rows = [each[:: max(1, math.ceil(len(each) / MAX_ROWS))] for each in rows]
        return torch.stack([maximum_mean_discrepancy(each, drawn=self.training) for each in rows]).sum()


class Decoder(nn.Module):
    """Reconstructs the steps of a segment: the input of its LSTM is the factors first, then its last hidden state."""

    def __init__(self, dim: int, out_dim: int) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(dim, dim)
        self.out = nn.Linear(dim, out_dim)

    def forward(
        self, factors: Float[Tensor, "batch segment dim"], num_steps: int
    ) -> Float[Tensor, "batch segment step out"]:
        state, hidden = None, []
        entering = factors.flatten(0, 1)
        for _ in range(num_steps):  # at most SEGMENT_STEPS, however long the window is
            state = self.cell(entering, state)
            entering = state[0]
            hidden.append(entering)
        return self.out(torch.stack(hidden, dim=1)).unflatten(0, factors.shape[:2])


def take_segment_ends(
    values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
) -> Float[Tensor, "batch segment dim"]:
    """The values at the last step of every segment of a window; the last segment ends where the window ends."""
    num_segments = -(-values.shape[1] // SEGMENT_STEPS)
    ends = torch.arange(1, num_segments + 1, device=lengths.device) * SEGMENT_STEPS
    last = torch.minimum(ends, lengths[:, None]) - 1
    return values.gather(1, last[..., None].expand(-1, -1, values.shape[-1]))


def has_observed(observed: Bool[Tensor, "batch time"]) -> Bool[Tensor, "batch segment"]:
    """True for segments with an observed step."""
    return torch.stack([segment.any(1) for segment in observed.split(SEGMENT_STEPS, dim=1)], dim=1)


def maximum_mean_discrepancy(rows: Float[Tensor, "row dim"], *, drawn: bool) -> Float[Tensor, ""]:
    """Maximum mean discrepancy of rows from a standard Gaussian, with the kernel exp(-|x - y|^2 / dim^2).

    ``drawn``: against as many random rows; otherwise its expectation. 0 where there are no rows.
    """
    num, dim = rows.shape
    if not num:
        return rows.sum()
    rows = (
        rows if rows.dtype == torch.float64 else rows.float()
    )  # the terms, all near 1, would cancel in half precision
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
    return nn.Sequential(*make_mlp(dim, dim, dim, dropout), nn.ReLU())

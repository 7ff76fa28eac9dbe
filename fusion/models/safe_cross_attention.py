"""Safe cross-attention: transformer branches that attend to each other and tolerate missing modalities."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.attention import TransformerLayer, sinusoidal_positions
from fusion.layers.masks import draw_kept_modalities, make_length_mask, mask_features, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Yu et al. 2026, Solution to the 10th ABAW Expression Recognition Challenge: A Robust Multimodal "
    "Framework with Safe Cross-Attention and Modality Dropout, arXiv 2603.08034",
    "context": "window",
    "differs": "Any number of modalities: each attends to the observed steps of all others, concatenated over time. "
    "Not specified in the paper and chosen here: pre-norm layers, a feed-forward network four times as wide, one "
    "cross-attention layer after each branch, layer norms and one linear layer with ReLU over the branches, all sizes "
    "and rates. Modality dropout always keeps one modality that was observed.",
}


@FUSION_MODELS.register
def safe_cross_attention(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    num_layers: Size = 1,
    num_heads: Size = 4,
    modality_dropout: DropoutRate = 0.2,
    dropout: DropoutRate = 0.1,
) -> FusionModel:
    """Transformer for each modality, cross-attention to observed steps of the others, modality dropout."""
    return SafeCrossAttention(dims, hidden_dim, num_layers, num_heads, modality_dropout, dropout)


class SafeCrossAttention(FusionModel):
    """Safe cross-attention after Yu et al. 2026 (arXiv 2603.08034, 10th ABAW).

    A branch for each modality: Linear(dim -> ``hidden_dim``), a learned vector in place of unobserved steps, sinusoidal
    positions, and ``num_layers`` of self-attention. Then each branch attends to the observed steps of the others; where
    there are none, this adds 0. Layer norms and Linear with ReLU on the concatenated branches give the output,
    ``hidden_dim`` features. ``modality_dropout`` is the probability with which a window loses a modality in training.
    With one modality there is no cross-attention and no modality dropout.

    Raises InputError where ``num_heads`` does not divide ``hidden_dim``, or this is 1.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        modality_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim, self.modality_dropout = hidden_dim, modality_dropout

        def layers(number: int) -> nn.ModuleList:
            return nn.ModuleList(
                TransformerLayer(hidden_dim, num_heads, 4 * hidden_dim, dropout) for _ in range(number)
            )

        self.branches = nn.ModuleList(Branch(dims[name], hidden_dim, layers(num_layers)) for name in self.names)
        self.cross = layers(len(dims) if len(dims) > 1 else 0)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in self.names)
        self.join = nn.Sequential(nn.Linear(len(dims) * hidden_dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, flags = zip(*(mask_features(inputs, name) for name in self.names), strict=True)
        observed = torch.stack(flags, dim=1)
        if self.training and len(self.names) > 1:
            observed = observed & draw_kept_modalities(observed.any(-1), self.modality_dropout)[..., None]
        inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
        states = [branch(values[i], observed[:, i], inside) for i, branch in enumerate(self.branches)]
        if len(states) > 1:
            states = self._exchange(states, observed)
        normed = [norm(state) for norm, state in zip(self.norms, states, strict=True)]
        return FusionOutput(self.join(torch.cat(normed, dim=-1)))

    def _exchange(
        self, states: list[Float[Tensor, "batch time hidden"]], observed: Bool[Tensor, "batch names time"]
    ) -> list[Float[Tensor, "batch time hidden"]]:
        """The state of each branch after attending to the observed steps of all others."""
        exchanged = []
        for i, layer in enumerate(self.cross):
            others = [j for j in range(len(states)) if j != i]
            memory = torch.cat([states[j] for j in others], dim=1)
            exchanged.append(layer(states[i], observed[:, others].flatten(1), memory))
        return exchanged


class Branch(nn.Module):
    """Self-attention over one modality; the learned vector ``missing`` replaces unobserved steps."""

    def __init__(self, dim: int, hidden_dim: int, layers: nn.ModuleList) -> None:
        super().__init__()
        self.project = nn.Linear(dim, hidden_dim)
        self.missing = nn.Parameter(0.02 * torch.randn(hidden_dim))
        self.layers = layers

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        observed: Bool[Tensor, "batch time"],
        inside: Bool[Tensor, "batch time"],
    ) -> Float[Tensor, "batch time hidden"]:
        state = torch.where(observed[..., None], self.project(values), self.missing)
        state = state + sinusoidal_positions(state.shape[1], state.shape[2], state)
        for layer in self.layers:
            state = layer(state, inside)
        return state

"""Transformers that read each other's modality, and still answer where one of them is missing."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.attention import TransformerLayer, positions
from fusion.layers.masks import check_settings, keep_modalities, ordered, seen, within
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Yu et al. 2026, Solution to the 10th ABAW Expression Recognition Challenge: A Robust Multimodal "
    "Framework with Safe Cross-Attention and Modality Dropout, arXiv 2603.08034",
    "context": "window",
    "differs": "Any number of modalities: each attends to the observed steps of all others side by side. Open in the "
    "paper, chosen here: pre-norm layers, a perceptron four times as wide, one cross-attention layer after each "
    "branch, the branches normed and joined by one linear layer with ReLU, all sizes and rates. In training one "
    "modality that has anything observed is always kept.",
}


@FUSION_MODELS.register
def safe_cross_attention(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    num_layers: int = 1,
    num_heads: int = 4,
    modality_dropout: float = 0.2,
    dropout: float = 0.1,
) -> FusionModel:
    """A transformer for each modality, attention to what the others observed, modality dropout."""
    return SafeCrossAttention(dims, hidden_dim, num_layers, num_heads, modality_dropout, dropout)


class SafeCrossAttention(FusionModel):
    """After Yu et al. 2026: a branch for each modality, cross attention between them, a linear layer over all.

    A branch: Linear(dim -> ``hidden_dim``), a learned vector in place of every step that was not observed, sines and
    cosines of the place in the window, ``num_layers`` of self-attention. Then each branch attends to the observed steps
    of the others; where those have none that attention adds 0. With one modality there is nothing to attend to, and
    nothing is dropped. ``modality_dropout``: how probably a window loses a whole modality in training.
    Raises ValueError for settings that make no sense, or where ``num_heads`` does not divide ``hidden_dim``.
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
        sizes = {"hidden_dim": hidden_dim, "num_layers": num_layers, "num_heads": num_heads}
        check_settings("safe_cross_attention", dropout=dropout, **sizes)
        if not 0 <= modality_dropout < 1:
            raise InputError(
                f"safe_cross_attention: modality_dropout is {modality_dropout}, expected 0 up to (not including) 1"
            )
        self.names = ordered(dims)
        self.hidden_dim, self.modality_dropout = hidden_dim, modality_dropout

        def layers(number: int) -> nn.ModuleList:
            return nn.ModuleList(
                TransformerLayer(hidden_dim, num_heads, 4 * hidden_dim, dropout) for _ in range(number)
            )

        self.branches = nn.ModuleList(Branch(dims[name], hidden_dim, layers(num_layers)) for name in self.names)
        self.cross = layers(len(dims) if len(dims) > 1 else 0)
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in self.names)
        self.join = nn.Sequential(nn.Linear(len(dims) * hidden_dim, hidden_dim), nn.ReLU(), nn.Dropout(dropout))

    def forward(self, steps: FusionInput) -> FusionOutput:
        values, flags = zip(*(seen(steps, name) for name in self.names), strict=True)
        observed = torch.stack(flags, dim=1)
        if self.training and len(self.names) > 1:
            observed = observed & keep_modalities(observed.any(-1), self.modality_dropout)[..., None]
        inside = within(steps.lengths, steps.times_s.shape[1])
        states = [branch(values[i], observed[:, i], inside) for i, branch in enumerate(self.branches)]
        if len(states) > 1:
            states = self._exchange(states, observed)
        normed = [norm(state) for norm, state in zip(self.norms, states, strict=True)]
        return FusionOutput(self.join(torch.cat(normed, dim=-1)))

    def _exchange(
        self, states: list[Float[Tensor, "batch time hidden"]], observed: Bool[Tensor, "batch names time"]
    ) -> list[Float[Tensor, "batch time hidden"]]:
        """Every branch after it looked at the observed steps of all others."""
        exchanged = []
        for i, layer in enumerate(self.cross):
            others = [j for j in range(len(states)) if j != i]
            memory = torch.cat([states[j] for j in others], dim=1)
            exchanged.append(layer(states[i], observed[:, others].flatten(1), memory))
        return exchanged


class Branch(nn.Module):
    """One modality over time; the learned ``missing`` stands in for every step that was not observed."""

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
        state = state + positions(state.shape[1], state.shape[2], state)
        for layer in self.layers:
            state = layer(state, inside)
        return state

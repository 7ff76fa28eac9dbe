"""Early fusion, then dilated convolutions for what is near and selective state spaces for what is far."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import check_normed, check_settings, ordered, seen_with_flags, within
from fusion.layers.selective import SelectiveStateSpace
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Liang et al. 2025, Mamba-VA, arXiv 2503.10104; Gu and Dao 2023, Mamba, arXiv 2312.00752",
    "context": "past",
    "differs": "Any number of modalities, each projected, their sum in place of one 1024-wide feature; all layers are "
    "hidden_dim wide, by default half the paper's 256 (its temporal blocks: 1024 down to 256), and their ReLU is not "
    "learned. States begin as Gu and Dao's, for in the paper's code they halve at every step and remember next to "
    "nothing; the scan is plain PyTorch.",
}


@FUSION_MODELS.register
def mamba(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    num_convolutions: int = 4,
    num_layers: int = 4,
    state_dim: int = 8,
    kernel: int = 15,
    dropout: float = 0.3,
) -> FusionModel:
    """Causal dilated convolutions, then selective state spaces: looks at the past only."""
    return Mamba(dims, hidden_dim, num_convolutions, num_layers, state_dim, kernel, dropout)


class Mamba(FusionModel):
    """Liang et al. 2025 (arXiv 2503.10104, 8th ABAW): causal, so it also runs as the frames come.

    A projection for each modality from its features and whether it was observed, summed; ``num_convolutions`` causal
    temporal blocks over ``kernel`` steps with dilation 1, 2, 4, ...; every step standardised over its features;
    ``num_layers`` selective state spaces of ``state_dim`` states for each feature, each added to its input and then
    normed; a linear layer with ReLU. All are ``hidden_dim`` wide. Raises ValueError for settings that make no sense.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        num_convolutions: int,
        num_layers: int,
        state_dim: int,
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = {"num_convolutions": num_convolutions, "num_layers": num_layers, "state_dim": state_dim}
        check_settings("mamba", dropout=dropout, hidden_dim=hidden_dim, kernel=kernel, **sizes)
        check_normed(hidden_dim)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        self.projections = nn.ModuleList(nn.Linear(dims[name] + 1, hidden_dim) for name in self.names)
        self.near = TemporalNetwork(hidden_dim, hidden_dim, num_convolutions, kernel, dropout, causal=True)
        self.far = nn.ModuleList(SelectiveStateSpace(hidden_dim, state_dim) for _ in range(num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in range(num_layers))
        self.out = nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.ReLU())

    def forward(self, steps: FusionInput) -> FusionOutput:
        projected = [
            layer(seen_with_flags(steps, name)) for layer, name in zip(self.projections, self.names, strict=True)
        ]
        hidden = self.near(torch.stack(projected).sum(0), within(steps.lengths, steps.times_s.shape[1]))
        hidden = F.layer_norm(hidden, (self.hidden_dim,))
        # padding comes after a window's end, and no layer from here on looks ahead
        for layer, norm in zip(self.far, self.norms, strict=True):
            hidden = norm(hidden + layer(hidden))
        return FusionOutput(self.out(hidden))

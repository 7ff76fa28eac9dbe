"""Mamba-VA: early fusion, causal dilated convolutions for short and state spaces for long contexts."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import (
    check_layer_norm,
    make_length_mask,
    mask_features_with_flag,
    sort_modalities,
)
from fusion.layers.recurrences.selective import SelectiveStateSpace
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Liang et al. 2025, Mamba-VA, arXiv 2503.10104; Gu and Dao 2023, Mamba, arXiv 2312.00752",
    "context": "past",
    "differs": "The sum of the projections of any number of modalities takes the place of one feature of width 1024. "
    "All layers have hidden_dim features, by default half of the paper's 256 (its temporal blocks go from 1024 to "
    "256), with ReLU instead of PReLU. States are initialised as by Gu and Dao, because those of the paper's code "
    "halve at every step and remember almost nothing. The scan is plain PyTorch.",
}


@FUSION_MODELS.register
def mamba(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    num_convolutions: Size = 4,
    num_layers: Size = 4,
    state_dim: Size = 8,
    kernel: Size = 15,
    dropout: DropoutRate = 0.3,
) -> FusionModel:
    """Causal dilated convolutions, then selective state spaces; uses only the past."""
    return Mamba(dims, hidden_dim, num_convolutions, num_layers, state_dim, kernel, dropout)


class Mamba(FusionModel):
    """Mamba-VA of Liang et al. 2025 (arXiv 2503.10104, 8th ABAW). Causal.

    The sum over modalities of linear projections of features and observed flag; ``num_convolutions`` causal temporal
    blocks over ``kernel`` steps with dilations 1, 2, 4, ...; a layer norm without weights; ``num_layers`` selective
    state spaces with ``state_dim`` states per feature, each with a residual connection and a layer norm; a linear layer
    with ReLU. All layers have ``hidden_dim`` features.

    Raises InputError where ``hidden_dim`` is 1, whose layer norm would be 0.
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
        check_layer_norm(hidden_dim)
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        self.projections = nn.ModuleList(nn.Linear(dims[name] + 1, hidden_dim) for name in self.names)
        self.tcn = TemporalNetwork(hidden_dim, hidden_dim, num_convolutions, kernel, dropout, causal=True)
        self.state_spaces = nn.ModuleList(SelectiveStateSpace(hidden_dim, state_dim) for _ in range(num_layers))
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in range(num_layers))
        self.out = nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.ReLU())

    def forward(self, inputs: FusionInput) -> FusionOutput:
        projected = [
            layer(mask_features_with_flag(inputs, name))
            for layer, name in zip(self.projections, self.names, strict=True)
        ]
        hidden = self.tcn(torch.stack(projected).sum(0), make_length_mask(inputs.lengths, inputs.times_s.shape[1]))
        hidden = F.layer_norm(hidden, (self.hidden_dim,))
        # no mask from here on: all layers are causal, and padding comes last
        for layer, norm in zip(self.state_spaces, self.norms, strict=True):
            hidden = norm(hidden + layer(hidden))
        return FusionOutput(self.out(hidden))

"""Early fusion over time: projections of all modalities, then a bidirectional GRU."""

from collections.abc import Mapping

import torch
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features_with_flag, sort_modalities
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Cho et al. 2014, arXiv 1406.1078 (the GRU); early fusion over time is a common baseline of ABAW teams",
    "context": "window",
    "differs": "Whether a modality was observed is one more feature. The backward direction starts at the end of each "
    "window.",
}


@FUSION_MODELS.register
def bigru(
    *, dims: Mapping[str, int], hidden_dim: Size = 64, num_layers: Size = 1, dropout: DropoutRate = 0.3
) -> FusionModel:
    """Projection for each modality, then a bidirectional GRU over their concatenation."""
    return BiGru(dims, hidden_dim, num_layers, dropout)


class BiGru(FusionModel):
    """Linear and ReLU for each modality, on its features and observed flag, then ``num_layers`` bidirectional GRUs.

    Projections and each direction of the GRU have ``hidden_dim`` features, the output has twice as many. Dropout is
    applied before and after the GRU.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = 2 * hidden_dim
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(dims[name] + 1, hidden_dim), nn.ReLU()) for name in self.names
        )
        self.dropout = nn.Dropout(dropout)
        width = hidden_dim * len(self.names)
        widths = [width] + [self.hidden_dim] * (num_layers - 1)
        self.recurrent = nn.ModuleList(Recurrent(nn.GRU, dim, hidden_dim, bidirectional=True) for dim in widths)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        projected = [
            layer(mask_features_with_flag(inputs, name))
            for layer, name in zip(self.projections, self.names, strict=True)
        ]
        hidden = self.dropout(torch.cat(projected, dim=-1))
        for layer in self.recurrent:
            hidden = layer(hidden, inputs.lengths)
        return FusionOutput(self.dropout(hidden))

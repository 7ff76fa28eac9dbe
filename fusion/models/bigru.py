"""Early fusion over time: every modality projected, then one bidirectional GRU over all of them."""

from collections.abc import Mapping

import torch
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, ordered, seen_with_flags
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Cho et al. 2014, arXiv 1406.1078 (the GRU); early fusion over time as most teams begin with",
    "context": "window",
    "differs": "Whether a modality was observed is a feature too; the backward direction starts at a window's own end.",
}


@FUSION_MODELS.register
def bigru(*, dims: Mapping[str, int], hidden_dim: int = 64, num_layers: int = 1, dropout: float = 0.3) -> FusionModel:
    """A projection for each modality, then a bidirectional GRU over all of them."""
    return BiGru(dims, hidden_dim, num_layers, dropout)


class BiGru(FusionModel):
    """``hidden_dim`` is the width of a projection and of one direction; the fused width is twice that.

    A projection sees its modality's features and whether it was observed. Dropout lies before and after the GRU.
    Raises ValueError for settings that make no sense.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        check_settings("bigru", dropout=dropout, hidden_dim=hidden_dim, num_layers=num_layers)
        self.names = ordered(dims)
        self.hidden_dim = 2 * hidden_dim
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(dims[name] + 1, hidden_dim), nn.ReLU()) for name in self.names
        )
        self.dropout = nn.Dropout(dropout)
        width = hidden_dim * len(self.names)
        widths = [width] + [self.hidden_dim] * (num_layers - 1)
        self.recurrent = nn.ModuleList(Recurrent(nn.GRU, dim, hidden_dim, bidirectional=True) for dim in widths)

    def forward(self, steps: FusionInput) -> FusionOutput:
        projected = [
            layer(seen_with_flags(steps, name)) for layer, name in zip(self.projections, self.names, strict=True)
        ]
        hidden = self.dropout(torch.cat(projected, dim=-1))
        for layer in self.recurrent:
            hidden = layer(hidden, steps.lengths)
        return FusionOutput(self.dropout(hidden))

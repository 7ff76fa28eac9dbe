"""Early fusion without time: a perceptron on what every modality says at this step."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, ordered, seen_with_flags
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "none: early fusion as every comparison has it",
    "context": "step",
    "differs": "Whether a modality was observed is a feature too.",
}


@FUSION_MODELS.register
def concat(*, dims: Mapping[str, int], hidden_dim: int = 128, num_layers: int = 2, dropout: float = 0.2) -> FusionModel:
    """A perceptron on all modalities of a step: no temporal context."""
    return Concat(dims, hidden_dim, num_layers, dropout)


class Concat(FusionModel):
    """Features of all modalities and whether each was observed, side by side; ``num_layers`` of Linear, ReLU, dropout.

    Raises ValueError for settings that make no sense.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        check_settings("concat", dropout=dropout, hidden_dim=hidden_dim, num_layers=num_layers)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        widths = [sum(dims[name] + 1 for name in self.names)] + [hidden_dim] * num_layers
        blocks = [
            nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Dropout(dropout)) for dim, width in pairwise(widths)
        ]
        self.layers = nn.Sequential(*blocks)

    def forward(self, steps: FusionInput) -> FusionOutput:
        return FusionOutput(self.layers(torch.cat([seen_with_flags(steps, name) for name in self.names], dim=-1)))

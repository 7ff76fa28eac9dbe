"""Early fusion without temporal context: a perceptron on the concatenated modalities of a step."""

from collections.abc import Mapping
from itertools import pairwise

import torch
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features_with_flag, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "none: early fusion, the usual baseline",
    "context": "step",
    "differs": "Whether a modality was observed is one more feature.",
}


@FUSION_MODELS.register
def concat(
    *, dims: Mapping[str, int], hidden_dim: Size = 128, num_layers: Size = 2, dropout: DropoutRate = 0.2
) -> FusionModel:
    """Perceptron on the concatenated modalities of a step, without temporal context."""
    return Concat(dims, hidden_dim, num_layers, dropout)


class Concat(FusionModel):
    """``num_layers`` of Linear, ReLU and dropout on the features and observed flags of all modalities.

    The output has ``hidden_dim`` features.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, num_layers: int, dropout: float) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        widths = [sum(dims[name] + 1 for name in self.names)] + [hidden_dim] * num_layers
        blocks = [
            nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Dropout(dropout)) for dim, width in pairwise(widths)
        ]
        self.layers = nn.Sequential(*blocks)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        return FusionOutput(
            self.layers(torch.cat([mask_features_with_flag(inputs, name) for name in self.names], dim=-1))
        )

"""A siamese encoder that several tasks share: a small embedding of unit length, trained on pairs of steps."""

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated

import torch
from pydantic import Field
from torch import nn
from torch.nn.functional import normalize

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features_with_flag, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "LinkedIn post embeddings, 2024 (arXiv 2405.11344), known from secondary sources: a siamese encoder, "
    "binary cross-entropy on the cosine of pairs from several tasks, 50 numbers",
    "context": "step",
    "differs": "A perceptron on frozen features of a step instead of a fine-tuned language model. The relations of "
    "expression, valence-arousal and action units are ours, as are scale and offset of the cosine: the sources do not "
    "give them. Task heads read the embedding and do not train it. A twin for each task alone is trained beside it.",
}


@FUSION_MODELS.register
def multitask_contrastive(
    *,
    dims: Mapping[str, int],
    embedding_dim: Annotated[int, Field(ge=2)] = 50,
    hidden_dim: Size = 128,
    num_layers: Size = 2,
    dropout: DropoutRate = 0.0,
) -> FusionModel:
    """Embedding of unit length that all tasks share, trained on pairs of steps; for abaw embed and abaw similar."""
    return MultitaskContrastive(dims, embedding_dim, hidden_dim, num_layers, dropout)


class MultitaskContrastive(FusionModel):
    """``num_layers`` linear layers on the features and observed flags of a step, ReLU and dropout between them.

    The output has ``embedding_dim`` numbers with a sum of squares of 1. ``fusion/contrastive`` trains it.
    """

    is_siamese = True

    def __init__(
        self, dims: Mapping[str, int], embedding_dim: int, hidden_dim: int, num_layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = embedding_dim
        widths = [sum(dims[name] + 1 for name in self.names)] + [hidden_dim] * (num_layers - 1)
        blocks = [
            nn.Sequential(nn.Linear(dim, width), nn.ReLU(), nn.Dropout(dropout)) for dim, width in pairwise(widths)
        ]
        self.layers = nn.Sequential(*blocks, nn.Linear(widths[-1], embedding_dim))

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values = self.layers(torch.cat([mask_features_with_flag(inputs, name) for name in self.names], dim=-1))
        # in single precision: the squares of small values underflow in half precision
        return FusionOutput(normalize(values.float(), dim=-1).to(values.dtype))

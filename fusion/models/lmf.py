"""Low-rank Multimodal Fusion: a low-rank form of the outer product of all modalities, never computed explicitly."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.subnetworks import SubNetworks
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Liu et al. 2018, Efficient Low-rank Multimodal Fusion with Modality-Specific Factors, arXiv 1806.00064",
    "context": "step",
    "differs": "The product is computed at every step and gives hidden_dim features; in the paper it is the prediction "
    "itself. Only the modalities named in `recurrent` have an LSTM (and see the past). Standardisation in the input "
    "stage replaces batch norm. The paper does not say how factors are initialised: ours start with a product of about "
    "1, because a product of many small random factors vanishes. An unobserved modality contributes only its "
    "constant 1.",
}


@FUSION_MODELS.register
def lmf(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    factor_dim: Size = 32,
    rank: Size = 4,
    recurrent: Sequence[str] = (),
    dropout: DropoutRate = 0.3,
) -> FusionModel:
    """Sub-network for each modality, then their outer product in low-rank form, at every step."""
    return LowRankFusion(dims, hidden_dim, factor_dim, rank, recurrent, dropout)


class LowRankFusion(FusionModel):
    """LMF of Liu et al. 2018 (arXiv 1806.00064), at every step.

    The sub-network of each modality gives z = [1, h(1) .. h(factor_dim)]; linear factors map it to ``rank`` vectors of
    ``hidden_dim`` features. These are multiplied over the modalities and summed over the rank with learned weights;
    a bias is added. ``recurrent`` names the modalities whose sub-network is an LSTM with ``hidden_dim`` units.

    Raises InputError where ``recurrent`` names an unknown modality, or one twice.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        factor_dim: int,
        rank: int,
        recurrent: Sequence[str],
        dropout: float,
    ) -> None:
        super().__init__()
        self.subnetworks = SubNetworks(dims, factor_dim, dropout, recurrent=recurrent, hidden_dim=hidden_dim)
        self.hidden_dim, self.rank = hidden_dim, rank
        factors = [nn.Linear(factor_dim, rank * hidden_dim) for _ in dims]
        for factor in factors:
            nn.init.ones_(factor.bias)  # the weights of the 1 in z
        self.factors = nn.ModuleList(factors)
        self.weights = nn.Parameter(torch.randn(rank) / math.sqrt(rank))
        self.bias = nn.Parameter(torch.zeros(hidden_dim))

    def forward(self, inputs: FusionInput) -> FusionOutput:
        features = self.subnetworks(inputs)
        projected = (factor(each) for factor, each in zip(self.factors, features, strict=True))
        product = reduce(torch.mul, projected).unflatten(-1, (self.rank, self.hidden_dim))
        return FusionOutput(self.weights @ product + self.bias)

"""Low-rank fusion: what the outer product of all modalities says at a step, without ever forming it."""

import math
from collections.abc import Mapping, Sequence
from functools import reduce

import torch
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings
from fusion.layers.subnetworks import SubNetworks
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Liu et al. 2018, Efficient Low-rank Multimodal Fusion with Modality-Specific Factors, arXiv 1806.00064",
    "context": "step",
    "differs": "Frame by frame, as wide as `hidden_dim` where the paper's product is the answer itself; an LSTM only "
    "for the modalities named in `recurrent` (these then see the past); batch norm is the fixed statistics of the "
    "front. The paper leaves the start of the factors open: ours multiply by about 1, because a product of many small "
    "random ones vanishes; an unobserved modality is its 1 alone.",
}


@FUSION_MODELS.register
def lmf(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    factor_dim: int = 32,
    rank: int = 4,
    recurrent: Sequence[str] = (),
    dropout: float = 0.3,
) -> FusionModel:
    """A sub-network for each modality and the product of all in low-rank factors, at every step."""
    return LowRankFusion(dims, hidden_dim, factor_dim, rank, recurrent, dropout)


class LowRankFusion(FusionModel):
    """Liu et al. 2018 (arXiv 1806.00064), LMF, at every step.

    Each modality through its sub-network to z = [1, h(1) .. h(factor_dim)] and on to ``rank`` vectors of ``hidden_dim``
    by linear factors; their product over the modalities; a weighted sum over the rank and a bias. ``recurrent`` names
    the modalities whose sub-network is an LSTM of ``hidden_dim`` units.
    Raises ValueError for settings that make no sense and for an unknown modality.
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
        check_settings("lmf", dropout=dropout, hidden_dim=hidden_dim, factor_dim=factor_dim, rank=rank)
        self.subnetworks = SubNetworks(dims, factor_dim, dropout, recurrent=recurrent, hidden_dim=hidden_dim)
        self.hidden_dim, self.rank = hidden_dim, rank
        factors = [nn.Linear(factor_dim, rank * hidden_dim) for _ in dims]
        for factor in factors:
            nn.init.ones_(factor.bias)  # what multiplies the 1 in z
        self.factors = nn.ModuleList(factors)
        self.weights = nn.Parameter(torch.randn(rank) / math.sqrt(rank))
        self.bias = nn.Parameter(torch.zeros(hidden_dim))

    def forward(self, steps: FusionInput) -> FusionOutput:
        features = self.subnetworks(steps)
        projected = (factor(each) for factor, each in zip(self.factors, features, strict=True))
        product = reduce(torch.mul, projected).unflatten(-1, (self.rank, self.hidden_dim))
        return FusionOutput(self.weights @ product + self.bias)

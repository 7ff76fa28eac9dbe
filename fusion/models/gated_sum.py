"""Gated Multimodal Unit: a gate for each modality and hidden unit at every step."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.models import FUSION_MODELS

Gates = Literal["sigmoid", "softmax"]

FACTS = {
    "paper": "Arevalo et al. 2017, Gated Multimodal Units for Information Fusion, arXiv 1702.01992",
    "context": "step",
    "differs": "Every step is a sample of its own. `gates: softmax`, over the observed modalities, generalises the "
    "unit for two modalities (z and 1 - z) to any number. The rate of dropout on the fused state, which the paper "
    "tunes, is 0.2 by default.",
}


@FUSION_MODELS.register
def gated_sum(
    *, dims: Mapping[str, int], hidden_dim: Size = 128, gates: Gates = "sigmoid", dropout: DropoutRate = 0.2
) -> FusionModel:
    """Gated multimodal unit at every step: the sum of the modalities, each multiplied by its gate."""
    return GatedSum(dims, hidden_dim, gates, dropout)


class GatedSum(FusionModel):
    """Gated multimodal unit of Arevalo et al. 2017 (arXiv 1702.01992): the sum over modalities of gate * tanh(W x).

    W maps dim features to ``hidden_dim``; gates, one for each modality and hidden unit, are computed from all
    modalities concatenated. As in the paper there are no biases, so that an unobserved modality (x = 0) contributes
    exactly 0. ``gates`` "sigmoid" is the paper's unit for any number of modalities. "softmax" normalises the gates over
    the observed modalities; for two modalities these are the paper's z and 1 - z, for one there is no gate. The output
    has ``hidden_dim`` features.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, gates: Gates, dropout: float) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        self.is_softmax = gates == "softmax"
        self.layers = nn.ModuleList(nn.Linear(dims[name], hidden_dim, bias=False) for name in self.names)
        # a softmax over one modality is always 1: its weights would have no gradient
        is_gated = len(dims) > 1 or not self.is_softmax
        self.gate = nn.Linear(sum(dims.values()), len(dims) * hidden_dim, bias=False) if is_gated else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, observed = zip(*(mask_features(inputs, name) for name in self.names), strict=True)
        states = [layer(each).tanh() for layer, each in zip(self.layers, values, strict=True)]
        hidden = torch.stack(states, dim=2)
        if self.gate is not None:
            logits = self.gate(torch.cat(values, dim=-1)).unflatten(-1, (len(self.names), -1))
            hidden = hidden * self._compute_gates(logits, torch.stack(observed, dim=2))
        return FusionOutput(self.dropout(hidden.sum(2)))

    def _compute_gates(
        self, logits: Float[Tensor, "batch time names hidden"], observed: Bool[Tensor, "batch time names"]
    ) -> Float[Tensor, "batch time names hidden"]:
        if not self.is_softmax:
            return logits.sigmoid()
        # finite: a softmax over -inf alone would be NaN; the gated values are 0 there
        lowest = torch.finfo(logits.dtype).min
        return torch.where(observed[..., None], logits, lowest).softmax(dim=2)

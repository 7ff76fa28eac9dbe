"""Gated multimodal units: at every step, how far each modality comes through in each hidden unit."""

from collections.abc import Mapping
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, ordered, seen
from fusion.models import FUSION_MODELS

Gates = Literal["sigmoid", "softmax"]

FACTS = {
    "paper": "Arevalo et al. 2017, Gated Multimodal Units for Information Fusion, arXiv 1702.01992",
    "context": "step",
    "differs": "Every step is a sample of its own. With gates: softmax over the modalities that were observed the unit "
    "for two modalities (z and 1 - z) is had for any number. Dropout on the fused state, whose rate the paper searches "
    "for, is 0.2 by default.",
}


@FUSION_MODELS.register
def gated_sum(
    *, dims: Mapping[str, int], hidden_dim: int = 128, gates: Gates = "sigmoid", dropout: float = 0.2
) -> FusionModel:
    """A gated multimodal unit at every step: a gate for each modality, then the sum."""
    return GatedSum(dims, hidden_dim, gates, dropout)


class GatedSum(FusionModel):
    """Arevalo et al. 2017: sum over modalities of gate * tanh(W x), the gates seeing all modalities side by side.

    W: dim -> ``hidden_dim``, the gates: all dims -> one for each modality and hidden unit; as in the paper there are no
    biases, which makes an unobserved modality (x = 0) add exactly 0. ``gates`` "sigmoid" is the paper's unit for any
    number of modalities; "softmax" shares 1 among the observed ones, which for two modalities is the paper's z and
    1 - z, and for one is no gate at all. Raises ValueError for settings that make no sense.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, gates: Gates, dropout: float) -> None:
        super().__init__()
        check_settings("gated_sum", dropout=dropout, hidden_dim=hidden_dim)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        self.shares_one = gates == "softmax"
        self.layers = nn.ModuleList(nn.Linear(dims[name], hidden_dim, bias=False) for name in self.names)
        # a softmax over one modality is 1 whatever it is given: its weights would never learn
        is_gated = len(dims) > 1 or not self.shares_one
        self.gate = nn.Linear(sum(dims.values()), len(dims) * hidden_dim, bias=False) if is_gated else None
        self.dropout = nn.Dropout(dropout)

    def forward(self, steps: FusionInput) -> FusionOutput:
        values, observed = zip(*(seen(steps, name) for name in self.names), strict=True)
        states = [layer(each).tanh() for layer, each in zip(self.layers, values, strict=True)]
        hidden = torch.stack(states, dim=2)
        if self.gate is not None:
            logits = self.gate(torch.cat(values, dim=-1)).unflatten(-1, (len(self.names), -1))
            hidden = hidden * self._open(logits, torch.stack(observed, dim=2))
        return FusionOutput(self.dropout(hidden.sum(2)))

    def _open(
        self, logits: Float[Tensor, "batch time names hidden"], observed: Bool[Tensor, "batch time names"]
    ) -> Float[Tensor, "batch time names hidden"]:
        if not self.shares_one:
            return logits.sigmoid()
        # finite, for where nothing was observed a softmax over -inf would be NaN; what it then shares out is 0
        least = torch.finfo(logits.dtype).min
        return torch.where(observed[..., None], logits, least).softmax(dim=2)

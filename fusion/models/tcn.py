"""Early fusion over time by convolution: all modalities side by side, then dilated convolutions."""

from collections.abc import Mapping

import torch

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import check_settings, ordered, seen_with_flags, within
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Bai et al. 2018, An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence "
    "Modeling, arXiv 1803.01271 (the TCN)",
    "context": "window",
    "differs": "Convolutions are centred unless causal is set, for a recorded clip knows its future; four blocks with "
    "kernel 5 and dropout 0.1, as ABAW teams use it. Whether a modality was observed is a feature too, and what lies "
    "outside a window is read as 0 in every layer.",
}


@FUSION_MODELS.register
def tcn(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    num_layers: int = 4,
    kernel: int = 5,
    dropout: float = 0.1,
    causal: bool = False,
) -> FusionModel:
    """A temporal convolutional network over all modalities; causal if it must not look ahead."""
    return Tcn(dims, hidden_dim, num_layers, kernel, dropout, causal=causal)


class Tcn(FusionModel):
    """Features of all modalities and whether each was observed, side by side, through ``num_layers`` temporal blocks.

    A step sees 2 (kernel - 1) (2^num_layers - 1) steps: about half of them before and half after it, or all of them
    before it where ``causal``. Raises ValueError for settings that make no sense.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, num_layers: int, kernel: int, dropout: float, *, causal: bool
    ) -> None:
        super().__init__()
        check_settings("tcn", dropout=dropout, hidden_dim=hidden_dim, num_layers=num_layers, kernel=kernel)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        width = sum(dims[name] + 1 for name in self.names)
        self.network = TemporalNetwork(width, hidden_dim, num_layers, kernel, dropout, causal=causal)

    def forward(self, steps: FusionInput) -> FusionOutput:
        values = torch.cat([seen_with_flags(steps, name) for name in self.names], dim=-1)
        return FusionOutput(self.network(values, within(steps.lengths, values.shape[1])))

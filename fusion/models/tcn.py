"""Early fusion over time: all modalities concatenated, then a temporal convolutional network."""

from collections.abc import Mapping

import torch

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import make_length_mask, mask_features_with_flag, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Bai et al. 2018, An Empirical Evaluation of Generic Convolutional and Recurrent Networks for Sequence "
    "Modeling, arXiv 1803.01271 (the TCN)",
    "context": "window",
    "differs": "Convolutions are centred unless causal is set, because recorded clips can be processed offline. Four "
    "blocks with kernel 5 and dropout 0.1, as ABAW teams use. Whether a modality was observed is one more feature, and "
    "padding is 0 in every layer.",
}


@FUSION_MODELS.register
def tcn(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    num_layers: Size = 4,
    kernel: Size = 5,
    dropout: DropoutRate = 0.1,
    causal: bool = False,
) -> FusionModel:
    """Temporal convolutional network over all modalities; optionally causal."""
    return Tcn(dims, hidden_dim, num_layers, kernel, dropout, causal=causal)


class Tcn(FusionModel):
    """``num_layers`` temporal blocks on the features and observed flags of all modalities.

    The receptive field is 1 + 2 (kernel - 1) (2^num_layers - 1) steps, centred on the step or, if ``causal``, ending
    with it. The output has ``hidden_dim`` features.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, num_layers: int, kernel: int, dropout: float, *, causal: bool
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        width = sum(dims[name] + 1 for name in self.names)
        self.network = TemporalNetwork(width, hidden_dim, num_layers, kernel, dropout, causal=causal)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values = torch.cat([mask_features_with_flag(inputs, name) for name in self.names], dim=-1)
        return FusionOutput(self.network(values, make_length_mask(inputs.lengths, values.shape[1])))

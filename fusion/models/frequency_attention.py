"""Self-attention on the low frequencies of the modalities' sum over time, and a convolution for the high ones."""

from collections.abc import Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.frequency import FrequencyMode, FrequencySelfAttention, count_coefficients
from fusion.layers.masks import make_length_mask, mask_features_with_flag, sort_modalities, zero_unobserved
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zhang et al. 2022, Frequency Self-attention for Semantic Segmentation (FsaNet), arXiv 2211.15595",
    "context": "window",
    "differs": "Attention is over the steps of a window instead of the pixels of a picture, with a cosine basis of "
    "each window's true length. The number of coefficients follows from a cut-off in Hz and the window's duration. The "
    "gain of the residual starts at 0.1 instead of 0, so that every weight has a gradient in the first step. Around "
    "it, ours: before it a linear map of each modality and its observed flag, their sum, and ReLU; after it a "
    "depthwise convolution with ReLU, which sees the high frequencies. No normalisation.",
}


@FUSION_MODELS.register
def frequency_attention(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    cutoff_hz: Annotated[float, Field(gt=0)] = 1.5,
    head_dim: Size = 32,
    mode: FrequencyMode = "dot",
    num_repeats: Size = 2,
    kernel: Size = 5,
    dropout: DropoutRate = 0.2,
) -> FusionModel:
    """Sum of the projected modalities, attention on its low frequencies at linear cost, depthwise convolution."""
    return FrequencyAttention(dims, hidden_dim, cutoff_hz, head_dim, mode, num_repeats, kernel, dropout)


class FrequencyAttention(FusionModel):
    """A linear map of each modality and its observed flag to ``hidden_dim`` features, ReLU of their sum, dropout,
    ``num_repeats`` rounds of attention on frequencies up to ``cutoff_hz``, and a residual depthwise convolution.

    The cost grows with the number of steps times that of coefficients.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        cutoff_hz: float,
        head_dim: int,
        mode: FrequencyMode,
        num_repeats: int,
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim, self.cutoff_hz = hidden_dim, cutoff_hz
        self.projections = nn.ModuleList(nn.Linear(dims[name] + 1, hidden_dim) for name in self.names)
        self.dropout = nn.Dropout(dropout)
        self.attention = FrequencySelfAttention(hidden_dim, head_dim=head_dim, mode=mode, num_repeats=num_repeats)
        self.convolve = nn.Conv1d(hidden_dim, hidden_dim, kernel, padding="same", groups=hidden_dim)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        assert self.cutoff_hz is not None
        projected = [
            layer(mask_features_with_flag(inputs, name))
            for layer, name in zip(self.projections, self.names, strict=True)
        ]
        hidden = self.dropout(torch.stack(projected).sum(0).relu())
        num_coefficients = count_coefficients(inputs.times_s, inputs.lengths, self.cutoff_hz)
        hidden = self.attention(hidden, inputs.lengths, num_coefficients)
        inside = make_length_mask(inputs.lengths, hidden.shape[1])
        local = self.convolve(zero_unobserved(hidden, inside).transpose(1, 2)).transpose(1, 2)
        return FusionOutput(hidden + local.relu())

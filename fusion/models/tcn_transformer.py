"""Convolutions for what is near, attention for what is far: a TCN for each modality, a transformer over all."""

from collections.abc import Mapping

import torch
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.attention import TransformerLayer
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import check_settings, ordered, seen_with_flags, within
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zhou et al. 2024, Boosting Continuous Emotion Recognition with Self-Pretraining using Masked "
    "Autoencoders, Temporal Convolutional Networks, and Transformers, arXiv 2403.11440; for several modalities as in "
    "Zhou et al. 2023, arXiv 2303.08356",
    "context": "window",
    "differs": "The paper gives no sizes; kernel, blocks, width of the TCNs, heads and the missing positions (causal "
    "convolutions know the order) are the public code's, but the transformer is 128 wide with 4 layers, where theirs, "
    "trained at 3e-5 after a warm-up, is 512 wide with 8: hidden_dim and num_layers give it back. Every block of a TCN "
    "is conv_dim wide where its first is as wide as the features, with ReLU for PReLU; the transformer normalises "
    "before each part and at the end where theirs does so after each.",
}


@FUSION_MODELS.register
def tcn_transformer(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    num_layers: int = 4,
    num_heads: int = 4,
    conv_dim: int = 128,
    num_blocks: int = 3,
    kernel: int = 5,
    dropout: float = 0.3,
) -> FusionModel:
    """A causal TCN for each modality, then a transformer encoder over all of them."""
    return TcnTransformer(dims, hidden_dim, num_layers, num_heads, conv_dim, num_blocks, kernel, dropout)


class TcnTransformer(FusionModel):
    """Zhou et al. 2024 (arXiv 2403.11440, CtyunAI in the 6th ABAW), windows of 300 steps there.

    Per modality a causal TCN of ``num_blocks`` temporal blocks, ``conv_dim`` wide, on its features and whether it was
    observed; side by side; Linear to ``hidden_dim``; ``num_layers`` transformer layers whose perceptron is as wide as
    they are; layer norm. Attention sees every step of the window, also those where nothing was observed: there the TCN
    has what came before. Raises ValueError for settings that make no sense.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        conv_dim: int,
        num_blocks: int,
        kernel: int,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = {"hidden_dim": hidden_dim, "num_layers": num_layers, "num_heads": num_heads}
        sizes |= {"conv_dim": conv_dim, "num_blocks": num_blocks, "kernel": kernel}
        check_settings("tcn_transformer", dropout=dropout, **sizes)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        self.convolve = nn.ModuleList(
            TemporalNetwork(dims[name] + 1, conv_dim, num_blocks, kernel, dropout, causal=True) for name in self.names
        )
        self.project = nn.Linear(conv_dim * len(self.names), hidden_dim)
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_dim, num_heads, hidden_dim, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)

    def forward(self, steps: FusionInput) -> FusionOutput:
        inside = within(steps.lengths, steps.times_s.shape[1])
        convolved = [
            network(seen_with_flags(steps, name), inside)
            for network, name in zip(self.convolve, self.names, strict=True)
        ]
        hidden = self.project(torch.cat(convolved, dim=-1))
        for layer in self.layers:
            hidden = layer(hidden, inside)
        return FusionOutput(self.norm(hidden))

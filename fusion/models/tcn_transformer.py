"""TCN for each modality for short contexts, then a transformer over all of them for long contexts."""

from collections.abc import Mapping

import torch
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.attention import TransformerLayer
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import make_length_mask, mask_features_with_flag, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zhou et al. 2024, Boosting Continuous Emotion Recognition with Self-Pretraining using Masked "
    "Autoencoders, Temporal Convolutional Networks, and Transformers, arXiv 2403.11440; for several modalities as in "
    "Zhou et al. 2023, arXiv 2303.08356",
    "context": "window",
    "differs": "The paper gives no sizes. Kernel, blocks and width of the TCNs, heads and the lack of positions "
    "(causal convolutions encode the order) are those of the public code. The transformer is 128 wide with 4 layers; "
    "theirs, trained at 3e-5 after a warm-up, is 512 wide with 8 (set hidden_dim and num_layers). All TCN blocks are "
    "conv_dim wide (the first of the paper is as wide as the features), with ReLU instead of PReLU. The transformer is "
    "pre-norm with a final layer norm, theirs is post-norm. The head of a task is one linear layer, as for all models "
    "here; hidden layers in the head are not built.",
}


@FUSION_MODELS.register
def tcn_transformer(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    num_layers: Size = 4,
    num_heads: Size = 4,
    conv_dim: Size = 128,
    num_blocks: Size = 3,
    kernel: Size = 5,
    dropout: DropoutRate = 0.3,
) -> FusionModel:
    """Causal TCN for each modality, then a transformer encoder over all of them."""
    return TcnTransformer(dims, hidden_dim, num_layers, num_heads, conv_dim, num_blocks, kernel, dropout)


class TcnTransformer(FusionModel):
    """TCN and transformer of Zhou et al. 2024 (arXiv 2403.11440, CtyunAI in the 6th ABAW, with windows of 300 frames).

    For each modality a causal TCN of ``num_blocks`` temporal blocks, ``conv_dim`` wide, on its features and observed
    flag. The concatenation goes through a linear layer to ``hidden_dim``, ``num_layers`` transformer layers with a
    feed-forward network of the same width, and a layer norm. Attention covers all steps of a window, also unobserved
    ones, because the TCN carries earlier steps over to them. The output has ``hidden_dim`` features.

    Raises InputError where ``num_heads`` does not divide ``hidden_dim``, or this is 1.
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
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        self.convolve = nn.ModuleList(
            TemporalNetwork(dims[name] + 1, conv_dim, num_blocks, kernel, dropout, causal=True) for name in self.names
        )
        self.project = nn.Linear(conv_dim * len(self.names), hidden_dim)
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_dim, num_heads, hidden_dim, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
        convolved = [
            network(mask_features_with_flag(inputs, name), inside)
            for network, name in zip(self.convolve, self.names, strict=True)
        ]
        hidden = self.project(torch.cat(convolved, dim=-1))
        for layer in self.layers:
            hidden = layer(hidden, inside)
        return FusionOutput(self.norm(hidden))

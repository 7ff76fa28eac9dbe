"""The expression model of Wen et al. 2024: each frame's features, concatenated with a transformer's output."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.attention import MultiHeadAttention, TransformerLayer
from fusion.layers.masks import mask_features, sort_modalities
from fusion.models import FUSION_MODELS

Variant = Literal["transformer", "attention", "both", "none"]

FACTS = {
    "paper": "Wen et al. 2024, Multimodal Fusion with Pre-Trained Model Features in Affective Behaviour Analysis "
    "In-the-wild, arXiv 2403.15044 (the model for EXPR)",
    "context": "window",
    "differs": "The concatenated modalities (0 where unobserved) take the place of the features of one backbone. "
    "Attention is restricted to steps at which a modality was observed. Queries and values have a bias and keys have "
    "none; in the authors' code none of them has one. As there, positions are left out, the variant 'attention' reads "
    "features without layer norm, and 'both' is [features, attention, transformer], each computed from the features.",
}


@FUSION_MODELS.register
def frame_transformer(
    *,
    dims: Mapping[str, int],
    variant: Variant = "transformer",
    num_layers: Size = 1,
    num_heads: Size = 2,
    head_dim: Size = 64,
    mlp_dim: Size = 512,
    dropout: DropoutRate = 0.5,
) -> FusionModel:
    """Concatenated modalities of a frame, and the output of a transformer over the window."""
    return FrameTransformer(dims, variant, num_layers, num_heads, head_dim, mlp_dim, dropout)


class FrameTransformer(FusionModel):
    """Expression model of Wen et al. 2024 (arXiv 2403.15044), without its backbone.

    The dim features of a frame, all modalities concatenated, go through ``num_layers`` pre-norm transformer layers over
    the window (GELU, no dropout). The output is [features, transformer output] with dropout: 2 dim features. Variants:

    - "attention": multi-head attention in place of the transformer (2 dim features);
    - "both": attention and transformer (3 dim features);
    - "none": the features alone (dim features); all settings but ``dropout`` are then unused.

    Each head has ``head_dim`` features, whatever dim is.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        variant: Variant,
        num_layers: int,
        num_heads: int,
        head_dim: int,
        mlp_dim: int,
        dropout: float,
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        dim = sum(dims.values())
        has_attention, has_transformer = variant in ("attention", "both"), variant in ("transformer", "both")
        self.attention = MultiHeadAttention(dim, num_heads, head_dim=head_dim) if has_attention else None
        self.transformer = nn.ModuleList(
            TransformerLayer(dim, num_heads, mlp_dim, 0.0, head_dim=head_dim, activation=nn.GELU)
            for _ in range(num_layers if has_transformer else 0)
        )
        self.dropout = nn.Dropout(dropout)
        self.hidden_dim = dim * (1 + has_attention + has_transformer)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, flags = zip(*(mask_features(inputs, name) for name in self.names), strict=True)
        features, any_observed = torch.cat(values, dim=-1), torch.stack(flags).any(0)
        parts = [features]
        if self.attention is not None:
            parts.append(self.attention(features, features, any_observed))
        if self.transformer:
            hidden = features
            for layer in self.transformer:
                hidden = layer(hidden, any_observed)
            parts.append(hidden)
        return FusionOutput(self.dropout(torch.cat(parts, dim=-1)))

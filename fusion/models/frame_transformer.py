"""The seed system's model for expressions: every frame's features beside what a transformer made of the window."""

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.attention import MultiHeadAttention, TransformerLayer
from fusion.layers.masks import check_settings, ordered, seen
from fusion.models import FUSION_MODELS

Variant = Literal["transformer", "attention", "both", "none"]

FACTS = {
    "paper": "Wen et al. 2024, Multimodal Fusion with Pre-Trained Model Features in Affective Behaviour Analysis "
    "In-the-wild, arXiv 2403.15044 (the model for EXPR)",
    "context": "window",
    "differs": "Modalities lie side by side where the paper has one backbone's features, unobserved ones as 0; a step "
    "attends to steps at which something was observed, and queries, keys and values have a bias. As in the authors' "
    "code no positions are added, the attention without a transformer reads the features unnormed, and 'both' is "
    "[features, attention, transformer], each on the features.",
}


@FUSION_MODELS.register
def frame_transformer(
    *,
    dims: Mapping[str, int],
    variant: Variant = "transformer",
    num_layers: int = 1,
    num_heads: int = 2,
    head_dim: int = 64,
    mlp_dim: int = 512,
    dropout: float = 0.5,
) -> FusionModel:
    """All modalities of a frame, beside what a transformer over the window makes of them."""
    return FrameTransformer(dims, variant, num_layers, num_heads, head_dim, mlp_dim, dropout)


class FrameTransformer(FusionModel):
    """Wen et al. 2024 (arXiv 2403.15044), the model for expressions, without its backbone.

    The features of a frame (dim), all modalities side by side, beside those of ``num_layers`` pre-norm transformer
    layers over the window (GELU in the perceptron, no dropout), then dropout: the fused width is 2 dim. The variants:
    "attention", multi-head attention alone instead (2 dim); "both" (3 dim); "none", the features alone (dim), which
    needs no other setting than ``dropout``. Heads are ``head_dim`` wide whatever the number of features.
    Raises ValueError for settings that make no sense.
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
        check_settings(
            "frame_transformer",
            dropout=dropout,
            num_layers=num_layers,
            num_heads=num_heads,
            head_dim=head_dim,
            mlp_dim=mlp_dim,
        )
        self.names = ordered(dims)
        dim = sum(dims.values())
        has_attention, has_transformer = variant in ("attention", "both"), variant in ("transformer", "both")
        self.attention = MultiHeadAttention(dim, num_heads, head_dim=head_dim) if has_attention else None
        self.transformer = nn.ModuleList(
            TransformerLayer(dim, num_heads, mlp_dim, 0.0, head_dim=head_dim, activation=nn.GELU)
            for _ in range(num_layers if has_transformer else 0)
        )
        self.dropout = nn.Dropout(dropout)
        self.hidden_dim = dim * (1 + has_attention + has_transformer)

    def forward(self, steps: FusionInput) -> FusionOutput:
        values, flags = zip(*(seen(steps, name) for name in self.names), strict=True)
        features, anything = torch.cat(values, dim=-1), torch.stack(flags).any(0)
        parts = [features]
        if self.attention is not None:
            parts.append(self.attention(features, features, anything))
        if self.transformer:
            hidden = features
            for layer in self.transformer:
                hidden = layer(hidden, anything)
            parts.append(hidden)
        return FusionOutput(self.dropout(torch.cat(parts, dim=-1)))

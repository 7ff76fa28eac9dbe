"""Multimodal Bottleneck Transformer: modalities exchange information through a few shared tokens."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.attention import TransformerLayer, sinusoidal_positions
from fusion.layers.masks import mask_features, mask_features_with_flag, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Nagrani et al. 2021, Attention Bottlenecks for Multimodal Fusion, arXiv 2107.00135 (MBT)",
    "context": "window",
    "differs": "The tokens of a modality are its steps, and the output at a step is the mean over modalities, so that "
    "no class token is needed. 4 layers of width 64 with fusion from the third, where the paper uses a pretrained ViT "
    "with 12 layers of width 768 and fusion from the ninth. Sinusoidal instead of learned positions, dropout instead "
    "of stochastic depth. Unobserved steps are masked, and a modality without observed steps is left out of the means "
    "of bottleneck tokens and outputs.",
}


@FUSION_MODELS.register
def bottleneck(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 64,
    num_layers: Size = 4,
    fusion_layer: int = 2,
    num_bottlenecks: Size = 4,
    num_heads: Size = 4,
    dropout: DropoutRate = 0.1,
) -> FusionModel:
    """Transformer for each modality; later layers exchange information through a few tokens (MBT)."""
    return Bottleneck(dims, hidden_dim, num_layers, fusion_layer, num_bottlenecks, num_heads, dropout)


class Bottleneck(FusionModel):
    """MBT of Nagrani et al. 2021 (arXiv 2107.00135), with one output per step.

    For each modality m a linear layer on its features and observed flag, positions and ``num_layers`` transformer
    layers. From layer ``fusion_layer`` on (0: all layers; ``num_layers``: none, late fusion), layer l computes
    [z_m, b_m] = layer_lm([z_m, b]) and then b = mean of b_m over m, where b are the ``num_bottlenecks`` tokens through
    which the modalities exchange information. A layer norm and the mean over modalities follow. The output has
    ``hidden_dim`` features.

    Raises InputError where ``fusion_layer`` is not between 0 and ``num_layers``, or ``num_heads`` does not divide
    ``hidden_dim``.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        num_layers: int,
        fusion_layer: int,
        num_bottlenecks: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        if not 0 <= fusion_layer <= num_layers:
            raise InputError(f"bottleneck: fusion_layer is {fusion_layer}, expected 0 to num_layers ({num_layers})")
        self.names = sort_modalities(dims)
        self.hidden_dim, self.fusion_layer = hidden_dim, fusion_layer
        self.projections = nn.ModuleList(nn.Linear(dims[name] + 1, hidden_dim) for name in self.names)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            _ParallelLayers(len(self.names), hidden_dim, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)
        if fusion_layer < num_layers:
            self.tokens = nn.Parameter(0.02 * torch.randn(num_bottlenecks, hidden_dim))

    def forward(self, inputs: FusionInput) -> FusionOutput:
        hidden = [
            self.dropout(project(values) + sinusoidal_positions(values.shape[1], self.hidden_dim, values))
            for project, name in zip(self.projections, self.names, strict=True)
            for values in [mask_features_with_flag(inputs, name)]
        ]
        flags = [mask_features(inputs, name)[1] for name in self.names]
        present = torch.stack([each.any(1) for each in flags])
        present = present | ~present.any(0)  # without any modality use all: a mean over none would be NaN
        for layer in self.layers[: self.fusion_layer]:
            hidden = layer(hidden, flags)
        if self.fusion_layer < len(self.layers):
            hidden = self._fuse(hidden, flags, present)
        return FusionOutput(_mean_of_present([self.norm(each) for each in hidden], present))

    def _fuse(
        self,
        hidden: list[Float[Tensor, "batch time hidden"]],
        flags: list[Bool[Tensor, "batch time"]],
        present: Bool[Tensor, "modality batch"],
    ) -> list[Float[Tensor, "batch time hidden"]]:
        num_steps = hidden[0].shape[1]
        tokens = self.tokens.expand(len(hidden[0]), -1, -1)
        flags = [torch.cat([each, each.new_ones(tokens.shape[:2])], dim=1) for each in flags]
        for layer in self.layers[self.fusion_layer :]:
            both = layer([torch.cat([each, tokens], dim=1) for each in hidden], flags)
            hidden = [each[:, :num_steps] for each in both]
            tokens = _mean_of_present([each[:, num_steps:] for each in both], present)
        return hidden


class _ParallelLayers(nn.Module):
    """A transformer layer for each modality, with attention within the modality."""

    def __init__(self, num_modalities: int, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(dim, num_heads, 4 * dim, dropout, activation=nn.GELU) for _ in range(num_modalities)
        )

    def forward(
        self, values: list[Float[Tensor, "batch row dim"]], flags: list[Bool[Tensor, "batch row"]]
    ) -> list[Float[Tensor, "batch row dim"]]:
        return [layer(each, mask) for layer, each, mask in zip(self.layers, values, flags, strict=True)]


def _mean_of_present(
    values: list[Float[Tensor, "batch row dim"]], present: Bool[Tensor, "modality batch"]
) -> Float[Tensor, "batch row dim"]:
    weights = present.to(values[0].dtype) / present.sum(0)
    return (torch.stack(values) * weights[..., None, None]).sum(0)

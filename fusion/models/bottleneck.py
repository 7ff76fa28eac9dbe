"""Modalities that may exchange only what fits into a few tokens."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.attention import TransformerLayer, positions
from fusion.layers.masks import check_settings, ordered, seen, seen_with_flags
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Nagrani et al. 2021, Attention Bottlenecks for Multimodal Fusion, arXiv 2107.00135 (MBT)",
    "context": "window",
    "differs": "A modality's tokens are its steps, and every step answers with the mean of the modalities: no class "
    "token is needed. Four layers of 64 with fusion from the third, where the paper has a pre-trained ViT's twelve of "
    "768 with fusion from the ninth; sines for learned positions, dropout for its stochastic depth. Unobserved steps "
    "are not attended to, and a modality without any is left out of both means, that of the tokens and of the answers.",
}


@FUSION_MODELS.register
def bottleneck(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 64,
    num_layers: int = 4,
    fusion_layer: int = 2,
    num_bottlenecks: int = 4,
    num_heads: int = 4,
    dropout: float = 0.1,
) -> FusionModel:
    """A transformer for each modality; the later layers share a few tokens (MBT)."""
    return Bottleneck(dims, hidden_dim, num_layers, fusion_layer, num_bottlenecks, num_heads, dropout)


class Bottleneck(FusionModel):
    """Nagrani et al. 2021 (arXiv 2107.00135, NeurIPS), one answer a step.

    Per modality m: Linear of its features and whether it was observed, positions, ``num_layers`` transformer layers of
    its own. From layer ``fusion_layer`` on (0: in all of them; ``num_layers``: in none, late fusion) layer l is
    [z_m, b_m] = layer_lm([z_m, b]) and then b = mean of b_m over m, where b are the ``num_bottlenecks`` tokens, the
    only thing that modalities share: what one writes, the others read a layer later. Last a layer norm and the mean
    over modalities.
    Raises ValueError for settings that make no sense.
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
        sizes = {"hidden_dim": hidden_dim, "num_layers": num_layers, "num_heads": num_heads}
        check_settings("bottleneck", dropout=dropout, num_bottlenecks=num_bottlenecks, **sizes)
        if not 0 <= fusion_layer <= num_layers:
            raise InputError(f"bottleneck: fusion_layer is {fusion_layer}, expected 0 to num_layers ({num_layers})")
        self.names = ordered(dims)
        self.hidden_dim, self.fusion_layer = hidden_dim, fusion_layer
        self.projections = nn.ModuleList(nn.Linear(dims[name] + 1, hidden_dim) for name in self.names)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(
            _LayerOfEach(len(self.names), hidden_dim, num_heads, dropout) for _ in range(num_layers)
        )
        self.norm = nn.LayerNorm(hidden_dim)
        if fusion_layer < num_layers:
            self.tokens = nn.Parameter(0.02 * torch.randn(num_bottlenecks, hidden_dim))

    def forward(self, steps: FusionInput) -> FusionOutput:
        hidden = [
            self.dropout(project(values) + positions(values.shape[1], self.hidden_dim, values))
            for project, name in zip(self.projections, self.names, strict=True)
            for values in [seen_with_flags(steps, name)]
        ]
        flags = [seen(steps, name)[1] for name in self.names]
        present = torch.stack([each.any(1) for each in flags])
        present = present | ~present.any(0)  # where there is none, all count: a mean of nothing would be NaN
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


class _LayerOfEach(nn.Module):
    """A transformer layer for each modality, in which it sees what it has itself."""

    def __init__(self, num_modalities: int, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            TransformerLayer(dim, num_heads, 4 * dim, dropout, activation=nn.GELU) for _ in range(num_modalities)
        )

    def forward(
        self, values: list[Float[Tensor, "batch row dim"]], flags: list[Bool[Tensor, "batch row"]]
    ) -> list[Float[Tensor, "batch row dim"]]:
        return [layer(each, may_see) for layer, each, may_see in zip(self.layers, values, flags, strict=True)]


def _mean_of_present(
    values: list[Float[Tensor, "batch row dim"]], present: Bool[Tensor, "modality batch"]
) -> Float[Tensor, "batch row dim"]:
    shares = present.to(values[0].dtype) / present.sum(0)
    return (torch.stack(values) * shares[..., None, None]).sum(0)

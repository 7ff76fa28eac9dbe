"""Residual DCN: explicit products of the features of all modalities, with weights that depend on the context."""

from collections.abc import Mapping
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.cross import ParallelCrosses
from fusion.layers.gating import DenseGating
from fusion.layers.masks import check_layer_norm, make_length_mask, mask_features, sort_modalities
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

Temporal = Literal["bigru", "tcn", "none"]
Rank = Annotated[int, Field(ge=2)]  # attention over one number has nothing to choose from

FACTS = {
    "paper": "Borisyuk et al. 2024, LiRank, arXiv 2402.06859 (residual DCN, dense gating); Wang et al. 2021, DCN V2, "
    "arXiv 2008.13535",
    "context": "window",
    "differs": "Each modality is projected first: cross networks diverge on thousands of raw features. A modality that "
    "is not observed enters as a learned vector: a zero would cancel every product with it. A layer norm replaces "
    "batch norm, which would make a window depend on the others of its batch. The temporal block is ours: the paper "
    "ranks single items. The paper prints no formula for its attention; where the skip connection sits is our reading.",
}


@FUSION_MODELS.register
def residual_dcn(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    cross_dim: Size = 128,
    rank: Rank = 16,
    num_cross_layers: Size = 2,
    temperature: Annotated[float, Field(gt=0)] = 1.0,
    skip: bool = True,
    gating: bool = True,
    temporal: Temporal = "bigru",
    dropout: DropoutRate = 0.3,
) -> FusionModel:
    """Cross network and attention cross network in parallel at every step, a gated MLP, then a temporal block."""
    crosses = _Crosses(dims, cross_dim, rank, num_cross_layers, temperature, skip)
    return ResidualDcn(crosses, hidden_dim, gating, temporal, dropout)


class _Crosses(nn.Module):
    """Projections of all modalities, normalised together, then both cross networks; ``out_dim`` features."""

    def __init__(
        self, dims: Mapping[str, int], dim: int, rank: int, num_layers: int, temperature: float, skip: bool
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        each = -(-dim // len(self.names))
        dim = each * len(self.names)
        check_layer_norm(dim)
        self.out_dim = 2 * dim
        self.projections = nn.ModuleList(nn.Linear(dims[name], each) for name in self.names)
        self.absent = nn.Parameter(torch.randn(len(self.names), each) * 0.1)
        self.norm = nn.LayerNorm(dim)
        self.parallel = ParallelCrosses(dim, rank, num_layers, temperature=temperature, skip=skip)

    def forward(self, inputs: FusionInput) -> Tensor:
        parts = []
        for name, layer, absent in zip(self.names, self.projections, self.absent, strict=True):
            values, observed = mask_features(inputs, name)
            projected = layer(values)
            parts.append(torch.where(observed[..., None], projected, absent.to(projected.dtype)))
        return self.parallel(self.norm(torch.cat(parts, dim=-1)))


class ResidualDcn(FusionModel):
    """Residual DCN of LiRank (Borisyuk et al. 2024, arXiv 2402.06859) at every step, before a temporal block.

    Each modality is projected to an equal share of ``cross_dim`` features (rounded up), or replaced by its learned
    vector where it was not observed. After a layer norm over all of them, a low-rank DCN-V2 cross network and one with
    attention run in parallel (``fusion.layers.cross``), ``num_cross_layers`` deep and of ``rank`` numbers. Two hidden
    layers of ``hidden_dim`` follow, each with a dense gate (``gating``), then the temporal block: a bidirectional GRU
    ("bigru", ``hidden_dim`` features in each direction), a temporal convolutional network ("tcn", four blocks) or
    nothing ("none", each step by itself).

    Memory: the attention needs batch * time * rank^2 numbers for each layer, computed in chunks of 64 MiB.
    """

    def __init__(self, crosses: _Crosses, hidden_dim: int, gating: bool, temporal: Temporal, dropout: float) -> None:
        super().__init__()
        self.crosses = crosses
        self.mlp = nn.Sequential(
            *_hidden_layer(crosses.out_dim, hidden_dim, gating, dropout),
            *_hidden_layer(hidden_dim, hidden_dim, gating, dropout),
        )
        self.recurrent = Recurrent(nn.GRU, hidden_dim, hidden_dim, bidirectional=True) if temporal == "bigru" else None
        self.convolutional = TemporalNetwork(hidden_dim, hidden_dim, 4, 3, dropout) if temporal == "tcn" else None
        self.dropout = nn.Dropout(dropout if temporal == "bigru" else 0.0)
        self.hidden_dim = 2 * hidden_dim if temporal == "bigru" else hidden_dim

    def forward(self, inputs: FusionInput) -> FusionOutput:
        hidden = self.mlp(self.crosses(inputs))
        if self.recurrent is not None:
            hidden = self.recurrent(hidden, inputs.lengths)
        if self.convolutional is not None:
            hidden = self.convolutional(hidden, make_length_mask(inputs.lengths, hidden.shape[1]))
        return FusionOutput(self.dropout(hidden))


def _hidden_layer(dim: int, hidden_dim: int, gating: bool, dropout: float) -> list[nn.Module]:
    gate = [DenseGating(hidden_dim)] if gating else []
    return [nn.Linear(dim, hidden_dim), nn.ReLU(), *gate, nn.Dropout(dropout)]

"""LiMAML: another model with a vector of the person as one more modality, which a few labelled steps adapt."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.adaptation.inner_loop import AdaptiveModel
from fusion.base import FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.models import FUSION_MODELS

NUM_CONSTANTS = 8  # learned, what the vector of every person is computed from
META_DIM = 32  # of the perceptron's layer
PERSON = "person"  # the modality that carries the vector
MIN_VARIANCE = 1e-6  # of a feature that does not vary, or was never observed: a root has no gradient at 0

Inner = Literal["bigru", "attention", "concat", "frame_transformer", "mamba", "tcn"]

FACTS = {
    "paper": "Wang et al. 2024, LiMAML: Personalization of Deep Recommender Models via Meta Learning, arXiv 2403.00803",
    "context": "window",
    "differs": "The paper's entity is a member or an advertisement with features and an embedding of its number; here "
    "it is a person, who has no number: the meta block gets learned constants and, with statistics, the mean and the "
    "deviation of the features. Sizes, rates and numbers of steps of the paper are not known. The context is that of "
    "the inner model.",
}


@FUSION_MODELS.register
def limaml(
    *,
    dims: Mapping[str, int],
    inner: Inner = "bigru",
    embedding_dim: Size = 8,
    statistics: bool = False,
    **settings: Any,
) -> FusionModel:
    """Another model (inner, with its settings), which a few labelled frames adapt to a person (abaw personalise)."""
    names = sort_modalities(dims)
    modality = PERSON
    while modality in names:
        modality += "_"
    wrapped: FusionModel = FUSION_MODELS.build(inner, dims={**dims, modality: embedding_dim}, **settings)
    return Limaml(wrapped, dims, modality, embedding_dim, statistics=statistics)


class Limaml(AdaptiveModel):
    """The global block ``inner`` reads all modalities and a vector of ``embedding_dim`` numbers, the same at all steps.

    The vector comes from the meta block ``person_block``: 8 learned constants and, with ``statistics``, the mean and
    the standard deviation of every feature over the observed steps, Linear to 32, tanh, and Linear. In training its
    parameters are adapted to labelled steps of each person of a batch by steps of gradient descent, and the loss of
    other steps of the person, through the adaptation, trains all parameters (``fusion/adaptation/inner_loop.py``).
    """

    def __init__(
        self, inner: FusionModel, dims: Mapping[str, int], modality: str, embedding_dim: int, *, statistics: bool
    ) -> None:
        super().__init__()
        self.inner, self.modality, self.has_description = inner, modality, statistics
        self.names = sort_modalities(dims)
        self.hidden_dim, self.loss_weights = inner.hidden_dim, inner.loss_weights
        self.heads_start_at_zero, self.cutoff_hz = inner.heads_start_at_zero, inner.cutoff_hz
        num_statistics = 2 * sum(dims.values()) if statistics else 0
        self.person_block = PersonBlock(num_statistics, embedding_dim)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        vectors = self.person_block(self.describe(inputs))
        if inputs.vectors is not None:
            vectors = torch.where(inputs.vectors.isnan(), vectors, inputs.vectors)
        first = inputs.features[self.names[0]]
        rows = vectors.to(first.dtype)[:, None].expand(*first.shape[:2], -1)
        everywhere = torch.ones(first.shape[:2], dtype=torch.bool, device=first.device)
        features, observed = {**inputs.features, self.modality: rows}, {**inputs.observed, self.modality: everywhere}
        return self.inner(replace(inputs, features=features, observed=observed, vectors=None))

    def describe(
        self, inputs: FusionInput, persons: Int[Tensor, " batch"] | None = None
    ) -> Float[Tensor, "person description"]:
        rows = torch.arange(len(inputs.lengths), device=inputs.lengths.device) if persons is None else persons
        num = int(rows.max()) + 1
        if not self.has_description:
            return inputs.features[self.names[0]].new_zeros(num, 0)
        found = []
        for name in self.names:
            values, observed = mask_features(inputs, name)
            sums = torch.stack([observed.sum(1)[:, None].expand(-1, values.shape[2]), values.sum(1)])
            counts, totals = sums.new_zeros(2, num, values.shape[2]).index_add(1, rows, sums)
            counts = counts.clamp(min=1)
            mean = totals / counts
            away = torch.where(observed[..., None], values - mean[rows][:, None], 0.0).square().sum(1)
            variance = torch.zeros_like(mean).index_add(0, rows, away.to(mean.dtype)) / counts
            found += [mean, (variance + MIN_VARIANCE).sqrt()]
        return torch.cat(found, dim=-1)


class PersonBlock(nn.Module):
    """The meta block: learned constants and what describes a person, through a perceptron, to the person's vector."""

    def __init__(self, num_statistics: int, embedding_dim: int) -> None:
        super().__init__()
        self.constants = nn.Parameter(torch.randn(NUM_CONSTANTS))
        self.layers = nn.Sequential(
            nn.Linear(NUM_CONSTANTS + num_statistics, META_DIM), nn.Tanh(), nn.Linear(META_DIM, embedding_dim)
        )

    def forward(self, description: Float[Tensor, "person description"]) -> Float[Tensor, "person embedding"]:
        if not description.shape[1]:  # the rows of a matrix product may differ in their last bit: one is computed
            return self.layers(self.constants[None]).expand(len(description), -1)
        constants = self.constants.to(description.dtype).expand(len(description), -1)
        return self.layers(torch.cat([constants, description], dim=-1))

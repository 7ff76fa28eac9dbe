"""Statistics of every modality over the window, and a linear or a small network on them."""

from collections.abc import Iterable, Mapping
from typing import Annotated

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import mask_features, sort_modalities
from fusion.layers.pooling import masked_moments, masked_quantiles
from fusion.models import FUSION_MODELS

LEVELS = (0.1, 0.5, 0.9)
LIMIT_STD = 10.0  # of a standardised statistic: one that hardly varies in training may be far off elsewhere

FACTS = {
    "paper": "none: functionals of low-level descriptors and a linear classifier, as in Schuller et al. 2009, The "
    "INTERSPEECH 2009 Emotion Challenge",
    "context": "window",
    "differs": "Statistics are over observed steps, and are standardised over the training windows before training. A "
    "modality without an observed step has the mean of every statistic. The share of observed steps is one more.",
}


@FUSION_MODELS.register
def pooled(
    *,
    dims: Mapping[str, int],
    hidden_dim: Annotated[int, Field(ge=0)] = 0,
    percentiles: bool = True,
    dropout: DropoutRate = 0.5,
) -> FusionModel:
    """Mean, deviation and percentiles of every modality over the window; the output is the same at all steps."""
    return Pooled(dims, hidden_dim, dropout, percentiles=percentiles)


class Pooled(FusionModel):
    """Statistics of each feature over the observed steps of a window, standardised, the same at every step.

    They are mean, standard deviation and, with ``percentiles``, the 10th, 50th and 90th. With a ``hidden_dim`` of 0
    they are the output themselves, so that the task's head is a linear model; else Linear and ReLU follow, with
    ``hidden_dim`` features. ``dropout`` applies to the statistics, which regularises a linear model as an L2 penalty
    does (Wager et al. 2013, arXiv 1307.1493), and to the hidden layer.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, dropout: float, *, percentiles: bool) -> None:
        super().__init__()
        self.names, self.percentiles = sort_modalities(dims), percentiles
        width = sum((2 + len(LEVELS) * percentiles) * dims[name] + 1 for name in self.names)
        self.hidden_dim = hidden_dim or width
        self.heads_start_at_zero = not hidden_dim  # what is learned alone decides, as in a ridge; no random start
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("std", torch.ones(width))
        layers = [nn.Linear(width, hidden_dim), nn.ReLU(), nn.Dropout(dropout)] if hidden_dim else []
        self.layers = nn.Sequential(nn.Dropout(dropout), *layers)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, known = self._statistics(inputs)
        standardised = ((values - self.mean) / self.std).clamp(-LIMIT_STD, LIMIT_STD)
        hidden = self.layers(torch.where(known, standardised, 0.0))
        return FusionOutput(hidden[:, None].expand(-1, inputs.times_s.shape[1], -1))

    def measure(self, windows: Iterable[FusionInput]) -> None:
        """Take mean and standard deviation of every statistic over the windows; those that are constant stay."""
        found = [self._statistics(each) for each in windows]
        values, known = (torch.cat(each).double() for each in zip(*found, strict=True))
        num = known.sum(0)
        mean = (values * known).sum(0) / num.clamp(min=1)
        std = (((values - mean).square() * known).sum(0) / num.clamp(min=1)).sqrt()
        self.mean.copy_(mean)
        self.std.copy_(torch.where(std > 1e-4, std, 1.0))

    def _statistics(self, inputs: FusionInput) -> tuple[Float[Tensor, "batch width"], Bool[Tensor, "batch width"]]:
        """The statistics of each window, and whether they are known: the modality has an observed step."""
        values, known = [], []
        for name in self.names:
            features, observed = mask_features(inputs, name)
            parts = [*masked_moments(features, observed)]
            if self.percentiles:
                parts += masked_quantiles(features, observed, LEVELS).unbind(1)
            of_modality = torch.cat(parts, dim=-1)
            share = observed.sum(1, keepdim=True) / inputs.lengths.clamp(min=1)[:, None]
            values += [of_modality, share.to(of_modality.dtype)]
            has_any = observed.any(1, keepdim=True)
            known += [has_any.expand_as(of_modality), torch.ones_like(has_any)]
        return torch.cat(values, dim=-1), torch.cat(known, dim=-1)

"""The contract of a fusion model: steps of several modalities in, one hidden state a step out."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

from jaxtyping import Bool, Float, Int
from torch import Tensor, nn


@dataclass(frozen=True)
class FusionInput:
    """Modalities on one clock. A model gets every key it was built with; absence is ``observed=False``.

    Values where ``observed`` is False, and everything from ``lengths`` on, mean nothing and may be NaN. Without
    ``wants_losses`` (in validation and prediction) a model need not reckon losses of its own.
    """

    features: dict[str, Float[Tensor, "batch time _"]]
    observed: dict[str, Bool[Tensor, "batch time"]]
    times_s: Float[Tensor, "batch time"]
    lengths: Int[Tensor, " batch"]
    wants_losses: bool = True


@dataclass(frozen=True)
class FusionOutput:
    """``hidden`` for the task heads; ``losses`` are mask-aware scalars, one for each of ``loss_weights`` if wanted."""

    hidden: Float[Tensor, "batch time hidden"]
    losses: dict[str, Float[Tensor, ""]] = field(default_factory=dict)


class FusionModel(nn.Module, ABC):
    """Fuses modalities step by step. Built by ``@FUSION_MODELS.register def name(*, dims, ...)``.

    ``dims`` maps each modality to its number of features. ``loss_weights`` names the model's own (auxiliary) losses
    with the paper's weights, which the config's ``losses`` may change. What every model must survive is in
    ``tests/contracts/test_fusion_models.py``. A model's file has a literal ``FACTS``: ``paper``; ``context``, what of a
    window a step's hidden state may depend on ("step": itself alone, "past": up to itself, "window": all of it); and
    ``differs``, how we depart from the paper and why.
    """

    hidden_dim: int
    loss_weights: Mapping[str, float] = {}

    @abstractmethod
    def forward(self, steps: FusionInput) -> FusionOutput: ...

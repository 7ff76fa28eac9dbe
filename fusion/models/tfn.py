"""Tensor Fusion Network: the outer product of all modalities, each extended by a constant 1, at every step."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.subnetworks import SubNetworks
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zadeh et al. 2017, Tensor Fusion Network for Multimodal Sentiment Analysis, arXiv 1707.07250",
    "context": "step",
    "differs": "Frame by frame, where the paper fuses one vector per utterance. Only the modalities named in "
    "`recurrent` have an LSTM (and see the past), as the paper has for language. Standardisation in the input stage "
    "replaces batch norm. The last linear layer is the head of the task, without sigmoid. The product is limited to "
    "4,096 entries, so that its factors become narrower with more modalities; above three modalities, the products of "
    "all pairs are concatenated. An unobserved modality contributes only its constant 1. All dropouts have the same "
    "rate.",
}
MAX_ENTRIES = 4096  # of the product, to limit the memory for a batch of 32 windows of 300 steps


@FUSION_MODELS.register
def tfn(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    factor_dim: int = 0,
    recurrent: Sequence[str] = (),
    dropout: DropoutRate = 0.3,
) -> FusionModel:
    """Sub-network for each modality, their outer product at every step, then a perceptron."""
    return TensorFusion(dims, hidden_dim, factor_dim, recurrent, dropout)


class TensorFusion(FusionModel):
    """TFN of Zadeh et al. 2017 (arXiv 1707.07250), at every step.

    The sub-network of each modality gives [1, h(1) .. h(factor_dim)]. The outer product of all modalities (above three
    modalities: of each pair, concatenated) goes through dropout and two layers of Linear and ReLU. ``factor_dim`` 0 is
    the largest width that the limit of the product allows, at most ``hidden_dim``. ``recurrent`` names the modalities
    whose sub-network is an LSTM with ``hidden_dim`` units. The output has ``hidden_dim`` features.

    Raises InputError where ``recurrent`` names an unknown modality, or the product would have more than 4,096 entries.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, factor_dim: int, recurrent: Sequence[str], dropout: float
    ) -> None:
        super().__init__()
        factor_dim = check_factor_dim(factor_dim, len(dims)) if factor_dim else find_factor_dim(len(dims), hidden_dim)
        self.subnetworks = SubNetworks(dims, factor_dim, dropout, recurrent=recurrent, hidden_dim=hidden_dim)
        self.hidden_dim = hidden_dim
        self.output = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(count_entries(factor_dim, len(dims)), hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
        )

    def forward(self, inputs: FusionInput) -> FusionOutput:
        factors = [F.pad(features, (1, 0), value=1.0) for features in self.subnetworks(inputs)]
        groups = [tuple(factors)] if len(factors) <= 3 else combinations(factors, 2)
        return FusionOutput(self.output(torch.cat([multiply_outer(group) for group in groups], dim=-1)))


def multiply_outer(factors: Sequence[Float[Tensor, "batch time _"]]) -> Float[Tensor, "batch time entries"]:
    """The outer product of one or more vectors at every step, flattened; the index of the last vector runs fastest."""
    product = factors[0]
    for factor in factors[1:]:
        # a matrix product: twice as fast as broadcasting, because its gradient is a matrix product, too
        product = (product[..., None] @ factor[..., None, :]).flatten(-2)
    return product


def count_entries(factor_dim: int, num_modalities: int) -> int:
    """Number of entries of the product of all modalities or, above three, of the products of all pairs.

    >>> count_entries(15, 3)
    4096
    """
    if num_modalities <= 3:
        return (factor_dim + 1) ** num_modalities
    return comb(num_modalities, 2) * (factor_dim + 1) ** 2


def find_factor_dim(num_modalities: int, limit: int) -> int:
    """The largest width of a factor, at most ``limit``, whose product has no more than ``MAX_ENTRIES`` entries."""
    fitting = [width for width in range(1, limit + 1) if count_entries(width, num_modalities) <= MAX_ENTRIES]
    return max(fitting, default=0) or check_factor_dim(1, num_modalities)


def check_factor_dim(factor_dim: int, num_modalities: int) -> int:
    """The width as it is. Raises InputError where it is under 1, or the product has more than ``MAX_ENTRIES``."""
    if factor_dim < 1:
        raise InputError(f"tfn: factor_dim is {factor_dim}, expected at least 1, or 0 for the largest possible width")
    entries = count_entries(factor_dim, num_modalities)
    if entries > MAX_ENTRIES:
        raise InputError(
            f"tfn: factor_dim {factor_dim} makes a product of {entries} entries for {num_modalities} modalities, "
            f"expected at most {MAX_ENTRIES}"
        )
    return factor_dim

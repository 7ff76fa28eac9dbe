"""Tensor fusion: at every step the outer product of all modalities, each with a 1 beside its features."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from math import comb

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings
from fusion.layers.subnetworks import SubNetworks
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zadeh et al. 2017, Tensor Fusion Network for Multimodal Sentiment Analysis, arXiv 1707.07250",
    "context": "step",
    "differs": "Frame by frame: the paper fuses one vector per utterance and reads language with an LSTM, which here "
    "only the modalities named in `recurrent` have (these then see the past); batch norm is the fixed statistics of "
    "the front, the last linear layer is the task's head, without the sigmoid. The product has at most 4,096 entries, "
    "so its factors narrow with the number of modalities; above three, the products of all pairs stand side by side. "
    "An unobserved modality is its 1 alone; one rate serves all dropouts.",
}
MAX_ENTRIES = 4096  # of the product: what 32 windows of 300 steps may cost in memory


@FUSION_MODELS.register
def tfn(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    factor_dim: int = 0,
    recurrent: Sequence[str] = (),
    dropout: float = 0.3,
) -> FusionModel:
    """A sub-network for each modality, their outer product at every step, a perceptron."""
    return TensorFusion(dims, hidden_dim, factor_dim, recurrent, dropout)


class TensorFusion(FusionModel):
    """Zadeh et al. 2017 (arXiv 1707.07250), TFN, at every step.

    Each modality through its sub-network to [1, h(1) .. h(factor_dim)]; the outer product of all (above three: of each
    pair, side by side), dropout, two layers of Linear and ReLU. ``factor_dim`` 0: as wide as the product may be, at
    most ``hidden_dim``. ``recurrent`` names the modalities whose sub-network is an LSTM of ``hidden_dim`` units.
    Raises ValueError for settings that make no sense, an unknown modality, and a product of more than 4,096 entries.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, factor_dim: int, recurrent: Sequence[str], dropout: float
    ) -> None:
        super().__init__()
        check_settings("tfn", dropout=dropout, hidden_dim=hidden_dim)
        factor_dim = checked_width(factor_dim, len(dims)) if factor_dim else widest(len(dims), hidden_dim)
        self.subnetworks = SubNetworks(dims, factor_dim, dropout, recurrent=recurrent, hidden_dim=hidden_dim)
        self.hidden_dim = hidden_dim
        self.after = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(num_entries(factor_dim, len(dims)), hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
        )

    def forward(self, steps: FusionInput) -> FusionOutput:
        factors = [F.pad(features, (1, 0), value=1.0) for features in self.subnetworks(steps)]
        groups = [tuple(factors)] if len(factors) <= 3 else combinations(factors, 2)
        return FusionOutput(self.after(torch.cat([outer(group) for group in groups], dim=-1)))


def outer(factors: Sequence[Float[Tensor, "batch time _"]]) -> Float[Tensor, "batch time entries"]:
    """The outer product of one or more vectors at every step, flat; the last one's index runs fastest."""
    product = factors[0]
    for factor in factors[1:]:
        # a matrix product, whose gradient is one too: half the time of multiplying with broadcasting
        product = (product[..., None] @ factor[..., None, :]).flatten(-2)
    return product


def num_entries(factor_dim: int, num_modalities: int) -> int:
    """Entries of the product of all modalities, or above three of the products of all pairs together."""
    if num_modalities <= 3:
        return (factor_dim + 1) ** num_modalities
    return comb(num_modalities, 2) * (factor_dim + 1) ** 2


def widest(num_modalities: int, limit: int) -> int:
    """The largest factor, up to ``limit``, whose product still has ``MAX_ENTRIES`` at most."""
    fitting = [width for width in range(1, limit + 1) if num_entries(width, num_modalities) <= MAX_ENTRIES]
    return max(fitting, default=0) or checked_width(1, num_modalities)


def checked_width(factor_dim: int, num_modalities: int) -> int:
    """ValueError where the factors are senseless or their product has more than ``MAX_ENTRIES``."""
    if factor_dim < 1:
        raise InputError(f"tfn: factor_dim is {factor_dim}, expected at least 1, or 0 to choose it")
    entries = num_entries(factor_dim, num_modalities)
    if entries > MAX_ENTRIES:
        raise InputError(
            f"tfn: factor_dim {factor_dim} makes a product of {entries} entries for {num_modalities} modalities, "
            f"expected at most {MAX_ENTRIES}"
        )
    return factor_dim

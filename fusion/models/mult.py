"""Crossmodal transformers: every modality looks for what concerns it in every other, at any time of the window."""

from collections.abc import Mapping
from functools import partial
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.convolution import Convolution
from fusion.layers.grouped import GroupedTransformer
from fusion.layers.masks import check_normed, check_settings, ordered, seen, within
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Tsai et al. 2019, Multimodal Transformer for Unaligned Multimodal Language Sequences, arXiv 1906.00295",
    "context": "window",
    "differs": "Every step is answered, not the last one alone; attention looks both ways (the authors' code hides the "
    "future, their paper does not) and at observed steps only. One rate serves all dropouts, with none on attention "
    "weights, which would keep attention from being fused; convolutions keep the length and have a bias; with one "
    "modality there are no crossmodal transformers.",
}


@FUSION_MODELS.register
def mult(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 40,
    num_layers: int = 4,
    num_heads: int = 10,
    kernel: int = 3,
    with_positions: bool = True,
    dropout: float = 0.1,
) -> FusionModel:
    """Crossmodal transformers for every ordered pair of modalities, then self-attention in each."""
    return CrossmodalTransformer(dims, hidden_dim, num_layers, num_heads, kernel, with_positions, dropout)


class CrossmodalTransformer(FusionModel):
    """Tsai et al. 2019 (arXiv 1906.00295), MulT.

    A convolution brings every modality to ``hidden_dim`` features. For each ordered pair a transformer of
    ``num_layers`` whose queries are the one and whose memory is the other; of each modality those with all others side
    by side, through a transformer of self-attention (at least three layers, as in the authors' code); all of these side
    by side, plus a perceptron of them. With n modalities the fused width is n (n - 1) ``hidden_dim``, with one it is
    ``hidden_dim``. Raises ValueError for settings that make no sense, and for heads that do not divide ``hidden_dim``.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        kernel: int,
        with_positions: bool,
        dropout: float,
    ) -> None:
        super().__init__()
        check_settings(
            "mult", dropout=dropout, hidden_dim=hidden_dim, num_layers=num_layers, num_heads=num_heads, kernel=kernel
        )
        check_normed(hidden_dim)
        if hidden_dim % num_heads:
            raise InputError(
                f"mult: {num_heads} heads do not divide hidden_dim {hidden_dim}: choose a num_heads that does"
            )
        self.names = ordered(dims)
        num, width = len(dims), hidden_dim * max(len(dims) - 1, 1)
        self.pairs = list(permutations(range(num), 2))
        self.hidden_dim = num * width
        self.projections = nn.ModuleList(Convolution(dims[name], hidden_dim, kernel) for name in self.names)
        transformers = partial(GroupedTransformer, num_heads=num_heads, with_positions=with_positions, dropout=dropout)
        if self.pairs:
            self.crossmodal = transformers(len(self.pairs), hidden_dim, num_layers=num_layers)
        self.over_time = transformers(num, width, num_layers=max(num_layers, 3))
        self.residual = nn.Sequential(
            nn.Linear(self.hidden_dim, self.hidden_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(self.hidden_dim, self.hidden_dim),
        )

    def forward(self, steps: FusionInput) -> FusionOutput:
        inside = within(steps.lengths, steps.times_s.shape[1])
        inputs = [seen(steps, name) for name in self.names]
        features = [layer(values, inside) for layer, (values, _) in zip(self.projections, inputs, strict=True)]
        observed = [flags for _, flags in inputs]
        states = self.cross(features, observed) if self.pairs else torch.stack(features)
        fused = side_by_side(self.over_time(states, torch.stack(observed)))
        return FusionOutput(fused + self.residual(fused))

    def cross(self, features: list[Tensor], observed: list[Tensor]) -> Float[Tensor, "modalities batch time others"]:
        """What every modality finds in all others, side by side."""
        queries = torch.stack([features[to] for to, _ in self.pairs])
        memory = torch.stack([features[source] for _, source in self.pairs])
        flags = torch.stack([observed[source] for _, source in self.pairs])
        crossed = self.crossmodal(queries, flags, memory)
        return torch.stack([side_by_side(of_one) for of_one in crossed.unflatten(0, (len(features), -1))])


def side_by_side(states: Float[Tensor, "groups batch time dim"]) -> Float[Tensor, "batch time groups_dim"]:
    return states.movedim(0, -2).flatten(-2)

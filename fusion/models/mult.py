"""MulT: crossmodal transformers between all pairs of modalities."""

from collections.abc import Mapping
from functools import partial
from itertools import permutations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.convolution import Convolution
from fusion.layers.grouped import GroupedTransformer
from fusion.layers.masks import check_layer_norm, make_length_mask, mask_features, sort_modalities
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Tsai et al. 2019, Multimodal Transformer for Unaligned Multimodal Language Sequences, arXiv 1906.00295",
    "context": "window",
    "differs": "Every step is predicted, not only the last. Attention covers the whole window (the authors' code masks "
    "the future, their paper does not) and observed steps only. All dropouts have the same rate; there is none on "
    "attention weights, which would prevent torch's fused attention. Convolutions keep the length and have a bias. "
    "With one modality there are no crossmodal transformers.",
}


@FUSION_MODELS.register
def mult(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 40,
    num_layers: Size = 4,
    num_heads: Size = 10,
    kernel: Size = 3,
    with_positions: bool = True,
    dropout: DropoutRate = 0.1,
) -> FusionModel:
    """Crossmodal transformer for every ordered pair of modalities, then self-attention in each modality."""
    return CrossmodalTransformer(dims, hidden_dim, num_layers, num_heads, kernel, with_positions, dropout)


class CrossmodalTransformer(FusionModel):
    """MulT of Tsai et al. 2019 (arXiv 1906.00295).

    A convolution over ``kernel`` steps projects each modality to ``hidden_dim`` features. For each ordered pair of
    modalities, the first attends to the second in a transformer of ``num_layers`` layers. The outputs of each modality
    are concatenated and go through a self-attention transformer (at least three layers, as in the authors' code). These
    are concatenated, and a perceptron of them is added. With n modalities the output has n (n - 1) ``hidden_dim``
    features, with one it has ``hidden_dim``.

    Raises InputError where ``hidden_dim`` is 1 or ``num_heads`` does not divide it.
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
        check_layer_norm(hidden_dim)
        if hidden_dim % num_heads:
            raise InputError(
                f"mult: {num_heads} heads do not divide hidden_dim {hidden_dim}: choose a num_heads that does"
            )
        self.names = sort_modalities(dims)
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

    def forward(self, inputs: FusionInput) -> FusionOutput:
        inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
        modalities = [mask_features(inputs, name) for name in self.names]
        features = [layer(values, inside) for layer, (values, _) in zip(self.projections, modalities, strict=True)]
        observed = [flags for _, flags in modalities]
        states = self.cross(features, observed) if self.pairs else torch.stack(features)
        fused = concatenate(self.over_time(states, torch.stack(observed)))
        return FusionOutput(fused + self.residual(fused))

    def cross(self, features: list[Tensor], observed: list[Tensor]) -> Float[Tensor, "modalities batch time others"]:
        """The crossmodal transformers' outputs, concatenated for each modality."""
        queries = torch.stack([features[target] for target, _ in self.pairs])
        memory = torch.stack([features[source] for _, source in self.pairs])
        flags = torch.stack([observed[source] for _, source in self.pairs])
        crossed = self.crossmodal(queries, flags, memory)
        return torch.stack([concatenate(of_one) for of_one in crossed.unflatten(0, (len(features), -1))])


def concatenate(states: Float[Tensor, "groups batch time dim"]) -> Float[Tensor, "batch time groups_dim"]:
    """The features of all groups, concatenated."""
    return states.movedim(0, -2).flatten(-2)

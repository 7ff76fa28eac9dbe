"""Every modality told twice: by what it shares with the others, and by what only it has."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_normed, check_settings, mean_over, ordered, seen
from fusion.layers.recurrent import Recurrent
from fusion.layers.similarity import moments_apart, overlap
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Hazarika et al. 2020, MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment "
    "Analysis, arXiv 2005.03545",
    "context": "window",
    "differs": "A step stands where an utterance stood: the states of both recurrent layers at the step, not the last "
    "ones, and every modality has these layers (text was BERT's), 64 wide instead of as wide as its features. Losses "
    "are over the observed steps of a batch, at most 64 of which, a batch of utterances, count in that of difference: "
    "it grows with the square of their number. The transformer's perceptron, which the paper leaves open, is 512 wide "
    "(torch's 2048 in the authors' code costs more than all else); left out are the domain discriminator, the paper's "
    "alternative to moments, and the code's shared-private one, which is in no loss.",
}

WEIGHTS = {"difference": 0.3, "similarity": 1.0, "reconstruction": 1.0}
NUM_MOMENTS = 5
MAX_ROWS = 64
TRANSFORMER_DROPOUT = 0.1
# a GPU's attention kernels take at most 65535 sequences at once, and here every step is one
MAX_STEPS = 2**15


@FUSION_MODELS.register
def misa(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    encoder_dim: int = 64,
    mlp_dim: int = 512,
    num_heads: int = 2,
    dropout: float = 0.5,
) -> FusionModel:
    """Private and shared spaces for each modality, and a transformer over them at every step."""
    return Misa(dims, hidden_dim, encoder_dim, mlp_dim, num_heads, dropout)


class Misa(FusionModel):
    """Hazarika et al. 2020 (MISA, arXiv 2005.03545), with the central moment discrepancy for similarity.

    Per modality two bidirectional LSTMs, ``encoder_dim`` wide in each direction, with a layer norm in between, both
    outputs projected to the common width h; a private and the shared encoder (Linear, Sigmoid) of that; one post-norm
    transformer layer over the 2M tokens of a step, which go side by side through Linear (2Mh -> Mh), dropout, ReLU.
    ``hidden_dim`` is h, the fused width M h; ``dropout`` is that of the last layer, the transformer keeps its own 0.1.
    ``difference``: private and shared, and private ones among each other, should be orthogonal. ``similarity``: shared
    ones should be distributed alike (left out with one modality). ``reconstruction``: private plus shared should tell
    the projection.
    Raises ValueError for settings that make no sense.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        encoder_dim: int,
        mlp_dim: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = {"hidden_dim": hidden_dim, "encoder_dim": encoder_dim, "mlp_dim": mlp_dim, "num_heads": num_heads}
        check_settings("misa", dropout=dropout, **sizes)
        check_normed(hidden_dim)
        if hidden_dim % num_heads:
            raise InputError(
                f"misa: {num_heads} heads do not divide hidden_dim {hidden_dim}: choose a num_heads that does"
            )
        self.names = ordered(dims)
        num = len(self.names)
        self.hidden_dim = num * hidden_dim
        self.loss_weights = {key: weight for key, weight in WEIGHTS.items() if key != "similarity" or num > 1}
        self.recurrent = nn.ModuleList(_TwoLayers(dims[name], encoder_dim) for name in self.names)
        self.projections = nn.ModuleList(
            nn.Sequential(nn.Linear(4 * encoder_dim, hidden_dim), nn.ReLU(), nn.LayerNorm(hidden_dim))
            for _ in self.names
        )
        self.private = nn.ModuleList(_encoder(hidden_dim) for _ in self.names)
        self.shared = _encoder(hidden_dim)
        self.reconstruct = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in self.names)
        self.transformer = nn.TransformerEncoderLayer(
            hidden_dim, num_heads, mlp_dim, TRANSFORMER_DROPOUT, batch_first=True
        )
        self.fuse = nn.Sequential(nn.Linear(2 * num * hidden_dim, num * hidden_dim), nn.Dropout(dropout), nn.ReLU())

    def forward(self, steps: FusionInput) -> FusionOutput:
        values, observed = zip(*(seen(steps, name) for name in self.names), strict=True)
        projected = [
            project(recurrent(each, steps.lengths))
            for project, recurrent, each in zip(self.projections, self.recurrent, values, strict=True)
        ]
        private = [encode(each) for encode, each in zip(self.private, projected, strict=True)]
        shared = [self.shared(each) for each in projected]
        tokens = torch.stack([*private, *shared], dim=2).flatten(0, 1)  # every step is a sequence of 2M tokens
        attended = torch.cat([self.transformer(some) for some in tokens.split(MAX_STEPS)])
        hidden = self.fuse(attended.flatten(1)).unflatten(0, steps.times_s.shape)
        return FusionOutput(hidden, self._losses(projected, private, shared, observed) if steps.wants_losses else {})

    def _losses(
        self, projected: list[Tensor], private: list[Tensor], shared: list[Tensor], observed: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Over the steps where the modality, or both of a pair, were observed."""
        rebuilt = [f(own + common) for f, own, common in zip(self.reconstruct, private, shared, strict=True)]
        errors = [mean_over((a - b).square(), flags) for a, b, flags in zip(rebuilt, projected, observed, strict=True)]
        overlaps = [overlap(*each, max_rows=MAX_ROWS) for each in zip(private, shared, observed, strict=True)]
        pairs = [(i, j, observed[i] & observed[j]) for i, j in combinations(range(len(self.names)), 2)]
        overlaps += [overlap(private[i], private[j], both, max_rows=MAX_ROWS) for i, j, both in pairs]
        losses = {"difference": torch.stack(overlaps).sum(), "reconstruction": torch.stack(errors).mean()}
        if pairs:
            apart = [moments_apart(shared[i], shared[j], both, num_moments=NUM_MOMENTS) for i, j, both in pairs]
            losses["similarity"] = torch.stack(apart).mean()
        return losses


class _TwoLayers(nn.Module):
    """Two bidirectional LSTMs, a layer norm in between: what both say at every step, side by side."""

    def __init__(self, dim: int, hidden_dim: int) -> None:
        super().__init__()
        self.first = Recurrent(nn.LSTM, dim, hidden_dim, bidirectional=True)
        self.norm = nn.LayerNorm(2 * hidden_dim)
        self.second = Recurrent(nn.LSTM, 2 * hidden_dim, hidden_dim, bidirectional=True)

    def forward(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time hidden"]:
        first = self.first(values, lengths)
        return torch.cat([first, self.second(self.norm(first), lengths)], dim=-1)


def _encoder(dim: int) -> nn.Module:
    return nn.Sequential(nn.Linear(dim, dim), nn.Sigmoid())

"""MISA: a modality-invariant (shared) and a modality-specific (private) representation of each modality."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import check_layer_norm, mask_features, masked_mean, sort_modalities
from fusion.layers.recurrent import Recurrent
from fusion.layers.representation_losses import central_moment_discrepancy, difference_loss
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Hazarika et al. 2020, MISA: Modality-Invariant and -Specific Representations for Multimodal Sentiment "
    "Analysis, arXiv 2005.03545",
    "context": "window",
    "differs": "A step takes the place of an utterance: the recurrent states at the step are used, not the last ones, "
    "and every modality has recurrent layers (the paper uses BERT for text), 64 wide instead of as wide as its "
    "features. Losses are computed over the observed steps of a batch; the difference loss grows with the square of "
    "their number and is scaled as if there were at most 64, a batch of utterances. The transformer's feed-forward "
    "network, whose width the paper does not give, is 512 wide (2048 in the authors' code costs more than everything "
    "else). Modalities that a window lacks are not attended to. The domain discriminator, the paper's alternative to "
    "moments, and the code's shared-private discriminator, which is in no loss, are left out.",
}

WEIGHTS = {"difference": 0.3, "similarity": 1.0, "reconstruction": 1.0}
NUM_MOMENTS = 5
MAX_ROWS = 64
TRANSFORMER_DROPOUT = 0.1
# GPU attention kernels accept at most 65535 sequences at once, and each step is one
MAX_STEPS = 2**15


@FUSION_MODELS.register
def misa(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    encoder_dim: Size = 64,
    mlp_dim: Size = 512,
    num_heads: Size = 2,
    dropout: DropoutRate = 0.5,
) -> FusionModel:
    """Private and shared representations of each modality, and a transformer over them at every step."""
    return Misa(dims, hidden_dim, encoder_dim, mlp_dim, num_heads, dropout)


class Misa(FusionModel):
    """MISA of Hazarika et al. 2020 (arXiv 2005.03545), with the central moment discrepancy for similarity.

    For each of M modalities two bidirectional LSTMs, ``encoder_dim`` wide in each direction, with a layer norm in
    between; both outputs are projected to h features, where h is ``hidden_dim``. A private encoder and a shared one
    (Linear, sigmoid) follow; then a post-norm transformer layer over the 2M tokens of a step. Their concatenation goes
    through Linear(2Mh -> Mh), dropout and ReLU. The output has M h features. ``dropout`` is the rate before the output;
    the transformer's is 0.1.

    An unobserved step enters the LSTMs as 0, so that its states hold what lies around it, and is attended to. Where a
    modality is not observed at any step of a window, the others do not attend to its tokens.

    Auxiliary losses: ``difference`` makes private and shared representations, and the private ones of different
    modalities, orthogonal. ``similarity`` makes the distributions of the shared ones similar (absent with one
    modality). ``reconstruction`` reconstructs the projection from the sum of private and shared.

    Raises InputError where ``hidden_dim`` is 1 or ``num_heads`` does not divide it.
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
        check_layer_norm(hidden_dim)
        if hidden_dim % num_heads:
            raise InputError(
                f"misa: {num_heads} heads do not divide hidden_dim {hidden_dim}: choose a num_heads that does"
            )
        self.names = sort_modalities(dims)
        num = len(self.names)
        self.hidden_dim = num * hidden_dim
        self.loss_weights = {key: weight for key, weight in WEIGHTS.items() if key != "similarity" or num > 1}
        self.recurrent = nn.ModuleList(_StackedLstm(dims[name], encoder_dim) for name in self.names)
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

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, observed = zip(*(mask_features(inputs, name) for name in self.names), strict=True)
        projected = [
            project(recurrent(each, inputs.lengths))
            for project, recurrent, each in zip(self.projections, self.recurrent, values, strict=True)
        ]
        private = [encode(each) for encode, each in zip(self.private, projected, strict=True)]
        shared = [self.shared(each) for each in projected]
        tokens = torch.stack([*private, *shared], dim=2).flatten(0, 1)  # each step is a sequence of 2M tokens
        hidden_tokens = _find_absent(observed).repeat_interleave(tokens.shape[0] // len(inputs.lengths), dim=0)
        attended = torch.cat(
            [
                self.transformer(some, src_key_padding_mask=absent)
                for some, absent in zip(tokens.split(MAX_STEPS), hidden_tokens.split(MAX_STEPS), strict=True)
            ]
        )
        hidden = self.fuse(attended.flatten(1)).unflatten(0, inputs.times_s.shape)
        return FusionOutput(hidden, self._losses(projected, private, shared, observed) if inputs.wants_losses else {})

    def _losses(
        self, projected: list[Tensor], private: list[Tensor], shared: list[Tensor], observed: Sequence[Tensor]
    ) -> dict[str, Tensor]:
        """Auxiliary losses over the steps at which the modality, or both of a pair, were observed."""
        rebuilt = [layer(a + b) for layer, a, b in zip(self.reconstruct, private, shared, strict=True)]
        errors = [masked_mean((a - b).square(), mask) for a, b, mask in zip(rebuilt, projected, observed, strict=True)]
        differences = [
            difference_loss(*each, max_rows=MAX_ROWS) for each in zip(private, shared, observed, strict=True)
        ]
        pairs = [(i, j, observed[i] & observed[j]) for i, j in combinations(range(len(self.names)), 2)]
        differences += [difference_loss(private[i], private[j], both, max_rows=MAX_ROWS) for i, j, both in pairs]
        losses = {"difference": torch.stack(differences).sum(), "reconstruction": torch.stack(errors).mean()}
        if pairs:
            discrepancies = [
                central_moment_discrepancy(shared[i], shared[j], both, num_moments=NUM_MOMENTS) for i, j, both in pairs
            ]
            losses["similarity"] = torch.stack(discrepancies).mean()
        return losses


class _StackedLstm(nn.Module):
    """Two bidirectional LSTMs with a layer norm in between; returns the concatenated states of both at every step."""

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


def _find_absent(observed: Sequence[Bool[Tensor, "batch time"]]) -> Bool[Tensor, "batch tokens"]:
    """True for the private and shared tokens of modalities that a window lacks; False where it lacks all of them."""
    absent = torch.stack([~flags.any(1) for flags in observed], dim=1)
    absent = absent & ~absent.all(1, keepdim=True)  # attention to nothing is NaN
    return torch.cat([absent, absent], dim=1)

"""Fusion that keeps what every modality tells, and modalities that tell of each other."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, mean_over, ordered, seen
from fusion.layers.recurrent import Recurrent
from fusion.layers.similarity import contrast
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Han et al. 2021, Improving Multimodal Fusion with Hierarchical Mutual Information Maximization for "
    "Multimodal Sentiment Analysis, arXiv 2109.00412 (MMIM)",
    "context": "past",
    "differs": "A step stands where an utterance stood; every modality has the recurrent encoder, 64 wide (the "
    "authors' 16 stand beside BERT's 768), and the entropy term is left out: it needs labels and a memory of past "
    "batches. The likelihood is the whole Gaussian one, its variance bounded by the tanh that the authors configure "
    "(their code has neither, where an infinite variance is the best answer), and trains with all else, not in a stage "
    "of its own. The contrast is among at most 256 evenly spaced observed steps of a batch: its cost grows with their "
    "square, and neighbours say nearly the same.",
}

MAX_ROWS = 256


@FUSION_MODELS.register
def mmim(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    encoder_dim: int = 64,
    anchors: Sequence[str] = (),
    dropout: float = 0.1,
) -> FusionModel:
    """An LSTM for each modality, a perceptron on all; mutual information on both levels kept high."""
    return Mmim(dims, hidden_dim, encoder_dim, anchors, dropout)


class Mmim(FusionModel):
    """Han et al. 2021 (MMIM, arXiv 2109.00412).

    Per modality LSTM(dim -> e), Linear(e -> e), where e is ``encoder_dim``; on all side by side dropout, Linear, tanh,
    Linear, tanh: the hidden state. ``likelihood``: how badly one modality tells another of the same step (minus
    the Gaussian log likelihood, up to a constant). Each of ``anchors`` (the paper's: text) tells of all modalities but
    the anchors before it; without anchors each tells of those after it in the order of names. Left out with one
    modality. ``contrastive``: how badly a fused step tells of which modality's step it was made.
    Raises ValueError for settings that make no sense, and for an anchor that is no modality.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, encoder_dim: int, anchors: Sequence[str], dropout: float
    ) -> None:
        super().__init__()
        check_settings("mmim", dropout=dropout, hidden_dim=hidden_dim, encoder_dim=encoder_dim)
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        self.pairs = _pairs(self.names, anchors)
        self.loss_weights = {"likelihood": 0.1, "contrastive": 0.1} if self.pairs else {"contrastive": 0.1}
        self.recurrent = nn.ModuleList(
            Recurrent(nn.LSTM, dims[name], encoder_dim, bidirectional=False) for name in self.names
        )
        self.projections = nn.ModuleList(nn.Linear(encoder_dim, encoder_dim) for _ in self.names)
        self.fuse = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(encoder_dim * len(self.names), hidden_dim),
            nn.Tanh(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.Tanh(),
        )
        self.mean = nn.ModuleList(_perceptron(encoder_dim) for _ in self.pairs)
        self.log_variance = nn.ModuleList(nn.Sequential(*_perceptron(encoder_dim), nn.Tanh()) for _ in self.pairs)
        self.predict = nn.ModuleList(nn.Linear(hidden_dim, encoder_dim) for _ in self.names)

    def forward(self, steps: FusionInput) -> FusionOutput:
        values, observed = zip(*(seen(steps, name) for name in self.names), strict=True)
        encoded = [
            project(recurrent(each, steps.lengths))
            for project, recurrent, each in zip(self.projections, self.recurrent, values, strict=True)
        ]
        hidden = self.fuse(torch.cat(encoded, dim=-1))
        return FusionOutput(hidden, self._losses(encoded, hidden, observed) if steps.wants_losses else {})

    def _losses(self, encoded: list[Tensor], hidden: Tensor, observed: Sequence[Tensor]) -> dict[str, Tensor]:
        contrasts = [
            contrast(each, predict(hidden), flags, max_rows=MAX_ROWS)
            for each, predict, flags in zip(encoded, self.predict, observed, strict=True)
        ]
        losses = {"contrastive": torch.stack(contrasts).sum()}
        if self.pairs:
            losses["likelihood"] = self._likelihood(encoded, observed)
        return losses

    def _likelihood(self, encoded: list[Tensor], observed: Sequence[Tensor]) -> Tensor:
        """Sum over pairs of minus log q(other | one), over the steps where both were observed."""
        total = []
        for (i, j), tell_mean, tell_log_variance in zip(self.pairs, self.mean, self.log_variance, strict=True):
            mean, log_variance = tell_mean(encoded[i]), tell_log_variance(encoded[i])
            misses = (encoded[j] - mean).square() * (-log_variance).exp() + log_variance
            total.append(mean_over(misses.sum(-1) / 2, observed[i] & observed[j]))
        return torch.stack(total).sum()


def _perceptron(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


def _pairs(names: Sequence[str], anchors: Sequence[str]) -> list[tuple[int, int]]:
    """Which modality tells of which, as places in ``names``. ValueError where an anchor is none of them."""
    unknown = [name for name in anchors if name not in names]
    if unknown:
        raise InputError(f"mmim: anchors names {', '.join(unknown)}, known: {', '.join(names)}")
    order = [*dict.fromkeys(anchors), *(name for name in names if name not in anchors)]
    return [
        (names.index(one), names.index(other)) for one, other in combinations(order, 2) if not anchors or one in anchors
    ]

"""MMIM: maximises mutual information between modalities, and between each modality and the fused state."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import torch
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, masked_mean, sort_modalities
from fusion.layers.recurrent import Recurrent
from fusion.layers.representation_losses import contrastive_loss
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Han et al. 2021, Improving Multimodal Fusion with Hierarchical Mutual Information Maximization for "
    "Multimodal Sentiment Analysis, arXiv 2109.00412 (MMIM)",
    "context": "past",
    "differs": "A step takes the place of an utterance. Every modality has a recurrent encoder of width 64 (the "
    "authors use 16 for audio and video, and BERT's 768 for text). The entropy term is left out: it needs labels and a "
    "memory of past batches. The likelihood is the complete Gaussian one, with a log variance bounded by the tanh that "
    "the authors configure (their code applies neither, so that an infinite variance is optimal), and is trained "
    "jointly instead of in a stage of its own, with the authors' weight "
    "scaled to our width. The contrastive loss uses at most 256 evenly spaced observed steps of a "
    "batch, because its cost grows with the square of their number and neighbouring steps are nearly equal.",
}

MAX_ROWS = 256
PAPER_DIM = 16  # width of the authors' encoders of audio and video, for which they weigh the likelihood


@FUSION_MODELS.register
def mmim(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    encoder_dim: Size = 64,
    anchors: Sequence[str] = (),
    dropout: DropoutRate = 0.1,
) -> FusionModel:
    """LSTM for each modality, a perceptron on all of them; maximises mutual information on both levels."""
    return Mmim(dims, hidden_dim, encoder_dim, anchors, dropout)


class Mmim(FusionModel):
    """MMIM of Han et al. 2021 (arXiv 2109.00412).

    For each modality LSTM(dim -> e) and Linear(e -> e), where e is ``encoder_dim``. The concatenation goes through
    dropout, Linear, tanh, Linear and tanh. The output has ``hidden_dim`` features.

    Auxiliary losses: ``likelihood`` is the negative Gaussian log likelihood, up to a constant, of predicting one
    modality from another at the same step (absent with one modality). Each of ``anchors`` (text in the paper) predicts
    all modalities but the anchors before it; without anchors each modality predicts those after it in alphabetical
    order; it is a sum over e features, so its weight is the paper's 0.1 times 16 / e. ``contrastive`` is the loss of
    identifying each modality's own step from the fused state.

    An unobserved step enters the LSTM as 0, so that its state holds what the modality was before; a modality that was
    never observed is a constant. Neither enters the auxiliary losses.

    Raises InputError where ``anchors`` names an unknown modality.
    """

    def __init__(
        self, dims: Mapping[str, int], hidden_dim: int, encoder_dim: int, anchors: Sequence[str], dropout: float
    ) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        self.pairs = _pairs(self.names, anchors)
        self.loss_weights = {"contrastive": 0.1}
        if self.pairs:
            self.loss_weights["likelihood"] = 0.1 * PAPER_DIM / encoder_dim
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

    def forward(self, inputs: FusionInput) -> FusionOutput:
        values, observed = zip(*(mask_features(inputs, name) for name in self.names), strict=True)
        encoded = [
            project(recurrent(each, inputs.lengths))
            for project, recurrent, each in zip(self.projections, self.recurrent, values, strict=True)
        ]
        hidden = self.fuse(torch.cat(encoded, dim=-1))
        return FusionOutput(hidden, self._losses(encoded, hidden, observed) if inputs.wants_losses else {})

    def _losses(self, encoded: list[Tensor], hidden: Tensor, observed: Sequence[Tensor]) -> dict[str, Tensor]:
        contrastive_losses = [
            contrastive_loss(each, predict(hidden), flags, max_rows=MAX_ROWS)
            for each, predict, flags in zip(encoded, self.predict, observed, strict=True)
        ]
        losses = {"contrastive": torch.stack(contrastive_losses).sum()}
        if self.pairs:
            losses["likelihood"] = self._likelihood(encoded, observed)
        return losses

    def _likelihood(self, encoded: list[Tensor], observed: Sequence[Tensor]) -> Tensor:
        """Sum over pairs of the mean of -log q(other | one), over the steps at which both were observed."""
        total = []
        for (i, j), predict_mean, predict_log_variance in zip(self.pairs, self.mean, self.log_variance, strict=True):
            mean, log_variance = predict_mean(encoded[i]), predict_log_variance(encoded[i])
            errors = (encoded[j] - mean).square() * (-log_variance).exp() + log_variance
            total.append(masked_mean(errors.sum(-1) / 2, observed[i] & observed[j]))
        return torch.stack(total).sum()


def _perceptron(dim: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(dim, dim), nn.ReLU(), nn.Linear(dim, dim))


def _pairs(names: Sequence[str], anchors: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs (predictor, predicted), as indices into ``names``."""
    unknown = [name for name in anchors if name not in names]
    if unknown:
        raise InputError(
            f"mmim: anchors names {', '.join(unknown)}, which is not a modality; known: {', '.join(names)}"
        )
    order = [*dict.fromkeys(anchors), *(name for name in names if name not in anchors)]
    return [
        (names.index(one), names.index(other)) for one, other in combinations(order, 2) if not anchors or one in anchors
    ]

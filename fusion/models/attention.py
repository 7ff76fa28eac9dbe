"""The seed system's ``attention_seq``: at every step, how much each modality counts."""

from collections.abc import Mapping

import torch
from torch import nn

from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, ordered, seen
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Wen et al. 2024, Multimodal Fusion with Pre-Trained Model Features in Affective Behaviour Analysis "
    "In-the-wild, arXiv 2403.15044 (attention_seq)",
    "context": "window",
    "differs": "Unobserved steps enter as 0 and padding is never read; the last linear layer is the task's head.",
}


@FUSION_MODELS.register
def attention(*, dims: Mapping[str, int], hidden_dim: int = 64, dropout: float = 0.4) -> FusionModel:
    """An LSTM for each modality, their weighted sum at every step, a bidirectional LSTM."""
    return Attention(dims, hidden_dim, dropout)


class Attention(FusionModel):
    """Wen et al. 2024 (arXiv 2403.15044, 6th ABAW), attention_seq for valence and arousal.

    Per modality LSTM(dim -> h), dropout, Linear(h -> h); a weight for each modality and step from a perceptron of three
    ReLU layers on all of them side by side (no softmax: weights may be negative and need not sum to 1); the weighted
    sum; a bidirectional LSTM. ``hidden_dim`` is h, the fused width 2h.
    Raises ValueError for settings that make no sense.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, dropout: float) -> None:
        super().__init__()
        check_settings("attention", dropout=dropout, hidden_dim=hidden_dim)
        self.names = ordered(dims)
        self.hidden_dim = 2 * hidden_dim
        self.recurrent = nn.ModuleList(
            Recurrent(nn.LSTM, dims[name], hidden_dim, bidirectional=False) for name in self.names
        )
        self.dropout = nn.Dropout(dropout)
        self.projections = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in self.names)
        self.weigh = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(hidden_dim * len(self.names), hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, hidden_dim),
            nn.ReLU(),
            nn.Linear(hidden_dim, len(self.names)),
        )
        self.over_time = Recurrent(nn.LSTM, hidden_dim, hidden_dim, bidirectional=True)

    def forward(self, steps: FusionInput) -> FusionOutput:
        hidden = [
            project(self.dropout(recurrent(seen(steps, name)[0], steps.lengths)))
            for name, recurrent, project in zip(self.names, self.recurrent, self.projections, strict=True)
        ]
        weights = self.weigh(torch.cat(hidden, dim=-1))
        fused = (torch.stack(hidden, dim=-1) * weights[..., None, :]).sum(-1)
        return FusionOutput(self.over_time(fused, steps.lengths))

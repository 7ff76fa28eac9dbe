"""The ``attention_seq`` of Wen et al. 2024: a learned weight for each modality at every step."""

from collections.abc import Mapping

import torch
from torch import nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Wen et al. 2024, Multimodal Fusion with Pre-Trained Model Features in Affective Behaviour Analysis "
    "In-the-wild, arXiv 2403.15044 (attention_seq)",
    "context": "window",
    "differs": "Unobserved steps are 0 and padding is masked. The last linear layer is the head of the task.",
}


@FUSION_MODELS.register
def attention(*, dims: Mapping[str, int], hidden_dim: Size = 64, dropout: DropoutRate = 0.4) -> FusionModel:
    """LSTM for each modality, their weighted sum at every step, bidirectional LSTM."""
    return Attention(dims, hidden_dim, dropout)


class Attention(FusionModel):
    """attention_seq for valence-arousal of Wen et al. 2024 (arXiv 2403.15044, 6th ABAW).

    For each modality LSTM(dim -> h), dropout and Linear(h -> h), where h is the setting ``hidden_dim``. A perceptron
    with three ReLU layers on their concatenation gives a weight for each modality and step (without softmax: weights
    may be negative and need not sum to 1). The weighted sum goes through a bidirectional LSTM. The output has 2h
    features.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, dropout: float) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
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

    def forward(self, inputs: FusionInput) -> FusionOutput:
        hidden = [
            project(self.dropout(recurrent(mask_features(inputs, name)[0], inputs.lengths)))
            for name, recurrent, project in zip(self.names, self.recurrent, self.projections, strict=True)
        ]
        weights = self.weigh(torch.cat(hidden, dim=-1))
        fused = (torch.stack(hidden, dim=-1) * weights[..., None, :]).sum(-1)
        return FusionOutput(self.over_time(fused, inputs.lengths))

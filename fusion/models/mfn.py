"""Memory Fusion Network: an LSTM for each modality, and a memory of their interactions."""

from collections.abc import Mapping

from torch import nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.masks import mask_features, sort_modalities
from fusion.layers.recurrences.memory import MemoryFusion, make_mlp
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zadeh et al. 2018, Memory Fusion Network for Multi-view Sequential Learning, arXiv 1802.00927",
    "context": "window",
    "differs": "The paper predicts once, at the last step; as in Wen et al. 2024 (arXiv 2403.15044), every step is "
    "predicted, through a bidirectional LSTM. All inner perceptrons have hidden_dim features, where the paper tunes "
    "each width. Unobserved steps are 0, and the last linear layer is the head of the task.",
}


@FUSION_MODELS.register
def mfn(
    *, dims: Mapping[str, int], hidden_dim: Size = 128, memory_dim: Size = 128, dropout: DropoutRate = 0.5
) -> FusionModel:
    """LSTM for each modality, attention over their cell states, a gated memory over time."""
    return Mfn(dims, hidden_dim, memory_dim, dropout)


class Mfn(FusionModel):
    """MFN of Zadeh et al. 2018 (arXiv 1802.00927), as used by Wen et al. 2024 for valence-arousal.

    Memory fusion (LSTMs of ``hidden_dim``, a memory of ``memory_dim``), a perceptron to half of ``hidden_dim``, and a
    bidirectional LSTM with as many units in each direction. The output has ``hidden_dim`` features.

    Raises InputError where ``hidden_dim`` is odd.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, memory_dim: int, dropout: float) -> None:
        super().__init__()
        if hidden_dim % 2:
            raise InputError(f"mfn: hidden_dim is {hidden_dim}, expected an even number: half for each direction")
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        self.fusion = MemoryFusion([dims[name] for name in self.names], hidden_dim, memory_dim, dropout)
        self.out = make_mlp(self.fusion.dim, hidden_dim, hidden_dim // 2, dropout)
        self.over_time = Recurrent(nn.LSTM, hidden_dim // 2, hidden_dim // 2, bidirectional=True)

    def forward(self, inputs: FusionInput) -> FusionOutput:
        fused = self.fusion([mask_features(inputs, name)[0] for name in self.names], inputs.lengths)
        return FusionOutput(self.over_time(self.out(fused), inputs.lengths))

"""Memory Fusion Network: modalities keep to themselves, a memory gathers what they have to do with each other."""

from collections.abc import Mapping

from torch import nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import check_settings, ordered, seen
from fusion.layers.memory import MemoryFusion, perceptron
from fusion.layers.recurrent import Recurrent
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Zadeh et al. 2018, Memory Fusion Network for Multi-view Sequential Learning, arXiv 1802.00927",
    "context": "window",
    "differs": "The paper answers at the last step; as in the seed system (Wen et al. 2024, arXiv 2403.15044) every "
    "step is answered, through a bidirectional LSTM. All perceptrons inside are hidden_dim wide, where the paper "
    "searched for each width. Unobserved steps enter as 0; the last linear layer is the task's head.",
}


@FUSION_MODELS.register
def mfn(*, dims: Mapping[str, int], hidden_dim: int = 128, memory_dim: int = 128, dropout: float = 0.5) -> FusionModel:
    """An LSTM for each modality, attention over their cells, a gated memory over time."""
    return Mfn(dims, hidden_dim, memory_dim, dropout)


class Mfn(FusionModel):
    """Zadeh et al. 2018 (arXiv 1802.00927) as the seed system has it for valence and arousal.

    The memory fusion (LSTMs of ``hidden_dim``, a memory of ``memory_dim``), a perceptron to half of ``hidden_dim``, a
    bidirectional LSTM of as much in each direction: the fused width is ``hidden_dim``.
    Raises ValueError for settings that make no sense, an odd ``hidden_dim`` among them.
    """

    def __init__(self, dims: Mapping[str, int], hidden_dim: int, memory_dim: int, dropout: float) -> None:
        super().__init__()
        check_settings("mfn", dropout=dropout, hidden_dim=hidden_dim, memory_dim=memory_dim)
        if hidden_dim % 2:
            raise InputError(f"mfn: hidden_dim is {hidden_dim}, expected an even number: half for each direction")
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        self.fusion = MemoryFusion([dims[name] for name in self.names], hidden_dim, memory_dim, dropout)
        self.out = perceptron(self.fusion.dim, hidden_dim, hidden_dim // 2, dropout)
        self.over_time = Recurrent(nn.LSTM, hidden_dim // 2, hidden_dim // 2, bidirectional=True)

    def forward(self, steps: FusionInput) -> FusionOutput:
        fused = self.fusion([seen(steps, name)[0] for name in self.names], steps.lengths)
        return FusionOutput(self.over_time(self.out(fused), steps.lengths))

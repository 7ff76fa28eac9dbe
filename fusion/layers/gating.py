"""Dense gating: a learned gate for every feature of a hidden layer, computed from the layer itself."""

from jaxtyping import Float
from torch import Tensor, nn

OPEN_BIAS = 2.0  # gates start at 0.88 on average: a new gate almost passes its input on


class DenseGating(nn.Module):
    """h' = h * sigmoid(W h + b) at every step, for hidden states of ``dim`` features.

    Each feature is multiplied by a gate between 0 and 1 that depends on all features. From GateNet (Huang et al. 2020,
    arXiv 2007.03519), which LiRank (Borisyuk et al. 2024, arXiv 2402.06859) calls dense gating. W starts as that of a
    linear layer, b at 2, so that the gates start almost open. Steps do not mix: padding may hold any value.
    """

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gate = nn.Linear(dim, dim)
        nn.init.constant_(self.gate.bias, OPEN_BIAS)

    def forward(self, hidden: Float[Tensor, "*batch dim"]) -> Float[Tensor, "*batch dim"]:
        return hidden * self.gate(hidden).sigmoid()

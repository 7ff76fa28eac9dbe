"""How TFN and its heirs read one modality before they multiply it with the others."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput
from fusion.layers.masks import ordered, seen, visible
from fusion.layers.recurrent import Recurrent


class SubNetwork(nn.Sequential):
    """Dropout, then three layers of Linear and ReLU: the visual and acoustic sub-network of Zadeh et al. (2017)."""

    def __init__(self, dim: int, out_dim: int, dropout: float) -> None:
        widths = (dim, out_dim, out_dim)
        layers = [layer for width in widths for layer in (nn.Linear(width, out_dim), nn.ReLU())]
        super().__init__(nn.Dropout(dropout), *layers)


class RecurrentSubNetwork(nn.Module):
    """An LSTM, dropout and a linear layer, at every step: the language sub-network of Zadeh et al. (2017)."""

    def __init__(self, dim: int, hidden_dim: int, out_dim: int, dropout: float) -> None:
        super().__init__()
        self.recurrent = Recurrent(nn.LSTM, dim, hidden_dim, bidirectional=False)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(hidden_dim, out_dim)

    def forward(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time out"]:
        return self.out(self.dropout(self.recurrent(values, lengths)))


class SubNetworks(nn.Module):
    """One for each modality, in the order of ``ordered``; modalities named in ``recurrent`` have an LSTM in theirs.

    Gives each one's ``out_dim`` features at every step, 0 where it was not observed: of the vector [1, features] that
    goes into a product the 1 alone remains, and the product is that of the others. One with an LSTM remembers.
    Raises ValueError where ``recurrent`` names no modality.
    """

    def __init__(
        self, dims: Mapping[str, int], out_dim: int, dropout: float, *, recurrent: Sequence[str], hidden_dim: int
    ) -> None:
        super().__init__()
        self.names, self.recurrent = ordered(dims), frozenset(recurrent)
        if len(self.recurrent) < len(recurrent):
            raise InputError(f"recurrent names a modality twice: {', '.join(recurrent)}")
        for name in recurrent:
            if name not in dims:
                raise InputError(f"recurrent names {name!r}, which is no modality: known are {', '.join(self.names)}")
        self.networks = nn.ModuleList(
            RecurrentSubNetwork(dims[name], hidden_dim, out_dim, dropout)
            if name in self.recurrent
            else SubNetwork(dims[name], out_dim, dropout)
            for name in self.names
        )

    def forward(self, steps: FusionInput) -> list[Float[Tensor, "batch time out"]]:
        return [self.read(steps, *each) for each in zip(self.names, self.networks, strict=True)]

    def read(self, steps: FusionInput, name: str, network: nn.Module) -> Float[Tensor, "batch time out"]:
        values, observed = seen(steps, name)
        return network(values, steps.lengths) if name in self.recurrent else visible(network(values), observed)

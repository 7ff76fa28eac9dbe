"""Sub-networks of TFN and LMF: encode one modality before it is multiplied with the others."""

from collections.abc import Mapping, Sequence

from jaxtyping import Float, Int
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput
from fusion.layers.masks import mask_features, sort_modalities, zero_unobserved
from fusion.layers.recurrent import Recurrent


class SubNetwork(nn.Sequential):
    """Dropout and three layers of Linear and ReLU: the visual and acoustic sub-network of Zadeh et al. 2017."""

    def __init__(self, dim: int, out_dim: int, dropout: float) -> None:
        widths = (dim, out_dim, out_dim)
        layers = [layer for width in widths for layer in (nn.Linear(width, out_dim), nn.ReLU())]
        super().__init__(nn.Dropout(dropout), *layers)


class RecurrentSubNetwork(nn.Module):
    """LSTM, dropout and a linear layer at every step: the language sub-network of Zadeh et al. 2017."""

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
    """A sub-network for each modality, in the order of ``sort_modalities``.

    Returns ``out_dim`` features of each modality at every step. Modalities named in ``recurrent`` use an LSTM; the
    features of the others are 0 at unobserved steps, so that only the 1 in their vector [1, features] enters the
    product of modalities.

    Raises InputError where ``recurrent`` names an unknown modality, or one twice.
    """

    def __init__(
        self, dims: Mapping[str, int], out_dim: int, dropout: float, *, recurrent: Sequence[str], hidden_dim: int
    ) -> None:
        super().__init__()
        self.names, self.recurrent = sort_modalities(dims), frozenset(recurrent)
        if len(self.recurrent) < len(recurrent):
            raise InputError(f"recurrent names a modality twice: {', '.join(recurrent)}")
        for name in recurrent:
            if name not in dims:
                raise InputError(f"recurrent names {name!r}, which is not a modality; known: {', '.join(self.names)}")
        self.networks = nn.ModuleList(
            RecurrentSubNetwork(dims[name], hidden_dim, out_dim, dropout)
            if name in self.recurrent
            else SubNetwork(dims[name], out_dim, dropout)
            for name in self.names
        )

    def forward(self, inputs: FusionInput) -> list[Float[Tensor, "batch time out"]]:
        return [self.encode(inputs, *each) for each in zip(self.names, self.networks, strict=True)]

    def encode(self, inputs: FusionInput, name: str, network: nn.Module) -> Float[Tensor, "batch time out"]:
        values, observed = mask_features(inputs, name)
        return network(values, inputs.lengths) if name in self.recurrent else zero_unobserved(network(values), observed)

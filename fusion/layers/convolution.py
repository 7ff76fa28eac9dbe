"""Convolutions over time that ignore padding."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.layers.masks import zero_unobserved


class Convolution(nn.Module):
    """1-D convolution over time that keeps the length. Steps outside ``inside`` and around the window are read as 0.

    ``causal``: the kernel covers a step and those before it. Otherwise the kernel is centred; the longer half of an
    even kernel lies ahead. ``weight_norm``: weight normalisation (Salimans and Kingma 2016, arXiv 1602.07868).
    """

    def __init__(
        self, dim: int, out_dim: int, kernel: int, *, dilation: int = 1, causal: bool = False, weight_norm: bool = False
    ) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        before = reach if causal else reach // 2
        self.padding = (before, reach - before)
        layer = nn.Conv1d(dim, out_dim, kernel, dilation=dilation)
        self.layer = WeightNormConv1d(layer) if weight_norm else layer

    def forward(
        self, values: Float[Tensor, "batch time dim"], inside: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time out"]:
        if not values.shape[1]:  # with padding alone, torch refuses an input shorter than the kernel
            return values.new_zeros(len(values), 0, self.layer.out_channels)
        return self.layer(F.pad(zero_unobserved(values, inside).transpose(1, 2), self.padding)).transpose(1, 2)


class WeightNormConv1d(nn.Module):
    """A convolution whose weight is, for each output channel, ``magnitude`` * ``direction`` / norm of ``direction``.

    Starts with the weights of the given convolution. Torch's own parametrization is not used because it cannot be
    pickled, which training in several processes needs.
    """

    decayed = ("magnitude", "direction")  # together they are the weight, see ``fusion.weight_decay``

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self.out_channels, self.dilation = layer.out_channels, layer.dilation
        self.magnitude = nn.Parameter(_compute_norm(layer.weight.detach()))
        self.direction, self.bias = layer.weight, layer.bias

    def forward(self, values: Float[Tensor, "batch dim n"]) -> Float[Tensor, "batch out m"]:
        weight = self.direction * (self.magnitude / _compute_norm(self.direction))
        return F.conv1d(values, weight, self.bias, dilation=self.dilation)


def _compute_norm(weight: Float[Tensor, "out dim kernel"]) -> Float[Tensor, "out 1 1"]:
    return weight.square().sum((1, 2), keepdim=True).sqrt()


class TemporalBlock(nn.Module):
    """Two dilated convolutions with ReLU and dropout, and a residual connection (Bai et al. 2018, arXiv 1803.01271)."""

    def __init__(
        self, dim: int, out_dim: int, kernel: int, dropout: float, *, dilation: int = 1, causal: bool = False
    ) -> None:
        super().__init__()
        self.first = Convolution(dim, out_dim, kernel, dilation=dilation, causal=causal, weight_norm=True)
        self.second = Convolution(out_dim, out_dim, kernel, dilation=dilation, causal=causal, weight_norm=True)
        self.shortcut = nn.Linear(dim, out_dim) if dim != out_dim else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "batch time dim"], inside: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time out"]:
        hidden = self.dropout(self.first(values, inside).relu())
        hidden = self.dropout(self.second(hidden, inside).relu())
        return (hidden + self.shortcut(zero_unobserved(values, inside))).relu()


class TemporalNetwork(nn.Module):
    """Temporal convolutional network: ``num_layers`` blocks, the dilation doubles from block to block.

    The receptive field is 1 + 2 (kernel - 1) (2^num_layers - 1) steps. Raises InputError for more than 16 layers.
    """

    def __init__(
        self, dim: int, hidden_dim: int, num_layers: int, kernel: int, dropout: float, *, causal: bool = False
    ) -> None:
        super().__init__()
        if num_layers > 16:  # each block doubles the padding and the time
            raise InputError(f"num_layers is {num_layers}, expected at most 16 temporal blocks")
        self.blocks = nn.ModuleList(
            TemporalBlock(hidden_dim if i else dim, hidden_dim, kernel, dropout, dilation=2**i, causal=causal)
            for i in range(num_layers)
        )

    def forward(
        self, values: Float[Tensor, "batch time dim"], inside: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time hidden"]:
        for block in self.blocks:
            values = block(values, inside)
        return values

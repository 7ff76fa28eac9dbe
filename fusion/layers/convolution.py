"""Convolutions over time that read nothing beyond a window's end."""

import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.layers.masks import visible


class Convolution(nn.Module):
    """A 1-D convolution as long as its input: what is not ``inside`` is read as 0, as is what lies outside the window.

    ``causal``: a step sees itself and what came before; else ``kernel`` is centred (of an even one the longer half
    looks ahead). ``normed``: weight normalisation (Salimans and Kingma 2016).
    """

    def __init__(
        self, dim: int, out_dim: int, kernel: int, *, dilation: int = 1, causal: bool = False, normed: bool = False
    ) -> None:
        super().__init__()
        reach = (kernel - 1) * dilation
        before = reach if causal else reach // 2
        self.around = (before, reach - before)
        layer = nn.Conv1d(dim, out_dim, kernel, dilation=dilation)
        self.layer = Normed(layer) if normed else layer

    def forward(
        self, values: Float[Tensor, "batch time dim"], inside: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time out"]:
        if not values.shape[1]:  # padded it would have rows, and torch refuses fewer of them than the kernel has
            return values.new_zeros(len(values), 0, self.layer.out_channels)
        return self.layer(F.pad(visible(values, inside).transpose(1, 2), self.around)).transpose(1, 2)


class Normed(nn.Module):
    """A convolution whose weight is, for each output, ``size`` times ``direction`` over its length.

    Begins as the convolution it is given. Not torch's own parametrization: that one cannot be pickled, which processes
    that are started for training, or a copy of a whole module on disk, need.
    """

    def __init__(self, layer: nn.Conv1d) -> None:
        super().__init__()
        self.out_channels, self.dilation = layer.out_channels, layer.dilation
        self.size = nn.Parameter(_length(layer.weight.detach()))
        self.direction, self.bias = layer.weight, layer.bias

    def forward(self, values: Float[Tensor, "batch dim n"]) -> Float[Tensor, "batch out m"]:
        weight = self.direction * (self.size / _length(self.direction))
        return F.conv1d(values, weight, self.bias, dilation=self.dilation)


def _length(weight: Float[Tensor, "out dim kernel"]) -> Float[Tensor, "out 1 1"]:
    return weight.square().sum((1, 2), keepdim=True).sqrt()


class TemporalBlock(nn.Module):
    """Two dilated convolutions, each with ReLU and dropout, beside a shortcut (Bai et al. 2018, arXiv 1803.01271)."""

    def __init__(
        self, dim: int, out_dim: int, kernel: int, dropout: float, *, dilation: int = 1, causal: bool = False
    ) -> None:
        super().__init__()
        self.first = Convolution(dim, out_dim, kernel, dilation=dilation, causal=causal, normed=True)
        self.second = Convolution(out_dim, out_dim, kernel, dilation=dilation, causal=causal, normed=True)
        self.shortcut = nn.Linear(dim, out_dim) if dim != out_dim else nn.Identity()
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "batch time dim"], inside: Bool[Tensor, "batch time"]
    ) -> Float[Tensor, "batch time out"]:
        hidden = self.dropout(self.first(values, inside).relu())
        hidden = self.dropout(self.second(hidden, inside).relu())
        return (hidden + self.shortcut(visible(values, inside))).relu()


class TemporalNetwork(nn.Module):
    """``num_layers`` temporal blocks whose dilation doubles: it sees 2 (kernel - 1) (2^num_layers - 1) steps around."""

    def __init__(
        self, dim: int, hidden_dim: int, num_layers: int, kernel: int, dropout: float, *, causal: bool = False
    ) -> None:
        super().__init__()
        if num_layers > 16:  # padding, and time, would double with every one
            raise InputError(f"{num_layers} temporal blocks reach {2**num_layers} steps: choose 16 at most")
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

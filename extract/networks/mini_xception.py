"""Mini-Xception: a network of 58,423 parameters for grey faces of 64 px, read from the Keras file of a package.

Arriaga et al. 2017, Real-time convolutional neural networks for emotion and gender classification (arXiv:1710.07557).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from torch import nn

SIDE_PX = 64
DIM = 128  # of the last hidden layer

# Where each tensor begins in the file, in bytes, in the order of the network below. The file is known by its hash, and
# its tensors are plain float32 values, so that no HDF5 library is needed to read them.
PLACES = (
    36976, 37264, 37296, 37328, 37360,  # a convolution, the four tensors of a batch normalisation
    44736, 37392, 37424, 37456, 37488,
    69728, 38832, 38896, 38960, 63104,  # a block: its short way,
    37520, 37808, 38320, 38384, 38448, 38512,  # and two separable convolutions: over space, over channels
    61504, 62080, 38576, 38640, 38704, 38768,
    101896, 71456, 71584, 90696, 90824,
    70240, 80000, 63168, 63296, 63424, 70816,
    89544, 93640, 70944, 71072, 71200, 71328,
    156200, 152784, 153040, 153296, 153552,
    111896, 115992, 90952, 91208, 113048, 113304,
    129232, 133584, 113560, 152016, 152272, 152528,
    296096, 332272, 332784, 333296, 333808,
    172016, 176368, 211184, 211696, 212208, 212720,
    217672, 224328, 291912, 292424, 292936, 293448,
    338456, 71712,  # the head, with its bias
)  # fmt: skip


def read_mini_xception(file: Path) -> nn.Sequential:
    """The network in two parts: grey faces (batch, 1, 64, 64) in [-1, 1] to a map (batch, 128, 4, 4), map to 7 maps.

    The mean of the 7 maps over space are the logits. ``file``: the package's, known by its hash.
    """
    import torch
    from torch import nn

    def convolution(num_in: int, num_out: int) -> list[nn.Module]:
        return [nn.Conv2d(num_in, num_out, 3, bias=False), nn.BatchNorm2d(num_out, eps=1e-3), nn.ReLU()]

    def separable(num_in: int, num_out: int) -> list[nn.Module]:
        over_space = nn.Conv2d(num_in, num_in, 3, padding=1, groups=num_in, bias=False)
        return [over_space, nn.Conv2d(num_in, num_out, 1, bias=False), nn.BatchNorm2d(num_out, eps=1e-3)]

    class Block(nn.Module):
        """Halves the map. ``padding``: of the pooling where the side is odd; an even one is padded at its end."""

        def __init__(self, num_in: int, num_out: int, padding: int = 0) -> None:
            super().__init__()
            pool = nn.MaxPool2d(3, 2, padding, ceil_mode=True)
            self.short = nn.Sequential(
                nn.Conv2d(num_in, num_out, 1, stride=2, bias=False), nn.BatchNorm2d(num_out, eps=1e-3)
            )
            self.long = nn.Sequential(*separable(num_in, num_out), nn.ReLU(), *separable(num_out, num_out), pool)

        def forward(self, values: torch.Tensor) -> torch.Tensor:
            return self.short(values) + self.long(values)

    blocks = [Block(8, 16), Block(16, 32), Block(32, 64, padding=1), Block(64, DIM)]
    body = nn.Sequential(*convolution(1, 8), *convolution(8, 8), *blocks)
    network = nn.Sequential(body, nn.Conv2d(DIM, 7, 3, padding=1))
    content = file.read_bytes()
    tensors = [tensor for name, tensor in network.state_dict().items() if not name.endswith("num_batches_tracked")]
    for place, tensor in zip(PLACES, tensors, strict=True):
        values = torch.from_numpy(np.frombuffer(content, "<f4", tensor.numel(), place).copy())
        if tensor.ndim == 4:  # Keras keeps (height, width, in, out)
            num_out, num_in, height, width = tensor.shape
            values = values.reshape(height, width, num_in, num_out).permute(3, 2, 0, 1)
        tensor.copy_(values)
    return network

"""The group norm after a network's first convolution, computed over a whole sound and applied to its chunks.

wav2vec2-base, hubert-base, wavlm-base and similar networks normalise each channel of their first convolution over time.
With a norm of each chunk's own, a quiet chunk would become as loud as the others. The convolution is a small part of
the network, so it is computed twice: first over the whole sound for its mean and variance, then in each chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.networks.frozen import inference

if TYPE_CHECKING:
    from torch import Tensor

    Level = tuple[Tensor, Tensor]  # scale and shift of each channel

FRAMES = 1 << 15  # outputs of the convolution computed at a time


class WholeSoundNorm:
    """Replaces the group norm of one network within ``fixed``; elsewhere the network's own applies."""

    def __init__(self, convolution: Any, norm: Any) -> None:
        self._convolution, self._norm = convolution, norm
        self._level: Level | None = None
        norm.register_forward_hook(self._replace)

    def level(self, samples: np.ndarray, waves: Callable[[np.ndarray], Tensor]) -> Level:
        """Scale and shift of the norm over all ``samples``; ``waves`` turns samples into the network's input."""
        import torch

        kernel, stride = self._convolution.kernel_size[0], self._convolution.stride[0]
        num = (len(samples) - kernel) // stride + 1
        totals = []
        with inference():
            for first in range(0, num, FRAMES):
                stop = min(num, first + FRAMES)
                part = np.array(samples[first * stride : (stop - 1) * stride + kernel], np.float32)
                made = self._convolution(waves(part)[:, None])[0].double()
                totals.append(torch.stack([made.sum(1), made.square().sum(1)]))
            mean, square = torch.stack(totals).sum(0) / num
            scale = self._norm.weight / (square - mean.square()).clamp_min(0).add(self._norm.eps).sqrt()
            return scale.float()[:, None], (self._norm.bias - scale * mean).float()[:, None]

    @contextmanager
    def fixed(self, level: Level | None) -> Iterator[None]:
        """Within, the norm applies ``level``; None: the network's own norm."""
        self._level = level
        try:
            yield
        finally:
            self._level = None

    def _replace(self, norm: Any, given: tuple[Tensor, ...], made: Tensor) -> Tensor:
        if self._level is None:
            return made
        scale, shift = self._level
        return (given[0].float() * scale + shift).to(made.dtype)


def find_whole_norm(feature_extractor: Any | None) -> WholeSoundNorm | None:
    """The group norm of a feature extractor of transformers or torchaudio; None where it has none."""
    from torch import nn

    convolutions = getattr(feature_extractor, "conv_layers", None)
    if not convolutions or not isinstance(norm := getattr(convolutions[0], "layer_norm", None), nn.GroupNorm):
        return None
    return WholeSoundNorm(convolutions[0].conv, norm)

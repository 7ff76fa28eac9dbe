"""The group norm after a network's first convolution, over a whole sound where only a chunk of it goes through.

wav2vec2-base, hubert-base, wavlm-base and their like norm each channel of their first convolution over time. Chunks by
themselves would each have their own norm, so that a quiet one is made loud. The convolution is a small part of the
network: it is gone through once before, and its mean and variance over the whole sound are held for every chunk.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np

from extract.networks.frozen import inference

if TYPE_CHECKING:
    from torch import Tensor

    Level = tuple[Tensor, Tensor]  # of each channel: factor, and what is added

FRAMES = 1 << 15  # that the convolution gives at a time


class WholeNorm:
    """The norm of one network. Outside ``held`` it is the network's own."""

    def __init__(self, convolution: Any, norm: Any) -> None:
        self._convolution, self._norm = convolution, norm
        self._level: Level | None = None
        norm.register_forward_hook(self._replace)

    def level(self, samples: np.ndarray, waves: Callable[[np.ndarray], Tensor]) -> Level:
        """What the norm would do to the whole of these samples; ``waves`` makes of some what the network takes."""
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
    def held(self, level: Level | None) -> Iterator[None]:
        """Within, the norm is as told; None: as ever."""
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


def whole_norm(feature_extractor: Any | None) -> WholeNorm | None:
    """The norm of a network's feature extractor (of transformers or torchaudio); None where it norms no time."""
    from torch import nn

    convolutions = getattr(feature_extractor, "conv_layers", None)
    if not convolutions or not isinstance(norm := getattr(convolutions[0], "layer_norm", None), nn.GroupNorm):
        return None
    return WholeNorm(convolutions[0].conv, norm)

"""Attention that never looks at what was not observed, and the transformer layers made of it."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.layers.masks import check_normed


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention in ``num_heads`` heads of ``head_dim`` (default dim / num_heads), fused by torch.

    ``seen`` says which steps of the memory may be looked at. Where a clip has none, the answer is 0: a softmax over
    nothing would be NaN. Keys have no bias, which a softmax would not feel, and attention weights no dropout, with
    which a CPU would not fuse attention but keep all time x time of them.
    Raises ValueError where ``num_heads`` does not divide ``dim`` and no ``head_dim`` is given.
    """

    def __init__(self, dim: int, num_heads: int, *, head_dim: int | None = None) -> None:
        super().__init__()
        if head_dim is None and dim % num_heads:
            raise InputError(f"{num_heads} heads do not divide {dim} features: choose a num_heads that does")
        width = num_heads * (head_dim or dim // num_heads)
        self.num_heads = num_heads
        self.query, self.value, self.out = nn.Linear(dim, width), nn.Linear(dim, width), nn.Linear(width, dim)
        self.key = nn.Linear(dim, width, bias=False)

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        memory: Float[Tensor, "batch other dim"],
        seen: Bool[Tensor, "batch other"],
    ) -> Float[Tensor, "batch time dim"]:
        query, key, value = (
            each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each in (self.query(values), self.key(memory), self.value(memory))
        )
        any_seen = seen.any(-1, keepdim=True)
        mask = (seen | ~any_seen)[:, None, None]
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return torch.where(any_seen[..., None], self.out(heads.transpose(1, 2).flatten(2)), 0.0)


class TransformerLayer(nn.Module):
    """Attention and a perceptron, each on normed input and added to it (pre-norm; Xiong et al. 2020, 2002.04745).

    With a ``memory`` its steps are attended to, normed by the same layer norm (as in MulT), else the values' own.
    Raises ValueError where ``dim`` is 1.
    """

    def __init__(
        self,
        dim: int,
        num_heads: int,
        mlp_dim: int,
        dropout: float,
        *,
        head_dim: int | None = None,
        activation: Callable[[], nn.Module] = nn.ReLU,
    ) -> None:
        super().__init__()
        check_normed(dim)
        self.attention = MultiHeadAttention(dim, num_heads, head_dim=head_dim)
        self.perceptron = nn.Sequential(
            nn.Linear(dim, mlp_dim), activation(), nn.Dropout(dropout), nn.Linear(mlp_dim, dim)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        seen: Bool[Tensor, "batch other"],
        memory: Float[Tensor, "batch other dim"] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """``seen`` are the flags of the memory, or of the values where there is none."""
        normed = self.norms[0](values)
        memory = normed if memory is None else self.norms[0](memory)
        values = values + self.dropout(self.attention(normed, memory, seen))
        return values + self.dropout(self.perceptron(self.norms[1](values)))


def positions(num_steps: int, dim: int, like: Tensor) -> Float[Tensor, "time dim"]:
    """Sines and cosines of the place in the window (Vaswani et al. 2017), on the device and in the type of ``like``."""
    half = (dim + 1) // 2
    rates = torch.exp(-math.log(10_000) / half * torch.arange(half, device=like.device))
    angles = torch.arange(num_steps, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :dim].to(like.dtype)

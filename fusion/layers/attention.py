"""Attention over observed steps only, and transformer layers built from it."""

import math
from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.layers.masks import check_layer_norm


class MultiHeadAttention(nn.Module):
    """Scaled dot-product attention with ``num_heads`` heads of ``head_dim`` features (default: dim / num_heads).

    ``mask`` is True at the steps of the memory that may be attended to. Where a window has none, the output is 0 (a
    softmax over nothing would be NaN). Keys have no bias, because a softmax cancels it. Attention weights have no
    dropout, because torch on a CPU would then store all time x time weights instead of using its fused kernel.

    Raises InputError where ``num_heads`` does not divide ``dim`` and no ``head_dim`` is given.
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
        mask: Bool[Tensor, "batch other"],
    ) -> Float[Tensor, "batch time dim"]:
        query, key, value = (
            each.unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each in (self.query(values), self.key(memory), self.value(memory))
        )
        has_any = mask.any(-1, keepdim=True)
        attn_mask = (mask | ~has_any)[:, None, None]
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=attn_mask)
        return torch.where(has_any[..., None], self.out(heads.transpose(1, 2).flatten(2)), 0.0)


class TransformerLayer(nn.Module):
    """Pre-norm transformer layer: attention and a feed-forward network, each with a residual connection.

    Pre-norm as in Xiong et al. 2020, arXiv 2002.04745. With a ``memory`` the layer attends to its steps, normalised by
    the same layer norm as the values (as in MulT); without one it is self-attention.

    Raises InputError where ``dim`` is 1, or ``num_heads`` does not divide it and no ``head_dim`` is given.
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
        check_layer_norm(dim)
        self.attention = MultiHeadAttention(dim, num_heads, head_dim=head_dim)
        self.feed_forward = nn.Sequential(
            nn.Linear(dim, mlp_dim), activation(), nn.Dropout(dropout), nn.Linear(mlp_dim, dim)
        )
        self.norms = nn.ModuleList(nn.LayerNorm(dim) for _ in range(2))
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        mask: Bool[Tensor, "batch other"],
        memory: Float[Tensor, "batch other dim"] | None = None,
    ) -> Float[Tensor, "batch time dim"]:
        """``mask`` is True at the steps that may be attended to, of the memory, or of the values without one."""
        normed = self.norms[0](values)
        memory = normed if memory is None else self.norms[0](memory)
        values = values + self.dropout(self.attention(normed, memory, mask))
        return values + self.dropout(self.feed_forward(self.norms[1](values)))


def sinusoidal_positions(num_steps: int, dim: int, like: Tensor) -> Float[Tensor, "time dim"]:
    """Sinusoidal position encoding (Vaswani et al. 2017), on the device and with the dtype of ``like``."""
    half = (dim + 1) // 2
    rates = torch.exp(-math.log(10_000) / half * torch.arange(half, device=like.device))
    angles = torch.arange(num_steps, device=like.device)[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :dim].to(like.dtype)

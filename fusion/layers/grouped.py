"""Several layers of the same shape, each with its own weights, computed in one call (batched matrix products)."""

import math

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.layers.attention import sinusoidal_positions


class GroupedTransformer(nn.Module):
    """Transformers of MulT (Tsai et al. 2019, arXiv 1906.00295), one for each group.

    The input is scaled by sqrt(dim); pre-norm layers and a final layer norm follow. With a ``memory`` the layers attend
    to its steps; without one they are self-attention. ``num_heads`` must divide ``dim``.
    """

    def __init__(
        self, num_groups: int, dim: int, *, num_layers: int, num_heads: int, with_positions: bool, dropout: float
    ) -> None:
        super().__init__()
        self.with_positions = with_positions
        self.layers = nn.ModuleList(GroupedLayer(num_groups, dim, num_heads, dropout) for _ in range(num_layers))
        self.norm = GroupedNorm(num_groups, dim)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self,
        values: Float[Tensor, "groups batch time dim"],
        observed: Bool[Tensor, "groups batch time"],
        memory: Float[Tensor, "groups batch time dim"] | None = None,
    ) -> Float[Tensor, "groups batch time dim"]:
        """``observed`` is True at the steps that may be attended to, of the memory, or of the values without one."""
        values = self.embed(values)
        memory = None if memory is None else self.embed(memory)
        for layer in self.layers:
            values = layer(values, observed, memory)
        return self.norm(values)

    def embed(self, values: Float[Tensor, "groups batch time dim"]) -> Float[Tensor, "groups batch time dim"]:
        """The values scaled by sqrt(dim), with sinusoidal positions if the transformer has them, and dropout."""
        num_steps, dim = values.shape[2:]
        values = math.sqrt(dim) * values
        return self.dropout(values + sinusoidal_positions(num_steps, dim, values) if self.with_positions else values)


class GroupedLayer(nn.Module):
    """A ``TransformerLayer`` for each group, also without dropout on attention weights."""

    def __init__(self, num_groups: int, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.num_heads, self.dropout = num_heads, nn.Dropout(dropout)
        self.norms = nn.ModuleList(GroupedNorm(num_groups, dim) for _ in range(2))
        self.query, self.out = GroupedLinear(num_groups, dim, dim), GroupedLinear(num_groups, dim, dim)
        self.key_value = GroupedLinear(num_groups, dim, 2 * dim)
        widen, narrow = GroupedLinear(num_groups, dim, 4 * dim), GroupedLinear(num_groups, 4 * dim, dim)
        self.feed_forward = nn.Sequential(widen, nn.ReLU(), self.dropout, narrow)

    def forward(
        self,
        values: Float[Tensor, "groups batch time dim"],
        observed: Bool[Tensor, "groups batch time"],
        memory: Float[Tensor, "groups batch time dim"] | None,
    ) -> Float[Tensor, "groups batch time dim"]:
        normed = self.norms[0](values)
        memory = normed if memory is None else self.norms[0](memory)
        values = values + self.dropout(self.attend(normed, memory, observed))
        return values + self.dropout(self.feed_forward(self.norms[1](values)))

    def attend(self, values: Tensor, memory: Tensor, observed: Tensor) -> Float[Tensor, "groups batch time dim"]:
        """Attention as in ``MultiHeadAttention``: 0 where a window has no observed step."""
        query, key, value = (
            each.flatten(0, 1).unflatten(-1, (self.num_heads, -1)).transpose(1, 2)
            for each in (self.query(values), *self.key_value(memory).chunk(2, dim=-1))
        )
        any_observed = observed.any(-1, keepdim=True)
        mask = (observed | ~any_observed).flatten(0, 1)[:, None, None]
        heads = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        found = self.out(heads.transpose(1, 2).flatten(2).unflatten(0, values.shape[:2]))
        return torch.where(any_observed[..., None], found, 0.0)


class GroupedLinear(nn.Module):
    """A linear layer for each group, with weights (groups, dim, out) and Xavier initialisation."""

    def __init__(self, num_groups: int, dim: int, out_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_groups, dim, out_dim))
        self.bias = nn.Parameter(torch.zeros(num_groups, 1, out_dim))
        for each in self.weight:
            nn.init.xavier_uniform_(each)

    def forward(self, values: Float[Tensor, "groups batch time dim"]) -> Float[Tensor, "groups batch time out"]:
        return torch.baddbmm(self.bias, values.flatten(1, 2), self.weight).unflatten(1, values.shape[1:3])


class GroupedNorm(nn.Module):
    """A layer norm for each group."""

    def __init__(self, num_groups: int, dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(num_groups, 1, 1, dim))
        self.bias = nn.Parameter(torch.zeros(num_groups, 1, 1, dim))

    def forward(self, values: Float[Tensor, "groups batch time dim"]) -> Float[Tensor, "groups batch time dim"]:
        return torch.addcmul(self.bias, F.layer_norm(values, values.shape[-1:]), self.weight)

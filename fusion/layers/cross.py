"""Cross networks: explicit products of features, with fixed weights (DCN-V2) or with weights chosen by attention."""

import math

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

MAX_SCORES = 2**24  # attention scores kept at once: 64 MiB; more steps are computed in chunks, twice in training


class LowRankCross(nn.Module):
    """One layer of DCN-V2 in low-rank form (Wang et al. 2021, arXiv 2008.13535): x0 * (U V' x + b) + x, at every step.

    x0 has the ``dim`` features that all layers multiply with, x is the output of the layer before. V' maps x to
    ``rank`` numbers, U maps them back.
    """

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(dim, rank, bias=False), nn.Linear(rank, dim)

    def forward(self, first: Float[Tensor, "*steps dim"], values: Float[Tensor, "*steps dim"]) -> Tensor:
        return first * self.up(self.mix(values)) + values

    def mix(self, values: Float[Tensor, "*steps dim"]) -> Float[Tensor, "*steps rank"]:
        """What lies between the two maps."""
        return self.down(values)


class AttentionCross(LowRankCross):
    """A low-rank cross layer with attention between its two maps (LiRank, Borisyuk et al. 2024, arXiv 2402.06859).

    v = V'x, q = Q'x and k = K'x have ``rank`` numbers each. A = softmax(q k' / ``temperature``), over the rows of a
    rank x rank matrix at every step, mixes the numbers of v: x0 * (U (A v + v) + b) + x, without ``skip``
    x0 * (U A v + b) + x. With A = 1 and no skip this is ``LowRankCross``. The paper prints no formula; this is the
    reading in which that holds, as the paper says.
    """

    def __init__(self, dim: int, rank: int, temperature: float, skip: bool) -> None:
        super().__init__(dim, rank)
        self.query, self.key = nn.Linear(dim, rank, bias=False), nn.Linear(dim, rank, bias=False)
        self.temperature, self.skip = temperature, skip

    def mix(self, values: Float[Tensor, "*steps dim"]) -> Float[Tensor, "*steps rank"]:
        query, key, value = (layer(values).flatten(0, -2) for layer in (self.query, self.key, self.down))
        mixed = self._attend(query, key, value).reshape(*values.shape[:-1], -1)
        return mixed + value.view_as(mixed) if self.skip else mixed

    def weigh(self, query: Float[Tensor, "steps rank"], key: Float[Tensor, "steps rank"]) -> Tensor:
        """The attention weights A (steps rank rank); each row sums to 1."""
        return (query[:, :, None] * (key / self.temperature)[:, None]).softmax(dim=-1)

    def _attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """A v in chunks of steps, so that memory does not grow with steps x rank x rank."""
        num_steps, rank = value.shape
        num_chunks = max(1, math.ceil(num_steps * rank**2 / MAX_SCORES))
        if num_chunks == 1:
            return self._attend_at_once(query, key, value)
        chunks = zip(*(each.chunk(num_chunks) for each in (query, key, value)), strict=True)
        keeps = torch.is_grad_enabled()  # otherwise the backward pass would hold the scores of all chunks
        mixed = [
            checkpoint(self._attend_at_once, *chunk, use_reentrant=False, preserve_rng_state=False)
            if keeps
            else self._attend_at_once(*chunk)
            for chunk in chunks
        ]
        return torch.cat(mixed)

    def _attend_at_once(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        return (self.weigh(query, key) @ value[..., None])[..., 0]


class CrossNetwork(nn.Module):
    """Cross layers one after the other; each multiplies with the input of the first once more.

    ``num_layers`` layers give products of up to ``num_layers`` + 1 features. Where autocast lowers the precision, the
    layers compute in float32 nevertheless: products of features overflow half precision.
    """

    def __init__(self, layers: list[LowRankCross]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(layers)

    def forward(self, values: Float[Tensor, "*steps dim"]) -> Float[Tensor, "*steps dim"]:
        with torch.autocast(values.device.type, enabled=False):
            first = crossed = values if values.dtype == torch.float64 else values.float()
            for layer in self.layers:
                crossed = layer(first, crossed)
        return crossed


class ParallelCrosses(nn.Module):
    """A low-rank and an attention cross network side by side, both from the same features: residual DCN of LiRank.

    The output has 2 ``dim`` features. ``attention_rank`` (default: ``rank``) is that of the attention network.
    """

    def __init__(
        self,
        dim: int,
        rank: int,
        num_layers: int,
        *,
        attention_rank: int | None = None,
        temperature: float = 1.0,
        skip: bool = True,
    ) -> None:
        super().__init__()
        self.fixed = CrossNetwork([LowRankCross(dim, rank) for _ in range(num_layers)])
        self.attention = CrossNetwork(
            [AttentionCross(dim, attention_rank or rank, temperature, skip) for _ in range(num_layers)]
        )

    def forward(self, values: Float[Tensor, "*steps dim"]) -> Float[Tensor, "*steps twice"]:
        return torch.cat([self.fixed(values), self.attention(values)], dim=-1)

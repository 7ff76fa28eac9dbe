"""The isotonic calibration layer of LiRank (Borisyuk et al. 2024, arXiv 2402.06859, eq. 1)."""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from abaw.errors import InputError


class IsotonicLayer(nn.Module):
    """A monotone, piecewise linear map of each of ``units`` logits, which may depend on a context.

    The range ``low`` to ``high`` is cut into buckets of width ``step``. The slope of a bucket is ReLU(weight + offset
    of the context), 0 or more whatever the weights are, and the map is the bias plus the slopes summed up to the logit,
    as ``numpy.interp`` computes it on ``knots``. At the start it is the identity: weights 1, offsets 0, bias ``low``.
    Logits beyond the range get its ends, as in the authors' public code.

    Ours: where the slope of a bucket is 0, or a logit is beyond the range, a gradient that would bring it back still
    flows. Through a plain ReLU none does, so a bucket whose slope once became 0 would stay dead. A bucket that no logit
    reaches keeps its slope. Raises InputError where the range is not a number of steps.
    """

    def __init__(
        self,
        units: int,
        low: int | float = -8.0,
        high: int | float = 8.0,
        step: int | float = 0.25,
        num_contexts: int = 1,
    ) -> None:
        super().__init__()
        num = round((high - low) / step) if step > 0 else 0
        if num < 1 or abs(low + num * step - high) > 1e-6 * step:
            raise InputError(f"isotonic layer: {low:g} to {high:g} is no number of steps of {step:g} above 0")
        if units < 1 or num_contexts < 1:
            raise InputError(f"isotonic layer: units is {units}, num_contexts {num_contexts}: expected 1 or more")
        self.low, self.high, self.step = float(low), float(high), float(step)
        self.slopes = nn.Parameter(torch.ones(units, num))
        self.offsets = nn.Parameter(torch.zeros(num_contexts, units, num)) if num_contexts > 1 else None
        self.bias = nn.Parameter(torch.full((units,), float(low)))
        self.context_bias = nn.Parameter(torch.zeros(num_contexts, units)) if num_contexts > 1 else None

    def forward(
        self, logits: Float[Tensor, "*batch units"], contexts: Int[Tensor, "*batch"] | None = None
    ) -> Float[Tensor, "*batch units"]:
        """The calibrated logits. ``contexts``: the number of each row's context; needed where there are several."""
        if self.offsets is not None and contexts is None:
            raise InputError(f"isotonic layer: it has {len(self.offsets)} contexts, so it needs that of every row")
        slopes, bias = self._of_contexts()
        position = (_clamp(logits.float(), self.low, self.high) - self.low) / self.step
        bucket = position.detach().floor().long().clamp(0, slopes.shape[-1] - 1)
        _, units, num = slopes.shape
        row = bucket + num * torch.arange(units, device=logits.device)
        if contexts is not None:
            row = row + units * num * contexts.unsqueeze(-1)
        starts = bias.unsqueeze(-1) + self.step * (slopes.cumsum(-1) - slopes)
        # an embedding, whose gradient is summed faster than that of an indexed tensor
        found = nn.functional.embedding(row, torch.stack([starts, self.step * slopes], -1).reshape(-1, 2))
        return (found[..., 0] + found[..., 1] * (position - bucket)).to(logits.dtype)

    def knots(self, context: int = 0) -> tuple[Float[Tensor, " knots"], Float[Tensor, "units knots"]]:
        """The ends of the buckets, and the maps' values there."""
        slopes, bias = (each[context].detach() for each in self._of_contexts())
        ends = self.low + self.step * torch.arange(slopes.shape[-1] + 1, device=slopes.device)
        return ends, bias[:, None] + self.step * nn.functional.pad(slopes.cumsum(-1), (1, 0))

    def _of_contexts(self) -> tuple[Tensor, Tensor]:
        """Slopes (contexts units buckets) and biases (contexts units)."""
        slopes = self.slopes[None] if self.offsets is None else self.slopes + self.offsets
        bias = self.bias[None] if self.context_bias is None else self.bias + self.context_bias
        return _clamp(slopes, 0.0, float("inf")), bias


class _Clamp(torch.autograd.Function):
    """``torch.clamp``, whose gradient is stopped only where it would move a value further beyond its bound."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, low: float, high: float) -> Tensor:
        ctx.save_for_backward(values)
        ctx.bounds = low, high
        return values.clamp(low, high)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Any:
        (values,), (low, high), grad = ctx.saved_tensors, ctx.bounds, grads[0]
        # a step against the gradient lowers a value where the gradient is positive
        stopped = ((values < low) & (grad > 0)) | ((values > high) & (grad < 0))
        return grad.masked_fill(stopped, 0.0), None, None


def _clamp(values: Tensor, low: float, high: float) -> Tensor:
    return _Clamp.apply(values, low, high)

"""What was observed and where a window ends: the two facts every layer must know.

Two facts, two tools: ``visible`` hides what was not observed, ``within`` says where padding begins. ``seen`` is both.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abaw.errors import InputError
from fusion.base import FusionInput


def visible(
    values: Float[Tensor, "batch time dim"], observed: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time dim"]:
    """The values, 0 where not observed. A choice, not a product: NaN times 0 is NaN."""
    return torch.where(observed[..., None], values, values.new_zeros(()))


def within(lengths: Int[Tensor, " batch"], num_steps: int) -> Bool[Tensor, "batch time"]:
    """True for the steps of a window, False for its padding."""
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def seen(steps: FusionInput, name: str) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
    """One modality's values, 0 where nothing was observed and in padding, and the flags that say so."""
    observed = steps.observed[name] & within(steps.lengths, steps.times_s.shape[1])
    return visible(steps.features[name], observed), observed


def seen_with_flags(steps: FusionInput, name: str) -> Float[Tensor, "batch time dim_and_flag"]:
    """``seen`` in one tensor, the flag last: a model can tell "nothing there" from "there, and average"."""
    values, observed = seen(steps, name)
    return torch.cat([values, observed[..., None].to(values.dtype)], dim=-1)


def ordered(dims: Mapping[str, int]) -> tuple[str, ...]:
    """The modalities in the order in which every model holds them, whatever the order in the config.

    Raises ValueError where there is none, or one without features.
    """
    if not dims:
        raise InputError("a fusion model needs at least one modality: name one under features")
    for name, dim in dims.items():
        if dim < 1:
            raise InputError(f"modality {name!r} has {dim} features, expected at least 1")
    return tuple(sorted(dims))


def check_settings(model: str, *, dropout: float, **sizes: int) -> None:
    """ValueError where a size is under 1 or ``dropout`` is not in [0, 1)."""
    for key, size in sizes.items():
        if size < 1:
            raise InputError(f"{model}: {key} is {size}, expected at least 1")
    if not 0 <= dropout < 1:
        raise InputError(f"{model}: dropout is {dropout}, expected 0 up to (not including) 1")


def check_normed(dim: int) -> None:
    """ValueError where a layer norm would make everything the same: that of a single feature is always 0."""
    if dim < 2:
        raise InputError(f"a layer norm of {dim} feature is always 0: choose a hidden_dim of at least 2")


def mean_over(values: Float[Tensor, "batch time *rest"], counted: Bool[Tensor, "batch time"]) -> Float[Tensor, ""]:
    """The mean over the steps that count; 0, with a gradient of 0, where none does."""
    counted = counted.reshape(*counted.shape, *(1,) * (values.dim() - 2))
    num_values = counted.sum() * values[0, 0].numel()
    dtype = torch.float64 if values.dtype == torch.float64 else torch.float32  # a sum in half precision overflows
    return torch.where(counted, values, values.new_zeros(())).sum(dtype=dtype) / num_values.clamp(min=1)


def keep_modalities(
    present: Bool[Tensor, "batch modality"], shares: Float[Tensor, " modality"] | float
) -> Bool[Tensor, "batch modality"]:
    """Which modalities a window keeps: each is lost with its share's probability, but never the last one present."""
    drawn = torch.rand(present.shape, device=present.device)
    kept = drawn >= shares
    nearest = torch.zeros_like(kept).scatter(1, torch.where(present, drawn, -1.0).argmax(1, keepdim=True), True)
    is_bare = ~(kept & present).any(1, keepdim=True)  # only then: whoever drew highest would else be lost too seldom
    return kept | (is_bare & nearest)

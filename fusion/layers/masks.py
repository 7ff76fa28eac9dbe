"""Masks for unobserved steps and for padding, and checks that models share.

Two different masks are needed: ``zero_unobserved`` hides steps at which a modality was not observed,
``make_length_mask`` marks where a window ends and padding begins. ``mask_features`` applies both.
"""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from abaw.errors import InputError
from fusion.base import FusionInput


def zero_unobserved(
    values: Float[Tensor, "batch time dim"], observed: Bool[Tensor, "batch time"]
) -> Float[Tensor, "batch time dim"]:
    """The values, with 0 at unobserved steps, also where they are NaN there.

    >>> zero_unobserved(torch.tensor([[[1.0], [torch.nan]]]), torch.tensor([[True, False]]))
    tensor([[[1.],
             [0.]]])
    """
    return torch.where(observed[..., None], values, values.new_zeros(()))  # not a product: NaN times 0 is NaN


def make_length_mask(lengths: Int[Tensor, " batch"], num_steps: int) -> Bool[Tensor, "batch time"]:
    """True for the steps of each window, False for its padding.

    >>> make_length_mask(torch.tensor([2, 3]), 3)
    tensor([[ True,  True, False],
            [ True,  True,  True]])
    """
    return torch.arange(num_steps, device=lengths.device) < lengths[:, None]


def mask_features(inputs: FusionInput, name: str) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
    """Features of one modality, 0 at unobserved steps and in padding, and the mask of observed steps (not padding)."""
    observed = inputs.observed[name] & make_length_mask(inputs.lengths, inputs.times_s.shape[1])
    return zero_unobserved(inputs.features[name], observed), observed


def mask_features_with_flag(inputs: FusionInput, name: str) -> Float[Tensor, "batch time dim_and_flag"]:
    """Masked features of one modality, with the mask of observed steps as one more feature.

    The flag lets a model distinguish a missing value from one that happens to be 0, the mean.
    """
    values, observed = mask_features(inputs, name)
    return torch.cat([values, observed[..., None].to(values.dtype)], dim=-1)


def sort_modalities(dims: Mapping[str, int]) -> tuple[str, ...]:
    """Names of the modalities in alphabetical order, so that a model does not depend on their order in the config.

    Raises InputError where there is no modality, or one without features.

    >>> sort_modalities({"voice": 3, "face": 5})
    ('face', 'voice')
    """
    if not dims:
        raise InputError("a fusion model needs at least one modality: name one under features")
    for name, dim in dims.items():
        if dim < 1:
            raise InputError(f"modality {name!r} has {dim} features, expected at least 1")
    return tuple(sorted(dims))


def check_layer_norm(dim: int) -> None:
    """Raises InputError where ``dim`` is 1: the layer norm of a single feature is always 0."""
    if dim < 2:
        raise InputError(f"a layer norm of {dim} feature is always 0: choose a hidden_dim of at least 2")


def masked_mean(values: Float[Tensor, "batch time *rest"], mask: Bool[Tensor, "batch time"]) -> Float[Tensor, ""]:
    """Mean over the steps where ``mask`` is True; 0, with a gradient of 0, where there is none."""
    mask = mask.reshape(*mask.shape, *(1,) * (values.dim() - 2))
    num_values = mask.sum() * values[0, 0].numel()
    dtype = torch.float64 if values.dtype == torch.float64 else torch.float32  # a sum in half precision overflows
    return torch.where(mask, values, values.new_zeros(())).sum(dtype=dtype) / num_values.clamp(min=1)


def draw_kept_modalities(
    present: Bool[Tensor, "batch modality"], rates: Float[Tensor, " modality"] | float
) -> Bool[Tensor, "batch modality"]:
    """Randomly drop whole modalities: True where a window keeps a modality.

    Each modality is dropped with the probability in ``rates``, but a window never loses the last modality that is
    ``present``, that is, observed at any of its steps.
    """
    drawn = torch.rand(present.shape, device=present.device)
    kept = drawn >= rates
    highest = torch.zeros_like(kept).scatter(1, torch.where(present, drawn, -1.0).argmax(1, keepdim=True), True)
    has_none = ~(kept & present).any(1, keepdim=True)
    return kept | (has_none & highest)  # restored only where all are lost: else the rates would not hold

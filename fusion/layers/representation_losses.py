"""Auxiliary losses that compare two representations: orthogonality, distribution distance, contrastive prediction.

All are scalars over the steps where ``counted`` is True, and 0 with a finite gradient where there is none.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def difference_loss(
    one: Float[Tensor, "batch time hidden"],
    other: Float[Tensor, "batch time hidden"],
    counted: Bool[Tensor, "batch time"],
    *,
    max_rows: int,
) -> Float[Tensor, ""]:
    """Soft orthogonality of two representations: the mean squared inner product over all pairs of their features.

    This is MISA's difference loss (Hazarika et al. 2020, arXiv 2005.03545). The mean over steps is subtracted and each
    step scaled to length 1, without a gradient through the length. The loss grows with the square of the number of
    steps; more than ``max_rows`` steps are scaled as if there were ``max_rows``.
    """
    centred, _, num_rows = _centred(one, other, counted)
    length = torch.linalg.vector_norm(centred.detach(), dim=-1, keepdim=True)
    first, second = centred / (length + 1e-6)
    return (first.mT @ second * (num_rows.clamp(max=max_rows) / num_rows)).square().mean()


def central_moment_discrepancy(
    one: Float[Tensor, "batch time hidden"],
    other: Float[Tensor, "batch time hidden"],
    counted: Bool[Tensor, "batch time"],
    *,
    num_moments: int,
) -> Float[Tensor, ""]:
    """Central moment discrepancy of two representations with values in [0, 1] (Zellinger et al. 2017, 1702.08811).

    The sum of the distances between the means and between the central moments up to ``num_moments``. Distances are
    computed by torch's vector norm, whose gradient at 0 is 0; that of a plain square root would be infinite.
    """
    centred, mean, num_rows = _centred(one, other, counted)
    moments = [mean] + [(centred**power).sum(1) / num_rows for power in range(2, num_moments + 1)]
    return torch.stack([torch.linalg.vector_norm(first - second) for first, second in moments]).sum()


def contrastive_loss(
    values: Float[Tensor, "batch time dim"],
    predicted: Float[Tensor, "batch time dim"],
    counted: Bool[Tensor, "batch time"],
    *,
    max_rows: int,
) -> Float[Tensor, ""]:
    """Contrastive predictive coding loss (van den Oord et al. 2018, arXiv 1807.03748) with cosine scores.

    Each counted step's ``values`` must be closest to their own prediction among the predictions of all counted steps.
    At most ``max_rows`` steps, evenly spaced over the batch, are used.
    """
    rows = counted.flatten().nonzero()[:, 0]
    if len(rows) > max_rows:
        rows = rows[torch.arange(max_rows, device=rows.device) * len(rows) // max_rows]
    scores = _unit(values.flatten(0, 1)[rows]) @ _unit(predicted.flatten(0, 1)[rows]).mT
    return (scores.logsumexp(-1) - scores.diagonal()).sum() / max(len(rows), 1)


def _centred(one: Tensor, other: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both representations minus their means (2, rows, hidden), 0 at steps not counted; the means; the count, >= 1."""
    rows, is_counted = torch.stack([one.flatten(0, 1), other.flatten(0, 1)]), counted.flatten()[:, None]
    num_rows = counted.sum().clamp(min=1)
    mean = torch.where(is_counted, rows, 0.0).sum(1) / num_rows
    return torch.where(is_counted, rows - mean[:, None], 0.0), mean, num_rows


def _unit(rows: Tensor) -> Tensor:
    """Rows scaled to length 1. A row of length near 0 stays as it is, with a finite gradient."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / torch.where(length > 1e-8, length, 1.0)

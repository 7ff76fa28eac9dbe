"""How alike two spaces are over the steps that count: auxiliary losses of models that shape what they share.

All are scalars, 0 with a finite gradient where no step counts, and read nothing of a step that does not.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor


def overlap(
    one: Float[Tensor, "batch time hidden"],
    other: Float[Tensor, "batch time hidden"],
    counted: Bool[Tensor, "batch time"],
    *,
    max_rows: int,
) -> Float[Tensor, ""]:
    """How far two spaces are from orthogonal: the mean square over all pairs of their features' scalar products.

    Every step is centred and brought to length 1, without a gradient through the length (MISA's difference loss). It
    grows with the square of the number of steps: more than ``max_rows`` count as that many.
    """
    centred, _, num_rows = _centred(one, other, counted)
    length = torch.linalg.vector_norm(centred.detach(), dim=-1, keepdim=True)
    first, second = centred / (length + 1e-6)
    return (first.mT @ second * (num_rows.clamp(max=max_rows) / num_rows)).square().mean()


def moments_apart(
    one: Float[Tensor, "batch time hidden"],
    other: Float[Tensor, "batch time hidden"],
    counted: Bool[Tensor, "batch time"],
    *,
    num_moments: int,
) -> Float[Tensor, ""]:
    """Central moment discrepancy (Zellinger et al. 2017, 1702.08811) of spaces in [0, 1]: how far moments are apart.

    The distance is torch's norm, whose gradient at 0 is 0. A square root's would be infinite where moments are equal,
    as all are without any step, and those from the second on with one.
    """
    centred, mean, num_rows = _centred(one, other, counted)
    moments = [mean] + [(centred**power).sum(1) / num_rows for power in range(2, num_moments + 1)]
    return torch.stack([torch.linalg.vector_norm(first - second) for first, second in moments]).sum()


def contrast(
    values: Float[Tensor, "batch time dim"],
    predicted: Float[Tensor, "batch time dim"],
    counted: Bool[Tensor, "batch time"],
    *,
    max_rows: int,
) -> Float[Tensor, ""]:
    """Contrastive predictive coding (van den Oord et al. 2018, 1807.03748): whose prediction fits a step's values best.

    Scores are cosines. Among at most ``max_rows`` of the counted steps, evenly spaced over the batch.
    """
    rows = counted.flatten().nonzero()[:, 0]
    if len(rows) > max_rows:
        rows = rows[torch.arange(max_rows, device=rows.device) * len(rows) // max_rows]
    scores = _unit(values.flatten(0, 1)[rows]) @ _unit(predicted.flatten(0, 1)[rows]).mT
    return (scores.logsumexp(-1) - scores.diagonal()).sum() / max(len(rows), 1)


def _centred(one: Tensor, other: Tensor, counted: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Both spaces less their means (2, rows, hidden), 0 where not counted; the means; how many count, at least 1."""
    rows, is_counted = torch.stack([one.flatten(0, 1), other.flatten(0, 1)]), counted.flatten()[:, None]
    num_rows = counted.sum().clamp(min=1)
    mean = torch.where(is_counted, rows, 0.0).sum(1) / num_rows
    return torch.where(is_counted, rows - mean[:, None], 0.0), mean, num_rows


def _unit(rows: Tensor) -> Tensor:
    """Rows of length 1; one of next to no length stays, with a gradient as if its length were 1."""
    length = torch.linalg.vector_norm(rows, dim=-1, keepdim=True)
    return rows / torch.where(length > 1e-8, length, 1.0)

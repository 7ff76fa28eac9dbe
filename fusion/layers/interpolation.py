"""Linear interpolation in time with a gradient: from a track's own times to the frames, and over short gaps."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor


def interpolate_at(
    values: Float[Tensor, "batch n dim"],
    times_s: Float[Tensor, "batch n"],
    observed: Bool[Tensor, "batch n"],
    lengths: Int[Tensor, " batch"],
    goal_s: Float[Tensor, "batch time"],
    max_gap_s: float,
) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
    """Values interpolated linearly at the times ``goal_s``, and a mask of where the result is observed.

    The rule is that of the aligner ``linear``: a step is observed if every row that contributes to it is observed and
    lies at most ``max_gap_s`` away. Nothing is extrapolated before the first or after the last row. Unobserved steps
    are 0. Gradients flow to ``values``.
    """
    num_rows, dim = values.shape[1:]
    if not num_rows:
        return values.new_zeros(*goal_s.shape, dim), torch.zeros_like(goal_s, dtype=torch.bool)
    is_row = torch.arange(num_rows, device=lengths.device) < lengths[:, None]
    times_s = torch.where(is_row, times_s, torch.inf)  # padding sorts after all rows
    last = (lengths - 1).clamp(min=0)[:, None]
    after = torch.minimum(torch.searchsorted(times_s, goal_s.contiguous()), last)
    is_hit = times_s.gather(1, after) == goal_s
    before = torch.where(is_hit, after, after - 1).clamp(min=0)
    start_s, stop_s = times_s.gather(1, before), times_s.gather(1, after)
    weight = torch.where(stop_s > start_s, (goal_s - start_s) / (stop_s - start_s), 0.0).clamp(0, 1)

    def is_usable(rows: Int[Tensor, "batch time"]) -> Bool[Tensor, "batch time"]:
        return observed.gather(1, rows) & ((times_s.gather(1, rows) - goal_s).abs() <= max_gap_s)

    is_inside = (times_s[:, :1] <= goal_s) & (goal_s <= times_s.gather(1, last)) & (lengths[:, None] > 0)
    is_observed = is_inside & (is_usable(before) | (weight == 1)) & (is_usable(after) | (weight == 0))

    def rows(index: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time dim"]:
        return values.gather(1, index[..., None].expand(-1, -1, dim))

    weight = weight[..., None].to(values.dtype)
    return torch.where(is_observed[..., None], (1 - weight) * rows(before) + weight * rows(after), 0.0), is_observed


def fill_gaps(
    values: Float[Tensor, "batch time dim"],
    times_s: Float[Tensor, "batch time"],
    observed: Bool[Tensor, "batch time"],
    max_gap_s: float,
) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
    """Fill short gaps by linear interpolation in time between the observed steps on both sides.

    A gap is filled if those two steps are at most ``max_gap_s`` apart; filled steps count as observed in the returned
    mask. Nothing is filled before the first or after the last observed step. Observed values do not change.
    """
    num_steps = observed.shape[1]
    if not num_steps:
        return values, observed
    index = torch.arange(num_steps, device=observed.device)
    before = torch.where(observed, index, -1).cummax(1).values
    after = torch.where(observed, index, num_steps).flip(1).cummin(1).values.flip(1)
    is_inside = (before >= 0) & (after < num_steps)
    before, after = before.clamp(min=0), after.clamp(max=num_steps - 1)
    start_s, stop_s = times_s.gather(1, before), times_s.gather(1, after)
    is_filled = ~observed & is_inside & (stop_s - start_s <= max_gap_s)
    weight = ((times_s - start_s) / torch.where(is_filled, stop_s - start_s, 1.0))[..., None].to(values.dtype)

    def rows(index: Int[Tensor, "batch time"]) -> Float[Tensor, "batch time dim"]:
        return values.gather(1, index[..., None].expand(-1, -1, values.shape[2]))

    line = (1 - weight) * rows(before) + weight * rows(after)
    return torch.where(is_filled[..., None], line, values), observed | is_filled

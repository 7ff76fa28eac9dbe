"""Attention over time at the low frequencies of its values, whose cost grows with the number of steps, not its square.

The values are projected on the first vectors of the discrete cosine basis of each window's true length; queries, keys
and values are made of the coefficients alone (FsaNet, arXiv 2211.15595).
"""

import math
from collections.abc import Mapping
from functools import lru_cache
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from abaw.errors import InputError
from abaw.tracks import Clock
from fusion.layers.masks import make_length_mask, zero_unobserved

FrequencyMode = Literal["dot", "linsoftmax"]
TINY = 1e-12  # a query or key whose norm is below has no direction
LEAST_WEIGHT = 1e-6  # of 1 + cosine, the mean over a window: where all cosines are -1 the output is 0 instead of 0 / 0
START_GAIN = 0.1  # with the 0 of the paper, queries, keys and values would have no gradient in the first step
ROUNDING = 1e-3  # of a frame rate, which a message rounds


def count_coefficients(
    times_s: Float[Tensor, "batch time"], lengths: Int[Tensor, " batch"], cutoff_hz: float
) -> Int[Tensor, " batch"]:
    """How many coefficients of each window have a frequency up to ``cutoff_hz``, by the window's own mean frame rate.

    Coefficient u of a window that lasts d seconds has the frequency u / 2d. The first is the mean and always counts,
    also where the cut-off is below the next one; a window has no more coefficients than steps.

    >>> times_s = torch.arange(300, dtype=torch.float64)[None] / 30
    >>> count_coefficients(times_s, torch.tensor([300]), 0.75).item()
    16
    """
    if not times_s.shape[1]:
        return torch.zeros_like(lengths)
    last_s = times_s.gather(1, (lengths - 1).clamp(min=0)[:, None])[:, 0]
    between = (lengths - 1).clamp(min=1)
    # the small number below: times are rounded, and so is a duration that holds a whole number of half periods
    duration_s = (last_s - times_s[:, 0]).clamp(min=0).double() * lengths / between
    return torch.minimum((2 * duration_s * cutoff_hz + 1e-6).long() + 1, lengths)


def check_cutoff(setting: str, cutoff_hz: float, clocks: Mapping[str, Clock], window_steps: int) -> str:
    """A remark where windows of some clips are so short that of their frequencies only the mean is kept, else "".

    ``setting``: the name of the cut-off in a config; ``clocks``: of each clip. Raises InputError where the cut-off is
    above half the frame rate of a clip.
    """
    shortest_s = []
    for clip_id, clock in clocks.items():
        if len(clock) < 2:
            continue  # of a still picture there is only the mean
        rate_hz = (len(clock) - 1) / float(clock.times_s[-1] - clock.times_s[0])
        if cutoff_hz > rate_hz / 2 * (1 + ROUNDING):
            raise InputError(
                f"{setting} is {cutoff_hz:g} Hz, but clip {clip_id!r} has {rate_hz:.4g} frames a second, so that its "
                f"highest frequency is {rate_hz / 2:.4g} Hz (a period of {2 / rate_hz:.3g} s): set {setting} to "
                f"{rate_hz / 2:.4g} or less"
            )
        duration_s = min(window_steps, len(clock)) / rate_hz
        if 2 * duration_s * cutoff_hz < 1:
            shortest_s.append(duration_s)
    if not shortest_s:
        return ""
    return (
        f"{setting} is {cutoff_hz:g} Hz: of windows below {1 / (2 * cutoff_hz):.3g} s only the mean is kept, and those "
        f"of {len(shortest_s)} of {len(clocks)} clips are as short as {min(shortest_s):.3g} s"
    )


def cosine_basis(num_steps: int, num_coefficients: int) -> Float[Tensor, "time coefficient"]:
    """The first vectors of the orthonormal discrete cosine basis (DCT-II) of so many steps, in float64.

    >>> basis = cosine_basis(5, 3)
    >>> torch.allclose(basis.T @ basis, torch.eye(3, dtype=torch.float64))
    True
    """
    steps, orders = torch.arange(num_steps, dtype=torch.float64), torch.arange(num_coefficients, dtype=torch.float64)
    basis = torch.cos(math.pi / max(1, 2 * num_steps) * (2 * steps[:, None] + 1) * orders)
    basis[:, :1] /= math.sqrt(2)
    return basis * math.sqrt(2 / max(1, num_steps))


@lru_cache(maxsize=16)  # a window of 16,384 steps at 1.5 Hz has 107 MB
def _kept_basis(num_steps: int, num_coefficients: int, dtype: torch.dtype, device: torch.device) -> Tensor:
    with torch.inference_mode(False):  # else a basis that was first needed in a validation could not be trained with
        return cosine_basis(num_steps, num_coefficients).to(device, dtype)


def padded_basis(
    lengths: Int[Tensor, " batch"], num_coefficients: Int[Tensor, " batch"], num_steps: int, like: Tensor
) -> Float[Tensor, "some time coefficient"]:
    """The basis of each window's own length, 0 in the padding and from its own number of coefficients on.

    With the device and dtype of ``like``; a single one for all windows where they are alike.
    """
    sizes = list(zip(lengths.tolist(), num_coefficients.tolist(), strict=True))
    most = max((each for _, each in sizes), default=0)
    if len(set(sizes)) == 1 and sizes[0][0] == num_steps:
        return _kept_basis(num_steps, most, like.dtype, like.device)[None]
    basis = like.new_zeros(len(sizes), num_steps, most)
    for into, (length, num) in zip(basis, sizes, strict=True):
        into[:length, :num] = _kept_basis(length, num, like.dtype, like.device)
    return basis


class FrequencySelfAttention(nn.Module):
    """Self-attention on the low frequencies of a window, added to its values ``num_repeats`` times with one set of
    weights.

    With P the basis (time x coefficients), PᵀX the coefficients, and Q, K, V their maps to ``head_dim``, ``head_dim``
    and ``dim`` features, "dot" adds P (QKᵀ)V / N for a window of N steps. "linsoftmax" adds, at each step, the mean of
    the values PV weighted by 1 + the cosine of query and key, the linear part of the exponential of a softmax. Either
    is the full attention over all steps of PPᵀX, the values without their high frequencies; no steps x steps matrix is
    made. Maps have no bias, because a constant at each step is not one at each coefficient. High frequencies pass only
    through the residual connection.

    Not causal. Values from ``lengths`` on may be NaN and come out as 0 plus a constant; those before must be finite: a
    model replaces what was not observed. Computed in float32 under autocast, because rounded coefficients lose the
    basis its orthogonality.
    """

    def __init__(self, dim: int, *, head_dim: int = 32, mode: FrequencyMode = "dot", num_repeats: int = 2) -> None:
        super().__init__()
        self.mode, self.num_repeats = mode, num_repeats
        self.query, self.key = (nn.Linear(dim, head_dim, bias=False) for _ in range(2))
        self.value = nn.Linear(dim, dim, bias=False)
        self.gain = nn.Parameter(torch.tensor(START_GAIN))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        num_coefficients: Int[Tensor, " batch"],
    ) -> Float[Tensor, "batch time dim"]:
        with torch.autocast(values.device.type, enabled=False):
            values = zero_unobserved(values.to(self.bias.dtype), make_length_mask(lengths, values.shape[1]))
            basis = padded_basis(lengths, num_coefficients, values.shape[1], values)
            for _ in range(self.num_repeats):
                values = values + self.gain * (self.attend(values, lengths, basis) + self.bias)
        return values

    def attend(
        self,
        values: Float[Tensor, "batch time dim"],
        lengths: Int[Tensor, " batch"],
        basis: Float[Tensor, "some time coefficient"],
    ) -> Float[Tensor, "batch time dim"]:
        """The attention alone; ``values`` are 0 in the padding."""
        coefficients = basis.mT @ values
        query, key, value = self.query(coefficients), self.key(coefficients), self.value(coefficients)
        scores, num = query @ key.mT, lengths.clamp(min=1)[:, None, None]  # coefficient x coefficient
        if self.mode == "dot":
            return basis @ (scores @ value / num)
        # the query at a step is a row of P Q, and its cosine that row over its norm: so P is divided, row by row
        of_query, of_key = (basis / _norm_of(basis @ each) for each in (query, key))
        total = num + of_query @ (scores @ of_key.sum(1, keepdim=True).mT)
        weighted = of_query @ (scores @ (of_key.mT @ basis) @ value) + basis.sum(1, keepdim=True) @ value
        return weighted / torch.maximum(total, LEAST_WEIGHT * num)


def _norm_of(vectors: Float[Tensor, "batch time dim"]) -> Float[Tensor, "batch time 1"]:
    """The norm of each vector, 1 where there is none: in the padding, and at steps without a direction."""
    norm = torch.linalg.vector_norm(vectors, dim=-1, keepdim=True)
    return torch.where(norm > TINY, norm, 1.0)

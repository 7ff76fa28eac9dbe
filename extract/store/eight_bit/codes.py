"""Rows of 8-bit codes: the middle-max quantisation of LiRank (arXiv 2402.06859), row by row.

A row is ``middle + code * scale``, with ``scale = (max - min) / 255`` and ``middle = (128 max + 127 min) / 255``, so
that the row's minimum has the code -128 and its maximum 127. The columns may be standardised first, which is ours: then
what a row restores is multiplied by the columns' deviation and their mean is added.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

LOWEST, HIGHEST = -128, 127
ROUNDING = 1e-6  # of weights that add up to 1


@dataclass(frozen=True)
class Codes:
    """Rows in 8 bits: ``values`` (row, dim) in int8, ``scale`` and ``middle`` (row) in float32.

    A row with ``scale`` 0 is constant: each value is its ``middle``, whatever the columns.
    """

    values: np.ndarray
    scale: np.ndarray
    middle: np.ndarray


@dataclass(frozen=True)
class Columns:
    """The mean and the deviation (dim) of every column of a track, in float32; that of a constant column is 0."""

    mean: np.ndarray
    deviation: np.ndarray

    def standardise(self, rows: np.ndarray) -> np.ndarray:
        """The rows (row, dim) in float64 with its column's mean taken off, over the deviation; 0 where constant."""
        centred = rows - self.mean.astype(np.float64)
        return np.divide(centred, self.deviation, out=np.zeros_like(centred), where=self.deviation > 0)

    @cached_property
    def tensors(self) -> tuple[Any, Any]:
        """Mean and deviation as tensors, copied: mapped memory cannot be written to, of which torch warns."""
        import torch

        return torch.from_numpy(self.mean.copy()), torch.from_numpy(self.deviation.copy())


def quantise(rows: np.ndarray, columns: Columns | None = None) -> Codes:
    """The codes of finite rows (row, dim), with ``columns`` of their standardised values.

    What is restored differs from a row by at most half its scale, and the rounding of float32. A constant row is
    restored exactly.

    >>> codes = quantise(np.array([[0.0, 1.0, 255.0], [7.0, 7.0, 7.0]]))
    >>> codes.values.tolist(), codes.scale.tolist(), codes.middle.tolist()
    ([[-128, -127, 127], [0, 0, 0]], [1.0, 0.0], [128.0, 7.0])
    """
    rows = rows.astype(np.float64)
    is_constant = np.ptp(rows, axis=1) == 0
    values = rows if columns is None else columns.standardise(rows)
    low, high = values.min(axis=1), values.max(axis=1)
    scale = ((high - low) / 255).astype(np.float32)
    middle = ((128 * high + 127 * low) / 255).astype(np.float32)
    if columns is not None:
        scale[scale == 0] = 1  # constant once it is standardised: the middle alone says it
        middle[is_constant] = rows[is_constant, 0]
    scale[is_constant] = 0
    steps = np.divide(values - middle[:, None], scale[:, None], out=np.zeros_like(values), where=scale[:, None] > 0)
    return Codes(np.rint(steps).clip(LOWEST, HIGHEST).astype(np.int8), scale, middle)


def restore(codes: Codes, columns: Columns | None = None) -> np.ndarray:
    """The rows (row, dim) that codes stand for, in float32."""
    import torch  # converts codes four times as fast as numpy

    scale, middle = (torch.from_numpy(each[:, None].copy()) for each in (codes.scale, codes.middle))
    rows = torch.from_numpy(codes.values.copy()).float().mul_(scale).add_(middle)
    if columns is not None:
        mean, deviation = columns.tensors
        rows.mul_(deviation).add_(mean)
        if not codes.scale.all():
            is_constant = torch.from_numpy(codes.scale == 0)
            rows[is_constant] = middle[is_constant]
    values: np.ndarray = rows.numpy()
    return values


def weigh(codes: Codes, rows: np.ndarray, weights: np.ndarray, columns: Columns | None = None) -> np.ndarray:
    """Step i is the sum of what the rows ``rows[i]`` stand for, weighted by ``weights[i]``: (step, dim) in float32.

    As restoring the rows and then adding them, up to the rounding of float32, but codes are taken, a quarter of the
    bytes, and scales take the weights in. With ``columns`` no row may be constant.
    """
    import torch

    total: Any = None
    middle = np.zeros(len(rows), np.float32)
    for which, weight in zip(rows.T, weights.T, strict=True):  # one place at a time: as ``extract.align.apply``
        in_order = len(which) and (which == which[0] + np.arange(len(which))).all()
        taken = codes.values[which[0] : which[-1] + 1].copy() if in_order else codes.values[which]
        part = torch.from_numpy(taken).float().mul_(torch.from_numpy((weight * codes.scale[which])[:, None]))
        total = part if total is None else total.add_(part)
        middle += weight * codes.middle[which]
    total.add_(torch.from_numpy(middle[:, None]))
    if columns is not None:
        mean, deviation = columns.tensors
        sums = weights.sum(axis=1, dtype=np.float32)
        sums[np.abs(sums - 1) < ROUNDING] = 1  # in every window, however many places its plan has
        total.mul_(deviation).add_(mean if (sums == 1).all() else torch.outer(torch.from_numpy(sums), mean))
    values: np.ndarray = total.numpy()
    return values

"""Alignment of a track to the frame timestamps of its clip: first a plan, then the values.

An aligner takes the times of the track's rows (``times_s``, increasing), whether they are ``observed``, and the times
to align to (``goal_s``, the frame timestamps), and returns a ``Plan``. It never looks at values, so a window reads only
the rows it needs, and a window of a plan equals the plan of the whole clip bit for bit.

A step is observed only if every row with weight is observed and within ``max_gap_s`` seconds of it. No trend is
continued beyond the rows. Whether a row is held is the aligner's: ``nearest`` holds the first row before it and the
last one after it, ``hold_last`` holds each row until the next, for ``max_gap_s`` at most; ``window_mean`` takes rows
that its interval reaches; ``linear`` needs a row on both sides.
"""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float, Float32, Int
from pydantic import Field

from abaw.errors import InputError
from extract import ALIGNERS

MAX_GAP_S = 0.5
CAUSAL = ("hold_last",)  # aligners that take no row after a step


@dataclass(frozen=True)
class Plan:
    """Step i is the sum of the track's ``rows[i]`` weighted by ``weights[i]``; unused places have weight 0."""

    rows: Int[np.ndarray, "step k"]
    weights: Float32[np.ndarray, "step k"]
    observed: Bool[np.ndarray, " step"]

    def __getitem__(self, steps: slice) -> "Plan":
        weights = self.weights[steps]
        # drop places that no step of the window uses
        used = int(np.flatnonzero((weights > 0).any(axis=0)).max(initial=0)) + 1
        return Plan(self.rows[steps, :used], weights[:, :used], self.observed[steps])

    def span(self) -> tuple[int, int]:
        """The first row needed and one past the last; (0, 0) where no step is observed."""
        used = self.rows[self.observed]
        return (int(used.min()), int(used.max()) + 1) if used.size else (0, 0)


def apply(plan: Plan, values: Float[np.ndarray, "row dim"], *, first_row: int = 0) -> Float32[np.ndarray, "step dim"]:
    """The values of the plan's steps in float32, 0 where unobserved; ``values``: the track's rows from ``first_row``.

    >>> times_s, goal_s = np.array([0.0, 0.1]), np.array([0.05, 0.1])
    >>> plan = linear(times_s=times_s, observed=np.array([True, True]), goal_s=goal_s)
    >>> apply(plan, np.array([[1.0], [3.0]]))
    array([[2.],
           [3.]], dtype=float32)
    """
    seen, values = plan.observed, values.astype(np.float32, copy=False)
    rows, weights = plan.rows[seen] - first_row, plan.weights[seen]
    # one place at a time: the order of summation must not depend on how many steps a window has
    total = _take(values, rows[:, 0], weights[:, 0])
    for k in range(1, rows.shape[1]):
        total += _take(values, rows[:, k], weights[:, k])
    if seen.all():
        return total
    out = np.zeros((len(seen), values.shape[1]), np.float32)
    out[seen] = total
    return out


def _take(values: np.ndarray, rows: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """A copy of the rows, each times its weight. Pictures' rows are usually each step's own, with a weight of 1."""
    in_order = len(rows) and (rows == rows[0] + np.arange(len(rows))).all()
    taken = values[rows[0] : rows[-1] + 1].copy() if in_order else values[rows]
    return taken if (weights == 1).all() else np.multiply(taken, weights[:, None], out=taken)


@ALIGNERS.register
def nearest(*, times_s: np.ndarray, observed: np.ndarray, goal_s: np.ndarray, max_gap_s: float = MAX_GAP_S) -> Plan:
    """The row nearest in time, also before the first row and after the last; of two equally near rows the earlier."""
    if not len(times_s):
        return _plan_unobserved(goal_s)
    after = np.searchsorted(times_s, goal_s).clip(0, len(times_s) - 1)
    before = (after - 1).clip(0)
    rows = np.where(goal_s - times_s[before] <= times_s[after] - goal_s, before, after)
    return _make_plan(rows[:, None], np.ones((len(rows), 1)), times_s, observed, goal_s, max_gap_s)


@ALIGNERS.register
def linear(*, times_s: np.ndarray, observed: np.ndarray, goal_s: np.ndarray, max_gap_s: float = MAX_GAP_S) -> Plan:
    """Linear interpolation between the rows before and after; unobserved outside the track's times."""
    if not len(times_s):
        return _plan_unobserved(goal_s)
    after = np.searchsorted(times_s, goal_s).clip(0, len(times_s) - 1)
    before = np.where(times_s[after] == goal_s, after, after - 1).clip(0)
    span = times_s[after] - times_s[before]
    share = np.divide(goal_s - times_s[before], span, out=np.zeros(len(goal_s)), where=span > 0)
    rows, weights = np.stack([before, after], axis=1), np.stack([1 - share, share], axis=1)
    plan = _make_plan(rows, weights, times_s, observed, goal_s, max_gap_s)
    inside = (times_s[0] <= goal_s) & (goal_s <= times_s[-1])
    return Plan(plan.rows, plan.weights, plan.observed & inside)


@ALIGNERS.register
def hold_last(*, times_s: np.ndarray, observed: np.ndarray, goal_s: np.ndarray, max_gap_s: float = MAX_GAP_S) -> Plan:
    """The last row at or before the step: causal, for use where the future is unknown."""
    if not len(times_s):
        return _plan_unobserved(goal_s)
    rows = np.searchsorted(times_s, goal_s, side="right") - 1
    plan = _make_plan(rows.clip(0)[:, None], np.ones((len(rows), 1)), times_s, observed, goal_s, max_gap_s)
    return Plan(plan.rows, plan.weights, plan.observed & (rows >= 0))


@ALIGNERS.register
def window_mean(
    *,
    times_s: np.ndarray,
    observed: np.ndarray,
    goal_s: np.ndarray,
    max_gap_s: float = MAX_GAP_S,
    width_s: Annotated[float, Field(gt=0)] | None = None,
) -> Plan:
    """The mean of the observed rows in each step's interval; an interval without any row is interpolated linearly.

    The interval goes from halfway after the previous step to halfway before the next or, with ``width_s``, from
    ``width_s / 2`` before the step to as much after it, both ends included. Where all of its rows are unobserved, so is
    the step. Where it has no row, because the track is slower than the steps, the step is what ``linear`` makes it: the
    nearest row instead would stay the same for several steps and then jump. Raises InputError where ``width_s`` reaches
    further than ``max_gap_s``.
    """
    if width_s is not None and width_s / 2 > max_gap_s:
        raise InputError(
            f"width_s of {width_s:g} reaches {width_s / 2:g} s before and after a frame, but rows further than "
            f"max_gap_s, {max_gap_s:g} s, do not count: increase max_gap_s to {width_s / 2:g} or reduce width_s"
        )
    if not len(times_s) or not len(goal_s):
        return _plan_unobserved(goal_s)
    start_s, stop_s = _intervals(goal_s, max_gap_s)
    if width_s is not None:
        start_s, stop_s = goal_s - width_s / 2, np.nextafter(goal_s + width_s / 2, np.inf)
    is_empty = np.searchsorted(times_s, start_s) == np.searchsorted(times_s, stop_s)
    between = linear(times_s=times_s, observed=observed, goal_s=goal_s, max_gap_s=max_gap_s)

    kept = np.flatnonzero(observed)
    first, stop = np.searchsorted(times_s[kept], start_s), np.searchsorted(times_s[kept], stop_s)
    counts = stop - first
    places = np.arange(max(2 if is_empty.any() else 1, counts.max()))
    used = places < counts[:, None]
    # an unused place points at the step's own first row: it is read anyway, and adding 0 times it changes no bit
    rows = np.append(kept, 0)[np.where(used, first[:, None] + places, first[:, None])]
    weights = np.where(used, 1 / np.maximum(counts, 1)[:, None], 0)
    if is_empty.any():
        rows[is_empty], weights[is_empty] = between.rows[is_empty, :1], 0
        rows[is_empty, 1], weights[is_empty, :2] = between.rows[is_empty, 1], between.weights[is_empty]
    return Plan(rows.astype(np.int32), weights.astype(np.float32), np.where(is_empty, between.observed, counts > 0))


def _intervals(goal_s: np.ndarray, max_gap_s: float) -> tuple[np.ndarray, np.ndarray]:
    """The half-open interval of each step; it never reaches further than ``max_gap_s`` from the step."""
    halves = np.diff(goal_s) / 2
    if not len(halves):
        return goal_s - max_gap_s, goal_s + max_gap_s
    before, after = np.concatenate([halves[:1], halves]), np.concatenate([halves, halves[-1:]])
    return goal_s - np.minimum(before, max_gap_s), goal_s + np.minimum(after, max_gap_s)


def _make_plan(
    rows: np.ndarray,
    weights: np.ndarray,
    times_s: np.ndarray,
    observed: np.ndarray,
    goal_s: np.ndarray,
    max_gap_s: float,
) -> Plan:
    """The plan of these rows and weights; a step is observed if all its rows with weight are observed and near."""
    # as they are applied: a share below 1e-45 is 0 there
    weights = weights.astype(np.float32)
    used = weights > 0
    good = observed[rows] & (np.abs(times_s[rows] - goal_s[:, None]) <= max_gap_s)
    # an unused place points at the used row: a window need not read another one, and adding 0 times a value leaves that
    # value as it is, also the sign of -0.0
    rows = np.where(used, rows, rows[np.arange(len(rows)), used.argmax(axis=1)][:, None])
    return Plan(rows.astype(np.int32), weights, (good | ~used).all(axis=1))


def _plan_unobserved(goal_s: np.ndarray) -> Plan:
    """The plan of a track without rows: no step is observed."""
    num = len(goal_s)
    return Plan(np.zeros((num, 1), np.int32), np.zeros((num, 1), np.float32), np.zeros(num, bool))

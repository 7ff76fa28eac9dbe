"""Which frames a human should label next: those whose labels make the last layer surest, or those of extreme values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from abaw.errors import InputError
from abaw.uncertainty.last_layer import LastLayerPosterior, effective_rows

Reason = Literal["explore", "exploit"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """The frames that can be chosen: states of the last layer, the number of the clip of each, its time in seconds."""

    states: Float[np.ndarray, "row dim"]
    clips: Int[np.ndarray, " row"]
    times_s: Float[np.ndarray, " row"]


def check_choice(num: int, explore: float, min_gap_s: float) -> None:
    """Raises InputError where a choice of frames cannot be made with these settings, whatever the candidates are."""
    if num < 1:
        raise InputError(f"{num} frames were asked for, expected 1 or more")
    if not 0 <= explore <= 1:
        raise InputError(f"the share of explored frames is {explore:g}, expected 0 to 1")
    if not 0 <= min_gap_s < np.inf:
        raise InputError(f"the gap between two frames of a clip is {min_gap_s:g} s, expected 0 or more")


def choose_frames(
    posterior: LastLayerPosterior,
    candidates: Candidates,
    num: int,
    *,
    explore: float = 1.0,
    min_gap_s: float = 1.0,
    seed: int = 0,
) -> list[tuple[int, Reason]]:
    """The rows of ``num`` candidates in the order in which they are chosen, each with the reason.

    "explore": the frame whose label reduces the variance of the outputs, in units of the noise and as a mean over all
    candidates, the most (Cohn 1996). "exploit": the frame with the most extreme value, in standard deviations of the
    labels, by weights drawn from the posterior for each choice (Thompson sampling). ``explore`` is the share of the
    first. After each choice the posterior counts the frame as labelled, so that near copies are not chosen again: a
    clip's frames count together as ``effective_rows``. Two frames of a clip are at least ``min_gap_s`` apart.

    Raises InputError for a share outside 0 to 1, a gap below 0, and where fewer than ``num`` frames can be chosen.
    """
    check_choice(num, explore, min_gap_s)
    if num > len(candidates.clips):
        raise InputError(f"{num} frames were asked for, but there are {len(candidates.clips)}")
    rows, rng = posterior.rows(candidates.states), np.random.default_rng(seed)
    gains = [
        _Gains(rows, covariance, noise)
        for covariance, noise in zip(posterior.weights.covariance, posterior.weights.noise.tolist(), strict=True)
    ]
    free = np.ones(len(rows), bool)
    labelled = np.zeros(int(candidates.clips.max()) + 1, int)
    chosen: list[tuple[int, Reason]] = []
    for i in range(num):
        if not free.any():
            raise InputError(
                f"{num} frames were asked for, but {len(chosen)} are all that are {min_gap_s:g} s or more apart in "
                "their clips: ask for fewer, or for a smaller gap"
            )
        # how much the next frame of each clip counts for, by output
        next_counts = effective_rows(labelled[:, None] + 1, posterior.correlation) - effective_rows(
            labelled[:, None], posterior.correlation
        )
        counts = next_counts[candidates.clips]
        is_exploring = int((i + 1) * explore) > int(i * explore)
        if is_exploring:
            worth = np.sum([each.of(counts[:, k]) for k, each in enumerate(gains)], axis=0)
        else:
            weights = np.stack([each.draw(mean, rng) for each, mean in zip(gains, posterior.weights.mean, strict=True)])
            worth = (abs(rows @ weights.T) / posterior.scale).max(axis=1)
        best = int(np.where(free, worth, -np.inf).argmax())
        chosen.append((best, "explore" if is_exploring else "exploit"))
        for k, each in enumerate(gains):
            each.add(best, float(counts[best, k]))
        clip = candidates.clips == candidates.clips[best]
        labelled[candidates.clips[best]] += 1
        free &= ~(clip & (abs(candidates.times_s - candidates.times_s[best]) < min_gap_s))
        free[best] = False
    return chosen


class _Gains:
    """By how much a label of each row reduces the mean variance of one output over all rows.

    With the covariance S of the weights and the mean M of r r' over all rows r, a label of x that counts c times
    reduces it by c x'SMSx / (noise + c x'Sx). Both quadratic forms are updated, not computed again.
    """

    def __init__(self, rows: np.ndarray, covariance: np.ndarray, noise: float) -> None:
        self._rows, self._covariance, self._noise = rows, covariance.copy(), noise
        self._moment = rows.T @ rows / len(rows)
        reached = rows @ covariance
        self._variance = np.einsum("rd,rd->r", reached, rows)
        self._spread = np.einsum("rd,rd->r", reached @ self._moment, reached)

    def of(self, counts: np.ndarray) -> np.ndarray:
        """The reduction by each row, in units of the noise."""
        return counts * self._spread / (self._noise + counts * self._variance) / self._noise

    def add(self, row: int, count: float) -> None:
        """Take a row as labelled, ``count`` times."""
        step = self._covariance @ self._rows[row]
        factor = count / (self._noise + count * float(step @ self._rows[row]))
        along = self._rows @ step
        across = self._rows @ (self._covariance @ (self._moment @ step))
        self._spread += factor**2 * float(step @ self._moment @ step) * along**2 - 2 * factor * along * across
        self._variance -= factor * along**2
        self._covariance -= factor * np.outer(step, step)

    def draw(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Weights drawn from the posterior around ``mean``."""
        return rng.multivariate_normal(mean, self._covariance, method="cholesky")

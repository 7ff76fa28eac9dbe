"""Which frames a human should label next: those whose labels make the last layer surest, or those of extreme values."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from abaw.errors import InputError
from abaw.uncertainty.last_layer import LastLayerPosterior

Reason = Literal["explore", "exploit"]


@dataclass(frozen=True, eq=False)
class Candidates:
    """The frames that can be chosen: states of the last layer, the number of the clip of each, its time in seconds."""

    states: Float[np.ndarray, "row dim"]
    clips: Int[np.ndarray, " row"]
    times_s: Float[np.ndarray, " row"]


def check_choice(num: int, explore: float, min_gap_s: float, seed: int) -> None:
    """Raises InputError where a choice of frames cannot be made with these settings, whatever the candidates are."""
    if num < 1:
        raise InputError(f"{num} frames were asked for, expected 1 or more")
    if not 0 <= explore <= 1:
        raise InputError(f"the share of explored frames is {explore:g}, expected 0 to 1")
    if not 0 <= min_gap_s < np.inf:
        raise InputError(f"the gap between two frames of a clip is {min_gap_s:g} s, expected 0 or more")
    if seed < 0:
        raise InputError(f"the seed is {seed}, expected 0 or more")


def choose_frames(
    posterior: LastLayerPosterior,
    candidates: Candidates,
    num: int,
    *,
    improved: Float[np.ndarray, "row dim"] | None = None,
    explore: float = 1.0,
    min_gap_s: float = 1.0,
    seed: int = 0,
) -> list[tuple[int, Reason]]:
    """The rows of ``num`` candidates in the order in which they are chosen, each with the reason.

    "explore": the frame whose label reduces the variance of the outputs, in units of the labels' variance and as a mean
    over the frames to improve, the most (Cohn 1996). "exploit": the frame with the most extreme value, in standard
    deviations of the labels, by weights drawn from the posterior for each choice (Thompson sampling). ``explore`` is
    the share of the first. After each choice the posterior counts the frame as labelled, so that near copies are not
    chosen again; the error that a clip's frames have in common is an unknown of each clip, so that frames of one clip
    that differ much are worth much. Two frames of a clip are at least ``min_gap_s`` apart. ``improved``: the states of
    the frames whose predictions are to become better; by default they are the candidates.

    Raises InputError for a share outside 0 to 1, a gap or a seed below 0, and where fewer than ``num`` frames can be
    chosen.
    """
    check_choice(num, explore, min_gap_s, seed)
    if num > len(candidates.clips):
        raise InputError(f"{num} frames were asked for, but there are {len(candidates.clips)}")
    rows, rng = posterior.rows(candidates.states), np.random.default_rng(seed)
    aims = rows if improved is None else posterior.rows(improved)
    moment = aims.T @ aims / len(aims)
    gains = [
        _Gains(rows, candidates.clips, moment, covariance, noise, correlation)
        for covariance, noise, correlation in zip(
            posterior.weights.covariance, posterior.weights.noise.tolist(), posterior.correlation.tolist(), strict=True
        )
    ]
    free = np.ones(len(rows), bool)
    chosen: list[tuple[int, Reason]] = []
    for i in range(num):
        if not free.any():
            raise InputError(
                f"{num} frames were asked for, but {len(chosen)} are all that are {min_gap_s:g} s or more apart in "
                "their clips: ask for fewer, or for a smaller gap"
            )
        is_exploring = int((i + 1) * explore) > int(i * explore)
        if is_exploring:
            reductions = [each.reductions() for each in gains]
            worth = np.sum(reductions / np.square(posterior.scale)[:, None], axis=0)
        else:
            weights = np.stack([each.draw(mean, rng) for each, mean in zip(gains, posterior.weights.mean, strict=True)])
            worth = (abs(rows @ weights.T) / posterior.scale).max(axis=1)
        best = int(np.where(free, worth, -np.inf).argmax())
        chosen.append((best, "explore" if is_exploring else "exploit"))
        for each in gains:
            each.add(best)
        clip = candidates.clips == candidates.clips[best]
        free &= ~(clip & (abs(candidates.times_s - candidates.times_s[best]) < min_gap_s))
        free[best] = False
    return chosen


class _Gains:
    """By how much a label of each row reduces the mean variance of one output over the frames to improve.

    The unknowns are the weights and, for each clip, the error that its rows have in common; a row x of clip c is
    a = (x, 1 at c). With the covariance S of all unknowns, S_w its rows of the weights and ``moment`` M, the mean of
    r r' over these frames r, a label of a reduces the mean variance of r w by a'S_w'MS_w a / (own noise + a'Sa).
    Both quadratic forms are updated, not computed again. S is that before any choice minus factor * step step' for each
    choice.
    """

    def __init__(
        self,
        rows: np.ndarray,
        clips: np.ndarray,
        moment: np.ndarray,
        covariance: np.ndarray,
        noise: float,
        correlation: float,
    ) -> None:
        self._rows, self._clips, self._moment, self._covariance = rows, clips, moment, covariance
        self._own, self._common = noise * (1 - correlation), noise * correlation
        reached = rows @ covariance
        self._variance = np.einsum("rd,rd->r", reached, rows) + self._common
        self._spread = np.einsum("rd,rd->r", reached @ self._moment, reached)
        self._steps = np.zeros((0, rows.shape[1])), np.zeros((0, int(clips.max()) + 1))  # of weights, of clips
        self._factors = np.zeros(0)

    def reductions(self) -> np.ndarray:
        """The reduction by each row, in the square of the output's unit."""
        return self._spread / (self._own + self._variance)

    def add(self, row: int) -> None:
        """Take a row as labelled."""
        of_weights, of_clips = self._steps
        known = self._factors * (of_weights @ self._rows[row] + of_clips[:, self._clips[row]])
        step = self._covariance @ self._rows[row] - known @ of_weights
        of_clip = -known @ of_clips
        of_clip[self._clips[row]] += self._common
        factor = 1 / (self._own + float(step @ self._rows[row] + of_clip[self._clips[row]]))
        along = self._rows @ step + of_clip[self._clips]
        spread = self._moment @ step
        known = self._factors * (of_weights @ spread)
        across = self._rows @ (self._covariance @ spread - known @ of_weights) - (known @ of_clips)[self._clips]
        self._spread += factor**2 * float(step @ spread) * along**2 - 2 * factor * along * across
        self._variance -= factor * along**2
        self._steps = np.vstack([of_weights, step]), np.vstack([of_clips, of_clip])
        self._factors = np.append(self._factors, factor)

    def draw(self, mean: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Weights drawn from the posterior around ``mean``."""
        of_weights, _ = self._steps
        covariance = self._covariance - of_weights.T @ (self._factors[:, None] * of_weights)
        return rng.multivariate_normal(mean, covariance, method="cholesky")

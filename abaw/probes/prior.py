"""The prior of many effects, estimated from the effects themselves (Ouyang and Liang, arXiv 1702.05056).

Each observed effect is z ~ N(effect, 1). The effects have a distribution G with a Dirichlet-process prior, whose base
is 0 with weight w and N(0, sigma^2) otherwise. Variational Bayes finds G with T atoms; it becomes a discrete prior.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.special import digamma, expit, logsumexp

MAX_STEPS = 5000  # of variational Bayes; its steps never lower the bound, and a few hundred are usual


@dataclass(frozen=True)
class PriorSettings:
    """The hyperparameters; the paper's symbols and values of its simulations.

    ``concentration``: alpha of the Dirichlet process. ``deviation``: sigma of effects that are not 0. ``zero_weight``:
    w, between 0 and 1, both excluded. ``num_atoms``: T. ``merge_below``: atoms closer to 0 than this count as 0.
    ``tolerance``: of the last change of a responsibility.
    """

    concentration: float = 1.0
    deviation: float = 4.0
    zero_weight: float = 0.01
    num_atoms: int = 10
    merge_below: float = 0.0
    tolerance: float = 1e-3


PAPER = PriorSettings()  # of its simulations 1 and 2


@dataclass(frozen=True)
class Prior:
    """A discrete distribution of effects: distinct values and how many of the observed effects were assigned to each.

    ``converged``: whether variational Bayes reached its tolerance in every part.
    """

    values: Float[np.ndarray, " atom"]
    counts: Int[np.ndarray, " atom"]
    converged: bool = True

    def posterior_mean(self, z: Float[np.ndarray, " effect"]) -> Float[np.ndarray, " effect"]:
        """The mean of each effect given its observed value (rule "DP" of the paper).

        >>> Prior(np.array([0.0, 4.0]), np.array([1, 1])).posterior_mean(np.array([2.0, 50.0])).round(9).tolist()
        [2.0, 4.0]
        """
        return self._posterior(z) @ self.values

    def sparse_mean(self, z: Float[np.ndarray, " effect"]) -> Float[np.ndarray, " effect"]:
        """The posterior mean, 0 where an effect is more likely 0 than not (rule "Sparse DP" of the paper)."""
        posterior = self._posterior(z)
        is_zero = posterior[:, self.values == 0].sum(axis=1) > 0.5
        return np.where(is_zero, 0.0, posterior @ self.values)

    def _posterior(self, z: np.ndarray) -> np.ndarray:
        logs = np.log(self.counts) - 0.5 * (z[:, None] - self.values) ** 2
        return np.exp(logs - logsumexp(logs, axis=1, keepdims=True))


def draw_parts(num: int, num_parts: int, rng: np.random.Generator) -> list[np.ndarray]:
    """Divide ``num`` effects at random into parts of equal size, give or take one."""
    return np.array_split(rng.permutation(num), num_parts)


def estimate_priors(
    z: Float[np.ndarray, "row effect"],
    parts: Sequence[np.ndarray],
    settings: PriorSettings = PAPER,
) -> list[Prior]:
    """The prior of each row of observed effects.

    Variational Bayes is run for each of ``parts`` (``draw_parts``) on its own, against its tendency to give large
    clusters even more, and the values that it assigns are pooled.
    """
    sizes = np.array([len(part) for part in parts])
    gathered = np.zeros((len(z), len(parts), sizes.max()))
    for i, part in enumerate(parts):
        gathered[:, i, : sizes[i]] = z[:, part]
    is_there = np.tile(np.arange(sizes.max()) < sizes[:, None], (len(z), 1))
    assigned, converged = _assign(gathered.reshape(-1, sizes.max()), is_there, settings)
    assigned, is_there = (each.reshape(gathered.shape) for each in (assigned, is_there))
    found = []
    for i, row in enumerate(assigned):
        values, counts = np.unique(row[is_there[i]], return_counts=True)
        found.append(Prior(values, counts, bool(converged.reshape(len(z), -1)[i].all())))
    return found


def _assign(z: np.ndarray, is_there: np.ndarray, settings: PriorSettings) -> tuple[np.ndarray, np.ndarray]:
    """For each row of z the atom that each effect most likely belongs to, and whether the row converged."""
    assigned, converged = np.zeros_like(z), np.zeros(len(z), bool)
    atoms = np.full((len(z), settings.num_atoms, 1), 1 / settings.num_atoms) * is_there[:, None]
    left = np.arange(len(z))
    for _ in range(MAX_STEPS):
        here = z[left]
        means, p_zero, new = _step(here, atoms, is_there[left], settings)
        is_done = np.abs(new - atoms).max(axis=(1, 2)) <= settings.tolerance
        if is_done.any():
            done = left[is_done]
            converged[done] = True
            assigned[done] = _nearest(means[is_done], p_zero[is_done], new[is_done], settings.merge_below)
            left, new = left[~is_done], new[~is_done]
        atoms = new
        if not len(left):
            return assigned, converged
    means, p_zero, new = _step(z[left], atoms, is_there[left], settings)
    assigned[left] = _nearest(means, p_zero, new, settings.merge_below)
    return assigned, converged


def _step(
    z: np.ndarray, atoms: np.ndarray, is_there: np.ndarray, settings: PriorSettings
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """One step: of each row its atoms' means where they are not 0, their probability of 0, the new responsibilities."""
    precision = settings.deviation**-2
    sizes = atoms.sum(axis=2)  # N, (row atom)
    after = np.cumsum(sizes[:, ::-1], axis=1)[:, ::-1] - sizes  # the sum of the later ones
    stick, rest = 1 + sizes[:, :-1], settings.concentration + after[:, :-1]
    both = digamma(stick + rest)
    zeros = np.zeros((len(z), 1))
    log_weights = np.concatenate([digamma(stick) - both, zeros], axis=1)
    log_weights += np.concatenate([zeros, np.cumsum(digamma(rest) - both, axis=1)], axis=1)
    sums, weights = (atoms @ z[:, :, None])[:, :, 0], precision + sizes
    log_odds = np.log(settings.zero_weight) - np.log1p(-settings.zero_weight)
    p_zero = expit(log_odds + 0.5 * np.log1p(sizes / precision) - sums**2 / (2 * weights))
    means = sums / weights
    intercepts = log_weights - 0.5 * (1 - p_zero) * (means**2 + 1 / weights)
    logs = ((1 - p_zero) * means)[:, :, None] * z[:, None] + intercepts[:, :, None]
    logs -= logs.max(axis=1, keepdims=True)
    np.exp(logs, out=logs)
    logs *= (is_there / logs.sum(axis=1))[:, None]
    return means, p_zero, logs


def _nearest(means: np.ndarray, p_zero: np.ndarray, atoms: np.ndarray, merge_below: float) -> np.ndarray:
    """The value of the most probable of 0 and the atoms' means, for each effect."""
    values = np.concatenate([np.zeros((len(means), 1)), means], axis=1)
    values[np.abs(values) < merge_below] = 0
    of_atom = atoms * (1 - p_zero)[:, :, None]
    of_zero = (atoms * p_zero[:, :, None]).sum(axis=1)
    is_merged = values[:, 1:] == 0
    of_zero += (of_atom * is_merged[:, :, None]).sum(axis=1)
    best = np.concatenate([of_zero[:, None], of_atom], axis=1).argmax(axis=1)
    return np.take_along_axis(values, best, axis=1)

"""Ways to make a 95 % interval of a pooled score from the sums of videos, each for many sets of videos at once."""

from collections.abc import Callable

import numpy as np
from scipy import stats

from abaw.evaluation.jackknife import effective_number, jackknife, t_interval
from benchmarks.intervals.populations import Population

DRAWS, INNER = 400, 60  # of the bootstrap; of the second bootstrap of each draw
TAILS = np.array([0.025, 0.975])
MAX_CELLS = 2**22  # of an array: a bound on memory

Ends = tuple[np.ndarray, np.ndarray]
Score = Callable[[np.ndarray], np.ndarray]
OURS = "jackknife t, effective number (ours)"
METHODS = (
    "percentile (before)", "basic", "BCa", "bootstrap-t", "bootstrap-t, transformed", "double bootstrap",
    "jackknife t", "jackknife t, transformed", OURS,
)  # fmt: skip


def leave_out(population: Population, sums: np.ndarray) -> np.ndarray:
    """The score of each set without each of its videos: (sets videos)."""
    return population.score(sums.sum(axis=-2)[..., None, :] - sums)


def ends_of(population: Population, sums: np.ndarray, *, double: bool) -> dict[str, Ends]:
    """The interval of each set by every method; the double bootstrap, which is slow, when asked."""
    num, limits = sums.shape[1], population.limits
    score, left_out = population.score(sums.sum(axis=1)), leave_out(population, sums)
    error = jackknife(score, left_out).error
    line, back, slope = _scale(limits)
    reach = stats.t.ppf(0.975, num - 1) * error
    found = {
        "jackknife t": (score - reach, score + reach),
        "jackknife t, transformed": (
            back(line(score) - reach * slope(score)),
            back(line(score) + reach * slope(score)),
        ),
        OURS: t_interval(score, left_out, effective_number(population.num_rows(sums)), limits),
    }
    draws, errors = _bootstrap(population.score, sums)
    low, high = np.quantile(draws, TAILS, axis=1)
    found |= {"percentile (before)": (low, high), "basic": (2 * score - high, 2 * score - low)}
    found["BCa"] = _bca(score, left_out, draws)
    low, high = np.quantile((draws - score[:, None]) / errors, TAILS, axis=1)
    found["bootstrap-t"] = score - high * error, score - low * error
    pivots = (line(draws) - line(score)[:, None]) / (slope(draws) * errors)
    low, high = np.quantile(pivots, TAILS, axis=1) * error * slope(score)
    found["bootstrap-t, transformed"] = back(line(score) - high), back(line(score) - low)
    if double:
        found["double bootstrap"] = _double(population.score, sums)
    return {name: tuple(np.clip(end, *limits) for end in found[name]) for name in METHODS if name in found}  # type: ignore[misc]


def _scale(limits: tuple[float, float]) -> tuple[Score, Score, Score]:
    """Logit between the limits, its inverse, its derivative; away from the limits themselves."""
    low, width = limits[0], limits[1] - limits[0]

    def inside(x: np.ndarray) -> np.ndarray:
        return np.clip((x - low) / width, 1e-6, 1 - 1e-6)

    return (
        lambda x: np.log(inside(x) / (1 - inside(x))),
        lambda y: low + width / (1 + np.exp(-y)),
        lambda x: 1 / (width * inside(x) * (1 - inside(x))),
    )


def _bootstrap(score: Score, sums: np.ndarray) -> Ends:
    """The score of each draw (sets draws), and its jackknife error."""
    sets, num, width = sums.shape
    counts = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=DRAWS)
    step = max(1, MAX_CELLS // (DRAWS * num * width))
    scores, errors = np.empty((sets, DRAWS)), np.empty((sets, DRAWS))
    for first in range(0, sets, step):
        part = sums[first : first + step]
        drawn = np.einsum("dv,svk->sdk", counts, part, optimize=True)
        left_out = score(drawn[:, :, None] - part[:, None])  # (sets draws videos)
        mean = (counts * left_out).sum(axis=-1) / num
        variance = (num - 1) / num * (counts * np.square(left_out - mean[..., None])).sum(axis=-1)
        scores[first : first + step] = score(drawn)
        errors[first : first + step] = np.sqrt(np.maximum(variance, 1e-14))
    return scores, errors


def _bca(score: np.ndarray, left_out: np.ndarray, draws: np.ndarray) -> Ends:
    """Bias-corrected and accelerated percentiles (Efron 1987)."""
    below = ((draws < score[:, None]).mean(axis=1) + (draws <= score[:, None]).mean(axis=1)) / 2
    bias = stats.norm.ppf(np.clip(below, 1 / DRAWS, 1 - 1 / DRAWS))
    deviations = left_out.mean(axis=1, keepdims=True) - left_out
    skew = (deviations**3).sum(axis=1) / np.maximum(6 * (deviations**2).sum(axis=1) ** 1.5, 1e-300)
    ends = []
    for tail in TAILS:
        moved = bias + stats.norm.ppf(tail)
        ends.append(_quantiles(draws, stats.norm.cdf(bias + moved / (1 - skew * moved))))
    return ends[0], ends[1]


def _double(score: Score, sums: np.ndarray) -> Ends:
    """Percentiles at levels that a second bootstrap of each draw calibrates (Beran 1987)."""
    sets, num, _ = sums.shape
    rng = np.random.default_rng(0)
    outer = rng.multinomial(num, np.full(num, 1 / num), size=DRAWS)
    inner = np.stack([rng.multinomial(num, drawn / num, size=INNER) for drawn in outer])
    lows, highs = np.empty(sets), np.empty(sets)
    for one, own in enumerate(sums):
        whole, draws = score(own.sum(axis=0)), score(outer @ own)
        shares = (score(inner @ own) <= whole).mean(axis=1)
        levels = np.quantile(shares, TAILS)
        lows[one], highs[one] = np.quantile(draws, levels)
    return lows, highs


def _quantiles(draws: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Of each row the quantile at a level of its own."""
    places = np.clip((levels * draws.shape[1]).astype(int), 0, draws.shape[1] - 1)
    return np.take_along_axis(np.sort(draws, axis=1), places[:, None], axis=1)[:, 0]


def exchange_p(population: Population, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """p of each pair of systems by exchanging videos at random, as ``abaw.evaluation.intervals.compare`` does."""
    sets, num, width = first.shape
    exchanged = np.random.default_rng(0).integers(0, 2, (DRAWS, num))
    totals = first.sum(axis=1), second.sum(axis=1)
    found = population.score(totals[1]) - population.score(totals[0])
    p, step = np.empty(sets), max(1, MAX_CELLS // (DRAWS * width))
    for start in range(0, sets, step):
        part = slice(start, start + step)
        moved = np.einsum("dv,svk->sdk", exchanged, (second - first)[part], optimize=True)
        one, other = totals[0][part, None] + moved, totals[1][part, None] - moved
        as_large = np.abs(population.score(other) - population.score(one)) >= np.abs(found[part, None]) - 1e-12
        p[part] = (as_large.sum(axis=1) + 1) / (DRAWS + 1)
    return p


def difference_ends(population: Population, first: np.ndarray, second: np.ndarray) -> Ends:
    """Our interval of the difference of two systems."""
    found = population.score(second.sum(axis=1)) - population.score(first.sum(axis=1))
    left_out = leave_out(population, second) - leave_out(population, first)
    width = population.limits[1] - population.limits[0]
    return t_interval(found, left_out, effective_number(population.num_rows(first)), (-width, width))


def percentile_difference_ends(population: Population, first: np.ndarray, second: np.ndarray) -> Ends:
    """The interval of the difference as it was before."""
    sets, num, width = first.shape
    counts = np.random.default_rng(0).multinomial(num, np.full(num, 1 / num), size=DRAWS)
    lows, highs, step = np.empty(sets), np.empty(sets), max(1, MAX_CELLS // (DRAWS * width))
    for start in range(0, sets, step):
        part = slice(start, start + step)
        one, other = (np.einsum("dv,svk->sdk", counts, each[part], optimize=True) for each in (first, second))
        lows[part], highs[part] = np.quantile(population.score(other) - population.score(one), TAILS, axis=1)
    return lows, highs

"""What each official score is made of, as sums over scored rows: sums of parts add up to the sums of the whole.

A score over all frames cannot be had from scores of videos, but from sums it can: n, p, t, pp, tt and pt give a CCC,
hits and counts give an F1. The official definitions are those of ``abaw.metrics``; a law holds the two together.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw.dataset.annotations import ACTION_UNITS, COMPOUND_EXPRESSIONS, EXPRESSIONS
from abaw.dataset.split_files import EMOTIONS

Scores = dict[str, np.ndarray]
ROUNDING = 1e-13  # of the squares that a difference of sums is made of; less than that is no spread


@dataclass(frozen=True)
class Recipe:
    """``sums`` (width) of one part's predictions and truths (n columns), the first of them n; ``scores`` by name from
    sums added up (draws width), what ranks first.

    The first ``num_centred`` columns want the mean truth taken off both sides before, so that squares do not swallow
    their spread.
    """

    columns: int
    width: int
    sums: Callable[[np.ndarray, np.ndarray], np.ndarray]
    scores: Callable[[np.ndarray], Scores]
    num_centred: int = 0


def moments(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """n, then for every column the sums of p, t, pp, tt and pt."""
    pairs = (prediction, truth, prediction * prediction, truth * truth, prediction * truth)
    return np.concatenate([[len(truth)], *(each.sum(axis=0) for each in pairs)])


def counts(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """n, then how often every kind (bool: n kinds) was predicted rightly, was predicted, and occurs."""
    return np.concatenate([[len(truth)], *(each.sum(axis=0) for each in (prediction & truth, prediction, truth))])


def concordances(sums: np.ndarray) -> np.ndarray:
    """CCC (draws, columns) from ``moments`` added up; both sides constant, or nothing: 0."""
    p, t, pp, tt, pt = _means(sums)
    spread = (pp - p * p) + (tt - t * t) + (p - t) ** 2
    has_spread = spread > ROUNDING * (pp + tt)
    return np.where(has_spread, 2 * (pt - p * t) / np.where(has_spread, spread, 1.0), 0.0)


def correlations(sums: np.ndarray) -> np.ndarray:
    """Pearson's (draws, columns) from ``moments`` added up; one side constant, or nothing: 0."""
    p, t, pp, tt, pt = _means(sums)
    of_p, of_t = pp - p * p, tt - t * t
    has_spread = (of_p > ROUNDING * pp) & (of_t > ROUNDING * tt)
    return np.where(has_spread, (pt - p * t) / np.sqrt(np.where(has_spread, of_p * of_t, 1.0)), 0.0)


def _means(sums: np.ndarray) -> list[np.ndarray]:
    return np.split(sums[:, 1:] / np.maximum(sums[:, :1], 1), 5, axis=1)


def _f1(names: Sequence[str], sums: np.ndarray) -> Scores:
    """From ``counts`` added up: the mean over kinds first; a kind absent from both sides counts 0."""
    hits, told, true = np.split(sums[:, 1:], 3, axis=1)
    f1 = 2 * hits / np.maximum(told + true, 1)
    return {"F1": f1.mean(axis=1), **{f"F1_{name}": f1[:, i] for i, name in enumerate(names)}}


def _valence_arousal() -> Recipe:
    def scores(sums: np.ndarray) -> Scores:
        valence, arousal = concordances(sums).T
        return {"CCC": (valence + arousal) / 2, "CCC_valence": valence, "CCC_arousal": arousal}

    return Recipe(2, 1 + 5 * 2, moments, scores, num_centred=2)


def _intensities(names: Sequence[str]) -> Recipe:
    def scores(sums: np.ndarray) -> Scores:
        found = correlations(sums)
        return {"Pearson": found.mean(axis=1), **{f"Pearson_{name}": found[:, i] for i, name in enumerate(names)}}

    return Recipe(len(names), 1 + 5 * len(names), moments, scores, num_centred=len(names))


def _classes(names: Sequence[str]) -> Recipe:
    kinds = np.arange(len(names))

    def scores(sums: np.ndarray) -> Scores:
        num_right = sums[:, 1 : 1 + len(names)].sum(axis=1)
        return {**_f1(names, sums), "accuracy": num_right / np.maximum(sums[:, 0], 1)}

    return Recipe(1, 1 + 3 * len(names), lambda p, t: counts(p == kinds, t == kinds), scores)


def _units(names: Sequence[str]) -> Recipe:
    return Recipe(len(names), 1 + 3 * len(names), lambda p, t: counts(p > 0.5, t > 0.5), lambda sums: _f1(names, sums))


def _side_by_side(parts: Mapping[str, Recipe]) -> Recipe:
    """Parts' columns one after the other, the first part's centred; a row without a part's truth (NaN) is not its own.

    What ranks is the sum of what ranks each; a part of which no draw has a row is left out.
    """
    columns = _slices([part.columns for part in parts.values()], 0)
    entries = _slices([part.width for part in parts.values()], 1)

    def sums(prediction: np.ndarray, truth: np.ndarray) -> np.ndarray:
        found = [np.array([len(truth)])]
        for part, own in zip(parts.values(), columns, strict=True):
            there = ~np.isnan(truth[:, own]).any(axis=1)
            found.append(part.sums(prediction[there, own], truth[there, own]))
        return np.concatenate(found)

    def scores(sums: np.ndarray) -> Scores:
        total, named = np.zeros(len(sums)), Scores()
        for (name, part), own in zip(parts.items(), entries, strict=True):
            if sums[:, own.start].any():
                found = part.scores(sums[:, own])
                total = total + next(iter(found.values()))
                named |= {f"{name}/{key}": values for key, values in found.items()}
        return {"score": total, **named}

    first = next(iter(parts.values()))
    return Recipe(columns[-1].stop, entries[-1].stop, sums, scores, first.num_centred)


def _slices(widths: Sequence[int], start: int) -> list[slice]:
    stops = (start + np.cumsum(widths)).tolist()
    return [slice(stop - width, stop) for width, stop in zip(widths, stops, strict=True)]


RECIPES = {
    "va": _valence_arousal(),
    "expr": _classes(EXPRESSIONS),
    "au": _units(ACTION_UNITS),
    "mtl": _side_by_side({"va": _valence_arousal(), "expr": _classes(EXPRESSIONS), "au": _units(ACTION_UNITS)}),
    "ce": _classes(COMPOUND_EXPRESSIONS),
    "emi": _intensities(EMOTIONS),
    "ah": _classes(("no", "yes")),
}

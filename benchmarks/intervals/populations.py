"""Simulated populations of videos, as the sums per video from which a pooled score follows.

Persons differ: in valence and arousal their prediction has a bias, a slope and a noise of its own; classes and action
units have shares, rates of hits and of false alarms of their own. Videos differ in length, which is log-normal. Of a
video only sums are drawn (moments, counts), so that a thousand sets of 76 videos cost a second. Systems that predict
the same videos are alike in what is hard (a correlation of 0.7 of what is a person's own).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from abaw.evaluation.jackknife import Limits
from abaw.tasks import TASKS

CLASS_SHARES = np.array([0.35, 0.08, 0.05, 0.04, 0.16, 0.14, 0.06, 0.12])  # of frames, about those of Aff-Wild2
UNIT_RATES = np.array([0.12, 0.06, 0.16, 0.26, 0.34, 0.34, 0.24, 0.03, 0.03, 0.03, 0.63, 0.08])
ALIKE = 0.7  # correlation of two systems' strength at a person
TRUTH_VIDEOS, TRUTH_SETS = 20_000, 10
MAX_CLIPS = 150  # of a group

Shape = tuple[int, ...]
System = tuple[float, ...]  # its settings


@dataclass(frozen=True)
class Population:
    """What videos are drawn from, and how they are scored.

    ``draw``: sums of every system (... sums) from a generator, the shape (sets, videos) and the systems' settings.
    ``score``: scores from sums (... sums). ``num_rows``: scored rows of each video. ``system``: settings of the
    usual system. ``other``: of one that works otherwise, with one setting free, between ``bracket``, by which its
    score is made the same.
    """

    name: str
    kind: str
    draw: Callable[[np.random.Generator, Shape, Sequence[System]], list[np.ndarray]]
    score: Callable[[np.ndarray], np.ndarray]
    num_rows: Callable[[np.ndarray], np.ndarray]
    limits: Limits
    system: System
    other: Callable[[float], System] | None = None
    bracket: tuple[float, float] = (0.0, 1.0)

    def sets(self, num_sets: int, num_videos: int, systems: Sequence[System], seed: int) -> list[np.ndarray]:
        """Of each system the sums (sets videos sums)."""
        return self.draw(np.random.default_rng(seed), (num_sets, num_videos), systems)

    def truths(self, systems: Sequence[System]) -> list[float]:
        """The score of each system over very many videos."""
        rng, totals = np.random.default_rng(0), [0.0 for _ in systems]
        for _ in range(TRUTH_SETS):
            drawn = self.draw(rng, (TRUTH_VIDEOS,), systems)
            totals = [total + each.sum(axis=0) for total, each in zip(totals, drawn, strict=True)]
        return [float(self.score(total)) for total in totals]

    def equal(self) -> System:
        """The settings of a system that works otherwise and scores the same."""
        assert self.other is not None
        other = self.other

        def apart(free: float) -> float:
            first, second = self.truths([self.system, other(free)])
            return second - first

        return other(optimize.brentq(apart, *self.bracket, xtol=1e-4))


def lengths(rng: np.random.Generator, shape: Shape) -> np.ndarray:
    """Frames of each video: median 1,500, of one in twenty more than 6,600."""
    return np.maximum(rng.lognormal(np.log(1500), 0.9, shape), 50)


def strengths(rng: np.random.Generator, shape: Shape, num: int) -> list[np.ndarray]:
    """What makes a person easy or hard, standard normal, for each of so many systems."""
    common = rng.normal(size=shape)
    return [ALIKE * common + (1 - ALIKE**2) ** 0.5 * rng.normal(size=shape) for _ in range(num)]


def draw_values(rng: np.random.Generator, shape: Shape, systems: Sequence[System]) -> list[np.ndarray]:
    """Valence and arousal; a system is slope, spread of biases, spread of slopes, noise."""
    num, found = lengths(rng, shape), [list[np.ndarray]() for _ in systems]
    for mean, between, within in ((0.2, 0.25, 0.2), (0.25, 0.2, 0.18)):
        middle = rng.normal(mean, between, shape)
        variance = np.square(within * rng.lognormal(0, 0.4, shape))
        biases, slopes = strengths(rng, shape, len(systems)), strengths(rng, shape, len(systems))
        for sums, (slope, bias, spread, noise), own_bias, own_slope in zip(found, systems, biases, slopes, strict=True):
            steep = slope + spread * own_slope
            predicted = mean + slope * (middle - mean) + bias * own_bias
            noises = np.square(noise * rng.lognormal(0, 0.3, shape))
            square, product = steep**2 * variance + noises + predicted**2, steep * variance + predicted * middle
            sums += [num, *(num * m for m in (predicted, middle, square, variance + middle**2, product))]
    return [np.stack(sums, axis=-1) for sums in found]


def draw_clip_values(rng: np.random.Generator, shape: Shape, systems: Sequence[System]) -> list[np.ndarray]:
    """A value of every clip, groups of about 30 clips; a system is slope, biases, slopes and noise, as above."""
    num = np.clip(np.rint(rng.lognormal(np.log(30), 0.5, shape)), 4, MAX_CLIPS)
    is_there = np.arange(MAX_CLIPS) < num[..., None]
    truth = rng.normal(0, 0.3, shape)[..., None] + rng.normal(size=(*shape, MAX_CLIPS))
    found = []
    biases, slopes = strengths(rng, shape, len(systems)), strengths(rng, shape, len(systems))
    for (slope, bias, spread, noise), own_bias, own_slope in zip(systems, biases, slopes, strict=True):
        predicted = (bias * own_bias)[..., None] + (slope + spread * own_slope)[..., None] * truth
        predicted += noise * rng.normal(size=truth.shape)
        moments = (predicted, truth, predicted**2, truth**2, predicted * truth)
        found.append(np.stack([num, *((each * is_there).sum(axis=-1) for each in moments)], axis=-1))
    return found


def draw_classes(rng: np.random.Generator, shape: Shape, systems: Sequence[System]) -> list[np.ndarray]:
    """Eight classes, rare ones in few videos; a system is logit of recall, its spread, evenness of confusions."""
    true = lengths(rng, shape)[..., None] * _shares(rng, 2 * CLASS_SHARES, shape)
    return [
        _confuse(rng, true, true * special.expit(recall + spread * own), even)
        for (recall, spread, even), own in zip(systems, strengths(rng, (*shape, 8), len(systems)), strict=True)
    ]


def draw_clip_classes(rng: np.random.Generator, shape: Shape, systems: Sequence[System]) -> list[np.ndarray]:
    """Eight classes of clips, about as many of each, groups of about 30 clips; systems as of ``draw_classes``."""
    num = np.maximum(np.rint(rng.lognormal(np.log(30), 0.5, shape)), 4).astype(int)
    true = rng.multinomial(num, _shares(rng, np.full(8, 6.0), shape))
    return [
        _confuse(rng, true, rng.binomial(true, special.expit(recall + spread * own)), even)
        for (recall, spread, even), own in zip(systems, strengths(rng, (*shape, 8), len(systems)), strict=True)
    ]


def draw_units(rng: np.random.Generator, shape: Shape, systems: Sequence[System]) -> list[np.ndarray]:
    """Twelve action units, then the number of frames; a system is the logits of its hits and of its false alarms."""
    num = lengths(rng, shape)[..., None]
    rate = rng.beta(2 * UNIT_RATES, 2 * (1 - UNIT_RATES), (*shape, 12))
    hits, alarms = (strengths(rng, (*shape, 12), len(systems)) for _ in range(2))
    found = []
    for (of_hits, of_alarms), own_hits, own_alarms in zip(systems, hits, alarms, strict=True):
        hit = num * rate * special.expit(of_hits + own_hits)
        false = num * (1 - rate) * special.expit(of_alarms + own_alarms) * np.sqrt(UNIT_RATES / 0.34)
        found.append(np.concatenate([hit, hit + false, num * rate, num], axis=-1))
    return found


def concordance(sums: np.ndarray) -> np.ndarray:
    """Mean CCC from number, sums, squares and products (... 6 of each column)."""
    sums = sums.reshape(*sums.shape[:-1], -1, 6)
    means = sums[..., 1:] / np.maximum(sums[..., :1], 1e-12)
    p, t, square_p, square_t, product = np.moveaxis(means, -1, 0)
    total = square_p - p**2 + square_t - t**2 + (p - t) ** 2
    return (2 * (product - p * t) / np.maximum(total, 1e-12)).mean(axis=-1)


def f1(sums: np.ndarray) -> np.ndarray:
    """Mean F1 from hits, predictions and truths of all classes."""
    hits, predicted, true = np.split(sums, 3, axis=-1)
    return (2 * hits / np.maximum(predicted + true, 1e-9)).mean(axis=-1)


def f1_of(number: int) -> Callable[[np.ndarray], np.ndarray]:
    """F1 of one class."""
    return lambda sums: f1(np.stack([each[..., number] for each in np.split(sums, 3, axis=-1)], axis=-1))


def _first(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0]


def _true(sums: np.ndarray) -> np.ndarray:
    return np.split(sums, 3, axis=-1)[2].sum(axis=-1)


def _shares(rng: np.random.Generator, concentration: np.ndarray, shape: Shape) -> np.ndarray:
    drawn = rng.gamma(np.broadcast_to(concentration, shape + concentration.shape)) + 1e-12
    return drawn / drawn.sum(axis=-1, keepdims=True)


def _confuse(rng: np.random.Generator, true: np.ndarray, hits: np.ndarray, even: float) -> np.ndarray:
    missed = (true - hits).sum(axis=-1, keepdims=True)
    wrong = missed * _shares(rng, np.full(true.shape[-1], even), true.shape[:-1])
    return np.concatenate([hits, hits + wrong, true], axis=-1)


RANGES = TASKS.build("expr").score_range
CCC, F1 = RANGES("CCC"), RANGES("F1")
USUAL = (0.3, 1.2, 0.5)
VALUES = Population(
    "CCC of valence and arousal", "values", draw_values, concordance, _first, CCC, (0.7, 0.12, 0.25, 0.14),
    lambda noise: (0.7, 0.05, 0.1, noise), (0.05, 0.5),
)  # fmt: skip
CLASSES = Population(
    "macro-F1 of 8 expressions", "classes", draw_classes, f1, _true, F1, USUAL, lambda recall: (recall, 0.3, 3.0),
    (-1.0, 3.0),
)  # fmt: skip
UNITS = Population(
    "mean F1 of 12 action units", "units", draw_units, lambda sums: f1(sums[..., :-1]), lambda sums: sums[..., -1],
    F1, (0.5, -2.2),
    lambda hits: (hits, -3.0), (-3.0, 2.0),
)  # fmt: skip
CLIP_CLASSES = Population(
    "macro-F1 of clips, 8 classes", "classes", draw_clip_classes, f1, _true, F1, (0.3, 0.8, 0.5),
    lambda recall: (recall, 0.2, 3.0), (-1.0, 3.0),
)  # fmt: skip
CLIP_VALUES = Population(
    "CCC of clips", "values", draw_clip_values, concordance, _first, CCC, (0.55, 0.35, 0.2, 0.6),
    lambda noise: (0.6, 0.1, 0.1, noise), (0.1, 1.5),
)  # fmt: skip
RARE = Population("F1 of the rarest of them alone", "", draw_classes, f1_of(3), _true, F1, USUAL)
POPULATIONS = (VALUES, CLASSES, UNITS, CLIP_CLASSES, CLIP_VALUES)

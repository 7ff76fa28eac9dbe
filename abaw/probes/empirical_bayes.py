"""The empirical Bayes classifier on pooled features: in closed form, with the clip as the sampling unit.

A sample is a clip and a class: the mean of the features of the clip's rows with this label. Frames of a clip resemble
each other, so that standard errors over frames are far too small, and every effect of noise looks large.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy import optimize, sparse
from scipy.special import log_softmax, softmax

from abaw.errors import InputError
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.probes.crossing import CrossPrediction, blocks_of, inner_parts
from abaw.probes.discriminant import MIN_SAMPLES, Discriminant, fit_classes, fit_two_classes
from abaw.tasks.base import Task

SCALES = (1e-4, 4.0)  # between which a scale of log-odds is sought


@dataclass(frozen=True)
class Goal:
    """One choice of a task: between classes, or whether one unit is active. ``classes``: of each row, -1 if unknown.

    ``column``: where the table's columns of this choice begin; a unit has one, the probability that it is active.
    """

    names: Sequence[str]
    classes: Int[np.ndarray, " row"]
    column: int
    is_unit: bool

    @property
    def width(self) -> int:
        """How many columns of a table it has."""
        return 1 if self.is_unit else len(self.names)


@dataclass(frozen=True)
class _Head:
    """A fitted choice: a discriminant of the classes ``there`` (None for less than two), and the scale of log-odds."""

    goal: Goal
    there: np.ndarray
    discriminant: Discriminant | None
    scale: float | None = None

    def columns(self, features: np.ndarray) -> np.ndarray:
        """Probabilities (row column); a class that is not there has 0."""
        found = np.zeros((len(features), len(self.goal.names)))
        if self.discriminant is None:
            found[:, self.there if len(self.there) else slice(None)] = 1 / (len(self.there) or len(self.goal.names))
        else:
            scale = 1.0 if self.scale is None else self.scale
            found[:, self.there] = softmax(scale * self.discriminant.evidence(features), axis=1)
        return found[:, 1:] if self.goal.is_unit else found


def is_classified(task: Task) -> bool:
    """Whether the task has classes or units alone: a classifier predicts no values."""
    return all(kind != "values" for kind, _ in blocks_of(task))


def goals_of(task: Task, labels: Float[np.ndarray, "row goal"]) -> list[Goal]:
    """The choices of a task with the labels of its rows."""
    found, goal, column = [], 0, 0
    for kind, width in blocks_of(task):
        names = [name.removeprefix("p_") for name in task.columns[column : column + width]]
        if kind == "classes":
            found.append(Goal(names, _whole(labels[:, goal]), column, False))
        else:
            units = [(f"{name} inactive", f"{name} active") for name in names]
            found += [
                Goal(pair, _whole(labels[:, goal + i] > 0.5, labels[:, goal + i]), column + i, True)
                for i, pair in enumerate(units)
            ]
        goal, column = goal + (1 if kind == "classes" else width), column + width
    return found


def check_clips(task: Task, labels: Float[np.ndarray, "row goal"], clips: Sequence[str]) -> list[str]:
    """Remarks on classes without a clip. Raises InputError for a class of a single clip, naming it."""
    lacking = []
    for goal in goals_of(task, labels):
        for i, name in enumerate(goal.names):
            own = sorted({clips[row] for row in np.flatnonzero(goal.classes == i).tolist()})
            if len(own) == 1:
                raise InputError(
                    f"{task.name}: {name} occurs in 1 clip ({own[0]!r}), and empirical_bayes needs {MIN_SAMPLES} or "
                    "more clips of every class: label more clips, leave the class out of the data set, or give "
                    "--classifier linear"
                )
            lacking += [] if own else [name]
    return [f"empirical_bayes never predicts what occurs in no clip: {first_few(lacking)}"] if lacking else []


def cross_predict(
    task: Task,
    features: Float[np.ndarray, "row features"],
    labels: Float[np.ndarray, "row goal"],
    clips: Sequence[str],
    parts: Int[np.ndarray, " row"],
    groups: Sequence[str],
    seed: int = 0,
) -> CrossPrediction:
    """Predict every row with a classifier of the clips of the other parts.

    ``clips``: the clip of each row. ``parts``: the part that holds a row out. Classes count as equally frequent.
    The log-odds of a discriminant suppose independent features; one scale is fitted on inner parts of whole groups,
    which changes no order of a row's classes. A class with less than two clips in training is not predicted there.
    """
    goals, rng = goals_of(task, labels), np.random.default_rng(seed)
    heads: dict[int, list[_Head]] = {part: [] for part in np.unique(parts).tolist()}
    left_out: dict[str, int] = {}
    for goal in goals:
        samples = _Samples.of(goal, features, clips, parts, groups)
        for part, of_part in heads.items():
            train = samples.select(samples.parts != part)
            head = train.fit(rng)
            rows = np.flatnonzero((parts != part) & (goal.classes >= 0))
            scale = _fit_scale(train, features[rows], goal.classes[rows], [groups[i] for i in rows.tolist()], rng)
            of_part.append(_Head(goal, head.there, head.discriminant, scale))
            for name in np.array(goal.names)[np.setdiff1d(np.unique(goal.classes[goal.classes >= 0]), head.there)]:
                left_out[name] = left_out.get(name, 0) + 1
    predictors = {part: _Predictor(of_part, len(task.columns)) for part, of_part in heads.items()}
    tables = np.zeros((len(labels), len(task.columns)))
    for part, predictor in predictors.items():
        tables[parts == part] = predictor(features[parts == part])
    scales = [[head.scale for head in of_part] for of_part in heads.values()]
    return CrossPrediction(tables, predictors, scales=scales, remarks=_remarks(heads, left_out))


@dataclass(frozen=True)
class _Predictor:
    heads: Sequence[_Head]
    num_columns: int

    def __call__(self, features: np.ndarray) -> np.ndarray:
        found = np.zeros((len(features), self.num_columns))
        for head in self.heads:
            found[:, head.goal.column : head.goal.column + head.goal.width] = head.columns(features)
        return found


@dataclass(frozen=True)
class _Samples:
    """Of each clip and class: the mean features (NaN where nothing was observed), and the clip's part and group."""

    goal: Goal
    features: np.ndarray
    classes: np.ndarray
    parts: np.ndarray
    groups: np.ndarray

    @classmethod
    def of(
        cls, goal: Goal, features: np.ndarray, clips: Sequence[str], parts: np.ndarray, groups: Sequence[str]
    ) -> "_Samples":
        rows = np.flatnonzero(goal.classes >= 0)
        clip_of = np.unique(clips, return_inverse=True)[1][rows]
        codes = clip_of * len(goal.names) + goal.classes[rows]
        found, first, sample_of = np.unique(codes, return_index=True, return_inverse=True)
        members = sparse.csr_matrix((np.ones(len(rows)), (sample_of, np.arange(len(rows)))), (len(found), len(rows)))
        is_known = ~np.isnan(features[rows])
        sums, num = members @ np.where(is_known, features[rows], 0.0), members @ is_known.astype(np.float32)
        means = np.where(num > 0, sums / np.maximum(num, 1), np.nan)
        is_seen = (num > 0).any(axis=1)
        classes, at = found % len(goal.names), rows[first]
        return cls(goal, means, classes, parts[at], np.array(groups)[at]).select(is_seen)

    def select(self, which: np.ndarray) -> "_Samples":
        return _Samples(self.goal, self.features[which], self.classes[which], self.parts[which], self.groups[which])

    def fit(self, rng: np.random.Generator) -> _Head:
        """A discriminant of the classes with enough samples."""
        there = np.flatnonzero(np.bincount(self.classes, minlength=len(self.goal.names)) >= MIN_SAMPLES)
        if len(there) < 2:
            return _Head(self.goal, there, None)
        own = np.isin(self.classes, there)
        features, classes = self.features[own], np.searchsorted(there, self.classes[own])
        if len(there) == 2:
            return _Head(self.goal, there, fit_two_classes(features, classes, rng))
        return _Head(self.goal, there, fit_classes(features, classes, len(there), rng))


def _fit_scale(
    train: _Samples, features: np.ndarray, classes: np.ndarray, groups: Sequence[str], rng: np.random.Generator
) -> float | None:
    """The scale of log-odds under which the labels of inner held-out rows are most likely, all classes counting alike.

    None where there is a single group, or no inner part has two classes.
    """
    parts = inner_parts(groups)
    if parts is None:
        return None
    part_of = dict(zip(groups, parts.tolist(), strict=True))
    sample_parts = np.array([part_of[group] for group in train.groups])
    found = []
    for part in np.unique(parts):
        head = train.select(sample_parts != part).fit(rng)
        own = (parts == part) & np.isin(classes, head.there)
        if head.discriminant is not None and own.any():
            found.append(
                (head.discriminant.evidence(features[own]), np.searchsorted(head.there, classes[own]), classes[own])
            )
    if not found:
        return None
    counts = np.bincount(np.concatenate([each[2] for each in found]))
    weights = 1 / np.maximum(counts, 1)

    def loss(log_scale: float) -> float:
        return -sum(
            float((weights[own] * log_softmax(np.exp(log_scale) * evidence, axis=1)[np.arange(len(at)), at]).sum())
            for evidence, at, own in found
        )

    return float(np.exp(optimize.minimize_scalar(loss, bounds=np.log(SCALES), method="bounded").x))


def _remarks(heads: Mapping[int, Sequence[_Head]], left_out: Mapping[str, int]) -> list[str]:
    fitted = [head for of_part in heads.values() for head in of_part if head.discriminant is not None]
    num_dropped = max((int((~head.discriminant.is_used).sum()) for head in fitted), default=0)  # type: ignore[union-attr]
    found = [
        f"{name} has fewer than {MIN_SAMPLES} clips in the training clips of {format_count(num, 'part')}: it is not "
        "predicted there"
        for name, num in left_out.items()
    ]
    if num_dropped:
        found.append(f"{format_count(num_dropped, 'feature')} dropped: constant within every class, or hardly observed")
    if any(head.scale is None for head in fitted):
        found.append(
            "the scale of log-odds is not fitted where the training clips are of one group: do not trust its p"
        )
    if not all(prior.converged for head in fitted for prior in head.discriminant.priors):  # type: ignore[union-attr]
        found.append("a prior of the effects did not converge")
    return found


def _whole(classes: np.ndarray, labels: np.ndarray | None = None) -> np.ndarray:
    """Labels as whole numbers, -1 where they are unknown."""
    is_known = ~np.isnan(classes if labels is None else labels)
    return np.where(is_known, classes, -1).astype(int)

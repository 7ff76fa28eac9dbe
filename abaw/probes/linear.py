"""Linear models on pooled features: logistic regression for classes, ridge for values, by cross-validation in groups.

The regularisation is chosen within each training part, on groups that are held out there (nested cross-validation:
Varma and Simon 2006), so that no score is of clips that any choice has seen.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from jaxtyping import Float, Int

from abaw.dataset.annotations import Labels
from abaw.probes.crossing import CrossPrediction, Predictor, blocks_of, inner_parts, row_labels
from abaw.tasks.base import Block, PredictionPair, Task
from abaw.tasks.ranges import column_ranges

# weight of the squared coefficients against the mean loss of a row; of those that score alike the middle one is taken
PENALTIES = (30.0, 3.0, 0.3, 0.03, 0.003)
MAX_COMPONENTS = 300  # principal components of the features that a model reads
TINY = 1e-9  # between scores that are the same
MAX_STEPS = 200  # of the logistic regression


def cross_predict(
    task: Task,
    features: Float[np.ndarray, "row features"],
    labels: Float[np.ndarray, "row goal"],
    parts: Int[np.ndarray, " row"],
    groups: Sequence[str],
    seed: int = 0,
) -> CrossPrediction:
    """Predict every row with a model of the other parts, whose penalty is chosen on groups of theirs.

    ``parts``: the part that holds a row out. Unknown features (NaN) count as the mean of the training rows. Raises
    InputError where the task has columns that are neither classes, values nor units.
    """
    blocks = blocks_of(task)
    tables, penalties, predictors = np.zeros((len(labels), len(task.columns))), [], {}
    for part in np.unique(parts).tolist():
        train, held_out = np.flatnonzero(parts != part), parts == part
        penalty = _choose(task, blocks, features[train], labels[train], [groups[i] for i in train.tolist()], seed)
        penalties.append(penalty)
        used = PENALTIES[len(PENALTIES) // 2] if penalty is None else penalty
        predictors[part] = next(_fit_models(task, blocks, features[train], labels[train], (used,), seed))
        tables[held_out] = predictors[part](features[held_out])
    return CrossPrediction(tables, predictors, penalties)


def _choose(
    task: Task,
    blocks: tuple[tuple[Block, int], ...],
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str],
    seed: int,
) -> float | None:
    """The penalty with the highest score on inner parts of whole groups; None where there is a single group."""
    parts = inner_parts(groups)
    if parts is None:
        return None
    tables = np.zeros((len(PENALTIES), len(labels), len(task.columns)))
    for part in np.unique(parts):
        train, held_out = parts != part, parts == part
        for i, predictor in enumerate(_fit_models(task, blocks, features[train], labels[train], PENALTIES, seed)):
            tables[i, held_out] = predictor(features[held_out])
    scores = [_rank(task, table, labels) for table in tables]
    best = np.flatnonzero(np.array(scores) >= max(scores) - TINY)
    return PENALTIES[best[len(best) // 2]]


def _rank(task: Task, tables: np.ndarray, labels: np.ndarray) -> float:
    pair = PredictionPair(row_labels(task, tables), Labels(labels, np.ones(len(labels), bool)))
    return float(next(iter(task.score({"all": pair}).values())))


def _fit_models(
    task: Task,
    blocks: tuple[tuple[Block, int], ...],
    features: np.ndarray,
    labels: np.ndarray,
    penalties: Sequence[float],
    seed: int,
) -> Iterator[Predictor]:
    """A model for each penalty."""
    inputs = _Inputs.of(features, seed)
    train, bounds = inputs(features), np.array(column_ranges(task)).T
    for penalty in penalties:
        heads, goal = [], 0
        for kind, width in blocks:
            truth = labels[:, goal : goal + (1 if kind == "classes" else width)]
            known = ~np.isnan(truth).any(axis=1)  # of a multi-task label a part may be missing
            heads.append(_fit(kind, width, train[known], truth[known], penalty))
            goal += truth.shape[1]
        yield partial(_predict, inputs, heads, bounds)


def _predict(inputs: "_Inputs", heads: Sequence[Predictor], bounds: np.ndarray, features: np.ndarray) -> np.ndarray:
    read = inputs(features)
    return np.clip(np.concatenate([head(read) for head in heads], axis=1), *bounds)


def _fit(kind: Block, width: int, train: np.ndarray, truth: np.ndarray, penalty: float) -> Predictor:
    if kind == "classes":
        return _fit_classes(train, truth[:, 0].astype(int), penalty, width)
    if kind == "units":
        units = [_fit_classes(train, truth[:, i] > 0.5, penalty, 2) for i in range(width)]
        return lambda read: np.stack([unit(read)[:, 1] for unit in units], axis=1)
    mean = truth.mean(0)
    gram = train.T @ train + penalty * len(train) * np.eye(train.shape[1])
    weights = np.linalg.solve(gram, train.T @ (truth - mean))
    return lambda read: np.asarray(mean + read @ weights)


def _fit_classes(train: np.ndarray, truth: np.ndarray, penalty: float, num: int) -> Predictor:
    """Of probabilities; a class that does not occur in training has 0."""
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    there = np.unique(truth.astype(int))
    if len(there) == 1:
        return lambda read: np.tile(np.arange(num) == there[0], (len(read), 1)).astype(float)
    model = LogisticRegression(C=1 / (penalty * len(train)), class_weight="balanced", max_iter=MAX_STEPS, tol=1e-3)
    # its checks of what is given take longer than the fit of a small model
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps more change no class
        model.fit(train, truth.astype(int))

    def probabilities(read: np.ndarray) -> np.ndarray:
        found = np.zeros((len(read), num))
        with config_context(assume_finite=True):
            found[:, there] = model.predict_proba(read)
        return found

    return probabilities


@dataclass(frozen=True)
class _Inputs:
    """What a model reads: features standardised by the training rows, turned to their principal components.

    A feature that is unknown, or constant in training, is 0. The turn changes no penalised linear model; of more than
    ``MAX_COMPONENTS`` the largest are kept. ``axes``: None where there are few features.
    """

    mean: np.ndarray
    scale: np.ndarray
    axes: np.ndarray | None

    @classmethod
    def of(cls, train: np.ndarray, seed: int) -> "_Inputs":
        from sklearn.utils.extmath import randomized_svd

        known = ~np.isnan(train)
        num = np.maximum(known.sum(0), 1)
        mean = np.where(known, train, 0).sum(0, dtype=np.float64) / num
        std = np.sqrt((np.where(known, train - mean, 0) ** 2).sum(0) / num)
        scale = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-12), 1 / np.maximum(std, 1e-300), 0.0)
        if train.shape[1] <= MAX_COMPONENTS:
            return cls(mean, scale, None)
        read = cls(mean, scale, None)(train)
        if len(train) <= MAX_COMPONENTS:
            _, _, axes = np.linalg.svd(read, full_matrices=False)
        else:
            _, _, axes = randomized_svd(read, MAX_COMPONENTS, n_iter=2, random_state=seed)
        return cls(mean, scale, axes)

    def __call__(self, features: np.ndarray) -> np.ndarray:
        read = np.nan_to_num((features - self.mean) * self.scale).clip(-10, 10)
        return read if self.axes is None else read @ self.axes.T

"""Linear models on pooled features: logistic regression for classes, ridge for values, by cross-validation in groups.

The regularisation is chosen within each training part, on groups that are held out there (nested cross-validation:
Varma and Simon 2006), so that no score is of clips that any choice has seen.
"""

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks.base import Block, PredictionPair, Task
from abaw.tasks.ranges import column_ranges

# weight of the squared coefficients against the mean loss of a row; of those that score alike the middle one is taken
PENALTIES = (30.0, 3.0, 0.3, 0.03, 0.003)
NUM_INNER = 3  # parts in which a training part is divided to choose the penalty
MAX_COMPONENTS = 300  # principal components of the features that a model reads
TINY = 1e-9  # between scores that are the same
MAX_STEPS = 200  # of the logistic regression


@dataclass(frozen=True)
class CrossPrediction:
    """Tables of rows that were held out (rows columns), and the penalty chosen in each part (None: no choice)."""

    tables: Float[np.ndarray, "row columns"]
    penalties: list[float | None]


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
    tables, penalties = np.zeros((len(labels), len(task.columns))), []
    for part in np.unique(parts):
        train = np.flatnonzero(parts != part)
        penalty = _choose(task, blocks, features[train], labels[train], [groups[i] for i in train.tolist()], seed)
        penalties.append(penalty)
        given = features[train], labels[train], features[parts == part]
        used = PENALTIES[len(PENALTIES) // 2] if penalty is None else penalty
        tables[parts == part] = next(_predict(task, blocks, *given, (used,), seed))
    return CrossPrediction(tables, penalties)


def blocks_of(task: Task) -> tuple[tuple[Block, int], ...]:
    """The task's columns as blocks of classes, values or units. Raises InputError where they are something else."""
    is_probability = all(name.startswith("p_") for name in task.columns)
    blocks = task.blocks or ((("units" if is_probability else "values"), len(task.columns)),)
    if sum(width for _, width in blocks) != len(task.columns):
        raise InputError(f"{task.name}: its columns are not classes, values or units, which a probe predicts")
    return blocks  # type: ignore[return-value]


def row_labels(task: Task, tables: Float[np.ndarray, "row columns"]) -> Float[np.ndarray, "row goal"]:
    """The label of each row; for a clip-level task every row is a clip."""
    if task.resolution == "frame":
        return task.to_labels(tables)
    return np.concatenate([task.to_labels(row[None]) for row in tables])


def _choose(
    task: Task,
    blocks: tuple[tuple[Block, int], ...],
    features: np.ndarray,
    labels: np.ndarray,
    groups: Sequence[str],
    seed: int,
) -> float | None:
    """The penalty with the highest score on inner parts of whole groups; None where there is a single group."""
    names, sizes = np.unique(groups, return_counts=True)
    num = min(NUM_INNER, len(names))
    if num < 2:
        return None
    load, part_of = np.zeros(num), {}
    for i in np.argsort(-sizes, kind="stable"):
        part_of[names[i]] = int(np.argmin(load))
        load[part_of[names[i]]] += sizes[i]
    parts = np.array([part_of[group] for group in groups])
    tables = np.zeros((len(PENALTIES), len(labels), len(task.columns)))
    for part in range(num):
        train, held_out = parts != part, parts == part
        found = _predict(task, blocks, features[train], labels[train], features[held_out], PENALTIES, seed)
        for i, table in enumerate(found):
            tables[i, held_out] = table
    scores = [_rank(task, table, labels) for table in tables]
    best = np.flatnonzero(np.array(scores) >= max(scores) - TINY)
    return PENALTIES[best[len(best) // 2]]


def _rank(task: Task, tables: np.ndarray, labels: np.ndarray) -> float:
    pair = PredictionPair(row_labels(task, tables), Labels(labels, np.ones(len(labels), bool)))
    return float(next(iter(task.score({"all": pair}).values())))


def _predict(
    task: Task,
    blocks: tuple[tuple[Block, int], ...],
    features: np.ndarray,
    labels: np.ndarray,
    held_out: np.ndarray,
    penalties: Sequence[float],
    seed: int,
) -> Iterator[np.ndarray]:
    """A table of the held-out rows for each penalty."""
    train, test = _components(*_standardised(features, held_out), seed)
    bounds = np.array(column_ranges(task)).T
    for penalty in penalties:
        columns, goal = [], 0
        for kind, width in blocks:
            truth = labels[:, goal : goal + (1 if kind == "classes" else width)]
            known = ~np.isnan(truth).any(axis=1)  # of a multi-task label a part may be missing
            columns.append(_fit(kind, width, train[known], truth[known], test, penalty))
            goal += truth.shape[1]
        yield np.clip(np.concatenate(columns, axis=1), *bounds)


def _fit(kind: Block, width: int, train: np.ndarray, truth: np.ndarray, test: np.ndarray, penalty: float) -> np.ndarray:
    if kind == "classes":
        return _classes(train, truth[:, 0].astype(int), test, penalty, width)
    if kind == "units":
        return np.stack([_classes(train, truth[:, i] > 0.5, test, penalty, 2)[:, 1] for i in range(width)], axis=1)
    mean = truth.mean(0)
    gram = train.T @ train + penalty * len(train) * np.eye(train.shape[1])
    return np.asarray(mean + test @ np.linalg.solve(gram, train.T @ (truth - mean)))


def _classes(train: np.ndarray, truth: np.ndarray, test: np.ndarray, penalty: float, num: int) -> np.ndarray:
    """Probabilities; a class that does not occur in training has 0."""
    from sklearn import config_context
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    there, found = np.unique(truth.astype(int)), np.zeros((len(test), num))
    if len(there) == 1:
        found[:, there[0]] = 1
        return found
    model = LogisticRegression(C=1 / (penalty * len(train)), class_weight="balanced", max_iter=MAX_STEPS, tol=1e-3)
    # its checks of what is given take longer than the fit of a small model
    with warnings.catch_warnings(), config_context(assume_finite=True, skip_parameter_validation=True):
        warnings.simplefilter("ignore", ConvergenceWarning)  # a few steps more change no class
        found[:, there] = model.fit(train, truth.astype(int)).predict_proba(test)
    return found


def _standardised(train: np.ndarray, test: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both by mean and deviation of the training rows; 0 where a feature is unknown or constant there."""
    known = ~np.isnan(train)
    num = np.maximum(known.sum(0), 1)
    mean = np.where(known, train, 0).sum(0, dtype=np.float64) / num
    std = np.sqrt((np.where(known, train - mean, 0) ** 2).sum(0) / num)
    scale = np.where(std > 1e-6 * np.maximum(np.abs(mean), 1e-12), 1 / np.maximum(std, 1e-300), 0.0)
    return tuple(np.nan_to_num((each - mean) * scale).clip(-10, 10) for each in (train, test))  # type: ignore[return-value]


def _components(train: np.ndarray, test: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both turned to the principal components of the training rows, which changes no penalised linear model.

    Of more than ``MAX_COMPONENTS`` the largest are kept.
    """
    from sklearn.utils.extmath import randomized_svd

    if train.shape[1] <= MAX_COMPONENTS:
        return train, test
    if len(train) <= MAX_COMPONENTS:
        _, _, axes = np.linalg.svd(train, full_matrices=False)
    else:
        _, _, axes = randomized_svd(train, MAX_COMPONENTS, n_iter=2, random_state=seed)
    return train @ axes.T, test @ axes.T

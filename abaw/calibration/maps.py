"""Maps of probabilities fitted to the log loss of held-out predictions: a temperature, isotonic maps, maps by modality.

A map is linear between knots and its slopes are above 0, so that a higher probability stays the higher one (after the
isotonic layer of LiRank, Borisyuk et al. 2024, arXiv 2402.06859, eq. 1). The loss is convex in the slopes. What is
fitted is pulled towards the milder map: isotonic maps towards the temperature (Guo et al. 2017, arXiv 1706.04599),
those by modality towards the maps of all. A video counts as few frames against this pull, because its frames are alike.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from abaw.dataset.annotations import group_of
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.probabilities.contexts import contexts_of
from abaw.probabilities.maps import ALL, MapKind, ProbabilityMaps, blocks_of, centred
from abaw.tasks.base import Task

KINDS: tuple[MapKind, ...] = ("temperature", "isotonic", "by modality")  # the mildest first
KNOTS = np.array([-20.0, *np.arange(-6, 6.5, 0.5), 20.0])  # of logits; tables hold none beyond 16.2
MAX_ROWS = 200  # of a clip that are fitted on, evenly spread over its scored frames
PER_VIDEO = 4.0  # independent frames that a video counts as
MIN_VIDEOS = 3  # in which a set of modalities must be observed to get maps of its own
PULL_OFFSET, PULL_SLOPE, PULL_SMOOTH = 1.0, 0.3, 3.0  # of squared distances to the milder map
MIN_SLOPE = 0.01  # no two probabilities become equal
MAX_ITERATIONS, TOLERANCE, TINY = 50, 1e-6, 1e-9
_BENDS = np.diff(np.eye(len(KNOTS))[1:], axis=0)  # differences of slopes; the first number is the offset
_PULL = np.diag([PULL_OFFSET, *np.full(len(KNOTS) - 1, PULL_SLOPE)]) + PULL_SMOOTH * _BENDS.T @ _BENDS


@dataclass(frozen=True)
class Rows:
    """Scored frames of clips (for a clip-level task, clips): logits as maps take them, labels, and what was observed.

    ``weights``: how many scored frames a row stands for. ``videos``: the video or group of each row.
    """

    logits: np.ndarray
    truths: np.ndarray
    contexts: np.ndarray
    weights: np.ndarray
    videos: np.ndarray

    @classmethod
    def joined(cls, several: Sequence["Rows"]) -> "Rows":
        """The rows of several clips together."""
        names = ("logits", "truths", "contexts", "weights", "videos")
        return cls(*(np.concatenate([getattr(each, name) for each in several]) for name in names))

    def where(self, chosen: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(*(getattr(self, name)[chosen] for name in ("logits", "truths", "contexts", "weights", "videos")))

    @property
    def num_effective(self) -> float:
        """How many independent frames they count as."""
        return PER_VIDEO * len(np.unique(self.videos))


def rows_of(task: Task, clip_id: str, clip: LabelledTable, values: np.ndarray) -> Rows:
    """The scored rows of one clip whose table is smoothed to ``values``."""
    scored = np.flatnonzero(clip.labels.scored)
    table = values[: len(clip.labels)] if task.resolution == "frame" else task.pooled(values)
    contexts = contexts_of(clip.modalities or {}, len(values)) if task.resolution == "frame" else np.full(1, "", object)
    kept = scored[np.unique(np.linspace(0, max(len(scored) - 1, 0), min(len(scored), MAX_ROWS)).astype(int))]
    weights = np.full(len(kept), len(scored) / max(len(kept), 1))
    videos = np.full(len(kept), group_of(clip_id, clip.labels), object)
    logits = centred(task, task.logits(table[kept]))
    return Rows(logits, clip.labels.values[kept], contexts[kept], weights, videos)


def losses(task: Task, logits: np.ndarray, truths: np.ndarray) -> np.ndarray:
    """The log loss of each row and block (n blocks): of classes -log p, of units the mean of theirs; NaN: no label."""
    return np.stack([_loss(kind, logits[:, own], truth)[0] for kind, own, truth in _parts(task, truths)], axis=1)


def fit_maps(task: Task, rows: Rows, modalities: Iterable[str]) -> dict[MapKind, ProbabilityMaps]:
    """The maps of each kind fitted on these rows; those by modality only where modalities are known and vary.

    Of a clip-level task only the temperature, which alone can be applied before frames are averaged.
    """
    names, columns = tuple(sorted(modalities)), task.columns
    weights = rows.weights / rows.weights.sum() * rows.num_effective
    slope = _fit_slope(task, rows, weights)
    straight = {own.start: np.tile(_line(slope), (own.stop - own.start, 1)) for _, own in blocks_of(task)}
    found: dict[MapKind, dict[str, dict[int, np.ndarray]]] = {"temperature": {ALL: straight}}
    if task.resolution == "frame":
        every = {
            own.start: _fit_block(kind, own, rows, weights, truth, straight[own.start])
            for kind, own, truth in _parts(task, rows.truths)
        }
        found["isotonic"] = {ALL: every}
        by_context = {}
        for context in sorted(set(rows.contexts) - {""} if names else ()):
            which = rows.contexts == context
            if len(np.unique(rows.videos[which])) >= MIN_VIDEOS and not which.all():
                own_rows = rows.where(which)
                by_context[context] = {
                    own.start: _fit_block(kind, own, own_rows, weights[which], truth, every[own.start])
                    for kind, own, truth in _parts(task, own_rows.truths)
                }
        if by_context:
            found["by modality"] = {ALL: every, **by_context}
    knots = tuple(KNOTS.tolist())
    return {
        kind: ProbabilityMaps(
            kind, columns, names, knots, tuple((context, _values(task, each)) for context, each in maps.items())
        )
        for kind, maps in found.items()
    }


def blended(milder: ProbabilityMaps | None, maps: ProbabilityMaps, strength: float) -> ProbabilityMaps:
    """The maps between a milder kind (None: no change) and these: ``strength`` 1 is these, 0 the milder."""
    old = dict(milder.maps) if milder else {}
    unchanged = tuple(maps.knots)

    def between(context: str, i: int, values: tuple[float, ...]) -> tuple[float, ...]:
        before = old.get(context, old.get(ALL))
        start = before[i] if before else unchanged
        return (
            tuple(np.round((1 - strength) * np.array(start) + strength * np.array(values), 6).tolist())
            if values
            else ()
        )

    new = tuple(
        (context, tuple(between(context, i, values) for i, values in enumerate(each))) for context, each in maps.maps
    )
    return ProbabilityMaps(maps.kind, maps.columns, maps.modalities, maps.knots, new)


def _parts(task: Task, truths: np.ndarray) -> list[tuple[str, slice, np.ndarray]]:
    """Kind, logits and labels of each block of classes or units: the class's number (n), or units (n units)."""
    found: list[tuple[str, slice, np.ndarray]] = []
    first = goal = 0
    for kind, width in task.blocks:
        num_goals = 1 if kind == "classes" else width
        if kind != "values":
            found.append((kind, slice(first, first + width), truths[:, goal : goal + num_goals]))
        first, goal = first + width, goal + num_goals
    return found


def _loss(kind: str, logits: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The loss of each row (n), NaN without a label, and its gradient with respect to the logits (n width), 0 there."""
    known = ~np.isnan(truth)
    if kind == "units" and truth.shape[1] == 1:  # one unit is fitted at a time, so this is worth being fast
        sign = np.where(truth > 0.5, -1.0, 1.0)
        loss = np.logaddexp(0, sign * logits)
        return np.where(known, loss, np.nan)[:, 0], np.where(known, sign * -np.expm1(-loss), 0)
    if kind == "classes":
        there = known[:, 0]
        label = np.where(there, truth[:, 0], 0).astype(int)
        shifted = logits - logits.max(axis=1, keepdims=True)
        exp = np.exp(shifted)
        total = exp.sum(axis=1)
        rows = np.arange(len(label))
        loss = np.log(total) - shifted[rows, label]
        gradient = exp / total[:, None]
        gradient[rows, label] -= 1
        return np.where(there, loss, np.nan), gradient * there[:, None]
    sign = np.where(truth > 0.5, -1.0, 1.0)
    each = np.logaddexp(0, sign * logits)
    num = known.sum(axis=1)
    share = known / np.maximum(num, 1)[:, None]
    gradient = sign / (1 + np.exp(-np.clip(sign * logits, -50, 50))) * share
    return np.where(num > 0, (each * share).sum(axis=1), np.nan), gradient


def _fit_slope(task: Task, rows: Rows, weights: np.ndarray) -> float:
    """1 / temperature, one for all classes and units."""
    from scipy.optimize import minimize_scalar

    def objective(log_slope: float) -> float:
        each = losses(task, np.exp(log_slope) * rows.logits, rows.truths)
        return float(np.nansum(weights[:, None] * each)) + log_slope**2 / 2

    return float(np.exp(minimize_scalar(objective, bounds=(-2.5, 2.5), method="bounded").x))


def _line(slope: float) -> np.ndarray:
    """Offset 0 and the same slope in all buckets."""
    return np.array([0.0, *np.full(len(KNOTS) - 1, slope)])


def _design(logits: np.ndarray) -> np.ndarray:
    """How much of each bucket lies between 0 and the logit, below 0 negative: (... 1 + buckets), the first is 1."""
    low, high = KNOTS[:-1], KNOTS[1:]
    within = np.clip(logits[..., None], low, high) - np.clip(0.0, low, high)
    return np.concatenate([np.ones((*logits.shape, 1)), within], axis=-1)


def _fit_block(
    kind: str, own: slice, rows: Rows, weights: np.ndarray, truth: np.ndarray, prior: np.ndarray
) -> np.ndarray:
    """Offset and slopes (width 1 + buckets) of the maps of a block, pulled towards ``prior``.

    Units are fitted one by one, since their losses are apart; the classes of a block together.
    """
    design = _design(rows.logits[:, own].T)  # (width n 1 + buckets)
    if kind == "classes":
        return _minimize(kind, design, truth, weights, prior)
    each = [_minimize(kind, design[i, None], truth[:, i, None], weights, prior[i, None]) for i in range(len(prior))]
    return np.concatenate(each)


def _minimize(kind: str, design: np.ndarray, truth: np.ndarray, weights: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The minimum of loss and pull with slopes of at least ``MIN_SLOPE``, by Newton steps projected onto that bound
    (Bertsekas 1982, https://doi.org/10.1137/0320018)."""
    width, num = prior.shape
    pull = np.kron(np.eye(width), _PULL)
    low = np.tile([-np.inf, *np.full(num - 1, MIN_SLOPE)], width)

    def of(theta: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        logits = np.matmul(design, theta.reshape(width, num, 1))[..., 0].T
        loss, gradient = _loss(kind, logits, truth)
        away = theta - prior.ravel()
        value = float(np.nansum(weights * loss) + away @ pull @ away / 2)
        slope = np.matmul((weights[:, None] * gradient).T[:, None], design)[:, 0].ravel() + pull @ away
        return value, slope, logits

    theta = np.maximum(prior.ravel(), low)
    value, slope, logits = of(theta)
    for _ in range(MAX_ITERATIONS):
        free = (theta > low + TINY) | (slope < 0)
        bend = pull + _curvature(kind, design, logits, truth, weights)
        step = np.zeros_like(theta)
        step[free] = -np.linalg.solve(bend[np.ix_(free, free)], slope[free])
        size, before = 1.0, value
        while True:
            tried = np.maximum(theta + size * step, low)
            value, slope, logits = of(tried)
            if value <= before or size < TINY:
                break
            size /= 2
        theta = tried
        if before - value < TOLERANCE:
            break
    return theta.reshape(prior.shape)


def _curvature(kind: str, design: np.ndarray, logits: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The second derivatives of the weighted loss with respect to offsets and slopes."""
    weights = np.where(np.isnan(truth[:, 0]), 0.0, weights)
    if kind == "units":
        share = 1 / (1 + np.exp(-np.clip(logits[:, 0], -50, 50)))
        return (design[0] * (weights * share * (1 - share))[:, None]).T @ design[0]
    exp = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares = exp / exp.sum(axis=1, keepdims=True)
    width, _, num = design.shape
    found = np.empty((width, num, width, num))
    for i in range(width):
        for j in range(i, width):
            factor = weights * shares[:, i] * ((i == j) - shares[:, j])
            found[i, :, j] = (design[i] * factor[:, None]).T @ design[j]
            found[j, :, i] = found[i, :, j].T
    return found.reshape(width * num, width * num)


def _values(task: Task, blocks: Mapping[int, np.ndarray]) -> tuple[tuple[float, ...], ...]:
    """For each logit the values at the knots; none for values."""
    found: list[tuple[float, ...]] = [()] * task.out_dim
    at_knots = _design(KNOTS)
    for first, maps in blocks.items():
        for i, each in enumerate(maps):
            found[first + i] = tuple(np.round(at_knots @ each, 6).tolist())
    return tuple(found)

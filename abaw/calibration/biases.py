"""Scale and bias of a task's logits that maximise its score: variance matching, class biases, unit thresholds."""

import numpy as np
from jaxtyping import Bool, Float, Int

GRID = np.round(np.arange(-3, 3.05, 0.1), 1)  # biases of classes; e^3 = 20, about the ratio of frequencies
MAX_ROUNDS = 20
TINY = 1e-12  # of a score: less is rounding


def match_variance(prediction: Float[np.ndarray, " n"], truth: Float[np.ndarray, " n"]) -> tuple[float, float]:
    """Scale and bias that give predictions the truth's mean and variance, which no other linear map exceeds in CCC.

    The CCC then equals the correlation. Returns 1 and 0 without variance, or where the correlation is not positive.
    """
    prediction, truth = prediction.astype(np.float64), truth.astype(np.float64)
    if not len(truth) or np.ptp(prediction) == 0 or np.ptp(truth) == 0:
        return 1.0, 0.0
    if ((prediction - prediction.mean()) * (truth - truth.mean())).mean() <= 0:
        return 1.0, 0.0
    scale = truth.std() / prediction.std()
    return float(scale), float(truth.mean() - scale * prediction.mean())


def class_biases(logits: Float[np.ndarray, "n classes"], truth: Int[np.ndarray, " n"]) -> Float[np.ndarray, " classes"]:
    """The bias of each class's logit that raises macro-F1 of the arg max: coordinate ascent over ``GRID``.

    Of equally good biases the nearest to 0 is taken.
    """
    biases = np.zeros(logits.shape[1])
    best = -np.inf
    for _ in range(MAX_ROUNDS):
        before = best
        for which in range(len(biases)):
            scores = _macro_f1_by_bias(logits + biases, truth, which, GRID - biases[which])
            now = scores[np.argmin(abs(GRID - biases[which]))]
            good = GRID[scores >= scores.max() - TINY]
            if scores.max() > now + TINY:
                biases[which] = good[np.argmin(abs(good))]
            best = max(scores.max(), now)
        if best <= before + TINY:
            break
    return biases


def _macro_f1_by_bias(logits: np.ndarray, truth: np.ndarray, which: int, added: np.ndarray) -> np.ndarray:
    """Macro-F1 for each number in ``added`` (ascending) that may be added to one class's logit, in one pass.

    A frame changes to the class at the first number that lifts its logit above the largest of the others.
    """
    num = logits.shape[1]
    others = logits.copy()
    others[:, which] = -np.inf
    other = others.argmax(axis=1)
    needed = others[np.arange(len(others)), other] - logits[:, which]
    first = np.searchsorted(added, needed, side="right")

    def lost(of: np.ndarray) -> np.ndarray:
        """For each number, how many frames of each class have changed to ``which``."""
        counts = np.bincount(first[of] * num + other[of], minlength=(len(added) + 1) * num)
        return counts.reshape(-1, num).cumsum(axis=0)[:-1]

    right, mine = other == truth, truth == which
    gone = lost(np.ones(len(truth), bool))
    total = np.bincount(other, minlength=num) - gone
    hits = np.bincount(other[right], minlength=num) - lost(right)
    total[:, which], hits[:, which] = gone.sum(axis=1), lost(mine).sum(axis=1)
    return (2 * hits / np.maximum(total + np.bincount(truth, minlength=num), 1)).mean(axis=1)


def unit_bias(logits: Float[np.ndarray, " n"], truth: Bool[np.ndarray, " n"]) -> float:
    """The bias for which F1 of "logit above 0" is highest; every threshold midway between two logits is tried.

    Of equally good ones the nearest to 0 is taken, and 0 where none is better than 0.
    """
    order = np.argsort(-logits, kind="stable")
    ranked, hits = logits[order], truth[order].cumsum()
    num_true = int(truth.sum())
    cuts = np.flatnonzero(ranked[:-1] > ranked[1:])  # after this many and one
    above = logits > 0
    now = 2 * int((above & truth).sum()) / max(int(above.sum()) + num_true, 1)
    f1 = 2 * hits[cuts] / np.maximum(cuts + 1 + num_true, 1)
    if not len(cuts) or f1.max() <= now + TINY:
        return 0.0
    good = cuts[f1 >= f1.max() - TINY]
    middles = (ranked[good] + ranked[good + 1]) / 2
    return float(-middles[np.argmin(abs(middles))])

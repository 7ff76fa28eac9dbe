"""Simulated videos with labels and predictions, for the benchmarks of what is fitted on held-out predictions.

Every video has a level and an error of its own, so that its frames are not independent. Lengths are log-normal.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.signal import lfilter

from abaw.calibration.biases import class_biases, unit_bias
from abaw.dataset.annotations import Labels
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.tasks import TASKS
from abaw.tasks.base import Task

TASK: Mapping[str, Task] = {name: TASKS.build(name) for name in ("va", "expr", "au")}
SHARES = {  # roughly as in Aff-Wild2: of classes, and of active units
    "expr": np.array([0.29, 0.03, 0.03, 0.02, 0.16, 0.13, 0.06, 0.28]),
    "au": np.array([0.12, 0.06, 0.16, 0.26, 0.40, 0.35, 0.25, 0.03, 0.03, 0.03, 0.62, 0.08]),
}
MEAN_FRAMES, SPREAD = 80, 0.7  # of the log-normal lengths
SLOW, FAST = 40, 2  # frames after which a noise has forgotten most
LEVEL, CHANGE = 1.5, 1.2  # of logits: deviations between videos, and within one


@dataclass(frozen=True)
class Noise:
    """Deviations of the errors of predictions, in units of those of the truth: of a video, and within it."""

    video: float
    frame: float
    is_slow: bool  # whether smoothing cannot remove the noise of frames


AT_BEST = Noise(0.7, 0.5, is_slow=True)  # with scale and biases at their best: nothing is to be gained
NOISY = Noise(0.5, 1.0, is_slow=False)  # with others: much is to be gained


def drift(rng: np.random.Generator, num: int, width: int, columns: int) -> np.ndarray:
    """Stationary autoregressive noise (num columns) with deviation 1."""
    a = np.exp(-1 / width)
    white = rng.normal(size=(num, columns))
    white[1:] *= np.sqrt(1 - a * a)
    return np.asarray(lfilter([1.0], [1.0, -a], white, axis=0))


def simulate_truths(name: str, num_videos: int, rng: np.random.Generator) -> list[np.ndarray]:
    """The labels of each video (time goal)."""
    found = []
    for num in np.maximum(rng.lognormal(np.log(MEAN_FRAMES) - SPREAD**2 / 2, SPREAD, num_videos).astype(int), 15):
        if name == "va":
            found.append(np.clip(0.1 + 0.3 * rng.normal(size=2) + 0.25 * drift(rng, num, SLOW, 2), -1, 1))
            continue
        shares = SHARES[name]
        wave = LEVEL * rng.normal(size=len(shares)) + CHANGE * drift(rng, num, SLOW, len(shares))
        if name == "expr":
            found.append((1.3 * np.log(shares) + wave).argmax(axis=1)[:, None].astype(float))
        else:
            from scipy.special import ndtri

            found.append((wave > -ndtri(shares) * np.hypot(LEVEL, CHANGE)).astype(float))
    return found


def simulate_logits(
    name: str, truths: list[np.ndarray], noise: Noise, rng: np.random.Generator, *, scale: float = 1.0
) -> list[np.ndarray]:
    """One predictor's logits of each video (time out): ``scale`` times the truth, under its errors."""
    width, found = SLOW if noise.is_slow else FAST, []
    for truth in truths:
        signal, unit = truth, 0.39
        if name == "expr":
            signal, unit = 2.0 * np.eye(len(SHARES[name]))[truth[:, 0].astype(int)] + np.log(SHARES[name]), 1.0
        elif name == "au":
            signal, unit = 2.5 * truth - 1.25 + np.log(SHARES[name] / (1 - SHARES[name])), 1.0
        columns = signal.shape[1]
        errors = noise.video * rng.normal(size=columns) + noise.frame * drift(rng, len(truth), width, columns)
        found.append(scale * (signal + unit * errors))
    return found


def as_clips(name: str, logits: list[np.ndarray], truths: list[np.ndarray]) -> dict[str, LabelledTable]:
    """Tables beside labels, by the name of the video."""
    found = {}
    for i, (values, truth) in enumerate(zip(logits, truths, strict=True)):
        everywhere = np.ones(len(truth), bool)
        labels = Labels(truth.astype(np.float32), everywhere)
        found[f"video{i:03}"] = LabelledTable(TASK[name].probabilities(values), everywhere, labels)
    return found


def best_affine(name: str, logits: list[np.ndarray], truths: list[np.ndarray]) -> tuple[float, np.ndarray]:
    """The scale and biases with the highest score over many videos."""
    values, truth = np.concatenate(logits), np.concatenate(truths)
    if name == "va":
        scale = float(truth.std() / values.std())
        return scale, truth.mean(axis=0) - scale * values.mean(axis=0)
    if name == "expr":
        return 1.0, class_biases(values, truth[:, 0].astype(int))
    return 1.0, np.array([unit_bias(values[:, i], truth[:, i] > 0.5) for i in range(values.shape[1])])

"""Measures calibration: the isotonic layer, fitted maps by context, small validation sets, the synthetic run.

python -m benchmarks.seed_systems.calibration [--draws 200]
"""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from abaw.calibration.choosing_maps import choose_kind, with_maps
from abaw.calibration.fitting import groups_of
from abaw.calibration.maps import Rows, fit_maps, losses, rows_of
from abaw.metrics import calibration_error
from abaw.postprocessing import PostProcessing
from abaw.tasks.au import ActionUnits
from abaw.tasks.base import Task
from benchmarks.seed_systems.calibration_world import (
    CONTEXTS,
    log_loss,
    sigmoid,
    simulate_clips,
    simulate_frames,
    true_logits,
)

SIZES = (8, 12, 30)  # videos of a small validation set
NUM_OTHERS = 300  # videos on which the truth is measured
STEPS, RATE = 150, 0.1  # of the co-trained layer
World = tuple[np.ndarray, np.ndarray, np.ndarray]  # logits, contexts, truths


class OneUnit(ActionUnits):
    """A single action unit."""

    columns = ("p_AU1",)
    out_dim = 1


ONE = OneUnit(0.0, None, 0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Measured:
    """Log loss on new frames, that of the truth, and calibration errors over all and in each context."""

    loss: float
    oracle: float
    error: float
    context_errors: tuple[float, ...]


@dataclass(frozen=True)
class SmallSets:
    """How much the log loss on other videos changes by what is kept: mean, its standard error, the highest."""

    base: float
    mean: float
    error: float
    highest: float
    kept: Mapping[str, int]
    ranks: float  # mean change of F1


def world(num: int, seed: int) -> World:
    """Frames of the calibration world."""
    return simulate_frames(num, np.random.default_rng(seed))


def measure(test: World, mapped: np.ndarray) -> Measured:
    """What mapped logits are worth on these frames."""
    logits, context, truth = test
    share = sigmoid(mapped)
    errors = (calibration_error(share[context == i], truth[context == i]) for i in range(len(CONTEXTS)))
    oracle = log_loss(true_logits(logits, context), truth)
    return Measured(log_loss(mapped, truth), oracle, calibration_error(share, truth), tuple(errors))


def fit_world(train: World, test: World) -> dict[str, Measured]:
    """The maps that ``abaw fit`` fits, every frame of the training part counting as a video."""
    words = np.array(CONTEXTS, object)
    logits, context, truth = train
    videos = np.arange(len(logits)).astype(str).astype(object)
    rows = Rows(logits[:, None], truth[:, None].astype(float), words[context], np.ones(len(logits)), videos)
    fits = fit_maps(ONE, rows, ("face", "voice"))
    found = {kind: maps.apply_in(test[0][:, None], words[test[1]])[:, 0] for kind, maps in fits.items()}
    raw = {"raw": test[0], "temperature": found["temperature"]}
    named = {**raw, "one map": found["isotonic"], "by context": found["by modality"]}
    return {name: measure(test, mapped) for name, mapped in named.items()}


def fit_layer(train: World, test: World) -> dict[str, Measured]:
    """The layer trained with Adam on the logits."""
    import torch

    from fusion.layers.isotonic import IsotonicLayer

    found = {}
    for name, num in (("one map", 1), ("by context", len(CONTEXTS))):
        torch.manual_seed(0)
        layer = IsotonicLayer(1, num_contexts=num)
        optimizer = torch.optim.Adam(layer.parameters(), lr=RATE)
        sides = [
            (torch.tensor(s, dtype=torch.float32)[:, None], torch.tensor(c * (num > 1))) for s, c, _ in (train, test)
        ]
        truth = torch.tensor(train[2], dtype=torch.float32)[:, None]
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.nn.functional.binary_cross_entropy_with_logits(layer(*sides[0]), truth).backward()
            optimizer.step()
        with torch.no_grad():
            found[name] = measure(test, layer(*sides[1])[:, 0].double().numpy())
    return found


def sklearn_loss(train: World, test: World) -> float:
    """The log loss of scikit-learn's isotonic regression, one map, its shares kept from 0 and 1."""
    from sklearn.isotonic import IsotonicRegression

    share = IsotonicRegression(out_of_bounds="clip").fit(train[0], train[2]).predict(test[0]).clip(1e-6, 1 - 1e-6)
    return log_loss(np.log(share / (1 - share)), test[2])


def lose_on_small_sets(case: str, num: int, draws: int, task: Task = ONE) -> SmallSets:
    """Small sets of clips on which maps are chosen as `abaw fit --calibrate` does, and what they change on others."""
    rng = np.random.default_rng([num, *map(ord, case)])
    others = simulate_clips(task, case, NUM_OTHERS, rng)
    rows = Rows.joined([rows_of(task, clip_id, clip, clip.values) for clip_id, clip in others.items()])
    base = float(np.nanmean(losses(task, rows.logits, rows.truths)))
    changes, kept = [], Counter[str]()
    for _ in range(draws):
        clips = simulate_clips(task, case, num, rng)
        choice, _ = choose_kind(task, clips, groups_of(clips, {}))
        kept[choice.kept] += 1
        maps = with_maps(task, clips, PostProcessing(), list(clips), choice).calibration
        mapped = rows.logits if maps is None else maps.apply_in(rows.logits, rows.contexts)
        changes.append(float(np.nanmean(losses(task, mapped, rows.truths))) - base)
    error = float(np.std(changes) / np.sqrt(len(changes)))
    return SmallSets(base, float(np.mean(changes)), error, max(changes), dict(kept), 0.0)

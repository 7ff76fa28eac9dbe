"""Measures calibration: the isotonic layer, fitted maps by context, small validation sets, the synthetic run.

python -m benchmarks.seed_systems.calibration [--scores SCORED.json RAW.json]
"""

import argparse
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from abaw.calibration.choosing_maps import choose_kind, with_maps
from abaw.calibration.fitting import groups_of
from abaw.calibration.maps import Rows, fit_maps, losses, rows_of
from abaw.files import read_json
from abaw.metrics import calibration_error, unit_f1
from abaw.postprocessing import PostProcessing
from abaw.tasks.au import ActionUnits
from benchmarks.seed_systems.rows import Claim, Section, write_section
from benchmarks.seed_systems.worlds.logits import (
    CASES,
    CONTEXTS,
    log_loss,
    sigmoid,
    simulate_clips,
    simulate_frames,
    true_logits,
)

TITLE = "Calibration"
TEXT = """\
LiRank's isotonic layer (Borisyuk et al. 2024, arXiv 2402.06859, eq. 1) maps a logit by a monotone, piecewise linear
function whose slopes depend on calibration features. It is used in two places: trained with the head of a task of
classes or units (`tasks.NAME.calibration: isotonic`), and fitted on held-out tables (`abaw fit --calibrate`), where
it is stored as knots and applied with numpy by `score`, `submit` and `analyze`. The calibration feature is which
modalities are observed in a frame.

Ours: a gradient still reaches a bucket whose slope is 0, and a logit beyond the range, if it brings them back.
Fitted maps are pulled towards a temperature, one for all, and kept by nested cross-validation over videos, so that
few videos get a temperature or nothing. Logits of classes are taken minus their mean. Values are not calibrated:
CCC is no calibration target.

In the world of two contexts the true logit of s is 0.4 s - 1 in one and, in the other, 1.6 s above 0 and 0.3 s
below, plus 0.7; 20,000 frames each for fitting and testing. One map looks calibrated over all frames and is wrong
in both contexts. Small validation sets have videos with an offset of their own (standard deviation 0.7) and eight
independent frames each; the log loss is that of 300 other videos."""
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
    calibration: tuple[float, float]  # mean calibration error before and after
    f1: tuple[float, float]


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

    from fusion.layers.heads.isotonic import IsotonicLayer

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


def lose_on_small_sets(case: str, num: int, draws: int) -> SmallSets:
    """Small sets of clips on which maps are chosen as `abaw fit --calibrate` does, and what they change on others."""
    task, rng = ONE, np.random.default_rng([num, *map(ord, case)])
    others = simulate_clips(task, case, NUM_OTHERS, rng)
    rows = Rows.joined([rows_of(task, clip_id, clip, clip.values) for clip_id, clip in others.items()])
    base = float(np.nanmean(losses(task, rows.logits, rows.truths)))
    changes, errors, f1, kept = [], [], [], Counter[str]()
    for _ in range(draws):
        clips = simulate_clips(task, case, num, rng)
        choice, _ = choose_kind(task, clips, groups_of(clips, {}))
        kept[choice.kept] += 1
        maps = with_maps(task, clips, PostProcessing(), list(clips), choice).calibration
        mapped = rows.logits if maps is None else maps.apply_in(rows.logits, rows.contexts)
        changes.append(float(np.nanmean(losses(task, mapped, rows.truths))) - base)
        errors.append(calibration_error(sigmoid(mapped[:, 0]), rows.truths[:, 0] > 0.5))
        f1.append(float(unit_f1(mapped > 0, rows.truths > 0.5)[0]))
    error = float(np.std(changes) / np.sqrt(len(changes)))
    raw = calibration_error(sigmoid(rows.logits[:, 0]), rows.truths[:, 0] > 0.5)
    raw_f1 = float(unit_f1(rows.logits > 0, rows.truths > 0.5)[0])
    after = float(np.mean(errors)), float(np.mean(f1))
    return SmallSets(
        base, float(np.mean(changes)), error, max(changes), dict(kept), (raw, after[0]), (raw_f1, after[1])
    )


def run_job(job: tuple[str, int, int]) -> SmallSets:
    """``lose_on_small_sets`` with its arguments as one."""
    return lose_on_small_sets(*job)


def bound(value: float, limit: float) -> tuple[str, bool]:
    """A figure that must not exceed a bound."""
    return f"at most {limit:g}", value <= limit


def of_layer() -> list[Claim]:
    """Identity at the start, and no decrease with random weights."""
    import torch

    from fusion.layers.heads.isotonic import IsotonicLayer

    grid = torch.linspace(-8, 8, 4001)[:, None]
    start = float(((IsotonicLayer(1)(grid).detach() - grid).abs() / grid.abs().clamp(min=1)).max())
    fall = worst = 0.0
    for seed in range(20):
        torch.manual_seed(seed)
        layer = IsotonicLayer(1)
        torch.nn.init.normal_(layer.slopes, std=1.5)
        found = layer(grid).detach()
        ends, values = (each.numpy().ravel() for each in layer.knots())
        fall = max(fall, float(-found.diff(dim=0).min()))
        worst = max(worst, float(np.abs(found[:, 0].numpy() - np.interp(grid[:, 0].numpy(), ends, values)).max()))
    return [
        Claim(
            "the layer at its start, relative distance to the identity, float32",
            "",
            f"{start:.1e}",
            *bound(start, 5e-7),
        ),
        Claim("largest fall of the layer with random weights, 20 seeds", "", f"{fall:.1e}", *bound(fall, 1e-5)),
        Claim("largest distance to numpy.interp on its knots, 20 seeds", "", f"{worst:.1e}", *bound(worst, 1e-5)),
    ]


def of_world(fits: Mapping[str, Mapping[str, Measured]], reference: float) -> list[Claim]:
    """The world of two contexts: calibration errors and log loss of fitted maps and of the trained layer."""
    found = []
    for how, by_kind in fits.items():
        one, both = by_kind["one map"], by_kind["by context"]
        hidden, errors = min(one.context_errors), max(both.context_errors)
        found += [
            Claim(
                f"{how}: one map, error over all {one.error:.3f}, but within each context (the control)",
                "",
                " and ".join(f"{each:.3f}" for each in one.context_errors),
                "at least 0.2",
                hidden >= 0.2,
            ),
            Claim(
                f"{how}: maps by context, calibration error within each context",
                "",
                " and ".join(f"{each:.3f}" for each in both.context_errors),
                *bound(errors, 0.03),
            ),
            Claim(
                f"{how}: maps by context, log loss above that of the truth ({both.oracle:.4f})",
                "",
                f"{both.loss - both.oracle:+.4f}",
                *bound(both.loss - both.oracle, 0.005),
            ),
            Claim(
                f"{how}: one map, log loss above scikit-learn's isotonic regression ({reference:.4f})",
                "",
                f"{one.loss - reference:+.4f}",
                *bound(one.loss - reference, 0.005),
            ),
        ]
    return found


def of_sets(found: Mapping[tuple[str, int, int], SmallSets]) -> list[Claim]:
    """What small validation sets lose or gain."""
    claims = []
    for (case, num, draws), each in found.items():
        kept = ", ".join(f"{kind} {times}" for kind, times in sorted(each.kept.items(), key=lambda pair: -pair[1]))
        errors, f1 = (f"{before:.3f} -> {after:.3f}" for before, after in (each.calibration, each.f1))
        says = f"{num} videos, {case}, {draws} draws (kept: {kept}): mean change of log loss on other videos"
        ours = f"{each.mean:+.4f} (standard error {each.error:.4f}, highest {each.highest:+.4f})"
        ours += f"; calibration error {errors}, F1 {f1}"
        claims.append(Claim(says, "", ours, *bound(each.mean, 0.005)))
    return claims


def of_run(fitted: Path, scored: Path) -> list[Claim]:
    """EXPR of a run, from the documents that ``abaw score --json`` prints without and with ``--raw``."""
    with_maps_of, raw = (read_json(path)["results"][0] for path in (fitted, scored))
    errors = [each["calibration"]["overall"]["error"] for each in (raw, with_maps_of)]
    f1 = [each["scores"]["F1"] for each in (raw, with_maps_of)]
    kept = (with_maps_of["post_processing"] or {}).get("calibration", {"kind": "none"})["kind"]
    says = f"EXPR of the synthetic set, {raw['videos']} validation videos, maps of the other videos (kept: {kept})"
    ours = f"calibration error {errors[0]:.4f} -> {errors[1]:.4f}, F1 {f1[0]:.4f} -> {f1[1]:.4f}"
    return [Claim(says, "", ours, "", None)]


def main() -> None:
    """Measure everything and write the section."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--draws", type=int, default=200, help="of small validation sets with nothing to gain")
    parser.add_argument("--other-draws", type=int, default=40, help="of the other small validation sets")
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--scores", type=Path, nargs=2, help="JSON of abaw score --json of a run, and with --raw")
    options = parser.parse_args()
    first = next(iter(CASES))
    jobs = [(case, num, options.draws if case == first else options.other_draws) for case, num in product(CASES, SIZES)]
    with ProcessPoolExecutor(options.workers) as pool:
        sets = dict(zip(jobs, pool.map(run_job, jobs), strict=True))
    write(sets, of_run(*options.scores) if options.scores else [])


def write(sets: Mapping[tuple[str, int, int], SmallSets], run: Sequence[Claim]) -> None:
    """The claims of layer and world beside those that take longer."""
    train, test = world(20_000, 0), world(20_000, 1)
    fits = {"fitted": fit_world(train, test), "trained layer": fit_layer(train, test)}
    claims = [*of_layer(), *of_world(fits, sklearn_loss(train, test)), *of_sets(sets), *run]
    write_section("calibration", Section(TITLE, TEXT, claims), [0, 1])


if __name__ == "__main__":
    main()

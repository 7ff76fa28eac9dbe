"""What fitting post-processing or ensemble weights on few videos promises, and what it then gains on other videos.

Small sets of simulated videos are drawn, in which nothing is to be gained (scale, biases, smoothing and the mean of the
members are at their best) or much is. On each set post-processing is fitted as `abaw fit` does it, or weights of three
members as `abaw combine --fit` does it. "Promised" is the gain that is printed, "true" the mean gain of what is kept on
25 sets of as many of 100 other videos. "Before": the way with the highest cross-fitted score was kept, and that score
was printed. Writes fitting.json and fitting.md in results/fitted/. About 15 minutes on one quiet CPU core.

    python -m benchmarks.fitted.fitting [--sets 200] [--large-sets 20] [--videos 8 12 30 76] [--seed 901]
"""

import argparse
import itertools
import statistics
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from abaw.calibration import fitting
from abaw.calibration.gains import Choice
from abaw.configs.sections import PostProcessingConfig
from abaw.ensembling import selection
from abaw.ensembling.weights import mean
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.files import write_json
from abaw.postprocessing import PostProcessing
from abaw.results.runs import commit, versions
from abaw.tasks.base import PredictionPair
from benchmarks.fitted.clips import (
    AT_BEST,
    NOISY,
    TASK,
    Noise,
    as_clips,
    best_affine,
    simulate_logits,
    simulate_truths,
)

OPTIONS = PostProcessingConfig(widths=[1, 5, 11, 25])
STAGES = {"raw": {"widths": [1], "bias": False}, "smoothed": {"bias": False}, "biased": {}}
NOTHING, MUCH = "nothing to gain", "much to gain"
MEMBERS = {NOTHING: [AT_BEST] * 3, MUCH: [AT_BEST, AT_BEST, Noise(2.0, 0.5, is_slow=True)]}
NUM_OTHERS, NUM_DRAWS = 100, 25
LARGE = 76  # videos, as in the official validation split of VA; fewer sets of it are drawn
Row = dict[str, float]
Summary = dict[str, Any]  # of the rows of a job: "sets", their number, and column -> mean and deviation
Rank = Callable[[Mapping[str, PredictionPair]], float]


def ranking(name: str, clip_ids: Sequence[str], num_videos: int, rng: np.random.Generator) -> Rank:
    """The mean score on sets of as many other videos, for F1 of rare classes depends on how many there are."""
    draws = [rng.choice(list(clip_ids), num_videos, replace=False).tolist() for _ in range(NUM_DRAWS)]
    return lambda pairs: float(fitting.rank_subsets(TASK[name], pairs, draws).mean())


def row(name: str, choice: Choice, true: float, true_before: float) -> Row:
    """One small set; ``true_before``: the true gain of the way with the highest cross-fitted score."""
    ranks = [fitting.rank(TASK[name], pairs) for pairs in choice.tried.values()]
    assert choice.expected is not None
    return {
        "promised before": max(ranks) - ranks[0],
        "true before": true_before,
        "promised": choice.expected.value,
        "nested": choice.expected.nested.value,
        "as chosen": choice.expected.as_chosen.value,
        "error": choice.expected.error,
        "true": true,
        "kept": float(choice.kept != next(iter(choice.tried))),
    }


def highest(name: str, choice: Choice) -> str:
    """The way with the highest cross-fitted score, the first of equals."""
    return max(choice.tried, key=lambda way: fitting.rank(TASK[name], choice.tried[way]))


def fit_post_processing(name: str, case: str, num_videos: int, num_sets: int, seed: int) -> list[Row]:
    """Small sets on which post-processing is fitted."""
    task, noise = TASK[name], {NOTHING: AT_BEST, MUCH: NOISY}[case]
    rng = np.random.default_rng([seed, num_videos, *map(ord, name + case)])
    scale, bias = 0.6, np.zeros(1)
    if case == NOTHING:
        many = simulate_truths(name, 5 * NUM_OTHERS, rng)
        scale, bias = best_affine(name, simulate_logits(name, many, noise, rng), many)

    def simulate(num: int) -> dict[str, LabelledTable]:
        truths = simulate_truths(name, num, rng)
        return as_clips(name, [scale * each + bias for each in simulate_logits(name, truths, noise, rng)], truths)

    rows: list[Row] = []
    for _ in range(num_sets):
        clips, others = simulate(num_videos), simulate(NUM_OTHERS)
        rank = ranking(name, list(others), num_videos, rng)
        kept, choice = fitting.choose(task, clips, OPTIONS, fitting.groups_of(clips, {}))
        options = OPTIONS.model_copy(update=STAGES[highest(name, choice)])
        before = fitting.fit_post_processing(task, clips, options)
        ways = [replace(each, fitted_on=()) for each in (PostProcessing(), kept, before)]
        ranks = {each: rank(fitting.post_processed(task, others, each)) for each in dict.fromkeys(ways)}
        raw, true, true_before = (ranks[each] for each in ways)
        rows.append(row(name, choice, true - raw, true_before - raw))
    return rows


def fit_weights(name: str, case: str, num_videos: int, num_sets: int, seed: int) -> list[Row]:
    """Small sets on which weights of three members are fitted."""
    task = TASK[name]
    rng = np.random.default_rng([seed, num_videos, *map(ord, name + case)])

    def simulate(num: int) -> list[dict[str, LabelledTable]]:
        truths = simulate_truths(name, num, rng)
        return [as_clips(name, simulate_logits(name, truths, noise, rng), truths) for noise in MEMBERS[case]]

    rows = []
    for _ in range(num_sets):
        members, others = simulate(num_videos), simulate(NUM_OTHERS)
        rank = ranking(name, list(others[0]), num_videos, rng)
        kept, choice = selection.choose_weights(task, members, fitting.groups_of(members[0], {}))
        assert choice is not None
        is_mean = highest(name, choice) == "mean"
        before = mean(3) if is_mean else selection.fit_weights(task, members)
        ranks = [rank(selection.combined(task, others, each)) for each in (mean(3), kept, before)]
        rows.append(row(name, choice, ranks[1] - ranks[0], ranks[2] - ranks[0]))
    return rows


FITS = {"post-processing": fit_post_processing, "weights": fit_weights}
Job = tuple[str, str, str, int]  # what is fitted, case, task, number of videos


def run_job(job: Job, *, sets: int, large_sets: int, seed: int) -> list[Row]:
    what, case, name, num_videos = job
    return FITS[what](name, case, num_videos, sets if num_videos < LARGE else large_sets, seed)


def summarize(rows: Sequence[Row]) -> Summary:
    """Mean and standard deviation of each column over the small sets, and of what is promised beyond the truth."""
    columns = {key: [row[key] for row in rows] for key in rows[0]}
    columns["promised - true"] = [row["promised"] - row["true"] for row in rows]
    spread = {
        key: {"mean": statistics.mean(each), "deviation": statistics.stdev(each)} for key, each in columns.items()
    }
    return {"sets": len(rows), **spread}


def table(found: Mapping[Job, Summary]) -> str:
    """Means over the small sets, with the standard error of the mean where promise and truth are compared."""
    keys = ("promised before", "true before", "nested", "as chosen", "promised", "true")
    head = ["fitted", "case", "task", "videos", "sets", *keys, "promised - true", "printed error", "kept"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for job, summary in found.items():
        apart = summary["promised - true"]
        promise = f"{apart['mean']:+.4f} ± {apart['deviation'] / summary['sets'] ** 0.5:.4f}"
        means = [f"{summary[key]['mean']:+.4f}" for key in keys]
        printed, share = f"{summary['error']['mean']:.4f}", f"{summary['kept']['mean']:.0%}"
        lines.append(f"| {' | '.join([*map(str, job), str(summary['sets']), *means, promise, printed, share])} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--large-sets", type=int, default=20, help="of 76 videos")
    parser.add_argument("--videos", type=int, nargs="+", default=[8, 12, 30, LARGE])
    parser.add_argument("--tasks", nargs="+", default=list(TASK), help="weights are fitted for the first alone")
    parser.add_argument("--seed", type=int, default=901)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results/fitted")
    arguments = parser.parse_args()
    made_by, found = commit(), {}
    tasks = {"post-processing": arguments.tasks, "weights": arguments.tasks[:1]}
    jobs = [job for what in FITS for job in itertools.product([what], (NOTHING, MUCH), tasks[what], arguments.videos)]
    jobs.sort(key=lambda job: job[3])  # the fast ones first
    run = partial(run_job, sets=arguments.sets, large_sets=arguments.large_sets, seed=arguments.seed)
    facts = {"commit": made_by, "versions": versions(), "seed": arguments.seed}
    text = (
        f"Seed {arguments.seed}, commit {made_by}. Gains in the ranking score, means over the small sets. Promised: "
        "the gain that is printed, the mean of a nested one and that of what was chosen, with the mean of the standard "
        "errors printed beside it. True: on sets of as many other videos. Before: the way with the highest "
        "cross-fitted score was kept and printed. Kept: in how many sets anything is. After ±: the standard error of "
        "the mean over the sets.\n\n"
    )
    with ProcessPoolExecutor(arguments.workers) as workers:
        for job, rows in zip(jobs, workers.map(run, jobs), strict=True):
            found[job] = summarize(rows)  # written after each: what is done is not lost
            write_json(
                arguments.out / "fitting.json",
                {**facts, "rows": {" / ".join(map(str, k)): v for k, v in found.items()}},
            )
            (arguments.out / "fitting.md").write_text(f"{text}{table(found)}\n", encoding="utf-8")
    print(table(found))


if __name__ == "__main__":
    main()

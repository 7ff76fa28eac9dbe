"""What scale and bias give when they are fitted on single folds and applied to the mean of six folds' networks.

Six networks share errors of the videos and have errors, levels and offsets of their own ("fold noise", relative to the
spread of the truth). Scale and bias are fitted on 100 simulated training videos, each predicted by one of five
networks, and applied to the mean of six on 100 others: as they are, and matched to single folds, as `abaw recipe`,
`abaw predict` and `abaw combine` do it. Beside them: without scale and bias, and fitted on the mean of networks that
did not see these videos, which a competition does not have. Writes averaging.json and averaging.md in results/fitted/.
Less than a minute on a CPU core.

    python -m benchmarks.fitted.averaging [--seeds 911 912 ...]
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from abaw.calibration import fitting
from abaw.calibration.matching import LogitMoments, matched
from abaw.configs.sections import PostProcessingConfig
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.files import write_json
from abaw.postprocessing import PostProcessing
from abaw.results.runs import commit, versions
from benchmarks.fitted.clips import SLOW, TASK, Noise, as_clips, drift, simulate_logits, simulate_truths

NUM_NETWORKS, NUM_VIDEOS = 6, 100
SHARED, SCALE = Noise(0.5, 0.4, is_slow=True), 0.6  # errors that all networks make; how much they shrink the truth
LEVEL, OFFSET = 0.6, 0.5  # of a network's own errors: of a video, and of all videos, relative to those of frames
FOLD_NOISE = (0.3, 1.0, 2.0)
OPTIONS = PostProcessingConfig(fill_gaps=False, widths=[1])
SYSTEMS = ("no scale or bias", "as fitted on single folds", "matched", "fitted on the mean")
Clips = dict[str, LabelledTable]


def simulate_networks(name: str, fold_noise: float, offsets: np.ndarray, rng: np.random.Generator) -> list[Clips]:
    """The tables of each network for the same videos."""
    truths = simulate_truths(name, NUM_VIDEOS, rng)
    shared, unit = simulate_logits(name, truths, SHARED, rng), fold_noise * (0.39 if name == "va" else 1.0)
    found = []
    for offset in offsets:
        logits = []
        for each in shared:
            own = drift(rng, len(each), SLOW, each.shape[1]) + LEVEL * rng.normal(size=each.shape[1]) + OFFSET * offset
            logits.append(SCALE * (each + unit * own))
        found.append(as_clips(name, logits, truths))
    return found


def average(tables: Sequence[Clips]) -> Clips:
    """The mean of the networks' tables."""
    return {
        clip_id: clip._replace(values=np.mean([each[clip_id].values for each in tables], axis=0))
        for clip_id, clip in tables[0].items()
    }


def run_seed(name: str, fold_noise: float, seed: int) -> dict[str, float]:
    """The score of the mean on the second set of videos, by what is applied to it."""
    task, rng = TASK[name], np.random.default_rng([seed, int(100 * fold_noise), *map(ord, name)])
    offsets = rng.normal(size=(NUM_NETWORKS, task.out_dim))
    train, test = (simulate_networks(name, fold_noise, offsets, rng) for _ in range(2))
    held_out = {clip_id: train[1 + i % (NUM_NETWORKS - 1)][clip_id] for i, clip_id in enumerate(train[0])}
    fitted = fitting.fit_post_processing(task, held_out, OPTIONS)
    mean, moments = average(test), [LogitMoments(task, fitted) for _ in range(2)]
    for of, tables in zip(moments, (test, [mean]), strict=True):
        for clip in (clip for each in tables for clip in each.values()):
            of.add(clip.values, clip.observed)
    ideal = fitting.fit_post_processing(task, average(train), OPTIONS)
    applied = (PostProcessing(), fitted, matched(fitted, *moments), ideal)
    scores = [fitting.rank(task, fitting.post_processed(task, mean, each)) for each in applied]
    return dict(zip(SYSTEMS, scores, strict=True))


def table(found: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """Means over the seeds, and of the difference that matching makes with its standard error."""
    lines = [f"| task, fold noise | {' | '.join(SYSTEMS)} | matched - as fitted |", "|---" * (len(SYSTEMS) + 2) + "|"]
    for what, rows in found.items():
        gains = [row["matched"] - row["as fitted on single folds"] for row in rows]
        means = [f"{statistics.mean(row[system] for row in rows):.3f}" for system in SYSTEMS]
        gain = f"{statistics.mean(gains):+.3f} ± {statistics.stdev(gains) / len(gains) ** 0.5:.3f}"
        lines.append(f"| {what} | {' | '.join(means)} | {gain} |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=list(range(911, 921)))
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parents[1] / "results/fitted")
    arguments = parser.parse_args()
    made_by = commit()
    found = {
        f"{name}, {noise:g}": [run_seed(name, noise, seed) for seed in arguments.seeds]
        for name in TASK
        for noise in FOLD_NOISE
    }
    facts = {"commit": made_by, "versions": versions(), "seeds": arguments.seeds}
    write_json(arguments.out / "averaging.json", {**facts, "rows": found})
    text = (
        f"Mean over the seeds {arguments.seeds[0]} to {arguments.seeds[-1]}, commit {made_by}: the ranking score of "
        f"the mean of {NUM_NETWORKS} simulated networks on {NUM_VIDEOS} videos.\n\n{table(found)}\n"
    )
    (arguments.out / "averaging.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

"""What the protocol gives on the synthetic set: folds, fitted post-processing and an ensemble against one run.

For each seed, a data set and a training seed of its own: `abaw recipe` trains three models on four folds. Weights of
the ensemble and post-processing are fitted on what folds 1 to 3 hold out, the training videos; everything is scored on
the official validation split, fold 0's, by which nothing was chosen but each run's best epoch and, in the other side's
favour, which of the three single runs is the best. Every stage is scored without and with. Writes protocol.json and
protocol.md in results/. About 4 minutes a seed on 2 CPU cores; what is done already is not done again.

    python -m benchmarks.protocol [--seeds 301 302 303] [--work work/protocol]
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from abaw.calibration import fitting
from abaw.commands.synth import synth
from abaw.competition.actions import run_job
from abaw.competition.job import Job, open_job
from abaw.configs.sections import PostProcessingConfig
from abaw.dataset.layout import open_dataset
from abaw.ensembling import selection, weights
from abaw.ensembling.weights import EnsembleWeights
from abaw.evaluation import labelled_tables
from abaw.evaluation.labelled_tables import LabelledTable
from abaw.evaluation.labels import labels_to_fit_on
from abaw.files import write_json
from abaw.results import predictions
from abaw.results.runs import commit, versions
from abaw.tasks import TASKS
from abaw.tasks.base import Task

CONFIG = Path(__file__).resolve().parent.parent / "abaw/configs" / "synthetic.yaml"
MODELS = {
    "bigru": "{name: bigru, hidden_dim: 64, num_layers: 1, dropout: 0.3}",
    "attention": "{name: attention, hidden_dim: 64, dropout: 0.3}",
    "mfn": "{name: mfn, hidden_dim: 64, memory_dim: 64, dropout: 0.3}",
}
NONE = {"fill_gaps": False, "widths": [1], "bias": False}  # of what post-processing may do
STAGES = {  # what is left out of the config's section post-processing
    "as it is": NONE,
    "smoothed": {"bias": False},
    "shifted": {"fill_gaps": False, "widths": [1]},
    "both": {},
}
KEPT = "kept"  # as much of these as gains by cross-fitting, which is what abaw fit and abaw recipe do
SINGLE, BEST, MEAN, WEIGHTED = "a single run", "best single run", "mean of three", "weighted mean of three"
CONTRASTS = {  # what is added -> with it, without it: system and stage
    "the three averaged": ((MEAN, "as it is"), (SINGLE, "as it is")),
    "the three averaged, on the best": ((MEAN, "as it is"), (BEST, "as it is")),
    "weights fitted": ((WEIGHTED, "as it is"), (MEAN, "as it is")),
    "smoothing": ((MEAN, "smoothed"), (MEAN, "as it is")),
    "scale and shift, or biases": ((MEAN, "shifted"), (MEAN, "as it is")),
    "smoothing, then those": ((MEAN, "both"), (MEAN, "as it is")),
    "post-processing of the best run": ((BEST, "both"), (BEST, "as it is")),
    "what gains by cross-fitting": ((MEAN, KEPT), (MEAN, "as it is")),
    "all, members alike, on the best": ((MEAN, KEPT), (BEST, "as it is")),
    "all, members weighted, on the best": ((WEIGHTED, KEPT), (BEST, "as it is")),
}
Grid = dict[str, dict[str, float]]  # system -> stage -> score
Clips = Mapping[str, LabelledTable]


def run_seed(seed: int, work: Path, *, clips: int, seconds: float, epochs: int) -> dict[str, Grid]:
    """Of each task: every system's score on the official validation split, at every stage."""
    data = work / f"data-{seed}"
    synth(data, clips=clips, seconds=seconds, seed=seed)
    members = ", ".join(f"{name}: {{model: {model}}}" for name, model in MODELS.items())
    settings = [
        f"name=protocol-{seed}", f"store={work / f'store-{seed}'}", f"training.seed={seed}", f"folds.seed={seed}",
        "folds.num=4", f"trainer.max_epochs={epochs}", f"training.patience_epochs={epochs}", "ensemble=weighted",
        "encoders=[face_hog, voice_mel]", f"members={{{members}}}",
    ]  # fmt: skip
    extraction = {"device": "cpu", "faces": "haar", "download": False, "assume_fps": None}
    job = open_job(CONFIG, settings, data, work / "runs", work, [], extraction)
    run_job(job)
    return {name: judge(job, TASKS.build(name)) for name in job.tasks}


def judge(job: Job, task: Task) -> Grid:
    """Every system at every stage; what is fitted is fitted on the training videos."""
    dataset = open_dataset(job.data)
    labels = labels_to_fit_on(dataset, task, "validation")
    official = task.read_labels(dataset, "validation")
    pools = [
        labelled_tables.read_held_out(job.places.work / "held-out" / m / task.name, task, labels) for m in job.members
    ]
    validation = [
        labelled_tables.read_held_out(job.places.held_out(m, 0) / task.name, task, official) for m in job.members
    ]
    alike, fitted = weights.mean(len(pools)), selection.fit_weights(task, pools)
    systems = dict(zip(job.members, zip(pools, validation, strict=True), strict=True))
    systems |= {MEAN: (combined(pools, alike), combined(validation, alike))}
    systems |= {WEIGHTED: (combined(pools, fitted), combined(validation, fitted))}
    first = job.places.work / "held-out" / next(iter(job.members)) / task.name
    folds = predictions.read_metadata(first)["made_by"]
    found = {name: at_every_stage(task, *clips, job.config.post_processing, folds) for name, clips in systems.items()}
    return {**singles(found, list(job.members)), **found}


def singles(found: Grid, members: Sequence[str]) -> Grid:
    """The mean of the members' scores, and the best member by its raw score on the very split that is scored."""
    best = max(members, key=lambda member: found[member]["as it is"])
    mean = {stage: statistics.mean(found[member][stage] for member in members) for stage in (*STAGES, KEPT)}
    return {SINGLE: mean, BEST: found[best]}


def at_every_stage(
    task: Task, pool: Clips, official: Clips, options: PostProcessingConfig, folds: Mapping[str, str]
) -> dict[str, float]:
    """Scores of ``official``, post-processed by what was fitted on ``pool``; ``folds``: clip -> its run."""
    scores = {}
    for stage, left_out in STAGES.items():
        post_processing = fitting.fit_post_processing(task, pool, options.model_copy(update=left_out))
        scores[stage] = fitting.rank(task, fitting.post_processed(task, official, post_processing))
    kept, _ = fitting.choose(task, pool, options, folds)
    return scores | {KEPT: fitting.rank(task, fitting.post_processed(task, official, kept))}


def combined(members: Sequence[Clips], ensemble: EnsembleWeights) -> dict[str, LabelledTable]:
    """An ensemble's tables."""
    found = {}
    for clip_id, first in members[0].items():
        values = ensemble.values([member[clip_id].values for member in members]).astype(np.float32)
        observed: np.ndarray = np.any([member[clip_id].observed for member in members], axis=0)
        found[clip_id] = first._replace(values=values, observed=observed)
    return found


def scores_table(grids: Sequence[Grid], metric: str) -> str:
    """Mean over the seeds, with the least and the greatest."""
    stages = (*STAGES, KEPT)
    lines = [f"| {metric} | {' | '.join(stages)} |", "|---" * (len(stages) + 1) + "|"]
    for system in (SINGLE, BEST, MEAN, WEIGHTED):
        cells = [spread([grid[system][stage] for grid in grids], ".3f") for stage in stages]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    return "\n".join(lines)


def gains_table(grids: Mapping[str, Sequence[Grid]]) -> str:
    """What each stage adds; where it does not gain, that is said."""
    lines = [f"| added | {' | '.join(grids)} |", "|---" * (len(grids) + 1) + "|"]
    for what, ((system, stage), (before, at)) in CONTRASTS.items():
        cells = []
        for of_task in grids.values():
            gains = [grid[system][stage] - grid[before][at] for grid in of_task]
            cells.append(f"{spread(gains, '+.4f')}, {verdict(gains)}")
        lines.append(f"| {what} | {' | '.join(cells)} |")
    return "\n".join(lines)


def verdict(gains: Sequence[float]) -> str:
    """In words whether a stage gains: in every seed, on the whole, or not."""
    num = sum(gain > 0 for gain in gains)
    if num == len(gains):
        return "gains with every seed"
    return f"{'gains' if statistics.mean(gains) > 0 else 'does **not** gain'} ({num} of {len(gains)} seeds)"


def spread(values: Sequence[float], form: str) -> str:
    """Mean, least and greatest."""
    return f"{statistics.mean(values):{form}} ({min(values):{form}} to {max(values):{form}})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[301, 302, 303])
    parser.add_argument("--work", type=Path, default=Path("work/protocol"))
    parser.add_argument("--clips", type=int, default=36)
    parser.add_argument("--seconds", type=float, default=12.0)
    parser.add_argument("--epochs", type=int, default=16)
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent / "results")
    arguments = parser.parse_args()
    made_by = commit()  # before the results are written, which change the tree
    sizes = {"clips": arguments.clips, "seconds": arguments.seconds, "epochs": arguments.epochs}
    found = {seed: run_seed(seed, arguments.work, **sizes) for seed in arguments.seeds}
    grids = {"CCC": [each["va"] for each in found.values()], "F1": [each["expr"] for each in found.values()]}
    facts = {"commit": made_by, "versions": versions(), "split": "validation", **sizes, "models": list(MODELS)}
    write_json(arguments.out / "protocol.json", {**facts, "seeds": {str(seed): each for seed, each in found.items()}})
    text = (
        f"Official validation split of the synthetic data set ({arguments.clips} clips of {arguments.seconds:g} s), "
        f"{', '.join(MODELS)} of {arguments.epochs} epochs on 4 folds, commit {made_by}: mean (least to greatest) over "
        f"the data and training seeds {', '.join(map(str, found))}. Weights and post-processing are fitted on what "
        "folds 1 "
        "to 3 hold out, the training videos. On the split that is shown nothing was chosen but each run's best epoch "
        "and which of the three single runs is the best, which favours that one. Shifted: scale and shift of valence "
        "and arousal, biases of expressions. Kept: as much of these as gains by cross-fitting, as abaw fit decides. A "
        "single run: the mean of the three.\n\n"
        + "\n\n".join([*(scores_table(each, metric) for metric, each in grids.items()), gains_table(grids)])
        + "\n"
    )
    (arguments.out / "protocol.md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()

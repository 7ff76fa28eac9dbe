"""What teachers add on the synthetic set: students with 70 % of the labels hidden, and a causal student.

For each seed, a data set and training seeds of its own. Of 70 % of the training clips, drawn at random, all labels of
all tasks are hidden; whole clips, because hidden frames beside labelled ones would be easy. Three trainings of a model
on the rest are the teachers: their tables give a fourth training of the same model targets of distillation, or
pseudo-labels. The gap is that between the mean of the three trainings and that of three trainings on all labels. The
causal student: the three on all labels are the ensemble, and a causal network (``mmim``, features held from the last
row) is trained on the same labels and towards the mean of their tables of the training clips. All are scored on the
official validation split, on which each run's epoch is chosen.

Every training ends after 15 epochs without a better score, at most after 100. With the config's 30 epochs, those with
few labels, whose epochs are short, end before they have converged: students then regain more, of a gap that is too
wide. The settings of the students were chosen with seeds 400 and 401. Earlier designs, of 30 epochs, had regained 52 %
of the CCC and 33 % of the F1 by distillation, 27 % and -1 % by pseudo-labels (seeds 411, 412 and 413).

Writes semi.json and semi.md in results/teachers/. About 10 minutes a seed on a quiet CPU; what is done already is not
done again.

    python -m benchmarks.teachers.semi [--seeds 421 422 423] [--work work/teachers]
"""

import argparse
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from abaw.commands.extract import extract
from abaw.commands.synth import synth
from abaw.dataset.layout import open_dataset
from abaw.evaluation.labelled_tables import score_folder
from abaw.files import write_json
from abaw.files.yaml import dump_yaml
from abaw.pipelines.prediction import predict
from abaw.pipelines.training import train
from abaw.results.runs import Run, versions
from abaw.tasks import TASKS
from benchmarks.synthetic import COLUMNS

CONFIG = Path(__file__).resolve().parents[2] / "abaw/configs/synthetic.yaml"
RESULTS = Path(__file__).resolve().parents[1] / "results/teachers"
MODEL = "model={name: bigru, hidden_dim: 64, num_layers: 1, dropout: 0.3}"
LENGTH = ("trainer.max_epochs=100", "training.patience_epochs=15")
CAUSAL = (
    "model={name: mmim, hidden_dim: 64}",
    "window={length: 300, stride: 300}",  # at the start of a window there is no past
    "training.batch_size=8",
    "features={face_hog: {align: hold_last}, voice_mel: {align: hold_last}}",
)
NUM_TRAININGS = 3  # of the model on the same labels
HIDDEN = 0.7  # of the training clips
SOFT = "temperature: 1.0, weight: 3.0"
HARD = "min_confidence: {va: 0.5, expr: 0.6}, min_share: 0.5"
OF_ENSEMBLE = "temperature: 2.0, weight: 2.0"
ALL, FEW = "all labels", "30 % of the labels"
STUDENTS = ("30 %, with distillation", "30 %, with pseudo-labels")
UNSCORED = {"VA_Estimation_Challenge": "-5,-5", "EXPR_Recognition_Challenge": "-1"}
Scores = dict[str, float]


def run_seed(seed: int, work: Path) -> dict[str, Scores]:
    """Scores of every system on the validation split of the data set of this seed."""
    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synth(data, seed=seed)
    extract(data, store, ["face_hog", "voice_mel"])
    hidden = hide_labels(data, work / f"hidden-{seed}", seed)
    common = [f"store={store}", *LENGTH]

    def fit(name: str, given: Path, *settings: str, k: int = 0) -> Run:
        own = [f"name={name}{k}-{seed}", f"data={given}", f"training.seed={seed + 1000 * k}"]
        return train(CONFIG, [*own, *common, *settings], runs=work / "runs")

    def tables(runs: Sequence[Run], split: str) -> Path:
        out = work / "tables" / f"{'+'.join(run.folder.name for run in runs)}-{split}"
        if not (out / "expr/predictions.json").exists():
            predict([run.folder for run in runs], out, split=split)
        return out

    full = [fit("full", data, MODEL, k=k) for k in range(NUM_TRAININGS)]
    few = [fit("few", hidden, MODEL, k=k) for k in range(NUM_TRAININGS)]
    taught = f"tables: {[str(tables([run], 'train')) for run in few]}"
    ensemble = f"distillation={{tables: [{tables(full, 'train')}], {OF_ENSEMBLE}}}"
    return {
        ALL: mean_of(full),
        FEW: mean_of(few),
        "30 %, three trainings averaged": scores_in(tables(few, "validation"), data),
        STUDENTS[0]: mean_of([fit("soft", hidden, MODEL, f"distillation={{{taught}, {SOFT}}}")]),
        "three trainings averaged": scores_in(tables(full, "validation"), data),
        "causal student": mean_of([fit("student", data, *CAUSAL, ensemble)]),
        STUDENTS[1]: mean_of([fit("hard", hidden, MODEL, f"pseudo_labels={{{taught}, {HARD}}}")]),
        "causal, on labels alone": mean_of([fit("causal", data, *CAUSAL)]),
    }


def hide_labels(data: Path, out: Path, seed: int) -> Path:
    """A data set file over ``data`` in which 70 % of the training clips have no label of any task."""
    folders = [data / "annotations" / name / "Train_Set" for name in UNSCORED]
    clips = sorted({path.stem for folder in folders for path in folder.glob("*.txt")})
    hidden = set(np.random.default_rng(seed).permutation(clips)[: round(HIDDEN * len(clips))].tolist())
    for path in sorted((data / "annotations").glob("*/*/*.txt")):
        challenge, split = path.parts[-3:-1]
        text = path.read_text()
        if split == "Train_Set" and path.stem in hidden and challenge in UNSCORED:
            header, *rows = text.splitlines()
            text = "\n".join([header, *[UNSCORED[challenge]] * len(rows)]) + "\n"
        target = out / path.relative_to(data / "annotations")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    layout = out.with_suffix(".yaml")
    layout.write_text(dump_yaml({"root": str(data.resolve()), "annotations": str(out.resolve())}))
    return layout


def mean_of(runs: Sequence[Run]) -> Scores:
    """The mean of the scores of several trainings, each by itself."""
    scores = [run.finished()["scores"] for run in runs]
    return {column: statistics.mean(each[task][key] for each in scores) for column, (task, key) in COLUMNS.items()}


def scores_in(tables: Path, data: Path) -> Scores:
    tasks = {name: TASKS.build(name) for name in ("va", "expr")}
    dataset = open_dataset(data)
    scores = {n: score_folder(tables, task, task.read_labels(dataset, "validation")) for n, task in tasks.items()}
    return {column: scores[task][key] for column, (task, key) in COLUMNS.items()}


def regained(scores: Mapping[str, Scores], student: str, column: str) -> float:
    """The share of the gap between 30 % and all labels that a student regains."""
    few, full = scores[FEW][column], scores[ALL][column]
    return (scores[student][column] - few) / (full - few)


def page(results: Mapping[str, Mapping[str, Scores]]) -> str:
    """Mean over the seeds, with the least and the greatest."""
    seeds = list(results.values())
    lines = [f"| trained on | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for system in seeds[0]:
        cells = [spread([seed[system][column] for seed in seeds]) for column in COLUMNS]
        lines.append(f"| {system} | {' | '.join(cells)} |")
    lines += ["", "| regained of the gap, of the means (by seed) | CCC | F1 |", "|---|---|---|"]
    for student in STUDENTS:
        cells = []
        for column in ("CCC", "F1"):
            names = (FEW, ALL, student)
            means = {name: {column: statistics.mean(seed[name][column] for seed in seeds)} for name in names}
            own = ", ".join(f"{regained(seed, student, column):.0%}" for seed in seeds)
            cells.append(f"{regained(means, student, column):.0%} ({own})")
        lines.append(f"| {student} | {' | '.join(cells)} |")
    behind = [seed["three trainings averaged"]["CCC"] - seed["causal student"]["CCC"] for seed in seeds]
    return "\n".join([*lines, "", f"The causal student is behind its ensemble by {spread(behind)} CCC."])


def spread(values: Sequence[float]) -> str:
    """Mean, least and greatest."""
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[421, 422, 423])
    parser.add_argument("--work", type=Path, default=Path("work/teachers"))
    parser.add_argument("--out", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    results = {str(seed): run_seed(seed, arguments.work) for seed in arguments.seeds}
    folders = [path for seed in results for path in (arguments.work / "runs").glob(f"*-{seed}")]
    made_by = ", ".join(sorted({str(Run(path).document()["commit"]) for path in folders}))
    facts = {"commit": made_by, "versions": versions(), "soft": SOFT, "hard": HARD, "student": OF_ENSEMBLE}
    write_json(arguments.out / "semi.json", {**facts, "seeds": results})
    seeds = ", ".join(results)
    text = (
        "Validation split of the synthetic data set, abaw/configs/synthetic.yaml (bigru unless said otherwise), at "
        f"most 100 epochs and 15 without a better score, trained at {made_by}: mean (least to greatest) over the data "
        f"sets of the seeds {seeds}; the rows of labels alone are means of {NUM_TRAININGS} trainings each. Hidden: all "
        f"labels of 70 % of the training clips. With hidden labels: distillation {{{SOFT}}}, pseudo-labels {{{HARD}}}. "
        f"Of the causal student: distillation {{{OF_ENSEMBLE}}}.\n\n{page(results)}\n"
    )
    (arguments.out / "semi.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

"""What teachers add on the synthetic set: students with 70 % of the labels hidden, and a causal student.

For each seed, a data set and training seeds of its own. Of 70 % of the training clips, drawn at random, all labels of
all tasks are hidden. Whole clips: where 70 % of the frames of each clip are hidden instead, hardly anything is lost, as
one more training shows. Three trainings of a model on the rest are the teachers: their tables give a fourth training of
the same model targets of distillation, or pseudo-labels. The gap is that between the mean of the three trainings and
that of three trainings on all labels. The causal student: the three on all labels are the ensemble, and a causal
network (``mmim``, features held from the last row) is trained on the same labels and towards the mean of their tables
of the training clips. All are scored on the official validation split, on which each run's epoch is chosen.

The mean of the teachers' tables is also scored on the hidden clips. There about half of the squared error of valence
and arousal is an offset that stays the same all through a clip, because the teachers know few persons. So they also
teach valence and arousal alone, with ``align_clips``; the classes, which cannot be aligned, are then learned from the
labels alone. Three students are trained in this way, as the rows of labels alone have three trainings each, and one
without the alignment, which shows what it adds. The three students teach one more, both tasks.

Every training ends after 15 epochs without a better score, at most after 100. The config's 30 epochs end before those
with few labels, whose epochs are short, have converged: with seed 401 at F1 0.59 instead of 0.64, which widens the gap.
The settings of the students were chosen with seeds 400 and 401, with which distillation regained 49 and 52 % of the CCC
and 54 and 86 % of the F1. Before, with 30 epochs, seeds 411, 412 and 413 had given 52 % of the CCC and 33 % of the F1
by distillation, 27 % and -1 % by pseudo-labels. The settings with aligned clips were chosen with the seeds 400, 401,
411 and 413, the second round with 411 alone. With these four, the first round regained 70 % of the CCC and 71 % of the
F1.

Writes semi.json and semi.md in results/teachers/. About 15 minutes a seed on a quiet CPU; what is done already is not
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
SOFT_VALUES = "weight: 3.0"  # of valence and arousal alone
SOFT_ALIGNED = "align_clips: true, weight: 3.0"
HARD_ALIGNED = "min_confidence: {va: 0.0}, align_clips: true, weight: 3.0"
SECOND_ROUND = "temperature: 1.0, align_clips: true, weight: 3.0"  # of both tasks
OF_ENSEMBLE = "temperature: 2.0, weight: 2.0"
ALL, FEW = "all labels", "30 % of the labels"
STUDENTS = (
    "30 %, with distillation",
    "30 %, with pseudo-labels",
    "30 %, with distillation of valence and arousal alone",
    "30 %, the same with aligned clips",
    "30 %, with pseudo-labels of valence and arousal alone, aligned clips",
    "30 %, with distillation from three students with aligned clips",
)
SETTINGS = (SOFT, HARD, SOFT_VALUES, SOFT_ALIGNED, HARD_ALIGNED, SECOND_ROUND)  # of the students
UNSCORED = {"VA_Estimation_Challenge": "-5,-5", "EXPR_Recognition_Challenge": "-1"}
Scores = dict[str, float]


def run_seed(seed: int, work: Path) -> dict[str, Scores]:
    """Scores of every system on the validation split of the data set of this seed."""
    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synth(data, seed=seed)
    extract(data, store, ["face_hog", "voice_mel"])
    hidden = hide_labels(data, work / f"hidden-{seed}", seed)
    frames = hide_labels(data, work / f"frames-{seed}", seed, by_frame=True)
    common = [f"store={store}", *LENGTH]

    def fit(name: str, given: Path, *settings: str, k: int = 0) -> Run:
        own = [f"name={name}{k}-{seed}", f"data={given}", f"training.seed={seed + 1000 * k}"]
        return train(CONFIG, [*own, *common, *settings], runs=work / "runs")

    def tables(runs: Sequence[Run], split: str) -> Path:
        out = work / "tables" / f"{'+'.join(run.folder.name for run in runs)}-{split}"
        if not (out / "expr/predictions.json").exists():
            predict([run.folder for run in runs], out, split=split)
        return out

    def students(name: str, section: str) -> list[Run]:
        return [fit(name, hidden, MODEL, section, k=k) for k in range(NUM_TRAININGS)]

    full = [fit("full", data, MODEL, k=k) for k in range(NUM_TRAININGS)]
    few = [fit("few", hidden, MODEL, k=k) for k in range(NUM_TRAININGS)]
    taught = f"tables: {[str(tables([run], 'train')) for run in few]}"
    values = f"tables: {[str(tables([run], 'train') / 'va') for run in few]}"
    aligned = students("aligned", f"distillation={{{values}, {SOFT_ALIGNED}}}")
    again = f"tables: {[str(tables([run], 'train')) for run in aligned]}"
    ensemble = f"distillation={{tables: [{tables(full, 'train')}], {OF_ENSEMBLE}}}"
    return {
        ALL: mean_of(full),
        FEW: mean_of(few),
        "30 % of the frames of each clip": mean_of([fit("frames", frames, MODEL)]),
        "30 %, three trainings averaged": scores_in(tables(few, "validation"), data),
        "30 %, three trainings averaged, on the hidden clips": scores_in(tables(few, "train"), data, hidden),
        STUDENTS[0]: mean_of([fit("soft", hidden, MODEL, f"distillation={{{taught}, {SOFT}}}")]),
        "three trainings averaged": scores_in(tables(full, "validation"), data),
        "causal student": mean_of([fit("student", data, *CAUSAL, ensemble)]),
        STUDENTS[1]: mean_of([fit("hard", hidden, MODEL, f"pseudo_labels={{{taught}, {HARD}}}")]),
        STUDENTS[2]: mean_of([fit("values", hidden, MODEL, f"distillation={{{values}, {SOFT_VALUES}}}")]),
        STUDENTS[3]: mean_of(aligned),
        STUDENTS[4]: mean_of(students("aligned-hard", f"pseudo_labels={{{values}, {HARD_ALIGNED}}}")),
        STUDENTS[5]: mean_of([fit("again", hidden, MODEL, f"distillation={{{again}, {SECOND_ROUND}}}")]),
        "causal, on labels alone": mean_of([fit("causal", data, *CAUSAL)]),
    }


def hide_labels(data: Path, out: Path, seed: int, by_frame: bool = False) -> Path:
    """A data set file over ``data`` that lacks all labels of 70 % of the training clips, or of their frames."""
    rng = np.random.default_rng(seed)
    paths = sorted((data / "annotations").glob("*/*/*.txt"))
    clips = sorted({path.stem for path in paths if path.parent.name == "Train_Set" and path.parts[-3] in UNSCORED})
    hidden = set(rng.permutation(clips)[: round(HIDDEN * len(clips))].tolist())
    for path in paths:
        challenge, split = path.parts[-3:-1]
        text = path.read_text()
        if split == "Train_Set" and challenge in UNSCORED:
            header, *rows = text.splitlines()
            lost = rng.random(len(rows)) < HIDDEN if by_frame else np.full(len(rows), path.stem in hidden)
            rows = [UNSCORED[challenge] if gone else row for row, gone in zip(rows, lost, strict=True)]
            text = "\n".join([header, *rows]) + "\n"
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


def scores_in(tables: Path, data: Path, hidden: Path | None = None) -> Scores:
    """The scores of tables on the validation clips, or on the training clips that have no label in ``hidden``."""
    scores = {}
    for name in ("va", "expr"):
        task = TASKS.build(name)
        labels = task.read_labels(open_dataset(data), "train" if hidden else "validation")
        if hidden:
            kept = task.read_labels(open_dataset(hidden), "train")
            labels = {clip_id: each for clip_id, each in labels.items() if not kept[clip_id].scored.any()}
        scores[name] = score_folder(tables, task, labels)
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
    settings = dict(zip(STUDENTS, SETTINGS, strict=True))
    facts = {"commit": made_by, "versions": versions(), "settings": settings, "student": OF_ENSEMBLE}
    write_json(arguments.out / "semi.json", {**facts, "seeds": results})
    seeds, given = ", ".join(results), "; ".join(f"{name}: {{{each}}}" for name, each in settings.items())
    text = (
        "Validation split of the synthetic data set, abaw/configs/synthetic.yaml (bigru unless said otherwise), at "
        f"most 100 epochs and 15 without a better score, trained at {made_by}: mean (least to greatest) over the data "
        f"sets of the seeds {seeds}; the rows of labels alone and of aligned clips are means of {NUM_TRAININGS} "
        f"trainings each. Hidden: all labels of 70 % of the training clips. {given}. Of the causal student: "
        f"distillation {{{OF_ENSEMBLE}}}.\n\n{page(results)}\n"
    )
    (arguments.out / "semi.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()

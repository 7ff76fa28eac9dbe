"""Which fusion models gain from two modalities on the synthetic data set, and what they lose when one has gaps.

For every model and seed (a data set and a training of its own) three trainings, valence-arousal and expression
together: face and voice, the face alone, the voice alone; the same epochs for every model. The training with both hides
whole modalities and single steps at random, and is scored again with a fifth of one modality missing: single steps, and
spans of about a second; then once more with the predictions at those steps drawn from their neighbours. Writes
useful.json and useful.md in results/; what is done already is not done again, unless the model or the set-up has
changed. Most models take 5 to 20 s a training on one CPU core, the slowest are stopped after a minute, which is
reported.

    python -m benchmarks.useful [--models mfn mult] [--seeds 101 102 103] [--jobs 2] [--work work/useful]
"""

import argparse
import contextlib
import multiprocessing
import os
import shutil
import statistics
import time
import zlib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from abaw.batches import FeatureSource
from abaw.files import read_json, write_json
from abaw.results.runs import commit, versions
from abaw.tracks import Clock, Track
from benchmarks.fusion import key_of
from fusion.models import FUSION_MODELS

HERE = Path(__file__).resolve().parent / "results"
CONFIG = HERE.parents[1] / "abaw" / "configs" / "synthetic.yaml"
OUT, PAGE = HERE / "useful.json", HERE / "useful.md"

CLIPS, SECONDS, EPOCHS, LIMIT_S = 36, 12.0, 10, 60
HIDDEN = "modality_dropout: 0.1, step_dropout: 0.4"
FEATURES = {
    "face and voice": f"{{face_hog: {{align: linear, {HIDDEN}}}, voice_mel: {{align: window_mean, {HIDDEN}}}}}",
    "face": "{face_hog: {align: linear}}",
    "voice": "{voice_mel: {align: window_mean}}",
}
SETTINGS = [
    "window={length: 75, stride: 75}",
    "training.batch_size=8",
    f"training.patience_epochs={EPOCHS}",
    f"trainer={{max_epochs: {EPOCHS}, gradient_clip_val: 1.0, accelerator: cpu, max_time: {{seconds: {LIMIT_S}}}}}",
]
SETUP = {"clips": CLIPS, "seconds": SECONDS, "settings": SETTINGS}
SHARE, SPAN_S, ALLOWED = 0.2, 1.0, 0.02
FILL_GAP_S = 0.5  # in testing alone
MODALITIES = {"face": "face_hog", "voice": "voice_mel"}
MEASURES = {"CCC": ("va", "CCC"), "F1": ("expr", "F1")}

Row = dict[str, Any]


@dataclass(frozen=True)
class Lossy:
    """A source whose one modality is missing at a share of the steps: NaN, and not observed.

    ``span`` steps are lost together. Which, follows from seed, modality and clip alone, so that every model loses the
    same ones.
    """

    source: FeatureSource
    modality: str
    span: int
    seed: int
    share: float = SHARE

    def names(self) -> tuple[str, ...]:
        return self.source.names()

    def dim(self, name: str) -> int:
        return self.source.dim(name)

    def clock(self, clip_id: str) -> Clock:
        return self.source.clock(clip_id)

    def is_on_clock(self, name: str) -> bool:
        return self.source.is_on_clock(name)

    def lost(self, clip_id: str) -> np.ndarray:
        """For every step of the clip's clock, whether the modality is taken away there."""
        return lost_steps(len(self.clock(clip_id)), self.span, self.share, f"{self.seed} {self.modality} {clip_id}")

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        track = self.source.read(name, clip_id, start_s, stop_s)
        if name != self.modality:
            return track
        lost = self.lost(clip_id)[np.searchsorted(self.clock(clip_id).times_s, track.times_s)]
        return Track(np.where(lost[:, None], np.nan, track.values), track.times_s, track.observed & ~lost)


def lost_steps(num_steps: int, span: int, share: float, name: str) -> np.ndarray:
    """Spans of ``span`` steps, beginning anywhere, that are a share of ``num_steps`` on average over names."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    shift = rng.integers(span)
    spans = (np.arange(num_steps) + shift) // span
    num = spans[-1] + 1 if num_steps else 0
    num_lost = int(share * num + rng.random())
    return np.isin(spans, rng.choice(num, size=num_lost, replace=False)) if num else np.zeros(0, bool)


def fill(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Rows that are not there, on the line between the nearest that are; at the ends the nearest one's value.

    Where no row is there, the values as they are.
    """
    if not there.any():
        return values
    steps = np.arange(len(values))
    return np.stack([np.interp(steps, steps[there], column[there]) for column in values.T], axis=1)


def make_data(seed: int, work: Path) -> tuple[Path, Path]:
    """The data set of a seed and its features; what is there is not made again."""
    from abaw.commands.extract import extract
    from abaw.commands.synth import synth

    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synth(data, clips=CLIPS, seconds=SECONDS, seed=seed)
    extract(data, store, list(MODALITIES.values()))
    return data, store


def train_one(model: str, seed: int, given: str, work: Path) -> Row:
    """One training and its scores; with both modalities also what is lost where one has gaps."""
    from abaw.pipelines.training import train

    name = f"{model}-{given.replace(' ', '-')}-{seed}"
    shutil.rmtree(work / "runs" / name, ignore_errors=True)  # one that was stopped, or of a model as it was
    settings = [f"name={name}", f"data={work / f'data-{seed}'}", f"store={work / f'store-{seed}'}"]
    settings += [f"model={{name: {model}}}", f"features={FEATURES[given]}", f"training.seed={seed}", *SETTINGS]
    log = work / "logs" / f"{name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    start_s = time.perf_counter()
    with log.open("w", encoding="utf-8") as lines, contextlib.redirect_stderr(lines):
        run = train(CONFIG, settings, runs=work / "runs")
    row = {
        "seconds": time.perf_counter() - start_s,
        "epochs": sum(line.startswith("epoch ") for line in log.read_text(encoding="utf-8").splitlines()),
        "scores": measures(run.finished()["scores"]),
    }
    return row | ({"missing": score_gaps(run.folder, seed)} if given == "face and voice" else {})


def measures(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: scores[task][key] for name, (task, key) in MEASURES.items()}


def score_gaps(folder: Path, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Modality -> steps, spans -> the scores with a fifth of it missing, as they are and filled in two ways."""
    from abaw.dataset.layout import open_dataset
    from abaw.evaluation.labelled_tables import labels_by_task
    from abaw.pipelines.prediction import open_member
    from fusion.checkpoint import load_module
    from fusion.targets import fit_to_clock

    run, module, source = open_member(folder, None, "cpu")
    features = {
        name: each.model_copy(update={"fill_gap_s": FILL_GAP_S}) for name, each in run.config().features.items()
    }
    filling = load_module(folder, run.config().model_copy(update={"features": features}), run.tasks())
    labels = fit_to_clock(labels_by_task(open_dataset(Path(run.config().data)), run.tasks(), "validation"), source)
    clips = sorted({clip_id for by_clip in labels.values() for clip_id in by_clip})
    span = round(SPAN_S / source.clock(clips[0]).interval_s)
    found: dict[str, dict[str, dict[str, float]]] = {}
    for modality, track in MODALITIES.items():
        found[modality] = {}
        for kind, length in (("steps", 1), ("spans", span)):
            lossy = Lossy(source, track, length, seed)
            scores = score_lossy(run, filling, lossy, labels, clips)
            filled = {f"{measure} features filled": scores[measure] for measure in MEASURES}
            found[modality][kind] = score_lossy(run, module, lossy, labels, clips) | filled
    return found


def score_lossy(run: Any, module: Any, lossy: Lossy, labels: Any, clips: Sequence[str]) -> dict[str, float]:
    """CCC and F1 with gaps, and the same ("CCC filled", "F1 filled") with predictions filled in at the gaps."""
    from abaw.tasks.base import PredictionPair
    from fusion.predict import predict

    raw = {clip_id: each for clip_id, each, *_ in predict(module, lossy, clips, run.config().window)}
    scores: dict[str, float] = {}
    for suffix, is_filled in (("", False), (" filled", True)):
        by_task = {}
        for name, task in run.tasks().items():
            scored = {}
            for clip_id, each in labels[name].items():
                table = task.probabilities(raw[clip_id][name])
                table = fill(table, ~lossy.lost(clip_id)) if is_filled else table
                scored[clip_id] = PredictionPair(task.to_labels(table), each)
            by_task[name] = task.score(scored)
        scores |= {f"{measure}{suffix}": value for measure, value in measures(by_task).items()}
    return scores


def pairs(rows: Sequence[Row], model: str, given: str) -> list[Row]:
    """A model's rows of one kind, by seed."""
    return sorted((row for row in rows if (row["model"], row["given"]) == (model, given)), key=lambda row: row["seed"])


def mean_and_spread(values: Sequence[float]) -> str:
    """The mean, and the least and greatest."""
    if not values:
        return "not measured"
    return f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})"


def gain(rows: Sequence[Row], model: str, measure: str) -> dict[str, Any] | None:
    """Both modalities beside the better single one of this model, by the mean over seeds; None where one is missing."""
    by_given = {given: [row["scores"][measure] for row in pairs(rows, model, given)] for given in FEATURES}
    if not all(by_given.values()):
        return None
    both = by_given.pop("face and voice")
    best = max(by_given, key=lambda given: statistics.mean(by_given[given]))
    return {
        "both": both,
        "best": best,
        "alone": by_given[best],
        "gain": statistics.mean(both) - statistics.mean(by_given[best]),
    }


def lost(rows: Sequence[Row], model: str, modality: str, kind: str, suffix: str = "") -> list[float]:
    """By how much the CCC falls for each seed where a fifth of the modality is missing."""
    both = pairs(rows, model, "face and voice")
    return [row["scores"]["CCC"] - row["missing"][modality][kind][f"CCC{suffix}"] for row in both]


def gain_table(rows: Sequence[Row], models: Sequence[str]) -> str:
    """Both modalities beside the best single one, for both tasks."""
    lines = [
        "| model | CCC, face and voice | best alone | gain | F1, face and voice | best alone | gain | s a training |",
        "|---" * 8 + "|",
    ]
    for model in models:
        cells = []
        for measure in MEASURES:
            found = gain(rows, model, measure)
            if found is None:
                cells += ["not measured", "", ""]
                continue
            says = f"{found['gain']:+.3f}" + ("" if found["gain"] > 0 else " (does not win)")
            cells += [mean_and_spread(found["both"]), f"{found['best']}: {mean_and_spread(found['alone'])}", says]
        seconds = [row["seconds"] for row in rows if row["model"] == model]
        struck = [row for row in rows if row["model"] == model and row["epochs"] < EPOCHS]
        report = f"{max(seconds):.0f}" if seconds else ""
        if struck:
            report += f" (stopped after {min(row['epochs'] for row in struck)} epochs at the earliest)"
        lines.append(f"| {model} | {' | '.join(cells)} | {report} |")
    return "\n".join(lines)


# what is done about gaps -> suffix of the score, kinds of gap for which it is shown
REMEDIES = {"": ("", ("steps", "spans")), ", predictions filled": (" filled", ("steps", "spans"))}
REMEDIES |= {", features filled": (" features filled", ("steps",))}  # a span is longer than what is filled


def gap_table(rows: Sequence[Row], contexts: Mapping[str, str]) -> str:
    """What a fifth of one modality is worth, by model; after filling, too."""
    columns = [
        (f"{modality}, {kind}{remedy}", modality, kind, suffix)
        for remedy, (suffix, kinds) in REMEDIES.items()
        for modality in MODALITIES
        for kind in kinds
    ]
    heads = " | ".join(head for head, *_ in columns)
    lines = [f"| model | context | {heads} |", "|---" * (2 + len(columns)) + "|"]
    for model, context in contexts.items():
        if not pairs(rows, model, "face and voice"):
            lines.append(f"| {model} | {context} | {' | '.join(['not measured', *[''] * (len(columns) - 1)])} |")
            continue
        cells = []
        for _, modality, kind, suffix in columns:
            value = statistics.mean(lost(rows, model, modality, kind, suffix))
            too_much = context != "step" and kind == "steps" and suffix != " filled" and value > ALLOWED
            cells.append(f"{value:.3f}{' (!)' if too_much else ''}")
        lines.append(f"| {model} | {context} | {' | '.join(cells)} |")
    return "\n".join(lines)


def about(rows: Sequence[Row]) -> str:
    """What was trained on what."""
    seeds = sorted({row["seed"] for row in rows})
    made_by = sorted({str(row["commit"]) for row in rows})
    return (
        f"Validation split of the synthetic data set ({CLIPS} clips of {SECONDS:g} s), data and training seeds "
        f"{', '.join(map(str, seeds))}: mean (least to greatest). Every model at its default settings, {EPOCHS} epochs "
        f"with {' and '.join(SETTINGS[:2])}, else as in abaw/configs/synthetic.yaml, at most {LIMIT_S} s a training on "
        "one "
        f"core. The training with both modalities hides some of them ({HIDDEN}). Commits {', '.join(made_by)}."
    )


def tables(rows: Sequence[Row], contexts: Mapping[str, str]) -> list[str]:
    """The paragraphs and tables; ``contexts``: model -> its FACTS' context. What is not there is "not measured"."""
    if not rows:
        return ["Not measured."]
    gaps = (
        f"By how much the CCC falls where a fifth of one modality is missing in testing, at random steps and in spans "
        f"of {SPAN_S:g} s. Filled: predictions at these steps are drawn from their neighbours, or the features are "
        f"(fill_gap_s: {FILL_GAP_S}, in testing alone). A model that sees more than one step at a time "
        f"may lose {ALLOWED} at most to single steps; (!) says where it loses more."
    )
    return [about(rows), gain_table(rows, list(contexts)), gaps, gap_table(rows, contexts)]


def contexts_of_models() -> dict[str, str]:
    return {part.name: part.facts.get("context", "") for part in FUSION_MODELS.parts()}


def page(rows: Sequence[Row], contexts: Mapping[str, str]) -> str:
    """useful.md."""
    return "\n\n".join(["# Fusion models: what two modalities give", *tables(rows, contexts)]) + "\n"


def read_rows(path: Path) -> list[Row]:
    rows: list[Row] = read_json(path)["rows"] if path.exists() else []
    return rows


def is_done(rows: Sequence[Row], job: Row) -> bool:
    return any(all(row[key] == value for key, value in job.items()) for row in rows)


def jobs_of(models: Sequence[str], seeds: Sequence[int]) -> Iterator[Row]:
    """What there is to train, seed by seed, so that a run that is stopped has every model of some seeds."""
    keys = {
        (model, given): key_of(model, SETUP | {"features": FEATURES[given]}) for model in models for given in FEATURES
    }
    for seed in seeds:
        for (model, given), key in keys.items():
            yield {"model": model, "seed": seed, "given": given, "key": key}


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", nargs="+", choices=FUSION_MODELS.names(), default=FUSION_MODELS.names())
    parser.add_argument("--seeds", type=int, nargs="+", default=[101, 102, 103])
    parser.add_argument("--jobs", type=int, default=1, help="trainings side by side, each on one core")
    parser.add_argument("--work", type=Path, default=Path("work/useful"))
    arguments = parser.parse_args(words)
    made_by, rows = commit(), read_rows(OUT)
    todo = [job for job in jobs_of(arguments.models, arguments.seeds) if not is_done(rows, job)]
    for seed in sorted({job["seed"] for job in todo}):
        make_data(seed, arguments.work)
    os.environ["OMP_NUM_THREADS"] = "1"  # before the workers import torch
    failed: list[Row] = []
    with ProcessPoolExecutor(arguments.jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        given = {pool.submit(train_one, job["model"], job["seed"], job["given"], arguments.work): job for job in todo}
        for number, future in enumerate(as_completed(given), start=1):
            job = given[future]
            if error := future.exception():
                failed.append(job)
                print(f"{number}/{len(todo)} {job['model']} {job['seed']} {job['given']}: {error!r}", flush=True)
                continue
            row = {**job, "commit": made_by, **future.result()}
            same = ("model", "seed", "given")
            rows = [old for old in rows if any(old[key] != job[key] for key in same)] + [row]
            rows.sort(key=lambda each: tuple(each[key] for key in same))
            write_json(OUT, {"versions": versions(), "setup": SETUP, "rows": rows})
            PAGE.write_text(page(rows, contexts_of_models()), encoding="utf-8")
            report = f"{row['scores']}, {row['seconds']:.0f} s, {row['epochs']} epochs"
            print(f"{number}/{len(todo)} {job['model']} {job['seed']} {job['given']}: {report}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(todo)} trainings failed: see what is printed above")


if __name__ == "__main__":
    main()

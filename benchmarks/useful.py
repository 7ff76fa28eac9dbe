"""How much each fusion model gains from two modalities on the synthetic data set, and loses where one has gaps.

For every model and seed (of data set and training) there are three trainings on valence-arousal and expression
together: with face and voice, with the face alone, with the voice alone; all with the same number of epochs. The
training with both uses modality and step dropout, and is scored again with a fifth of one modality missing: single
steps, and spans of about a second; also with predictions or features interpolated over the gaps. Writes useful.json and
useful.md in results/. Existing results are kept unless the model or the set-up has changed. Most models take 5 to 20 s
per training on one CPU core; the slowest are stopped after a minute, which is reported.

    python -m benchmarks.useful [--models mfn mult] [--seeds 101 102 103] [--jobs 2] [--work work/useful]
"""

import argparse
import logging
import multiprocessing
import os
import shutil
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
SHARE, SPAN_S = 0.2, 1.0  # of steps that are lost; length of a span
MAX_LOSS = 0.02  # of CCC, expected of models with temporal context
FILL_GAP_S = 0.5  # in testing only
MODALITIES = {"face": "face_hog", "voice": "voice_mel"}
MEASURES = {"CCC": ("va", "CCC"), "F1": ("expr", "F1")}

Row = dict[str, Any]
LOG = logging.getLogger("abaw")


@dataclass(frozen=True)
class Lossy:
    """A source in which one modality is missing, NaN and not observed, at a share of the steps.

    ``span`` consecutive steps are lost together. They depend on seed, modality and clip only, so that all models lose
    the same steps.
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
        """A mask of the steps of a clip at which the modality is missing."""
        return lost_steps(len(self.clock(clip_id)), self.span, self.share, f"{self.seed} {self.modality} {clip_id}")

    def read(self, name: str, clip_id: str, start_s: float, stop_s: float) -> Track:
        track = self.source.read(name, clip_id, start_s, stop_s)
        if name != self.modality:
            return track
        lost = self.lost(clip_id)[np.searchsorted(self.clock(clip_id).times_s, track.times_s)]
        return Track(np.where(lost[:, None], np.nan, track.values), track.times_s, track.observed & ~lost)


def lost_steps(num_steps: int, span: int, share: float, name: str) -> np.ndarray:
    """A random mask of spans of ``span`` steps, determined by ``name``; on average a ``share`` of all steps."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    shift = rng.integers(span)
    spans = (np.arange(num_steps) + shift) // span
    num = spans[-1] + 1 if num_steps else 0
    num_lost = int(share * num + rng.random())
    return np.isin(spans, rng.choice(num, size=num_lost, replace=False)) if num else np.zeros(0, bool)


def fill(values: np.ndarray, there: np.ndarray) -> np.ndarray:
    """Interpolate missing rows linearly; before the first and after the last known row, repeat it.

    Without any known row the values are returned as they are.
    """
    if not there.any():
        return values
    steps = np.arange(len(values))
    return np.stack([np.interp(steps, steps[there], column[there]) for column in values.T], axis=1)


def make_data(seed: int, work: Path) -> tuple[Path, Path]:
    """The data set of a seed and its features; existing ones are kept."""
    from abaw.pipelines.checking import synthesize
    from abaw.pipelines.extraction import extract

    data, store = work / f"data-{seed}", work / f"store-{seed}"
    synthesize(data, clips=CLIPS, seconds=SECONDS, seed=seed)
    extract(data, store, list(MODALITIES.values()))
    return data, store


def train_one(model: str, seed: int, given: str, work: Path) -> Row:
    """Train once and score; with both modalities also score with gaps in each."""
    from abaw.pipelines.training import train

    name = f"{model}-{given.replace(' ', '-')}-{seed}"
    shutil.rmtree(work / "runs" / name, ignore_errors=True)  # of an earlier or stopped benchmark
    settings = [f"name={name}", f"data={work / f'data-{seed}'}", f"store={work / f'store-{seed}'}"]
    settings += [f"model={{name: {model}}}", f"features={FEATURES[given]}", f"training.seed={seed}", *SETTINGS]
    log = work / "logs" / f"{name}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    start_s = time.perf_counter()
    handler = logging.FileHandler(log, mode="w", encoding="utf-8")
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    LOG.propagate = False
    try:
        run = train(CONFIG, settings, runs=work / "runs")
    finally:
        LOG.removeHandler(handler)
        handler.close()
    row = {
        "seconds": time.perf_counter() - start_s,
        "epochs": sum(line.startswith("epoch ") for line in log.read_text(encoding="utf-8").splitlines()),
        "scores": measures(run.finished()["scores"]),
    }
    return row | ({"missing": score_gaps(run, seed)} if given == "face and voice" else {})


def measures(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    return {name: scores[task][key] for name, (task, key) in MEASURES.items()}


def score_gaps(run: Any, seed: int) -> dict[str, dict[str, dict[str, float]]]:
    """Modality -> steps or spans -> scores with a fifth of it missing: without filling, and filled in two ways."""
    from abaw.dataset.layout import open_dataset
    from abaw.evaluation.labels import labels_by_task
    from abaw.pipelines.prediction import open_member
    from fusion.checkpoint import load_module
    from fusion.targets import fit_to_clock

    _, module, source = open_member(run, None, "cpu")
    features = {
        name: each.model_copy(update={"fill_gap_s": FILL_GAP_S}) for name, each in run.config().features.items()
    }
    filling = load_module(run.folder, run.config().model_copy(update={"features": features}), run.tasks())
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
    """CCC and F1 with gaps, and with predictions interpolated over the gaps ("CCC filled", "F1 filled")."""
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


def contexts_of_models() -> dict[str, str]:
    return {part.name: part.facts.get("context", "") for part in FUSION_MODELS.parts()}


def read_rows(path: Path) -> list[Row]:
    rows: list[Row] = read_json(path)["rows"] if path.exists() else []
    return rows


def is_done(rows: Sequence[Row], job: Row) -> bool:
    return any(all(row[key] == value for key, value in job.items()) for row in rows)


def jobs_of(models: Sequence[str], seeds: Sequence[int]) -> Iterator[Row]:
    """All trainings, seed by seed, so that an interrupted benchmark has all models of some seeds."""
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
    parser.add_argument("--jobs", type=int, default=1, help="number of trainings in parallel, each on one core")
    parser.add_argument("--work", type=Path, default=Path("work/useful"))
    arguments = parser.parse_args(words)
    from benchmarks.useful_tables import page

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
            result = f"{row['scores']}, {row['seconds']:.0f} s, {row['epochs']} epochs"
            print(f"{number}/{len(todo)} {job['model']} {job['seed']} {job['given']}: {result}", flush=True)
    if failed:
        raise SystemExit(f"{len(failed)} of {len(todo)} trainings failed: see the messages above")


if __name__ == "__main__":
    main()

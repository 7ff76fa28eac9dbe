"""RAVDESS: a model that adapts to speakers, on speakers that it was not trained on, by eight labelled takes of each."""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

import abaw
from abaw.dataset.annotations import Labels
from abaw.pipelines.persons.adapting import adapt_to_person
from abaw.pipelines.prediction import open_member
from abaw.tasks.base import PredictionPair, Task
from benchmarks.seed_systems.rows import Claim
from fusion.predict import predict

NUM_FOLDS, NUM_DRAWS = 4, 5
SETTINGS = {
    "features": {"ge2e": {"align": "window_mean"}, "egemaps": {"align": "window_mean"}},
    "folds": {"num": NUM_FOLDS},
    "training": {"select_on": "last", "batch_size": 48, "loggers": [], "learning_rate": 0.002, "num_workers": 0},
    "trainer": {"max_epochs": 15, "enable_progress_bar": False, "gradient_clip_val": 1.0, "accelerator": "cpu"},
}
PERCEPTRON = {"hidden_dim": 64, "num_layers": 2, "dropout": 0.3}
ADAPTATION = {"steps": 3, "rate": 0.3, "num_support": 8, "num_windows": 16, "gap_s": 1.0, "first_order": False}

Scores = dict[str, dict[str, float]]  # way -> speaker or "all" -> macro-F1, mean over draws


def compare(data: str, store: str) -> list[Claim]:
    """Adapted against not adapted, and against the same network without persons, on the takes that were not used."""
    found = measure(Path(data), Path(store))
    words = {way: f"{each['all']:.3f}" for way, each in found.items()}
    speakers = [name for name in found["adapted"] if name != "all"]
    gains = [found["adapted"][name] - found["unadapted"][name] for name in speakers]
    gain, more = (found[way]["all"] - found["unadapted"]["all"] for way in ("adapted", "adapted, 10 steps"))
    return [
        Claim(
            "RAVDESS, 12 speakers not trained on, macro-F1 on the takes that were not used: the perceptron without "
            "persons",
            "",
            words["global"],
            "",
            None,
        ),
        Claim("limaml around it, without adaptation", "", words["unadapted"], "", None),
        Claim(
            f"adapted by 8 labelled takes, one of each emotion, in 3 steps (mean of {NUM_DRAWS} draws)",
            "",
            f"{words['adapted']} ({gain:+.3f}; {sum(each > 0 for each in gains)} of {len(gains)} speakers gain, "
            f"from {min(gains):+.3f} to {max(gains):+.3f})",
            "reported, gain or not",
            None,
        ),
        Claim("in 10 steps", "", f"{words['adapted, 10 steps']} ({more:+.3f})", "reported, gain or not", None),
    ]


def measure(data: Path, store: Path) -> Scores:
    """Macro-F1 of every way, over all speakers together and of each."""
    pairs: dict[tuple[str, int], dict[str, PredictionPair]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for fold in range(NUM_FOLDS):
            place = {"data": str(data), "store": str(store), **SETTINGS}
            folds = {"folds.fold": fold}
            plain = {"name": f"plain{fold}", "model": {"name": "concat", **PERCEPTRON}}
            adaptive = {
                "name": f"limaml{fold}",
                "model": {"name": "limaml", "inner": "concat", **PERCEPTRON},
                "adaptation": ADAPTATION,
            }
            runs = [abaw.train("classes", {**place, **each, **folds}, runs=folder) for each in (plain, adaptive)]
            _predict_fold(runs[0], runs[1], data, pairs)
            task = runs[0].tasks()["classes"]
    return _scored(task, pairs)


def _predict_fold(
    plain: abaw.Run, adaptive: abaw.Run, data: Path, pairs: dict[tuple[str, int], dict[str, PredictionPair]]
) -> None:
    """Add the predictions of what a fold holds out, by way and draw."""
    task = plain.tasks()["classes"]
    labels = task.read_labels(abaw.open_dataset(data), "train")
    speakers = adaptive.document()["groups"]["validation"]
    of_speaker = {who: sorted(clip for clip, each in labels.items() if each.group == who) for who in speakers}
    clips = [clip for each in of_speaker.values() for clip in each]
    _, network, source = open_member(plain, None, "cpu")
    _, module, _ = open_member(adaptive, None, "cpu")
    settings = module.config.adaptation
    own, window = {}, module.config.window
    for way, each in (("global", network), ("unadapted", module)):
        own[way] = {clip: raw["classes"] for clip, raw, _ in predict(each, source, clips, window)}
    for draw in range(NUM_DRAWS):
        used, vectors = set[str](), dict[str, dict[str, torch.Tensor]]()
        for who in speakers:
            support = _draw(draw, of_speaker[who], labels)
            used |= set(support)
            for way, steps in (("adapted", 3), ("adapted, 10 steps", 10)):
                given = {"classes": {clip: labels[clip] for clip in support}}
                vector = adapt_to_person(module, source, given, settings.model_copy(update={"steps": steps})).vectors[0]
                vectors.setdefault(way, {}).update(dict.fromkeys(of_speaker[who], vector))
        raws = dict(own)
        for way, of_clips in vectors.items():
            module.vectors = of_clips
            raws[way] = {clip: raw["classes"] for clip, raw, _ in predict(module, source, clips, window)}
            module.vectors = {}
        for way, by_clip in raws.items():
            kept = {clip: task.to_labels(task.probabilities(raw)) for clip, raw in by_clip.items() if clip not in used}
            pairs.setdefault((way, draw), {}).update({c: PredictionPair(p, labels[c]) for c, p in kept.items()})


def _draw(draw: int, clips: list[str], labels: Mapping[str, Labels]) -> list[str]:
    """One take of each emotion."""
    rng = np.random.default_rng([draw, len(clips), sum(clips[0].encode())])
    shuffled = [clips[i] for i in rng.permutation(len(clips))]
    by_class: dict[int, str] = {}
    for clip in shuffled:
        by_class.setdefault(int(labels[clip].values[0, 0]), clip)
    return list(by_class.values())


def _scored(task: Task, pairs: Mapping[tuple[str, int], Mapping[str, PredictionPair]]) -> Scores:
    found: dict[str, dict[str, list[float]]] = {}
    for (way, _), by_clip in pairs.items():
        groups = sorted({pair.labels.group for pair in by_clip.values()})
        for who in ("all", *groups):
            own = {clip: pair for clip, pair in by_clip.items() if who in ("all", pair.labels.group)}
            found.setdefault(way, {}).setdefault(who, []).append(task.score(own)["F1"])
    return {way: {who: float(np.mean(each)) for who, each in by_who.items()} for way, by_who in found.items()}

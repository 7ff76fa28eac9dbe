"""Which encoder? A classifier of the pooled features of each, on groups that are held out, in seconds."""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.annotations import Labels, group_of
from abaw.dataset.layout import open_dataset
from abaw.dataset.seen import groups_in, unit_of
from abaw.errors import InputError, NotFoundError
from abaw.evaluation.coverage import measured_coverage
from abaw.evaluation.intervals import check_draws, compare, correct, intervals
from abaw.files import as_list, as_path, check_once
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.pipelines.embedding.seen import describe_seen
from abaw.pipelines.probing.pooler import HALF_WINDOW_S, Pooler
from abaw.pipelines.probing.tables import TableWriter
from abaw.probes import empirical_bayes, linear
from abaw.probes.crossing import CrossPrediction, row_labels
from abaw.probes.report import ProbedTask, ProbeReport, ProbeResult, correlate_rankings
from abaw.probes.rows import Rows, Spans, find_doubts, hold_out, pair_up, score_of_chance
from abaw.progress import ProgressCallback, as_progress, silent, with_progress
from abaw.tasks import TASKS, tasks_for
from abaw.tasks.base import PredictionPair, Task

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from extract.store.store import FeatureStore

    Recipe = dict[str, Any]

MAX_WINDOWS = 4000  # of a task of frames: more take minutes and change no ranking
CLASSIFIERS = {"linear": ("linear",), "empirical_bayes": ("empirical_bayes",), "both": ("linear", "empirical_bayes")}


def probe(
    data: str | Path,
    store: str | Path,
    *,
    encoders: Sequence[str] | None = None,
    task: str | None = None,
    classifier: str = "linear",
    normalise: str = "none",
    folds: int | str | None = None,
    draws: int = 1000,
    seed: int = 0,
    out: str | Path | None = None,
    progress: ProgressCallback = silent,
) -> ProbeReport:
    """Score a classifier of the pooled features of every encoder in a store, on groups that are held out.

    ``encoders``: names of features in the store, or several joined by "+", side by side; by default every one.
    ``task``: by default every task that the data set has labels for. Mean and standard deviation over the observed rows
    of a clip are read by the ``classifier``: "linear", a logistic regression (classes, units) or ridge (values);
    "empirical_bayes", a discriminant in closed form of classes and units, whose samples are clips; or "both". ``out``:
    a folder for prediction tables of every clip by models of other groups, in ``<classifier>/<encoder>/<task>``. Of a
    task of frames, at most
    4,000 scored frames, evenly spread, are predicted from the 2 s around each. The labels of "train" and "validation"
    are divided in ``folds`` parts of whole groups (speakers; without groups, videos), by default six, or "groups": one
    part a group. The penalty is chosen on groups of the training parts. ``normalise`` "group": features are
    standardised within groups first, over all clips of the data set that the store has, and so are their means and
    deviations over the pieces of a group; labels are not used. Intervals are by group. Every
    encoder is compared with the best one as ``score`` compares two folders; p is corrected for their number.

    Clips that lack the track of one encoder are left out for all of them, so that scores are of the same clips; the
    report says so. Raises InputError for an unknown task, encoder or classifier, labels that are equal, a single
    group, and, of ``empirical_bayes``, a task of values that is named and a class of a single clip; NotFoundError where
    there is no store or no track.
    """
    from extract.store.store import FeatureStore

    as_progress(progress)
    if normalise not in ("none", "group"):
        raise InputError(f"normalise is {normalise!r}, expected none or group")
    if classifier not in CLASSIFIERS:
        raise InputError(f"classifier is {classifier!r}, expected {', '.join(CLASSIFIERS)}")
    check_draws(draws, seed)  # before minutes of reading
    asked = None if encoders is None else as_list(encoders, "encoders", "names of features in the store")
    check_once(asked or [], "encoder")
    dataset, opened = open_dataset(as_path(data, "data")), FeatureStore(as_path(store, "store"))
    systems = _systems(opened, asked)
    recipes = {folder: recipe for parts in systems.values() for folder, recipe in parts.items()}
    tasks = _tasks(dataset, task)
    labels = {name: _labels(dataset, each) for name, each in tasks.items()}
    labels = {name: found for name, found in labels.items() if found}
    if not labels:
        raise InputError(f"{dataset.root} has no labels for {task or 'any task'} in train or validation")
    used, skipped = _classifiers(tasks, labels, classifier, task)
    all_rows = {name: _rows(tasks[name], found, opened, recipes) for name, found in labels.items() if used[name]}
    remarks = {
        name: empirical_bayes.check_clips(rows.task, rows.labels, rows.clip_of)
        for name, rows in all_rows.items()
        if "empirical_bayes" in used[name]
    }
    pooler = Pooler(opened, dataset, by_group=normalise == "group", progress=progress)
    about, results = [], []
    with ExitStack() as held:
        writer = None
        if out is not None:
            whole = {"data": str(data), "seeds": [seed], "subject_adapted": normalise == "group"}
            writer = TableWriter(as_path(out, "out"), opened, whole)
            writer.hold(held, list(systems), {name: used[name] for name in all_rows})
        for name, rows in all_rows.items():
            parts, num_parts = hold_out(rows, folds, seed)
            features = {folder: pooler.features(recipe, rows) for folder, recipe in recipes.items()}
            found_of = []
            for system, folders in with_progress([*systems.items()], progress, f"{name} from {{0[0]}}".format):
                read = np.concatenate([features[folder] for folder in folders], axis=1)
                for each in used[name]:
                    result, pairs, crossed = _score(rows, system, each, read, parts, seed)
                    found_of.append((result, pairs))
                    if writer is not None:
                        probed = {"encoder": system, "classifier": each, "normalise": normalise, "parts": num_parts}
                        writer.write(rows, crossed, parts, pooler, list(folders.values()), probed)
                    remarks.setdefault(name, []).extend(f"{system}, {each}: {line}" for line in crossed.remarks)
            score = next(iter(found_of[0][0].scores))
            ranked = _rank(rows.task, found_of, score, draws, seed)
            results += ranked
            about.append(
                replace(
                    _about(rows, score, num_parts, [*pooler.pop_remarks(), *remarks.get(name, ())]),
                    rank_correlation=correlate_rankings(ranked, score),
                )
            )
    tables = None if out is None else str(out)
    return ProbeReport(str(data), str(store), normalise, draws, seed, about, results, tables, skipped)


def _classifiers(
    tasks: Mapping[str, Task], labels: Mapping[str, Any], classifier: str, named: str | None
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """The classifiers of each task with labels, and remarks on tasks of values, which only the linear one predicts.

    Raises InputError where none is left.
    """
    used, skipped = {}, []
    for name in labels:
        used[name] = CLASSIFIERS[classifier]
        if not empirical_bayes.is_classified(tasks[name]):
            used[name] = tuple(each for each in used[name] if each != "empirical_bayes")
            if used[name] != CLASSIFIERS[classifier]:
                skipped.append(f"{name} has values: empirical_bayes predicts classes and units, linear values too")
    if not any(used.values()):
        what = f"the task {named}" if named else "every task with labels"
        raise InputError(f"{what} has values, and empirical_bayes predicts classes and units: give --classifier linear")
    return used, skipped


def _systems(store: "FeatureStore", asked: list[str] | None) -> "dict[str, dict[str, Recipe]]":
    """What is scored: its name -> folder of the store -> recipe."""
    if asked is None:
        recipes = {folder: recipe for folder, recipe in store.recipes().items() if "encoder" in recipe}
        names = [recipe["name"] for recipe in recipes.values()]
        if not recipes:
            raise NotFoundError(f"{store.root} has no features: run abaw extract DATA --store {store.root}")
        return {
            recipe["name"] if names.count(recipe["name"]) == 1 else folder: {folder: recipe}
            for folder, recipe in recipes.items()
        }
    found: dict[str, dict[str, Recipe]] = {}
    for system in asked:
        names = [name.strip() for name in system.split("+")]
        check_once(names, f"part of the encoder {system},")
        parts = [store.find(name) for name in names]
        found[system] = {store.folder(recipe).name: recipe for recipe in parts}
    if not found:
        raise InputError("no encoder to probe: name one or several, or none for all")
    return found


def _tasks(dataset: "Dataset", name: str | None) -> dict[str, Task]:
    if name is None:
        return tasks_for(dataset)
    return {name: TASKS.build(name).for_dataset(dataset)}


def _labels(dataset: "Dataset", task: Task) -> dict[str, Labels]:
    """The labels of "train" and "validation" by clip, of clips with a scored row."""
    found = {**task.read_labels(dataset, "train"), **task.read_labels(dataset, "validation")} if task.columns else {}
    return {clip_id: each for clip_id, each in found.items() if each.scored.any()}


def _rows(task: Task, labels: Mapping[str, Labels], store: "FeatureStore", recipes: "Mapping[str, Recipe]") -> Rows:
    """One row a clip or, of a task of frames, a window around every k-th scored frame; of clips with all tracks."""
    lacking = {r["name"]: [clip for clip in labels if not store.has(r, clip)] for r in recipes.values()}
    gone = {clip for clips in lacking.values() for clip in clips}
    kept = {clip: each for clip, each in labels.items() if clip not in gone}
    if not kept:
        some = max(lacking, key=lambda name: len(lacking[name]))
        raise NotFoundError(
            f"{store.root} has no clip with {task.name} labels and tracks of {', '.join(lacking)}: "
            f"{format_count(len(lacking[some]), 'clip')} lack {some}; extract them, or name other encoders"
        )
    remarks = [
        f"{format_count(len(clips), 'clip')} without a track of {name} left out: {first_few(sorted(clips))}"
        for name, clips in lacking.items()
        if clips
    ]
    remarks += [each for recipe in recipes.values() for each in describe_seen(recipe, groups_in(kept))]
    if task.resolution == "clip":
        labels_of_clips = np.concatenate([each.values[each.scored][:1] for each in kept.values()])
        groups = [group_of(clip, each) for clip, each in kept.items()]
        return Rows(task, list(kept), labels_of_clips, groups, None, kept, remarks)
    clocks = {clip: store.clock(clip).times_s for clip in kept}
    of_frames = {
        clip: each.at(clocks[clip]) for clip, each in kept.items()
    }  # labels with times become labels of frames
    frames = {clip: np.flatnonzero(each.scored[: len(clocks[clip])]) for clip, each in of_frames.items()}
    stride = max(1, -(-sum(map(len, frames.values())) // MAX_WINDOWS))
    clip_of: list[str] = []
    values: list[np.ndarray] = []
    spans: Spans = {}
    count = 0
    for clip, scored in frames.items():
        taken = scored[-count % stride :: stride]
        count += len(scored)
        clip_of += [clip] * len(taken)
        values.append(of_frames[clip].values[taken])
        spans[clip] = clocks[clip][taken, None] + np.array([-HALF_WINDOW_S, HALF_WINDOW_S])
    groups = [group_of(clip, kept[clip]) for clip in clip_of]
    return Rows(task, clip_of, np.concatenate(values), groups, spans, kept, remarks)


Pairs = dict[str, PredictionPair]


def _score(
    rows: Rows, name: str, classifier: str, features: np.ndarray, parts: np.ndarray, seed: int
) -> tuple[ProbeResult, Pairs, CrossPrediction]:
    if classifier == "linear":
        found = linear.cross_predict(rows.task, features, rows.labels, parts, rows.groups, seed)
    else:
        found = empirical_bayes.cross_predict(rows.task, features, rows.labels, rows.clip_of, parts, rows.groups, seed)
    pairs = pair_up(rows, row_labels(rows.task, found.tables))
    scores = rows.task.score(pairs)
    between = intervals(rows.task, pairs) or {}
    unobserved = int(np.isnan(features).any(axis=1).sum())
    result = ProbeResult(
        rows.task.name,
        name,
        classifier,
        scores,
        between.get(next(iter(scores))),
        features.shape[1],
        unobserved,
        found.penalties,
        found.scales,
    )
    return result, pairs, found


def _rank(
    task: Task, found: Sequence[tuple[ProbeResult, Pairs]], score: str, draws: int, seed: int
) -> list[ProbeResult]:
    """The results, best first, each of the others with its difference to the best."""
    (best, best_pairs), *others = sorted(found, key=lambda each: -each[0].scores[score])
    compared = [compare(task, best_pairs, pairs, draws, seed) for _, pairs in others]
    corrected = correct([each.p for each in compared])
    return [
        best,
        *(
            replace(result, difference=each.difference, difference_interval=each.interval, p=p)
            for (result, _), each, p in zip(others, compared, corrected, strict=True)
        ),
    ]


def _about(rows: Rows, score: str, num_parts: int, remarks: Sequence[str]) -> ProbedTask:
    clips, num_groups = dict.fromkeys(rows.clip_of), len(set(rows.groups))
    return ProbedTask(
        rows.task.name,
        score,
        len(clips),
        len(rows.clip_of),
        num_groups,
        unit_of(rows.of_clip[clip].group for clip in clips),
        num_parts,
        score_of_chance(rows),
        [*rows.remarks, *find_doubts(rows), *remarks],
        measured_coverage(rows.task, num_groups) if num_groups > 1 else None,
    )

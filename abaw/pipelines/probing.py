"""Which encoder? A linear model on the pooled features of each, on groups that are held out, in seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.configs.sections import MIN_GROUP_S, STILL_S
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
from abaw.probes.linear import cross_predict, row_labels
from abaw.probes.pooled import Moments, merge, pool_rows, standardise_pooled, within_groups
from abaw.probes.report import ProbedTask, ProbeReport, ProbeResult
from abaw.probes.rows import Rows, Spans, find_doubts, hold_out, pair_up, score_of_chance
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.tasks import TASKS, tasks_for
from abaw.tasks.base import PredictionPair, Task

if TYPE_CHECKING:
    from abaw.dataset.layout import Dataset
    from extract.store.store import FeatureStore
    from extract.store.track_file import TrackFile

    Recipe = dict[str, Any]

MAX_WINDOWS = 4000  # of a task of frames: more take minutes and change no ranking
HALF_WINDOW_S = 1.0  # on either side of a frame
CHUNK_ROWS = 4096  # read at once
MIN_PIECES = 10  # of a group, to standardise over them


def probe(
    data: str | Path,
    store: str | Path,
    *,
    encoders: Sequence[str] | None = None,
    task: str | None = None,
    normalise: str = "none",
    folds: int | str | None = None,
    draws: int = 1000,
    seed: int = 0,
    progress: ProgressCallback = silent,
) -> ProbeReport:
    """Score a linear model on the pooled features of every encoder in a store, on groups that are held out.

    ``encoders``: names of features in the store, or several joined by "+", side by side; by default every one.
    ``task``: by default every task that the data set has labels for. Mean and standard deviation over the observed rows
    of a clip are read by a logistic regression (classes, units) or by ridge (values). Of a task of frames, at most
    4,000 scored frames, evenly spread, are predicted from the 2 s around each. The labels of "train" and "validation"
    are divided in ``folds`` parts of whole groups (speakers; without groups, videos), by default six, or "groups": one
    part a group. The penalty is chosen on groups of the training parts. ``normalise`` "group": features are
    standardised within groups first, over all clips of the data set that the store has, and so are their means and
    deviations over the pieces of a group; labels are not used. Intervals are by group. Every
    encoder is compared with the best one as ``score`` compares two folders; p is corrected for their number.

    Clips that lack the track of one encoder are left out for all of them, so that scores are of the same clips; the
    report says so. Raises InputError for an unknown task or encoder, labels that are equal, or a single group;
    NotFoundError where there is no store or no track.
    """
    from extract.store.store import FeatureStore

    as_progress(progress)
    if normalise not in ("none", "group"):
        raise InputError(f"normalise is {normalise!r}, expected none or group")
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
    about, results, pooler = [], [], _Pooler(opened, dataset, by_group=normalise == "group", progress=progress)
    for name, found in labels.items():
        rows = _rows(tasks[name], found, opened, recipes)
        parts, num_parts = hold_out(rows, folds, seed)
        features = {folder: pooler.features(recipe, rows) for folder, recipe in recipes.items()}
        found_of = []
        for system, folders in systems.items():
            read = np.concatenate([features[folder] for folder in folders], axis=1)
            found_of.append(_score(rows, system, read, parts, seed))
        score = next(iter(found_of[0][0].scores))
        results += _rank(rows.task, found_of, score, draws, seed)
        about.append(_about(rows, score, num_parts, pooler.pop_remarks()))
    return ProbeReport(str(data), str(store), normalise, draws, seed, about, results)


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


def _score(rows: Rows, name: str, features: np.ndarray, parts: np.ndarray, seed: int) -> tuple[ProbeResult, Pairs]:
    found = cross_predict(rows.task, features, rows.labels, parts, rows.groups, seed)
    pairs = pair_up(rows, row_labels(rows.task, found.tables))
    scores = rows.task.score(pairs)
    between = intervals(rows.task, pairs) or {}
    unobserved = int(np.isnan(features).any(axis=1).sum())
    interval = between.get(next(iter(scores)))
    return ProbeResult(rows.task.name, name, scores, interval, features.shape[1], unobserved, found.penalties), pairs


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


class _Pooler:
    """Features of rows from the tracks of a store: one pass over each track, of which only moments are kept."""

    def __init__(
        self, store: "FeatureStore", dataset: "Dataset", *, by_group: bool, progress: ProgressCallback
    ) -> None:
        self._store, self._dataset, self._by_group, self._progress = store, dataset, by_group, progress
        self._of_clip: dict[tuple[str, str], Moments] = {}
        self._remarks: list[str] = []

    def pop_remarks(self) -> list[str]:
        """What there is to say of the features since this was called last."""
        found, self._remarks = self._remarks, []
        return found

    def features(self, recipe: "Recipe", rows: Rows) -> np.ndarray:
        """Mean and standard deviation of each row (row features); NaN where nothing was observed."""
        name, clips = str(recipe["name"]), list(dict.fromkeys(rows.clip_of))
        pieces = []
        for done, clip in enumerate(clips):
            self._progress(f"{name} {clip}", done, len(clips))
            pieces.append(
                self._clip(recipe, clip) if rows.spans is None else self._windows(recipe, clip, rows.spans[clip])
            )
        pooled = Moments.of(pieces)
        unseen = [rows.clip_of[i] for i in np.flatnonzero(pooled.num == 0)]
        if len(unseen) == len(rows.clip_of):
            raise InputError(f"{name} observed nothing in any clip with {rows.task.name} labels: leave it out")
        if unseen:
            what = format_count(len(unseen), "clip" if rows.spans is None else "window")
            self._remarks.append(f"{name} observed nothing in {what} ({unseen[0]!r} first): the training mean is used")
        if self._by_group:
            pooled = self._within_groups(recipe, pooled, rows)
        features = pooled.features()
        if self._by_group:
            groups = [self._dataset.groups.get(clip) or clip for clip in rows.clip_of]
            features = standardise_pooled(features, groups, MIN_PIECES)
        if not (np.nanstd(features, axis=0) > 0).any():
            self._remarks.append(f"{name} is the same in every row: its score is that of a guess")
        return features

    def _within_groups(self, recipe: "Recipe", pooled: Moments, rows: Rows) -> Moments:
        name = recipe["name"]
        own = {clip: self._dataset.groups.get(clip) or clip for clip in rows.clip_of}
        wanted = set(own.values())
        of_material = {clip: group for clip, group in self._dataset.groups.items() if group in wanted} | own
        there = {clip: group for clip, group in of_material.items() if self._store.has(recipe, clip)}
        material = Moments.of([self._clip(recipe, clip) for clip in there])
        of_piece = [own[clip] for clip in rows.clip_of]
        found, short = within_groups(pooled, of_piece, material, list(there.values()), MIN_GROUP_S)
        if len(short) == len(wanted):
            raise InputError(
                f"no group has {MIN_GROUP_S:g} s of {name} (the most has {max(short.values()):.1f} s): probe without "
                "normalise, or name the speakers or subjects in the data set (column group of its manifest)"
            )
        if short:
            self._remarks.append(
                f"{format_count(len(short), 'group')} with less than {MIN_GROUP_S:g} s of {name}, standardised by all "
                f"groups together: {first_few(sorted(short))}"
            )
        if len(there) < len(of_material):
            num = format_count(len(of_material) - len(there), "clip")
            self._remarks.append(f"{num} of these groups have no track of {name}, and do not count for their means")
        return found

    def _clip(self, recipe: "Recipe", clip: str) -> Moments:
        """A whole clip as one piece; kept, as other tasks and groups need it too."""
        key = self._store.folder(recipe).name, clip
        if key not in self._of_clip:
            file = self._store.open(recipe, clip)
            starts = range(0, max(1, len(file.times_s)), CHUNK_ROWS)
            step_s = _step_s(file)
            self._of_clip[key] = merge([_pool(file, first, first + CHUNK_ROWS, step_s) for first in starts])
        return self._of_clip[key]

    def _windows(self, recipe: "Recipe", clip: str, spans: np.ndarray) -> Moments:
        """A piece for each window."""
        file = self._store.open(recipe, clip)
        first, stop = np.searchsorted(file.times_s, spans[:, 0]), np.searchsorted(file.times_s, spans[:, 1], "right")
        step_s, dim = _step_s(file), file.dim
        empty = Moments(np.zeros(0, int), np.zeros(0), np.zeros((0, dim), np.float32), np.zeros((0, dim), np.float32))
        return Moments.of([empty, *(_pool(file, a, b, step_s) for a, b in zip(first, stop, strict=True))])


def _pool(file: "TrackFile", first: int, stop: int, step_s: float) -> Moments:
    rows = file.rows(first, stop).astype(np.float64)
    return pool_rows(rows[file.observed[first:stop]], step_s)


def _step_s(file: "TrackFile") -> float:
    """The mean distance of a track's rows."""
    times_s = file.times_s
    return float(times_s[-1] - times_s[0]) / (len(times_s) - 1) if len(times_s) > 1 else STILL_S

"""Which frames a human should label next, by the posterior of a run's last layer; as a CSV file to fill in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.dataset.layout import SPLITS, open_dataset
from abaw.errors import InputError
from abaw.files import as_list, as_path, atomic_write
from abaw.files.csv_cells import csv_text
from abaw.files.names import first_few
from abaw.numbers import format_count
from abaw.pipelines.members.posteriors import fit_posteriors
from abaw.pipelines.persons.groups import within_groups
from abaw.probabilities.contexts import any_observed
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.posteriors import read_posterior
from abaw.results.runs import Run
from abaw.tasks.ranges import deviation_name
from abaw.uncertainty.choice import Candidates, Reason, check_choice, choose_frames

if TYPE_CHECKING:
    from abaw.dataset.annotations import Labels
    from abaw.dataset.layout import Dataset
    from abaw.pipelines.prediction import Member
    from abaw.tasks.base import Task
    from abaw.uncertainty.last_layer import LastLayerPosterior

MAX_CANDIDATES = 20_000  # frames; of more, every second, third ... of each clip


@dataclass(frozen=True)
class Suggestion:
    """A frame to label: ``predicted`` values and their standard deviations, in the order of the task's columns."""

    clip: str
    frame: int
    time_s: float
    why: Reason
    predicted: tuple[float, ...]
    deviations: tuple[float, ...]


@dataclass(frozen=True)
class Suggestions:
    """The frames that a human should label next, the most useful first, and the file they are in.

    ``num_candidates`` frames of ``num_clips`` clips could be chosen; ``notes``: what was left out, and for which clips
    the frames were chosen where these are not the candidates' own.
    """

    out: Path
    columns: tuple[str, ...]
    frames: tuple[Suggestion, ...]
    num_candidates: int
    num_clips: int
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        clips = len({each.clip for each in self.frames})
        line = (
            f"{self.out}: {format_count(len(self.frames), 'frame')} of {format_count(clips, 'clip')} to label, of "
            f"{format_count(self.num_candidates, 'candidate')} in {format_count(self.num_clips, 'clip')}; fill in "
            f"{', '.join(self.columns)}"
        )
        return "\n".join([*self.notes, line])


def suggest_labels(
    run: str | Path,
    out: str | Path,
    *,
    num: int,
    split: str | None = None,
    clips: Sequence[str] | None = None,
    explore: float = 1.0,
    min_gap_s: float = 1.0,
    labelled: bool = False,
    test_clips: bool = False,
    for_split: str | None = None,
    for_clips: Sequence[str] | None = None,
    task: str | None = None,
    seed: int = 0,
    data: str | Path | None = None,
    store: str | Path | None = None,
    device: str = "cpu",
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> Suggestions:
    """Choose ``num`` frames that a human should label next, and write them to a CSV file ``out``, most useful first.

    The candidates are frames in which something was observed, of the clips without labels: those of ``split``, those
    named, or all of the data set. ``labelled``: also the frames without a label of clips that have labels.
    ``test_clips``: also clips of the test set, which is an error otherwise where they are asked for. ``for_split`` or
    ``for_clips``: the clips whose predictions are to become better, such as the test set; their features alone are
    read. By default they are the candidates. ``explore``, ``min_gap_s`` (between frames of a clip) and ``seed``: see
    ``choose_frames``. ``task``: where the run predicts values of several. ``data`` and ``store``: by default those of
    the run. The run's posterior is fitted and stored where it has none (``fit_posteriors``). ``trust``: run the
    plug-ins that the run names.

    The file has the columns clip, frame, time_s, why, the task's values, empty, for the labels, and of each the
    predicted value and its standard deviation. An existing file is not replaced: it could hold labels.

    Raises InputError for a run without values, settings that mean nothing, fewer than ``num`` candidates, and a file
    that exists; NotFoundError where features are missing. Nothing is written then.
    """
    as_progress(progress)
    target, opened = as_path(out, "out"), Run(as_path(run, "run"), trust)
    named, improved = (
        [] if given is None else as_list(given, name, "a clip's name or a list of them")
        for given, name in ((clips, "clips"), (for_clips, "for_clips"))
    )
    if target.is_dir() or target.suffix.lower() != ".csv":
        raise InputError(f"out is {target}, expected a file that ends in .csv")
    if target.exists():
        raise InputError(f"{target} exists, and may hold labels: give another --out, or delete it")
    if split is not None and named:
        raise InputError("give --split NAME or --clips ID (one or several), or neither for all clips without labels")
    if for_split is not None and improved:
        raise InputError("give --for-split NAME or --for-clips ID (one or several), or neither for the candidates")
    unknown = [each for each in (split, for_split) if each is not None and each not in SPLITS]
    if unknown:
        raise InputError(f"no split {unknown[0]!r}: there are {', '.join(SPLITS)}")
    opened.finished()
    chosen = _task_of(opened, task)
    dataset = open_dataset(opened.config().data if data is None else data)
    of_data = chosen.for_dataset(dataset)
    labels = {clip: each for side in ("train", "validation") for clip, each in _labels(dataset, of_data, side).items()}
    named, improved = (_named_clips(dataset, of_data, *each) for each in ((split, named), (for_split, improved)))
    kept, notes = _clips_of(dataset, of_data, labels, named, labelled=labelled, test_clips=test_clips)
    from abaw.pipelines.prediction import open_member

    opened_store = as_path(store, "store", optional=True)
    check_choice(num, explore, min_gap_s, seed)  # before the network runs
    member = open_member(opened, opened_store, device)
    for clip_id in [*kept, *improved]:
        member[2].clock(clip_id)  # a clip that was never extracted is an error before anything is computed
    fit_posteriors(member, progress=progress)
    posterior = read_posterior(opened, chosen.name)
    found = _Found.of(member, dataset, chosen, kept, labels, progress)
    if not len(found.clips):
        raise InputError(f"no frame without a label was observed in {first_few([*map(repr, kept)])}")
    found, notes = found.thinned(notes)
    states = None
    if improved:
        states = _Found.of(member, dataset, chosen, improved, {}, progress).thinned([])[0].states
        if not len(states):
            raise InputError(f"nothing was observed in {first_few([*map(repr, improved)])}, for which to choose frames")
        notes.append(f"chosen for the predictions of {format_count(len(improved), 'clip')}")
    picked = choose_frames(
        posterior, found.candidates, num, improved=states, explore=explore, min_gap_s=min_gap_s, seed=seed
    )
    frames = _describe(found, picked, posterior)
    suggestions = Suggestions(target, posterior.columns, frames, len(found.clips), len(kept), tuple(notes))
    _write(suggestions)
    return suggestions


def _task_of(run: Run, name: str | None) -> "Task":
    tasks = {each: task for each, task in run.tasks().items() if task.linear_columns}
    if not tasks:
        raise InputError(
            f"{run.folder} predicts {', '.join(run.tasks())}, and only values have a standard deviation: give a run of "
            "va, mtl or values"
        )
    if name is None and len(tasks) > 1:
        raise InputError(f"{run.folder} predicts values of {', '.join(tasks)}: give --task with one of them")
    if name is not None and name not in tasks:
        raise InputError(f"{run.folder} predicts no values of {name!r}: it has {', '.join(tasks)}")
    task = tasks[name or next(iter(tasks))]
    if task.resolution == "clip":
        raise InputError(f"{run.folder}: a label of {task.name} is of a whole clip, so that no frame is to be labelled")
    return task


def _named_clips(dataset: "Dataset", task: "Task", split: str | None, named: Sequence[str]) -> list[str]:
    """The clips of a split, or those named. Raises InputError for a split without clips and for unknown clips."""
    unknown = [clip_id for clip_id in named if clip_id not in dataset.clips]
    if unknown:
        raise InputError(f"no clip {unknown[0]!r} in {dataset.root}: see abaw check {dataset.root}")
    if split is None:
        return list(dict.fromkeys(named))
    found = list(task.clips(dataset, split))
    if not found:
        raise InputError(f"{dataset.root} has no {split} clips for {task.name}: expected {task.wanted(split)}")
    return found


def _labels(dataset: "Dataset", task: "Task", split: str) -> "dict[str, Labels]":
    return task.read_labels(dataset, split) if task.clips(dataset, split) else {}


def _clips_of(
    dataset: "Dataset",
    task: "Task",
    labels: "Mapping[str, Labels]",
    named: Sequence[str],
    *,
    labelled: bool,
    test_clips: bool,
) -> tuple[list[str], list[str]]:
    """The clips whose frames can be chosen, and notes on those left out. Raises InputError where none is left."""
    test = set(task.clips(dataset, "test"))
    asked = list(named or dataset.clips)
    with_labels = {clip_id for clip_id in asked if clip_id in labels and labels[clip_id].scored.any()}
    of_test = [clip_id for clip_id in asked if clip_id in test]
    if of_test and named and not test_clips:
        raise InputError(
            f"clips of the test set: {first_few([*map(repr, of_test)])}: labels of them must not reach a training; "
            "name other clips, or give --test-clips"
        )
    kept = [
        clip_id for clip_id in asked if (labelled or clip_id not in with_labels) and (test_clips or clip_id not in test)
    ]
    notes = []
    if with_labels and not labelled:
        notes.append(f"left out: {format_count(len(with_labels), 'clip')} with labels (--labelled takes them too)")
    if of_test and not test_clips:
        notes.append(f"left out: {format_count(len(of_test), 'clip')} of the test set (--test-clips takes them too)")
    if not kept:
        raise InputError(
            f"{dataset.root} has no clip without {task.name} labels among those asked for ({'; '.join(notes)}): give "
            "--labelled for the frames without a label of clips that have some, no --split (a clip without a file of "
            "labels may be in none), or another --data"
        )
    return kept, notes


@dataclass(frozen=True, eq=False)
class _Found:
    """The frames that can be chosen, with what was predicted for them."""

    names: Sequence[str]
    clips: np.ndarray
    frames: np.ndarray
    times_s: np.ndarray
    states: np.ndarray
    outputs: np.ndarray

    @staticmethod
    def of(
        member: "Member",
        dataset: "Dataset",
        task: "Task",
        clip_ids: Sequence[str],
        labels: "Mapping[str, Labels]",
        progress: ProgressCallback,
    ) -> "_Found":
        """The observed frames of clips, without those that are scored by ``labels``."""
        from fusion.predict import predict as run_network
        from fusion.validation import state_key

        run, module, source = within_groups([member], dataset.groups)[0]
        columns = [task.columns.index(column) for column in task.linear_columns]
        parts: list[tuple[np.ndarray, ...]] = []
        stream = run_network(module, source, clip_ids, run.config().window, states_of=[task.name])
        for i, (clip_id, raw, seen) in enumerate(stream):
            progress(clip_id, i, len(clip_ids))
            clock, free = source.clock(clip_id), any_observed(seen).copy()
            if clip_id in labels:
                scored = labels[clip_id].at(clock.times_s).scored[: len(free)]
                free[: len(scored)] &= ~scored
            states, outputs = raw[state_key(task.name)], task.probabilities(raw[task.name])[:, columns]
            places = np.full(int(free.sum()), i)
            parts.append((places, clock.frames[free], clock.times_s[free], states[free], outputs[free]))
        return _Found(clip_ids, *(np.concatenate(each) for each in zip(*parts, strict=True)))

    def thinned(self, notes: Sequence[str]) -> "tuple[_Found, list[str]]":
        """With at most ``MAX_CANDIDATES`` frames, and the notes with one that says so."""
        if len(self.clips) <= MAX_CANDIDATES:
            return self, list(notes)
        every = -(-len(self.clips) // MAX_CANDIDATES)
        rows = slice(None, None, every)
        arrays = (self.clips, self.frames, self.times_s, self.states, self.outputs)
        note = f"of {len(self.clips)} frames one in {every} can be chosen"
        return _Found(self.names, *(each[rows] for each in arrays)), [*notes, note]

    @property
    def candidates(self) -> Candidates:
        return Candidates(self.states, self.clips, self.times_s)


def _describe(
    found: _Found, picked: Sequence[tuple[int, Reason]], posterior: "LastLayerPosterior"
) -> tuple[Suggestion, ...]:
    rows = [row for row, _ in picked]
    deviations = posterior.deviations(found.states[rows]).tolist()
    return tuple(
        Suggestion(
            found.names[found.clips[row]],
            int(found.frames[row]),
            float(found.times_s[row]),
            why,
            tuple(found.outputs[row].tolist()),
            tuple(deviation),
        )
        for (row, why), deviation in zip(picked, deviations, strict=True)
    )


def _write(found: Suggestions) -> None:
    predicted = [f"predicted_{column}" for column in found.columns]
    header = ["clip", "frame", "time_s", "why", *found.columns, *predicted, *map(deviation_name, found.columns)]
    rows: list[Sequence[Any]] = [header]
    for each in found.frames:
        values = [f"{value:.4f}" for value in (*each.predicted, *each.deviations)]
        empty = [""] * len(found.columns)
        rows.append([each.clip, each.frame, f"{each.time_s:.3f}", each.why, *empty, *values])
    with atomic_write(found.out) as temporary:
        temporary.write_text(csv_text(rows), encoding="utf-8", newline="")

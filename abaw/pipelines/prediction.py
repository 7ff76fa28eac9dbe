"""Prediction: tables for a split, for named clips, or for what each run held out."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from abaw.dataset.layout import SPLITS, open_dataset
from abaw.dataset.seen import groups_of
from abaw.ensembling import fold_tables, weights
from abaw.ensembling.pooling import pool
from abaw.errors import InputError, NotFoundError
from abaw.files import as_list, as_path, as_paths, check_once
from abaw.numbers import format_count
from abaw.pipelines.members.posteriors import deviations, fit_posteriors, noise_sources, stored_posteriors
from abaw.pipelines.persons.groups import group_records, warn_of_groups, within_groups
from abaw.pipelines.rebuilding import describe_reading, find_stored, notes_of_types
from abaw.postprocessing import parse_post_processing, read_post_processing
from abaw.probabilities.contexts import any_observed
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results import predictions, provenance, replacing
from abaw.results.observed import unobserved_lines
from abaw.results.runs import POST_PROCESSING, Run
from abaw.results.subjects import Subject, person_of, read_subjects, subjects_record, subjects_words

if TYPE_CHECKING:
    import numpy as np

    from abaw.batches import FeatureSource
    from abaw.dataset.layout import Dataset
    from abaw.postprocessing import PostProcessing
    from abaw.results.predictions import Table
    from abaw.tasks.base import Task
    from abaw.uncertainty.last_layer import LastLayerPosterior
    from extract.store.store import Failure
    from fusion.module import FusionModule

    Member = tuple[Run, FusionModule, FeatureSource]
    Chosen = str | list[str] | Mapping[str, list[str]]


@dataclass(frozen=True)
class Predictions:
    """A folder of prediction tables, with a folder for each task in it.

    Of recognisers, ``notes``: where the predictions come from and what they lack, in a line each; ``failed``: the clips
    that could not be read, with the reasons.
    """

    folder: Path
    tasks: "Mapping[str, Task]"
    notes: tuple[str, ...] = ()
    failed: "tuple[Failure, ...]" = ()

    def clips(self, task: str) -> list[str]:
        """The clips that have a table of the task, sorted."""
        return predictions.clip_ids(self.folder / self._known(task))

    def table(self, task: str, clip_id: str) -> "Table":
        """One clip's table. Raises NotFoundError where it has none."""
        return predictions.read_table(self.folder / self._known(task), clip_id, self.tasks[task])

    @property
    def num_tables(self) -> int:
        """How many tables there are of all tasks together."""
        return sum(len(self.clips(task)) for task in self.tasks)

    def _known(self, task: str) -> str:
        if task not in self.tasks:
            raise InputError(f"{self.folder} has no predictions of {task!r}: it has {', '.join(self.tasks)}")
        return task

    def num_unobserved(self, task: str) -> dict[str, tuple[int, int]]:
        """By clip, in how many frames nothing was observed, so that predictions are guesses, and how many it has."""
        return predictions.num_unobserved(self.folder / self._known(task))

    def __str__(self) -> str:
        notes = [f"{task} {line}" for task in self.tasks for line in unobserved_lines(self.num_unobserved(task))]
        failed = f", {len(self.failed)} clips failed" if self.failed else ""
        return "\n".join([*self.notes, *notes, f"{self.folder}: {format_count(self.num_tables, 'table')}{failed}"])


def predict(
    runs: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    split: str | None = None,
    clips: Sequence[str] | None = None,
    held_out: bool = False,
    post_processing: str | Path | None = None,
    data: str | Path | None = None,
    store: str | Path | None = None,
    subjects: str | Path | None = None,
    device: str = "cpu",
    deviation: bool = False,
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> Predictions:
    """Write prediction tables, one a clip, into ``out/<task>``; several runs are averaged.

    Exactly one of ``split`` ("train", "validation" or "test"), ``clips`` (names) and ``held_out`` (what each run
    predicted for the clips it held out, pooled over folds) says which clips. ``post_processing``: a file that ``fit``
    wrote, kept with the tables; by default a single run's own. ``data`` and ``store``: by default those of the run.
    ``deviation``: with the standard deviation of every value, from the posterior of each run's last layer, which is
    fitted to its training clips and stored in the run where it has none. ``trust``: run the plug-ins that the runs
    name. ``subjects``: a folder that ``personalise`` wrote with the run; the clips of its persons are predicted
    with their vectors. Such tables are a protocol of their own.

    Raises InputError for a run that is not complete or whose weights are damaged, for an unknown split or clip, and
    for a plug-in that is neither loaded nor trusted; NotFoundError where features are missing. Features that the store
    has in another type only, as int8, are read in that; the notes of the predictions say so.
    """
    as_progress(progress)
    folders = as_paths(runs, "runs")
    to, opened_store = as_path(out, "out"), as_path(store, "store", optional=True)
    named = [] if clips is None else as_list(clips, "clips", "a clip's name or a list of them")
    if not folders:
        raise InputError("no run to predict with: train one with abaw train CONFIG, or give --recogniser NAME")
    if (split is not None) + bool(named) + held_out != 1:
        raise InputError("give either --split NAME or --clips ID (one or several), or --held-out: one of them")
    if split is not None and split not in SPLITS:
        raise InputError(f"no split {split!r}: there are {', '.join(SPLITS)}")
    check_once(folders, "run")
    of_subjects = as_path(subjects, "subjects", optional=True)
    if of_subjects is not None and (held_out or len(folders) > 1):
        raise InputError("--subjects has vectors of one run: give that run alone, without --held-out")
    if of_subjects is not None and deviation:
        raise InputError("--deviation is of the network without vectors of persons: give it without --subjects")
    opened = [Run(folder, trust) for folder in folders]
    kept = post_processing_of(opened, as_path(post_processing, "post_processing", optional=True))
    tasks = {name: task for run in opened for name, task in run.tasks().items()}
    if held_out:
        if deviation:
            raise InputError(
                "--deviation is not for --held-out, whose tables were written by the training: give --clips"
            )
        pool(opened, to, kept)
        return Predictions(to, tasks)
    members = [open_member(run, opened_store, device) for run in opened]
    dataset = open_dataset(opened[0].place("data") if data is None else data)
    vectors = read_subjects(of_subjects, opened[0]) if of_subjects is not None else {}
    for member in members if deviation else ():
        fit_posteriors(member, progress=progress)
    write_predictions(members, dataset, tasks, split or named, to, kept, progress, vectors, deviation=deviation)
    of_tasks = [predictions.read_metadata(to / name).get("subjects") for name in tasks]
    notes = [*notes_of_types(members), *(subjects_words(each) for each in of_tasks if each)]
    return Predictions(to, tasks, tuple(dict.fromkeys(notes)))


def post_processing_of(runs: Sequence[Run], file: Path | None) -> "dict[str, PostProcessing]":
    """Task -> post-processing from the file; without one, what a task's only run has in its post_processing.json."""
    for run in runs:
        run.finished()
    of_run = [(run, name, task) for run in runs for name, task in run.tasks().items()]
    if file is not None:
        return read_post_processing(file, {name: task for _, name, task in of_run})
    names, found = [name for _, name, _ in of_run], {}
    for run, name, task in of_run:
        document = run.post_processing().get(name)
        if names.count(name) == 1 and document:
            found[name] = parse_post_processing(document, f"{run.folder / POST_PROCESSING}, {name}", task)
    return found


def open_member(run: Run, store: Path | None, device: str) -> "Member":
    """A complete run with its network and its features."""
    from extract.store.source import AlignedSource
    from extract.store.store import FeatureStore

    document, config = run.finished(), run.config()
    run.check_weights()
    place = store or run.place("store")
    if not place.is_dir():
        raise NotFoundError(f"no store at {place}, expected the folder that abaw extract wrote the features into")
    opened = FeatureStore(place)
    recipes = {name: find_stored(opened, recipe) for name, recipe in document["recipes"].items()}
    source = AlignedSource(opened, config.features, recipes)
    from fusion.train import load_module

    return run, load_module(run.folder, config, run.tasks(), device), source


def write_predictions(
    members: "Sequence[Member]",
    dataset: "Dataset",
    tasks: "Mapping[str, Task]",
    chosen: "Chosen",
    out: Path,
    post_processing: "Mapping[str, PostProcessing] | None" = None,
    progress: ProgressCallback = silent,
    subjects: Mapping[str, Subject] | None = None,
    *,
    deviation: bool = False,
) -> int:
    """Tables of every task for a split, for the named clips, or for each task's own; returns how many were written.

    Where the members are of several folds, those of each are written too, in ``folds/<fold>`` (``fold_tables``), and
    are not counted; scale and bias of the post-processing are matched from the mean to them. ``subjects``: vectors of
    persons, made with the only member's run. ``deviation``: with the
    standard deviations of values, by the posteriors that are stored in the members' runs.
    """
    of_task = {name: _clips(dataset, task, chosen) for name, task in tasks.items()}
    for _, _, source in members:  # a clip that was never extracted is an error before old tables are removed
        for clip_id in {clip_id for clips in of_task.values() for clip_id in clips}:
            source.clock(clip_id)
    members, num_tables = within_groups(members, dataset.groups), 0
    own = {name: [each for each in members if name in each[0].tasks()] for name in tasks}
    folds = {name: fold_tables.runs_by_fold([run for run, _, _ in own[name]]) for name in tasks}
    with replacing.replace_tables_of(out, of_task), ExitStack() as held:
        for name in sorted(tasks):
            held.enter_context(fold_tables.replace_fold_tables(out / name, folds[name], of_task[name]))
        persons = (subjects or {}, dataset.groups)
        for clip_id, tables in predict_tables(members, tasks, of_task, progress, deviation, persons):
            for name, each in tables.items():
                predictions.write_table(out / name, clip_id, _mean(each), tasks[name])
                for fold, which in folds[name].items():
                    one = _mean([each[i] for i in which])
                    predictions.write_table(fold_tables.place(out / name, fold), clip_id, one, tasks[name])
                num_tables += 1
        for name, task in tasks.items():
            kept = (post_processing or {}).get(name)
            sources = noise_sources([run for run, _, _ in own[name]], name) if deviation else {}
            common = {
                "task": name,
                "split": chosen if isinstance(chosen, str) else _split_of(dataset, task, of_task[name]),
                **describe_reading(own[name], of_task[name]),
                **({"deviations": sources} if sources else {}),
                **predictions.settings_of(task),
            }
            own_facts: dict[str, Any] = {"folds": list(folds[name])} if folds[name] else {}
            if subjects:
                record = subjects_record(subjects, of_task[name], dataset.groups)
                own_facts |= {"subjects": record, "subject_adapted": True}
            for fold, which in folds[name].items():
                about = _about([own[name][i] for i in which], groups_of(dataset, of_task[name]), kept)
                predictions.write_metadata(fold_tables.place(out / name, fold), {**common, **about})
            alike, several = weights.mean(1), list(folds[name])
            kept, _ = fold_tables.match_folds([out / name], [several], task, alike, kept)
            about = _about(own[name], groups_of(dataset, of_task[name]), kept)
            predictions.write_metadata(out / name, {**common, **about, **own_facts})
    return num_tables


def predict_tables(
    members: "Sequence[Member]",
    tasks: "Mapping[str, Task]",
    of_task: Mapping[str, Sequence[str]],
    progress: ProgressCallback = silent,
    deviation: bool = False,
    persons: tuple[Mapping[str, Subject], Mapping[str, str]] = ({}, {}),
) -> "Iterator[tuple[str, dict[str, list[Table]]]]":
    """Clip by clip, by task that asks for the clip, the table of each member that knows the task, in their order.

    A member with features of ``normalise: group`` standardises every clip by itself where its source does not know
    groups (``within_groups``). ``deviation``: with standard deviations of the tasks whose posterior a run stores.
    ``persons``: the vectors of persons, and the group of each clip. Raises InputError where two members have other
    columns for a task.
    """
    import torch

    from fusion.predict import predict as run_network

    for run, module, _ in members:
        for name in tasks.keys() & module.tasks.keys():
            if module.tasks[name].columns != tasks[name].columns:
                raise InputError(
                    f"{run.folder} has {name} of {', '.join(module.tasks[name].columns)}, another run of "
                    f"{', '.join(tasks[name].columns)}: predict with runs of the same {name}"
                )
    clip_ids = list(dict.fromkeys(clip_id for clips in of_task.values() for clip_id in clips))
    members = within_groups(members, {})
    subjects, groups = persons
    known = {clip_id: subjects[who] for clip_id in clip_ids if (who := person_of(clip_id, groups)) in subjects}
    for _, module, _ in members:
        module.vectors = {clip_id: torch.from_numpy(each.vector.copy()) for clip_id, each in known.items()}
    posteriors = [stored_posteriors(run) if deviation else {} for run, _, _ in members]
    streams = [
        run_network(module, source, clip_ids, run.config().window, states_of=list(of_run))
        for (run, module, source), of_run in zip(members, posteriors, strict=True)
    ]
    for done, clip_id in enumerate(clip_ids):
        progress(clip_id, done, len(clip_ids))
        members_tables: dict[str, list[Table]] = {name: [] for name in tasks if clip_id in of_task[name]}
        for (_, _, source), stream, of_run in zip(members, streams, posteriors, strict=True):
            _, raw, seen = next(stream)
            clock = source.clock(clip_id)
            for name in members_tables.keys() & raw.keys():
                table = make_table(tasks[name], clock.frames, clock.times_s, raw, seen, of_run.get(name))
                members_tables[name].append(table)
        yield clip_id, members_tables
    warn_of_groups(members)


def make_table(
    task: "Task",
    frames: "np.ndarray",
    times_s: "np.ndarray",
    raw: "Mapping[str, np.ndarray]",
    seen: "Mapping[str, np.ndarray]",
    posterior: "LastLayerPosterior | None",
) -> "Table":
    """The table of a task from a network's raw outputs, and where each modality was observed."""
    values, spread = task.probabilities(raw[task.name]), deviations(task, raw, posterior)
    return predictions.Table(frames, times_s, any_observed(seen), values, task.columns, dict(seen), spread)


def _mean(tables: "Sequence[Table]") -> "Table":
    return weights.mean(len(tables)).table(tables)


def _about(members: "Sequence[Member]", clips: Mapping[str, str], kept: "PostProcessing | None") -> dict[str, object]:
    runs = [run for run, _, _ in members]
    about = provenance.merged([provenance.of_run(run, clips) for run in runs])
    ensemble = weights.mean(len(runs)).document([str(run.folder) for run in runs])
    post_processing = kept.document() if kept else {}
    ensembles = {"post_processing": post_processing, "ensemble": ensemble if len(runs) > 1 else {}}
    return {**about, **group_records(members), **ensembles}


def _clips(dataset: "Dataset", task: "Task", chosen: "Chosen") -> list[str]:
    if not isinstance(chosen, str):
        named = list(chosen[task.name] if isinstance(chosen, Mapping) else chosen)
        unknown = [clip_id for clip_id in named if clip_id not in dataset.clips]
        if unknown:
            raise InputError(f"no clip {unknown[0]!r} in {dataset.root}: see abaw check {dataset.root}")
        return named
    clips = list(task.clips(dataset, chosen))
    if not clips:
        raise InputError(
            f"{dataset.root} has no {chosen} clips for {task.name}: expected {task.wanted(chosen)}, or name clips with "
            "--clips"
        )
    return clips


def _split_of(dataset: "Dataset", task: "Task", clip_ids: Sequence[str]) -> str | None:
    """The split that has exactly these clips."""
    return next((split for split in SPLITS if set(task.clips(dataset, split)) == set(clip_ids)), None)

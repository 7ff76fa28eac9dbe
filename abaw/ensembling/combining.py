"""Ensembles of prediction folders: members checked, weighted, and combined into one folder of tables."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import get_args

import numpy as np

from abaw.calibration import fitting
from abaw.calibration.gains import MIN_GROUPS
from abaw.configs.sections import EnsembleMethod
from abaw.dataset.layout import open_once
from abaw.ensembling import selection, weights
from abaw.ensembling.fold_tables import folds_of, match_folds
from abaw.ensembling.weights import EnsembleWeights
from abaw.errors import InputError
from abaw.evaluation import labelled_tables
from abaw.evaluation.leaks import fitted_on_of
from abaw.files import as_path, as_paths
from abaw.postprocessing import PostProcessing, read_post_processing
from abaw.results import predictions, provenance
from abaw.results.observed import unobserved_lines
from abaw.tasks.base import Task


def check_members(wheres: Sequence[Path], out: Path, task: Task, like: Path | None = None) -> None:
    """Raises InputError for the first difference between members in clips, frames or times, or if ``out`` is one."""
    names = [str(where) for where in wheres]
    if len({where.resolve() for where in wheres}) < len(wheres):
        raise InputError(f"a folder is given twice: {', '.join(names)}; give each member once")
    if out.resolve() in {where.resolve() for where in wheres}:
        raise InputError(f"{out} is a member itself: give another --out")
    if like is not None and out.resolve() == like.resolve():
        raise InputError(f"{out} is the ensemble whose weights are taken: give another --out")
    first = predictions.clip_ids(wheres[0])
    if not first:
        raise InputError(f"{names[0]} holds no table at all: run abaw predict again")
    for where, name in zip(wheres[1:], names[1:], strict=True):
        lone = sorted(set(first) ^ set(predictions.clip_ids(where)))
        if lone:
            here, there = (names[0], name) if lone[0] in first else (name, names[0])
            raise InputError(f"{here} has clip {lone[0]!r}, {there} has not: predict the same clips with all members")
    for clip_id in first:
        try:
            weights.check_agreement([predictions.read_table(where, clip_id, task) for where in wheres], names)
        except ValueError as error:
            raise InputError(f"clip {clip_id!r}: {error}") from error


def write(
    wheres: Sequence[Path], out: Path, task: Task, ensemble: EnsembleWeights, post_processing: PostProcessing | None
) -> dict[str, tuple[int, int]]:
    """Write the ensemble's tables and predictions.json, for which ``out`` is held.

    Returns, for each clip, how many frames no member observed, and how many it has.
    ``fitted_on`` also names the videos and groups that the weights of a member, itself an ensemble, were fitted on.
    """
    abouts = [predictions.read_metadata(where) for where in wheres]
    clip_ids, frames = predictions.clip_ids(wheres[0]), {}
    for clip_id in clip_ids:
        tables = [predictions.read_table(where, clip_id, task) for where in wheres]
        combined = ensemble.table(tables)
        frames[clip_id] = int((~combined.observed).sum()), len(combined.observed)
        predictions.write_table(out, clip_id, combined, task)
    seen = ensemble.seen
    for about in abouts:
        seen |= fitted_on_of(about.get("ensemble") or {})
    splits = {about.get("split") for about in abouts}
    about = {
        "task": task.name,
        "split": splits.pop() if len(splits) == 1 else None,
        **provenance.merged(abouts),
        "post_processing": post_processing.document() if post_processing else {},
        "ensemble": ensemble.with_seen(seen).document([str(where) for where in wheres]),
        **predictions.settings_of(task),
    }
    predictions.write_metadata(out, about)
    return frames


@dataclass(frozen=True)
class CombineResult:
    """The ensemble of one task: its weights, the members' folders in their order, and remarks.

    ``scores`` (only where weights were fitted): the official ranking score of each member by its folder, of their
    "mean", and of "weighted", which is cross-fitted. ``remarks`` say what fitting the weights is expected to gain.
    """

    task: str
    weights: EnsembleWeights
    members: tuple[str, ...]
    num_tables: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{name} {value:.4f}{' (cross-fitted)' * (name == 'weighted')}" for name, value in self.scores.items()]
        for member, each in zip(self.members, self.weights.weights, strict=True):
            lines.append(f"{self.weights.how} {', '.join(f'{weight:.3f}' for weight in each)} {member}")
        return "\n".join(f"{self.task} {line}" for line in (*lines, *self.remarks))


@dataclass(frozen=True)
class CombineReport:
    """What ``combine`` made: a result for each task, and the folder of the tables."""

    results: dict[str, CombineResult]
    out: Path

    @property
    def num_tables(self) -> int:
        """How many tables were written."""
        return sum(each.num_tables for each in self.results.values())

    def __str__(self) -> str:
        return "\n".join([*map(str, self.results.values()), f"{self.out}: {self.num_tables} tables"])


@open_once()
def combine(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    how: str | None = None,
    like: str | Path | None = None,
    fit: bool = False,
    data: str | Path | None = None,
    exclude_split: str | None = None,
    trust: bool = False,
    post_processing: str | Path | None = None,
    task: str | None = None,
) -> CombineReport:
    """Combine prediction folders into an ensemble of their raw tables, in a folder ``out/<task>`` for each task.

    ``how``: "mean" (default), "weighted" (needs ``fit``), or "centred" (for values such as valence, without labels).
    ``like``: take the weights of this ensemble, its first member's for the first folder. ``fit``: fit weights on the
    labels of these held-out tables, of the data set ``data`` (default: the first run's), without the split
    ``exclude_split``; ``trust``: take tables that do not say whether they are held out. ``post_processing``: a file
    that ``fit`` wrote, kept with the tables; the members' own is left out. Where members are means of several folds,
    its scale and bias are matched to them (``match_folds``). ``task``: one task; by default all.

    Raises InputError where members differ in clips, frames or times, for options that contradict each other, and for
    a leak; NotFoundError where a folder has no tables. Nothing is written then.
    """
    wheres = as_paths(folders, "folders")
    file = as_path(post_processing, "post_processing", optional=True)
    to = as_path(out, "out")
    if not wheres:
        raise InputError("no folder to combine: give two or more folders of prediction tables")
    asked = _Method(
        how, as_path(like, "like", optional=True), fit, as_path(data, "data", optional=True), exclude_split, trust
    )
    asked.check()
    names = [task] if task else list(dict.fromkeys(name for each in wheres for name in predictions.tasks_in(each)))
    members = {name: [predictions.resolve(folder, name) for folder in wheres] for name in names}
    tasks = {name: labelled_tables.task_of(members[name][0], name) for name in names}
    kept = read_post_processing(file, tasks) if file else {}
    for name in names:
        taken = predictions.resolve(asked.like, name) if asked.like else None
        check_members(members[name], to / name, tasks[name], taken)
    results = {name: _weigh(members[name], tasks[name], asked) for name in names}
    clips = {name: predictions.clip_ids(members[name][0]) for name in names}
    match = {}
    for name, each in results.items():
        folds = [folds_of(predictions.read_metadata(where)) for where in members[name]]
        match[name] = match_folds(members[name], folds, tasks[name], each.weights, kept.get(name))
    with predictions.replace_tables_of(to, clips):
        for name, each in results.items():
            post_processed, notes = match[name]
            frames = write(members[name], to / name, tasks[name], each.weights, post_processed)
            remarks = (*each.remarks, *notes, *unobserved_lines(frames))
            results[name] = replace(each, num_tables=len(frames), remarks=remarks)
    return CombineReport(results, to)


@dataclass(frozen=True)
class _Method:
    """How members are weighted: the options of ``combine``."""

    how: str | None
    like: Path | None
    fit: bool
    data: Path | None
    exclude_split: str | None
    trust: bool

    def check(self) -> None:
        if self.how is not None and self.how not in get_args(EnsembleMethod):
            raise InputError(f"no ensemble {self.how!r}: --how is one of {', '.join(get_args(EnsembleMethod))}")
        if self.like is not None and (self.how or self.fit):
            raise InputError("--like takes everything from the other ensemble: leave out --how and --fit")
        if self.fit and self.how not in (None, "weighted"):
            raise InputError(f"--fit is for --how weighted: {self.how} needs no labels")
        if self.how == "weighted" and not self.fit:
            raise InputError("--how weighted needs --fit (on held-out tables), or --like another ensemble")
        if (self.data or self.exclude_split or self.trust) and not self.fit:
            raise InputError("--data, --exclude-split and --trust say what weights are fitted on: give --fit with them")


def _weigh(wheres: Sequence[Path], task: Task, asked: _Method) -> CombineResult:
    """The members' weights: fitted, taken from another ensemble, or computed from the tables."""
    if asked.fit:
        return _fitted(wheres, task, asked)
    names = tuple(map(str, wheres))
    if asked.like is not None:
        return CombineResult(task.name, _like(asked.like, task, len(wheres)), names)
    if asked.how != "centred":
        return CombineResult(task.name, weights.mean(len(wheres)), names)
    if {block for block, _ in task.blocks} != {"values"}:
        raise InputError(f"{task.name}: centred is for values, as of va: take mean or weighted for {task.name}")
    clip_ids = predictions.clip_ids(wheres[0])
    tables = [np.concatenate([predictions.read_table(where, c, task).values for c in clip_ids]) for where in wheres]
    return CombineResult(task.name, weights.centre(tables), names)


def _like(folder: Path, task: Task, num: int) -> EnsembleWeights:
    where = predictions.resolve(folder, task.name)
    document = predictions.read_metadata(where).get("ensemble")
    if not document:
        raise InputError(f"{where} is no ensemble: --like takes a folder that abaw combine made")
    found = weights.read_weights(document, f"{where / predictions.METADATA}, ensemble")
    if len(found.weights) != num:
        raise InputError(f"{where} has {len(found.weights)} members, {num} folders are given: give them in its order")
    return found


def _fitted(wheres: Sequence[Path], task: Task, asked: _Method) -> CombineResult:
    """Fitted weights, kept where they clearly gain on clips they were not fitted on, else the mean."""
    dataset = labelled_tables.dataset_of(wheres[0], asked.data)
    labels = labelled_tables.labels_to_fit_on(dataset, task, asked.exclude_split)
    members = [labelled_tables.read_held_out(where, task, labels, trust=asked.trust) for where in wheres]
    names = tuple(map(str, wheres))
    scores = {
        name: fitting.rank(task, selection.combined(task, [member], weights.mean(1)))
        for name, member in zip(names, members, strict=True)
    }
    scores["mean"] = fitting.rank(task, selection.combined(task, members, weights.mean(len(members))))
    made_by = provenance.merged([predictions.read_metadata(where) for where in wheres])["made_by"]
    groups = fitting.groups_of(members[0], made_by)
    found, choice = selection.choose_weights(task, members, groups)
    if choice is None:
        few = f"note: weights are not fitted on fewer than {MIN_GROUPS} videos or groups: the mean is kept"
        return CombineResult(task.name, found, names, scores=scores, remarks=(few,))
    scores["weighted"] = fitting.rank(task, choice.tried["weighted"])
    gain, remarks = choice.gains["weighted"], []
    if choice.kept == "mean":
        remarks.append(
            f"note: fitted weights gain {gain} on clips that they were not fitted on, not more than that error: the "
            "mean is kept"
        )
    else:
        remarks.append(
            f"fitted weights gain {gain} on clips that they were not fitted on; {choice.strength:.2f} of their "
            "difference to the mean is kept"
        )
    num = len(set(groups.values()))
    how = f"cross-fitted over {num} groups with the choice made anew without each"
    remarks.append(f"gain to expect on other videos {choice.expected}: {how}")
    return CombineResult(task.name, found, names, scores=scores, remarks=tuple(remarks))

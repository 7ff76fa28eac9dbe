"""Ensembles of prediction folders: members checked, weighted, and combined into one folder of tables."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from abaw.dataset.layout import open_once
from abaw.ensembling import weights
from abaw.ensembling.fold_tables import folds_of, match_folds
from abaw.ensembling.result import CombineReport, CombineResult
from abaw.ensembling.strength import Comoments, add_outputs
from abaw.ensembling.weighing import Method, weigh
from abaw.errors import InputError
from abaw.evaluation import labelled_tables
from abaw.evaluation.leaks import fitted_on_of
from abaw.files import as_path, as_paths
from abaw.postprocessing import PostProcessing, read_post_processing
from abaw.progress import ProgressCallback, as_progress, silent, with_progress
from abaw.results import predictions, provenance, replacing
from abaw.results.observed import unobserved_lines
from abaw.results.subjects import check_no_subjects
from abaw.tasks.base import Task


def check_members(
    wheres: Sequence[Path], out: Path, task: Task, like: Path | None = None, progress: ProgressCallback = silent
) -> Comoments:
    """How the members' outputs vary together.

    Raises InputError for the first difference between members in clips, frames or times, or if ``out`` is one.
    """
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
    outputs = Comoments()
    for clip_id in with_progress(first, progress, f"reading {task.name} of {{}}".format):
        tables = [predictions.read_table(where, clip_id, task) for where in wheres]
        try:
            weights.check_agreement(tables, names)
        except ValueError as error:
            raise InputError(f"clip {clip_id!r}: {error}") from error
        add_outputs(outputs, task, tables)
    return outputs


def write(
    out: Path,
    task: Task,
    found: CombineResult,
    post_processing: PostProcessing | None,
    progress: ProgressCallback = silent,
) -> dict[str, tuple[int, int]]:
    """Write the ensemble's tables and predictions.json, for which ``out`` is held.

    Returns, for each clip, how many frames no member observed, and how many it has.
    ``fitted_on`` also names the videos and groups that the weights of a member, itself an ensemble, were fitted on.
    """
    wheres, ensemble = [Path(member) for member in found.members], found.weights
    abouts = [predictions.read_metadata(where) for where in wheres]
    clip_ids, frames = predictions.clip_ids(wheres[0]), {}
    for clip_id in with_progress(clip_ids, progress, f"writing {task.name} of {{}}".format):
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
        "ensemble": {
            **ensemble.with_seen(seen).document(found.members),
            **({"dropped": list(found.dropped)} if found.dropped else {}),
            "strength": found.strength.document(),
        },
        **predictions.settings_of(task),
    }
    if not lacking_deviations(abouts):
        about["deviations"] = {run: noise for each in abouts for run, noise in each.get("deviations", {}).items()}
    predictions.write_metadata(out, about)
    return frames


def lacking_deviations(abouts: Sequence[Mapping[str, Any]]) -> list[int]:
    """The positions of the members without standard deviations."""
    return [i for i, about in enumerate(abouts) if not about.get("deviations")]


@open_once()
def combine(
    folders: Sequence[str | Path],
    out: str | Path,
    *,
    how: str | None = None,
    like: str | Path | None = None,
    fit: bool = False,
    drop_useless: bool = False,
    data: str | Path | None = None,
    exclude_split: str | None = None,
    trust: bool = False,
    post_processing: str | Path | None = None,
    task: str | None = None,
    progress: ProgressCallback = silent,
) -> CombineReport:
    """Combine prediction folders into an ensemble of their raw tables, in a folder ``out/<task>`` for each task.

    ``how``: "mean" (default), "weighted" (needs ``fit``), or "centred" (for values such as valence, without labels).
    ``like``: take the weights of this ensemble, its first member's for the first folder. ``fit``: fit weights on the
    labels of these held-out tables. ``drop_useless``: leave out members without which the ensemble scores no lower on
    them. Both without the split ``exclude_split``; ``trust``: take tables that do not say whether they are held out.
    ``data``: the data set with the labels (default: the first run's), by which members are scored in any case; where
    there are none, a remark says why they are not. ``post_processing``: a file
    that ``fit`` wrote, kept with the tables; the members' own is left out. Where members are means of several folds,
    its scale and bias are matched to them (``match_folds``). ``task``: one task; by default all.

    Raises InputError where members differ in clips, frames or times, for options that contradict each other, and for
    a leak; NotFoundError where a folder has no tables. Nothing is written then.
    """
    as_progress(progress)
    wheres = as_paths(folders, "folders")
    file = as_path(post_processing, "post_processing", optional=True)
    to = as_path(out, "out")
    if not wheres:
        raise InputError("no folder to combine: give two or more folders of prediction tables")
    take, labels = as_path(like, "like", optional=True), as_path(data, "data", optional=True)
    asked = Method(how, take, fit, drop_useless, labels, exclude_split, trust)
    asked.check()
    names = [task] if task else list(dict.fromkeys(name for each in wheres for name in predictions.tasks_in(each)))
    members = {name: [predictions.resolve(folder, name) for folder in wheres] for name in names}
    for where in {where for several in members.values() for where in several}:
        check_no_subjects(where, "an ensemble")
    tasks = {name: labelled_tables.task_of(members[name][0], name) for name in names}
    kept = read_post_processing(file, tasks) if file else {}
    outputs = {}
    for name in names:
        taken = predictions.resolve(asked.like, name) if asked.like else None
        outputs[name] = check_members(members[name], to / name, tasks[name], taken, progress)
    results = {name: weigh(members[name], tasks[name], asked, outputs[name]) for name in names}
    clips = {name: predictions.clip_ids(members[name][0]) for name in names}
    match = {}
    for name, each in results.items():
        left = [Path(member) for member in each.members]
        folds = [folds_of(predictions.read_metadata(where)) for where in left]
        match[name] = match_folds(left, folds, tasks[name], each.weights, kept.get(name))
    with replacing.replace_tables_of(to, clips):
        for name, each in results.items():
            post_processed, notes = match[name]
            frames = write(to / name, tasks[name], each, post_processed, progress)
            lacking = lacking_deviations([predictions.read_metadata(Path(member)) for member in each.members])
            if 0 < len(lacking) < len(each.members):
                notes = (*notes, f"note: no standard deviations, because {each.members[lacking[0]]} has none")
            remarks = (*each.remarks, *notes, *unobserved_lines(frames))
            results[name] = replace(each, num_tables=len(frames), remarks=remarks)
    return CombineReport(results, to)

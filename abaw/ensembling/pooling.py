"""Pooling: what several runs predicted for the clips that each held out, in one prediction folder per task."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from abaw.dataset.seen import Seen
from abaw.errors import InputError
from abaw.folds import check_apart
from abaw.postprocessing import PostProcessing
from abaw.results import predictions, provenance, replacing
from abaw.results.runs import Run
from abaw.tasks.base import Task


def pool(runs: Sequence[Run], out: Path, post_processings: Mapping[str, PostProcessing]) -> int:
    """Write the runs' own validation tables, raw, to a folder in ``out`` for each task; returns how many.

    Raises InputError where two runs held out the same clip, where a run was trained on what it held out, or where it
    held out nothing; then nothing is written.
    """
    tasks = {name: task for run in runs for name, task in run.tasks().items()}
    found = {name: _sources(runs, name) for name in tasks}
    for name, sources in found.items():
        for where, _ in sources.values():
            if (out / name).resolve() == where.resolve():
                raise InputError(f"{out} already holds these tables: give another --out")
        for clip_id, (where, _) in sources.items():  # all are read before old tables are deleted
            predictions.read_table(where, clip_id, tasks[name])
    with replacing.replace_tables_of(out, found):
        for name, sources in found.items():
            for clip_id, (where, _) in sources.items():
                predictions.write_table(
                    out / name, clip_id, predictions.read_table(where, clip_id, tasks[name]), tasks[name]
                )
            predictions.write_metadata(out / name, _about(tasks[name], sources, post_processings.get(name)))
    return sum(map(len, found.values()))


def _sources(runs: Sequence[Run], name: str) -> dict[str, tuple[Path, Run]]:
    """Clip -> the folder of its table and the run that held it out."""
    found: dict[str, tuple[Path, Run]] = {}
    for run in runs:
        if name not in run.tasks():
            continue
        tables = run.predictions("validation")
        if not tables.is_dir():
            raise InputError(f"{run.folder} has no tables of clips that it held out: name the runs of the folds")
        where = predictions.resolve(tables, name)
        clip_ids = predictions.clip_ids(where)
        # clips alone: a run's own groups were kept apart when it was trained
        seen = Seen.of_side(run.document(), "train")
        check_apart(seen, dict.fromkeys(clip_ids, ""), f"the training of {run.folder}")
        for clip_id in clip_ids:
            if clip_id in found:
                raise InputError(
                    f"clip {clip_id!r} was held out by {found[clip_id][1].folder} and by {run.folder}: "
                    "name the runs of one set of folds"
                )
            found[clip_id] = where, run
    return dict(sorted(found.items()))


def _about(
    task: Task, sources: Mapping[str, tuple[Path, Run]], post_processing: PostProcessing | None
) -> dict[str, object]:
    clips_of: dict[Path, list[str]] = {}
    for clip_id, (where, _) in sources.items():
        clips_of.setdefault(where, []).append(clip_id)
    abouts, splits = [], set()
    for where, clip_ids in clips_of.items():
        run, recorded = sources[clip_ids[0]][1], predictions.read_metadata(where)
        abouts.append({**provenance.of_run(run, dict.fromkeys(clip_ids, "")), "commit": recorded.get("commit")})
        splits.add(recorded.get("split"))
    made_by = {clip_id: str(run.folder) for clip_id, (_, run) in sources.items()}
    return {
        "task": task.name,
        "split": splits.pop() if len(splits) == 1 else None,
        **provenance.merged(abouts),
        "made_by": made_by if len(clips_of) > 1 else {},
        "post_processing": post_processing.document() if post_processing else {},
        "ensemble": {},
        **predictions.settings_of(task),
    }

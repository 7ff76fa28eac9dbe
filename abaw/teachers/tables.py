"""Folders of prediction tables as teachers: what they have seen, and for which clips they may give targets."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from abaw.dataset.layout import Dataset
from abaw.dataset.seen import Seen, groups_of
from abaw.errors import InputError
from abaw.evaluation.leaks import check_provenance, fitted_on_of, made_by
from abaw.files import sha256
from abaw.files.names import first_few
from abaw.folds import ByTask, check_apart, seen_in
from abaw.numbers import format_count
from abaw.results import predictions
from abaw.results.runs import Run
from abaw.results.selection import chosen_on
from abaw.results.subjects import check_no_subjects
from abaw.tasks.base import Task

NEEDED = ("videos_seen", "label_tasks_seen")  # what predictions.json must say, so that no leak stays hidden


@dataclass(frozen=True)
class Teacher:
    """A folder of one task's prediction tables. ``about``: its predictions.json, {} where there is none."""

    where: Path
    task: str
    about: Mapping[str, Any]
    clips: tuple[str, ...]

    @cached_property
    def runs(self) -> tuple[str, ...]:
        """The folders of the runs that made the tables."""
        return tuple(self.about.get("run") or ())

    @property
    def unknown(self) -> list[str]:
        """What predictions.json does not say and would have to."""
        return [key for key in NEEDED if self.about.get(key) is None or key in (self.about.get("incomplete") or ())]

    def seen(self, clips: Iterable[str]) -> Seen:
        """The videos and groups whose labels the tables of these clips were made from, as far as it is recorded.

        Where the run that made each of these tables is recorded, as by ``abaw predict --held-out``, only those runs
        count.
        """
        made, wanted = made_by(self.about, clips), set(clips)
        makers = {run for runs in made for run in runs.split(" + ")}
        fitted_on = fitted_on_of(self.about.get("ensemble") or {})
        is_complete = sum(map(len, made.values())) == len(wanted)
        if makers and is_complete and all((Path(run) / "run.json").is_file() for run in makers):
            found = [Seen.of_side(Run(Path(run)).document(), "train") for run in sorted(makers)]
        else:
            found = [Seen(tuple(self.about.get("videos_seen") or ()), tuple(self.about.get("groups_seen") or ()))]
        for each in found:
            fitted_on = fitted_on | each
        return fitted_on

    def chosen_on(self) -> Seen:
        """The videos and groups on which the epochs of its runs were chosen, where these runs are still there."""
        found = Seen()
        for run in self.runs:
            if (Path(run) / "run.json").is_file():
                found = found | chosen_on(Run(Path(run)).document())
        return found

    def document(self) -> dict[str, Any]:
        """What run.json records of it; the hash is that of predictions.json, which holds those of the tables."""
        metadata = self.where / predictions.METADATA
        keys = ("run", "commit", "seeds", "held_out", "recognisers")
        return {
            "folder": str(self.where),
            "task": self.task,
            **{key: self.about[key] for key in keys if key in self.about},
            "sha256": sha256(metadata) if metadata.is_file() else None,
        }


def find_teachers(folders: Sequence[str], tasks: Mapping[str, Task]) -> dict[str, list[Teacher]]:
    """Task -> the teachers that have tables of it.

    Raises InputError for a folder without tables of one of the config's tasks, and for one that is named twice.
    """
    found: dict[str, list[Teacher]] = {}
    places = [Path(folder).resolve() for folder in folders]
    if twice := [folder for i, folder in enumerate(folders) if places[i] in places[:i]]:
        raise InputError(f"{twice[0]} is named twice: name each folder of tables once")
    for folder in map(Path, folders):
        known = predictions.tasks_in(folder)
        if not (common := [name for name in tasks if name in known]):
            raise InputError(
                f"{folder} has predictions of {', '.join(known)}, the config has the tasks {', '.join(tasks)}: name a "
                "folder with predictions of one of these"
            )
        for name in common:
            where = predictions.resolve(folder, name)
            about = predictions.read_metadata(where)
            check_provenance(about, where)
            check_no_subjects(where, "a training")
            found.setdefault(name, []).append(Teacher(where, name, about, tuple(predictions.clip_ids(where))))
    return found


@dataclass(frozen=True)
class ClipChoice:
    """The clips that get targets of a task.

    ``test``: those of them that are of the test list or of no split. ``held_out``: clips with tables that get no
    targets, because they are held out. ``incomplete``: those that get none, because only some teachers have tables.
    """

    clips: tuple[str, ...]
    test: tuple[str, ...]
    held_out: tuple[str, ...]
    incomplete: tuple[str, ...]


def choose_clips(
    task: Task,
    teachers: Sequence[Teacher],
    dataset: Dataset,
    tasks: Mapping[str, Task],
    labels: Mapping[str, ByTask],
    key: str,
    test_clips: bool,
) -> ClipChoice:
    """The clips of the training side of which every teacher has a table.

    ``labels``: of the training and of the held-out side. ``key``: the section of the config, for messages.

    Raises InputError where there are clips of the task's test list, or of no split, and ``test_clips`` is not set,
    where no clip is left, and where a teacher has seen what is held out.
    """
    of_each = [set(each.clips) for each in teachers]
    common = set.intersection(*of_each)
    held_out = seen_in(labels["validation"]).find(groups_of(dataset, common))
    clips = sorted(common - held_out.keys())
    own = {clip_id for by_clip in labels["train"].values() for clip_id in by_clip}
    own |= {clip_id for each in tasks.values() for clip_id in each.clips(dataset, "train")}
    listed = set(task.clips(dataset, "test"))
    test = [clip_id for clip_id in clips if clip_id in listed or clip_id not in own]
    place = " and ".join(str(each.where) for each in teachers)
    if test and not test_clips:
        raise InputError(
            f"{place}: {format_count(len(test), 'clip')} of the test list or of no split ({first_few(test)}): "
            f"predict the training clips alone (abaw predict --split train), or set {key}.test_clips to true if the "
            "rules of your challenge allow training on its test clips"
        )
    if not clips:
        why = f" (tables of clips that this run holds out: {len(held_out)})" if held_out else ""
        raise InputError(
            f"{place}: no clip of the training side has a table by every teacher{why}: predict the training clips "
            "(abaw predict --split train)"
        )
    scored = {c: each.group for by_clip in labels["validation"].values() for c, each in by_clip.items()}
    for each in teachers:
        try:
            check_apart(each.seen(clips), scored, f"the teacher {each.where}")
        except ValueError as error:
            raise InputError(
                f"{error}: take tables of runs that were trained on the training side of this run alone, or hold "
                "nothing out (folds.refit=true)"
            ) from None
    incomplete = sorted(set.union(*of_each) - common)
    return ClipChoice(tuple(clips), tuple(test), tuple(sorted(held_out)), tuple(incomplete))

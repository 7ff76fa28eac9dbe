"""Personalisation: a few labelled frames of a person become the vector that a run predicts him with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from abaw.configs.file import parse_section
from abaw.configs.optional_sections import AdaptationConfig
from abaw.dataset.layout import open_dataset
from abaw.dataset.seen import Seen, groups_of
from abaw.errors import InputError
from abaw.files import as_list, as_path, sha256
from abaw.numbers import format_count
from abaw.pipelines.persons.adapting import adapt_to_person
from abaw.pipelines.persons.groups import within_groups
from abaw.pipelines.persons.label_file import read_support
from abaw.pipelines.prediction import open_member
from abaw.progress import ProgressCallback, as_progress, silent
from abaw.results.runs import Run, commit
from abaw.results.subjects import Subject, content_hash, person_of, write_subject

if TYPE_CHECKING:
    from abaw.dataset.annotations import Labels
    from abaw.tasks.base import Task

SUBJECTS = "subjects"


@dataclass(frozen=True)
class SubjectVectors:
    """The vectors that were written into ``folder``, by person, and ``notes``: what the user must know of them."""

    folder: Path
    subjects: Mapping[str, Subject]
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{person}: {format_count(each.num_labels, 'label')}" for person, each in self.subjects.items()]
        num = format_count(len(self.subjects), "vector")
        return "\n".join([*lines, *self.notes, f"{self.folder}: {num}; use them with abaw predict --subjects"])


def personalise(
    run: str | Path,
    labels: str | Path,
    *,
    clips: Sequence[str] | None = None,
    frames: Sequence[int] | None = None,
    out: str | Path | None = None,
    data: str | Path | None = None,
    store: str | Path | None = None,
    steps: int | None = None,
    rate: float | None = None,
    gap_s: float | None = None,
    device: str = "cpu",
    trust: bool = False,
    progress: ProgressCallback = silent,
) -> SubjectVectors:
    """Adapt a run of a model such as ``limaml`` to persons, and write ``<person>.safetensors`` of each into ``out``.

    A person is a clip or, where the data set names groups, a group: the labels of all its clips count together.
    ``labels``: a label file of Aff-Wild2, a folder of such files, or a CSV (see ``label_file``). ``clips``: only these;
    by default all that a CSV names. ``frames``: only these of a single clip. ``out``: by default ``RUN/subjects``.
    ``data`` and ``store``: by default those of the run. ``steps``, ``rate``: by default those of the run's training;
    ``gap_s``: a score leaves out frames nearer than this to a labelled one.

    Raises InputError for a run of a model that does not adapt to persons; for labels that cannot be read, that are
    outside their clip, of unobserved frames, or equal to each other; NotFoundError where a file or features are
    missing. Nothing is written then.
    """
    as_progress(progress)
    opened, file = Run(as_path(run, "run"), trust), as_path(labels, "labels")
    to = as_path(out, "out", optional=True) or opened.folder / SUBJECTS
    named = [] if clips is None else as_list(clips, "clips", "a clip's name or a list of them")
    from fusion.adaptation.inner_loop import AdaptiveModel

    name = opened.config().model.name
    member = open_member(opened, as_path(store, "store", optional=True), device)
    if not isinstance(member[1].model, AdaptiveModel):
        raise InputError(
            f"{opened.folder} has the model {name!r}, which does not adapt to persons: train a run of the model limaml"
        )
    settings = _settings(opened.config().adaptation, steps, rate, gap_s)
    dataset = open_dataset(opened.place("data") if data is None else data)
    for clip_id in named:
        if clip_id not in dataset.clips:
            raise InputError(f"no clip {clip_id!r} in {dataset.root}: see abaw check {dataset.root}")
    tasks = opened.tasks()
    [(_, module, source)] = within_groups([member], dataset.groups)
    support = read_support(file, tasks, named, frames, source.clock)
    of_person: dict[str, list[str]] = {}
    for clip_id in support:
        of_person.setdefault(person_of(clip_id, dataset.groups), []).append(clip_id)
    subjects = {}
    about = {"run": str(opened.folder), "run_sha256": content_hash(opened), "commit": commit(), "labels": _hashed(file)}
    for done, (person, own) in enumerate(of_person.items()):
        progress(person, done, len(of_person))
        by_task = {
            task: {clip_id: support[clip_id][task] for clip_id in own if task in support[clip_id]} for task in tasks
        }
        by_task = {task: found for task, found in by_task.items() if found}
        _check_differs(person, tasks, by_task)
        vector = adapt_to_person(module, source, by_task, settings).vectors[0].float().cpu().numpy()
        used = {clip_id: _frames(tasks, support[clip_id]) for clip_id in own}
        facts = {"unit": "clip" if person in own else "group", "support": used, "tasks": sorted(by_task)}
        adaptation = {"steps": settings.steps, "rate": settings.rate, "gap_s": settings.gap_s}
        subjects[person] = Subject(person, vector, {**about, **facts, **adaptation, "person": person})
    for subject in subjects.values():
        write_subject(to, subject)
    seen = Seen.of_side(opened.document(), "train").find(groups_of(dataset, support))
    note = f"{opened.folder} was trained on {format_count(len(seen), 'of these clips')}: {', '.join(list(seen)[:3])}"
    return SubjectVectors(to, subjects, (note,) if seen else ())


def _settings(own: AdaptationConfig, steps: int | None, rate: float | None, gap_s: float | None) -> AdaptationConfig:
    given = {"steps": steps, "rate": rate, "gap_s": gap_s}
    changed = {key: value for key, value in given.items() if value is not None}
    return parse_section(AdaptationConfig, {**own.model_dump(), **changed}, "abaw personalise")


def _hashed(file: Path) -> dict[str, Any]:
    """The label files and their SHA-256."""
    files = sorted(file.glob("*.txt")) if file.is_dir() else [file]
    return {each.name: sha256(each) for each in files}


def _frames(tasks: "Mapping[str, Task]", labels: "Mapping[str, Labels]") -> list[int]:
    """The labelled frames of a clip, from 1; none where its label is that of the clip."""
    found = [np.flatnonzero(each.scored) + 1 for name, each in labels.items() if tasks[name].resolution == "frame"]
    return sorted({int(frame) for each in found for frame in each})


def _check_differs(person: str, tasks: "Mapping[str, Task]", labels: "Mapping[str, Mapping[str, Labels]]") -> None:
    """Raises InputError where all labels of a task are the same: the model would learn to say nothing else."""
    for name, by_clip in labels.items():
        rows = np.concatenate([each.values[each.scored] for each in by_clip.values()])
        if len(np.unique(rows, axis=0)) < 2:
            goals = ", ".join(f"{value:g}" for value in rows[0])
            unit = "frames" if tasks[name].resolution == "frame" else "clips"
            raise InputError(
                f"the {format_count(len(rows), 'label')} of {name} of {person!r} are the same ({goals}): from "
                f"them the model would learn to say nothing else; label {unit} with other expressions of the person too"
            )

"""The targets of a training that come from prediction tables, and what run.json records of them."""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from abaw.configs.file import ConfigFile
from abaw.configs.optional_sections import DistillationConfig, PseudoLabelsConfig
from abaw.configs.sections import Config
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.seen import Seen, groups_of
from abaw.errors import InputError
from abaw.folds import ByTask, seen_in
from abaw.numbers import format_count
from abaw.results import predictions
from abaw.tasks.base import Task
from abaw.teachers.alignment import check_alignable, find_values, shift_table
from abaw.teachers.confidence import choose_pseudo_labels, guess_labels
from abaw.teachers.distillation import DISTILLATION, PSEUDO_LABELS, check_teachable, key_of
from abaw.teachers.tables import ClipChoice, Teacher, choose_clips, find_teachers

LOG = logging.getLogger("abaw")
Section = PseudoLabelsConfig | DistillationConfig
CountFrames = Callable[[str], int]  # clip -> its number of frames in the store


@dataclass(frozen=True)
class TeacherTargets:
    """Targets by their names (``key_of``) and clips; ``groups``: of each clip, "" for none.

    ``seen`` and ``chosen_on``: the videos and groups that the teachers were trained on, with the clips that have
    targets, and those on which the teachers' epochs were chosen. ``label_tasks``: the tasks whose labels they have
    seen. ``record``: what run.json says under "teachers"; {} without teachers.
    """

    targets: Mapping[str, Mapping[str, Labels]]
    groups: Mapping[str, str]
    seen: Seen
    chosen_on: Seen
    label_tasks: tuple[str, ...]
    record: Mapping[str, Any]

    def __or__(self, other: "TeacherTargets") -> "TeacherTargets":
        unknown = sorted({*self.record.get("incomplete", ()), *other.record.get("incomplete", ())})
        record = {**self.record, **other.record}
        return TeacherTargets(
            {**self.targets, **other.targets},
            {**self.groups, **other.groups},
            self.seen | other.seen,
            self.chosen_on | other.chosen_on,
            tuple(sorted({*self.label_tasks, *other.label_tasks})),
            record | {"incomplete": unknown} if record else {},
        )

    def added_to(self, labels: Mapping[str, ByTask]) -> dict[str, dict[str, dict[str, Labels]]]:
        """Labels by split with the targets beside those of "train", without clips of what is in "validation"."""
        held_out = seen_in(labels["validation"]).find(self.groups)
        kept = {
            key: {clip_id: each for clip_id, each in by_clip.items() if clip_id not in held_out}
            for key, by_clip in self.targets.items()
        }
        kept = {key: by_clip for key, by_clip in kept.items() if any(each.scored.any() for each in by_clip.values())}
        plain = {split: {name: dict(clips) for name, clips in of.items()} for split, of in labels.items()}
        return {**plain, "train": {**plain["train"], **kept}}

    def added_to_facts(self, facts: Mapping[str, Any]) -> dict[str, Any]:
        """The entries of run.json that change: what the teachers have seen, the run has seen too."""
        if not self.record:
            return {}
        return {**self.seen.added_to_training(facts, self.label_tasks), "teachers": dict(self.record)}


NO_TARGETS = TeacherTargets({}, {}, Seen(), Seen(), (), {})


def check_teachers(
    file: ConfigFile, config: Config, dataset: Dataset, tasks: Mapping[str, Task], labels: Mapping[str, ByTask]
) -> None:
    """Raises InputError, with file and line, as ``find_clips`` does; reads no table."""
    for kind in (PSEUDO_LABELS, DISTILLATION):
        with file.at(kind, "tables"):
            find_clips(config, dataset, tasks, labels, kind)


def read_targets(
    file: ConfigFile,
    config: Config,
    dataset: Dataset,
    tasks: Mapping[str, Task],
    labels: Mapping[str, ByTask],
    count_frames: CountFrames,
) -> TeacherTargets:
    """The targets of the config's sections "pseudo_labels" and "distillation".

    ``labels``: of the training and of the held-out side. Raises InputError, with file and line, as ``find_clips`` does,
    for a table that is broken or has another number of rows than its clip has frames, and where no frame gets a label.
    """
    found = NO_TARGETS
    for kind in (PSEUDO_LABELS, DISTILLATION):
        with file.at(kind, "tables"):
            found |= read_section(config, dataset, tasks, labels, kind, count_frames)
    return found


def read_section(
    config: Config,
    dataset: Dataset,
    tasks: Mapping[str, Task],
    labels: Mapping[str, ByTask],
    kind: str,
    count_frames: CountFrames,
) -> TeacherTargets:
    """The targets of one section of the config; ``NO_TARGETS`` where it names no tables."""
    section: Section = getattr(config, kind)
    targets: dict[str, dict[str, Labels]] = {}
    of_task: dict[str, Any] = {}
    groups: dict[str, str] = {}
    seen, chosen_on = Seen(), Seen()
    found = find_clips(config, dataset, tasks, labels, kind)
    for name, (teachers, choice) in found.items():
        task, own = tasks[name], labels["train"].get(name, {})
        reader = _Reader(task, teachers, count_frames)
        reader, aligned = _align(reader, choice, own) if section.align_clips else (reader, {})
        if isinstance(section, PseudoLabelsConfig):
            made, counts = _pseudo_labels(reader, choice, own, section)
        else:
            made, counts = _soft_targets(reader, choice)
        targets[key_of(name, kind)] = made
        of_task[name] = {
            **counts,
            **aligned,
            "labelled": sum(int(each.count_frames().sum()) for each in own.values()),
            "test_clips": len(choice.test),
            "held_out_clips": len(choice.held_out),
            "incomplete_clips": len(choice.incomplete),
        }
        _report(task, kind, of_task[name], made)
        groups |= groups_of(dataset, choice.clips)
        seen = seen | Seen.in_clips({clip_id: groups[clip_id] for clip_id in made})
        for each in teachers:
            seen, chosen_on = seen | each.seen(list(made)), chosen_on | each.chosen_on()
    if section.tables and not any(counts["frames"] for counts in of_task.values()):
        raise InputError(
            f"no frame without a label gets one from {', '.join(section.tables)} at {kind}.min_confidence="
            f"{getattr(section, 'min_confidence', 0)}: lower it, or give tables of clips that have no labels"
        )
    every = [each for teachers, _ in found.values() for each in teachers]
    unknown = sorted({key for each in every for key in each.unknown})
    if unknown:
        text = "%s: %s does not say %s of every teacher, so no leak can be ruled out"
        LOG.warning(text, kind, predictions.METADATA, " and ".join(unknown))
    test = sorted({clip_id for _, choice in found.values() for clip_id in choice.test})
    about = {
        **section.model_dump(mode="json", exclude={"tables", "test_clips"}),
        "tables": [each.document() for each in every],
        "tasks": of_task,
        "test_clips": test,
    }
    label_tasks = sorted({name for each in every for name in each.about.get("label_tasks_seen") or ()})
    record = {kind: about, "incomplete": unknown} if found else {}
    return TeacherTargets(targets, groups, seen, chosen_on, tuple(label_tasks), record)


def find_clips(
    config: Config, dataset: Dataset, tasks: Mapping[str, Task], labels: Mapping[str, ByTask], kind: str
) -> dict[str, tuple[list[Teacher], ClipChoice]]:
    """Task -> its teachers of this kind, and the clips that get targets; {} where the config names none.

    Reads no table. Raises InputError as ``find_teachers`` and ``choose_clips`` do, for a task that cannot be taught,
    where ``min_confidence`` names a task without tables, and where ``align_clips`` means nothing.
    """
    section: Section = getattr(config, kind)
    teachers = find_teachers(section.tables, tasks)
    given = section.min_confidence if isinstance(section, PseudoLabelsConfig) else None
    if section.tables and isinstance(given, dict):
        if lacking := [name for name in given if name not in teachers]:
            raise InputError(
                f"pseudo_labels.min_confidence is given for {lacking[0]}, but the tables are of {', '.join(teachers)}: "
                "remove it, or name tables of this task"
            )
        teachers = {name: each for name, each in teachers.items() if name in given}
    found = {}
    for name, each in teachers.items():
        check_teachable(tasks[name])
        choice = choose_clips(tasks[name], each, dataset, tasks, labels, kind, section.test_clips)
        found[name] = each, choice
    if section.align_clips:
        check_alignable({name: tasks[name] for name in found})
        for name, (_, choice) in found.items():
            find_values(tasks[name], choice.clips, labels["train"].get(name, {}))
    return found


@dataclass(frozen=True)
class _Reader:
    """Reads all teachers' tables of a clip. ``shifts``: what is added to columns of its tables, by clip."""

    task: Task
    teachers: Sequence[Teacher]
    count_frames: CountFrames
    shifts: Mapping[str, Mapping[int, float]] = field(default_factory=dict)

    def read(self, clip_id: str) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
        """Every teacher's values, where all of them observed something, and the times of the frames.

        A clip-level task has a single row. Raises InputError where a table has not one row for each frame.
        """
        tables, num = [], self.count_frames(clip_id)
        for each in self.teachers:
            table = predictions.read_table(each.where, clip_id, self.task)
            if len(table.frames) != num:
                raise InputError(
                    f"{each.where} has {format_count(len(table.frames), 'row')} of clip {clip_id!r}, which has "
                    f"{format_count(num, 'frame')} in the store: give tables of these clips (abaw predict)"
                )
            tables.append(table)
        observed = np.logical_and.reduce([each.observed for each in tables])
        if self.task.resolution == "frame":
            shifts = self.shifts.get(clip_id, {})
            return [shift_table(each.values, shifts) for each in tables], observed, tables[0].times_s
        return [self.task.pooled(each.values) for each in tables], observed[:1] | observed.any(), tables[0].times_s


def _align(reader: _Reader, choice: ClipChoice, own: Mapping[str, Labels]) -> tuple[_Reader, dict[str, Any]]:
    """A reader of tables with aligned clips, and what run.json records of it, {} for a task without values.

    The tables of a clip are all shifted by the same, so that they agree as well as before.
    """
    values = find_values(reader.task, choice.clips, own)
    means = {}
    for clip_id in sorted({clip_id for each in values for clip_id in each.bare}):
        tables, observed, _ = reader.read(clip_id)
        if observed.any():
            means[clip_id] = np.mean(tables, axis=0)[observed].mean(axis=0)
    shifts: dict[str, dict[int, float]] = {}
    factors = {}
    for each in values:
        factor, by_clip = each.compute_shifts({c: float(means[c][each.column]) for c in each.bare if c in means})
        factors[reader.task.columns[each.column]] = round(factor, 4)
        for clip_id, shift in by_clip.items():
            shifts.setdefault(clip_id, {})[each.column] = shift
    aligned = {"aligned": {"clips": len(shifts), "factors": factors}} if values else {}
    return replace(reader, shifts=shifts), aligned


def _pseudo_labels(
    reader: _Reader, choice: ClipChoice, own: Mapping[str, Labels], section: PseudoLabelsConfig
) -> tuple[dict[str, Labels], dict[str, Any]]:
    """The labels of the clips that get some, and counts.

    A frame of which only some units get a label counts as their share in ``share``.
    """
    task, runs = reader.task, [each.runs for each in reader.teachers if each.runs]
    twice = [each for i, each in enumerate(runs) if each in runs[:i]]
    if twice and any(kind == "values" for kind, _ in task.blocks):
        raise InputError(
            f"several tables of {task.name} are by {' + '.join(twice[0])}, and how well tables of the same run agree "
            "is no confidence: give tables of different runs"
        )
    guesses = {}
    for clip_id in choice.clips:
        tables, observed, times_s = reader.read(clip_id)
        before = own.get(clip_id)
        before = before.at(times_s) if before is not None and task.resolution == "frame" else before
        guesses[clip_id] = guess_labels(task, tables, observed, before)
    given = section.min_confidence
    min_confidence = given[task.name] if isinstance(given, dict) else given
    every = choose_pseudo_labels(task, guesses, min_confidence, section.min_share)
    made = {clip_id: each for clip_id, each in every.items() if each.scored.any()}
    new = {clip_id: each.scored[:, None] & ~np.isnan(each.values) for clip_id, each in made.items()}
    lacking = sum(each.lacks.mean(axis=1).sum() for each in guesses.values())
    added = sum(each.mean(axis=1).sum() for each in new.values())
    least = [guesses[clip_id].confidence[where].min() for clip_id, where in new.items()]
    return made, {
        "clips": len(made),
        "frames": sum(int(each.scored.sum()) for each in made.values()),
        "share": round(float(added / lacking), 4) if lacking else 0.0,  # of what has no label
        "least_confidence": round(float(min(least)), 4) if least else None,
    }


def _soft_targets(reader: _Reader, choice: ClipChoice) -> tuple[dict[str, Labels], dict[str, Any]]:
    """The raw outputs that the mean of the tables stands for, in every row that was observed."""
    made: dict[str, Labels] = {}
    for clip_id in choice.clips:
        tables, observed, _ = reader.read(clip_id)
        if observed.any():
            made[clip_id] = Labels(reader.task.logits(np.mean(tables, axis=0)).astype(np.float32), observed)
    return made, {"clips": len(made), "frames": sum(int(each.scored.sum()) for each in made.values())}


def _report(task: Task, kind: str, counts: Mapping[str, Any], made: Mapping[str, Labels]) -> None:
    name, clips = task.name, format_count(counts["clips"], "clip")
    if kind == PSEUDO_LABELS:
        text = "%s: %d of the frames without a label get one (%.0f %%), in %s; %d frames are labelled"
        LOG.info(text, name, counts["frames"], 100 * counts["share"], clips, counts["labelled"])
        if not counts["frames"]:
            LOG.warning("pseudo_labels: no frame gets a label of %s at this min_confidence", name)
        weights = getattr(task, "class_weights", None) or ()
        strata = [task.strata(each) for each in made.values()]
        if lost := sum(int((each == k).sum()) for each in strata for k, weight in enumerate(weights) if not weight):
            text = "pseudo_labels: %d frames of %s count nothing: their classes are in no label, so their weight is 0"
            LOG.warning(text, lost, name)
    else:
        LOG.info("%s: the tables are targets in %d frames of %s", name, counts["frames"], clips)
    if "aligned" in counts:
        factors = ", ".join(f"{column} x {factor:.2f}" for column, factor in counts["aligned"]["factors"].items())
        text = "%s: means of %s without labels drawn towards that of labels (%s)"
        LOG.info(text, kind, format_count(counts["aligned"]["clips"], "clip"), factors)
    if counts["incomplete_clips"]:
        text = "%s: %s of %s not used: not every teacher has a table of them"
        LOG.warning(text, kind, format_count(counts["incomplete_clips"], "clip"), name)
    if counts["test_clips"]:
        text = "%s: %d of the clips with targets of %s are of the test list or of no split"
        LOG.warning(text, kind, counts["test_clips"], name)

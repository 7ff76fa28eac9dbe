"""The targets of a training that come from prediction tables, and what run.json records of them."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from abaw.configs.sections import Config, DistillationConfig, PseudoLabelsConfig
from abaw.dataset.annotations import Labels
from abaw.dataset.layout import Dataset
from abaw.dataset.seen import Seen, groups_of
from abaw.errors import InputError
from abaw.folds import ByTask, seen_in
from abaw.results import predictions
from abaw.tasks.base import Task
from abaw.teachers.confidence import make_pseudo_labels
from abaw.teachers.distillation import PSEUDO_LABELS, check_teachable, key_of
from abaw.teachers.tables import Teacher, choose_clips, find_teachers

LOG = logging.getLogger("abaw")


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
        keys = ("test_clips", "incomplete") if self.record or other.record else ()
        lists = {key: sorted({*self.record.get(key, ()), *other.record.get(key, ())}) for key in keys}
        return TeacherTargets(
            {**self.targets, **other.targets},
            {**self.groups, **other.groups},
            self.seen | other.seen,
            self.chosen_on | other.chosen_on,
            tuple(sorted({*self.label_tasks, *other.label_tasks})),
            {**self.record, **other.record, **lists},
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
        own = self.seen | Seen.of_side(facts, "train")
        groups = {"groups": {**facts.get("groups", {}), "train": list(own.groups)}} if own.groups else {}
        return {
            "videos": {**facts["videos"], "train": list(own.videos)},
            **groups,
            "label_tasks_seen": sorted({*facts["label_tasks_seen"], *self.label_tasks}),
            "teachers": dict(self.record),
        }


NO_TARGETS = TeacherTargets({}, {}, Seen(), Seen(), (), {})


def read_targets(
    config: Config, dataset: Dataset, tasks: Mapping[str, Task], labels: Mapping[str, ByTask], kind: str
) -> TeacherTargets:
    """The targets of one section of the config, "pseudo_labels" or "distillation".

    ``labels``: of the training and of the held-out side. Raises InputError as ``find_teachers`` and ``choose_clips``
    do, for a broken table, and where no frame gets a label.
    """
    section: PseudoLabelsConfig | DistillationConfig = getattr(config, kind)
    if not section.tables:
        return NO_TARGETS
    targets: dict[str, dict[str, Labels]] = {}
    of_task: dict[str, Any] = {}
    found, seen, chosen = _by_task(section, find_teachers(section.tables, tasks)), Seen(), Seen()
    test: set[str] = set()
    groups: dict[str, str] = {}
    for name, teachers in found.items():
        task = tasks[name]
        check_teachable(task)
        clips, own_test, left_out = choose_clips(task, teachers, dataset, tasks, labels, kind, section.test_clips)
        own, of_clips = labels["train"].get(name, {}), groups_of(dataset, clips)
        if isinstance(section, PseudoLabelsConfig):
            made, counts = _pseudo_labels(task, teachers, clips, own, _min_confidence(section, name))
        else:
            made, counts = _soft_targets(task, teachers, clips, own)
        targets[key_of(name, kind)] = made
        of_task[name] = {**counts, "test_clips": len(own_test), "held_out_clips_left_out": len(left_out)}
        _report(name, kind, of_task[name])
        test, groups = test | set(own_test), groups | of_clips
        used = [clip_id for clip_id, each in made.items() if each.scored.any()]
        seen = seen | Seen.in_clips({clip_id: of_clips[clip_id] for clip_id in used})
        for each in teachers:
            seen, chosen = seen | each.seen(used), chosen | each.chosen_on()
    if not any(counts["frames"] for counts in of_task.values()):
        raise InputError(
            f"no frame without a label gets one from {', '.join(section.tables)} at {kind}.min_confidence="
            f"{getattr(section, 'min_confidence', 0)}: lower it, or give tables of clips that have no labels"
        )
    every = [each for teachers in found.values() for each in teachers]
    unknown = sorted({key for each in every for key in each.unknown})
    if unknown:
        LOG.warning(
            "%s: %s does not say %s of every teacher, so no leak can be ruled out",
            kind,
            predictions.METADATA,
            " and ".join(unknown),
        )
    label_tasks = sorted({name for each in every for name in each.about.get("label_tasks_seen") or ()})
    about = {
        **section.model_dump(mode="json", exclude={"tables"}),
        "tables": [each.document() for each in every],
        "tasks": of_task,
    }
    record = {kind: about, "test_clips": sorted(test), "incomplete": unknown}
    return TeacherTargets(targets, groups, seen, chosen, tuple(label_tasks), record)


def _by_task(
    section: PseudoLabelsConfig | DistillationConfig, teachers: Mapping[str, list[Teacher]]
) -> Mapping[str, list[Teacher]]:
    """The teachers of the tasks that get targets. Raises InputError where one of these has no tables."""
    given = section.min_confidence if isinstance(section, PseudoLabelsConfig) else 0.0
    if not isinstance(given, dict):
        return teachers
    if lacking := [name for name in given if name not in teachers]:
        raise InputError(
            f"pseudo_labels.min_confidence is given for {lacking[0]}, but the tables are of {', '.join(teachers)}: "
            "remove it, or name tables of this task"
        )
    return {name: teachers[name] for name in teachers if name in given}


def _min_confidence(section: PseudoLabelsConfig, task: str) -> float:
    return section.min_confidence[task] if isinstance(section.min_confidence, dict) else section.min_confidence


def _pseudo_labels(
    task: Task, teachers: Sequence[Teacher], clips: Sequence[str], own: Mapping[str, Labels], min_confidence: float
) -> tuple[dict[str, Labels], dict[str, Any]]:
    """Labels of the clips, and counts: goals are counted in frames, a unit of a frame as its share of the units."""
    found: dict[str, Labels] = {}
    lacking = added = 0.0
    for clip_id in clips:
        tables, times_s = _read(task, teachers, clip_id)
        before = own.get(clip_id)
        before = before.at(times_s) if before is not None and task.resolution == "frame" else before
        found[clip_id], lacks = make_pseudo_labels(task, tables, before, min_confidence)
        new = found[clip_id].scored[:, None] & ~np.isnan(found[clip_id].values)
        lacking, added = lacking + lacks.mean(axis=1).sum(), added + new.mean(axis=1).sum()
    found = {clip_id: each for clip_id, each in found.items() if each.scored.any()}
    counts = {
        "clips": len(found),
        "frames": sum(int(each.scored.sum()) for each in found.values()),
        "share": round(float(added / lacking), 4) if lacking else 0.0,  # of what has no label
        "labelled": sum(int(each.scored.sum()) for each in own.values()),
    }
    return found, counts


def _soft_targets(
    task: Task, teachers: Sequence[Teacher], clips: Sequence[str], own: Mapping[str, Labels]
) -> tuple[dict[str, Labels], dict[str, Any]]:
    """The raw outputs that the mean of the tables stands for, in every row."""
    found: dict[str, Labels] = {}
    for clip_id in clips:
        tables, _ = _read(task, teachers, clip_id)
        raw = task.logits(np.mean(tables, axis=0)).astype(np.float32)
        found[clip_id] = Labels(raw, np.ones(len(raw), bool))
    num = sum(map(len, found.values()))
    labelled = sum(int(each.scored.sum()) for each in own.values())
    return found, {"clips": len(found), "frames": num, "share": 1.0, "labelled": labelled}


def _read(task: Task, teachers: Sequence[Teacher], clip_id: str) -> tuple[list[np.ndarray], np.ndarray]:
    """Every teacher's values of a clip, a single row for a clip-level task, and the times of the frames."""
    tables = [predictions.read_table(each.where, clip_id, task) for each in teachers]
    lengths = {len(each.frames) for each in tables}
    if len(lengths) > 1:
        raise InputError(
            f"the tables of clip {clip_id!r} in {' and '.join(str(each.where) for each in teachers)} have "
            f"{' and '.join(map(str, sorted(lengths)))} rows, expected as many in each: predict them again"
        )
    values = [each.values if task.resolution == "frame" else task.pooled(each.values) for each in tables]
    return values, tables[0].times_s


def _report(name: str, kind: str, counts: Mapping[str, Any]) -> None:
    unit = f"{counts['clips']} clips"
    if kind == PSEUDO_LABELS:
        text = "%s: %d frames without a label get one, %.0f %% of them, in %s, beside %d labelled frames"
        LOG.info(text, name, counts["frames"], 100 * counts["share"], unit, counts["labelled"])
        if not counts["frames"]:
            LOG.warning("pseudo_labels: no frame gets a label of %s at this min_confidence", name)
    else:
        LOG.info("%s: trained towards the tables in %d frames of %s", name, counts["frames"], unit)
    if counts["test_clips"]:
        LOG.warning("%s: %d of the clips with targets of %s are test clips", kind, counts["test_clips"], name)

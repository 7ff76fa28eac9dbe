"""Training targets and validation labels, with one row per frame of a clip."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from abaw.batches import FeatureSource
from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks.base import Task
from abaw.teachers.distillation import task_of

# task, or name of a teacher's targets (``key_of``) -> clip -> labels
LabelsByTask = Mapping[str, Mapping[str, Labels]]


def make_training_targets(
    labels: LabelsByTask, source: FeatureSource, tasks: Mapping[str, Task], shift: int
) -> dict[str, dict[str, Labels]]:
    """Training targets with one row per frame.

    The target of a frame is the label ``shift`` frames later, because annotators react with a delay. The single label
    of a clip-level task is the target of every frame. Raises InputError where a clip has more labels than frames.
    """
    by_frame = {name: clips for name, clips in labels.items() if tasks[task_of(name)].resolution == "frame"}
    targets = {
        name: {clip_id: _earlier(each, shift) for clip_id, each in clips.items()}
        for name, clips in fit_to_clock(by_frame, source).items()
    }
    by_clip = {name: _repeated(name, clips, source) for name, clips in labels.items() if name not in by_frame}
    return {name: {**targets, **by_clip}[name] for name in labels}


def make_scored_labels(
    labels: LabelsByTask, source: FeatureSource, tasks: Mapping[str, Task]
) -> dict[str, dict[str, Labels]]:
    """The official labels for scoring, not shifted: one row per frame, or one per clip for clip-level tasks."""
    by_frame = {name: clips for name, clips in labels.items() if tasks[name].resolution == "frame"}
    fitted = fit_to_clock(by_frame, source)
    return {name: fitted.get(name, dict(clips)) for name, clips in labels.items()}


def fit_to_clock(labels: LabelsByTask, source: FeatureSource) -> dict[str, dict[str, Labels]]:
    """Labels with one row per frame: those with times of their own on the clip's frame timestamps, others padded.

    Frames without a label are not scored. Raises InputError where a clip has more labels than frames, or a label lies
    outside it.
    """
    return {
        task: {clip_id: _padded(task, clip_id, each, source.clock(clip_id).times_s) for clip_id, each in clips.items()}
        for task, clips in labels.items()
    }


def list_clips(labels: LabelsByTask) -> list[str]:
    """All clips with labels of at least one task, sorted."""
    return sorted({clip_id for clips in labels.values() for clip_id in clips})


def _padded(task: str, clip_id: str, labels: Labels, times_s: np.ndarray) -> Labels:
    num_steps, labels = len(times_s), labels.at(times_s)
    missing = num_steps - len(labels)
    if missing < 0:
        raise InputError(
            f"clip {clip_id!r} has {len(labels)} labels for {task}, but only {num_steps} frames in the store: "
            "run abaw extract again"
        )
    values, scored = np.pad(labels.values, ((0, missing), (0, 0))), np.pad(labels.scored, (0, missing))
    return replace(labels, values=values, scored=scored)


def _repeated(task: str, clips: Mapping[str, Labels], source: FeatureSource) -> dict[str, Labels]:
    """The single label of each clip, repeated for every frame."""
    for clip_id, labels in clips.items():
        if len(labels) != 1:
            raise InputError(f"clip {clip_id!r} has {len(labels)} label rows for {task}, expected one per clip")
    repeated: dict[str, Labels] = {}
    for clip_id, each in clips.items():
        num = len(source.clock(clip_id))
        repeated[clip_id] = replace(
            each, values=np.repeat(each.values, num, axis=0), scored=np.repeat(each.scored, num)
        )
    return repeated


def _earlier(labels: Labels, shift: int) -> Labels:
    """Labels moved ``shift`` frames earlier; the last ``shift`` frames are not scored."""
    lost = min(shift, len(labels))
    values, scored = np.pad(labels.values[lost:], ((0, lost), (0, 0))), np.pad(labels.scored[lost:], (0, lost))
    return replace(labels, values=values, scored=scored)

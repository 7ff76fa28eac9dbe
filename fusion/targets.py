"""What is trained towards and scored against: labels as long as a clip's clock."""

from collections.abc import Mapping

import numpy as np

from abaw.batches import FeatureSource
from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tasks.base import Task

LabelsByTask = Mapping[str, Mapping[str, Labels]]  # task -> clip -> labels


def training_targets(
    labels: LabelsByTask, source: FeatureSource, tasks: Mapping[str, Task], shift: int
) -> dict[str, dict[str, Labels]]:
    """Labels as long as each clip's clock. Annotators see first and write later: a step's target is ``shift`` on.

    The one row of a clip-level task is every step's. ValueError where lines are more than frames.
    """
    by_frame = {name: clips for name, clips in labels.items() if tasks[name].resolution == "frame"}
    targets = {
        name: {clip_id: _earlier(each, shift) for clip_id, each in clips.items()}
        for name, clips in fit_to_clock(by_frame, source).items()
    }
    by_clip = {name: _repeated(name, clips, source) for name, clips in labels.items() if name not in by_frame}
    return {name: {**targets, **by_clip}[name] for name in labels}


def scored_labels(
    labels: LabelsByTask, source: FeatureSource, tasks: Mapping[str, Task]
) -> dict[str, dict[str, Labels]]:
    """The official labels that a score is reckoned from: one row a frame of the clock, or one a clip."""
    by_frame = {name: clips for name, clips in labels.items() if tasks[name].resolution == "frame"}
    fitted = fit_to_clock(by_frame, source)
    return {name: fitted.get(name, dict(clips)) for name, clips in labels.items()}


def fit_to_clock(labels: LabelsByTask, source: FeatureSource) -> dict[str, dict[str, Labels]]:
    """Labels as long as each clip's clock: a frame without a line is unscored. ValueError where lines are more."""
    return {
        task: {clip_id: _padded(task, clip_id, each, len(source.clock(clip_id))) for clip_id, each in clips.items()}
        for task, clips in labels.items()
    }


def clips_of(labels: LabelsByTask) -> list[str]:
    """Every clip that has labels of any task, sorted."""
    return sorted({clip_id for clips in labels.values() for clip_id in clips})


def _padded(task: str, clip_id: str, labels: Labels, num_steps: int) -> Labels:
    missing = num_steps - len(labels)
    if missing < 0:
        raise InputError(
            f"clip {clip_id!r} has {len(labels)} label lines for {task} and a clock of {num_steps} frames: "
            "run abaw extract again, so that its clock covers the labels"
        )
    return Labels(np.pad(labels.values, ((0, missing), (0, 0))), np.pad(labels.scored, (0, missing)))


def _repeated(task: str, clips: Mapping[str, Labels], source: FeatureSource) -> dict[str, Labels]:
    """A clip's one row at every step of its clock."""
    for clip_id, labels in clips.items():
        if len(labels) != 1:
            raise InputError(f"clip {clip_id!r} has {len(labels)} label rows for {task}, expected one for the clip")
    return {
        clip_id: Labels(*(np.repeat(rows, len(source.clock(clip_id)), axis=0) for rows in (each.values, each.scored)))
        for clip_id, each in clips.items()
    }


def _earlier(labels: Labels, shift: int) -> Labels:
    """Every label ``shift`` steps earlier, as many steps unscored at the end."""
    lost = min(shift, len(labels))
    return Labels(np.pad(labels.values[lost:], ((0, lost), (0, 0))), np.pad(labels.scored[lost:], (0, lost)))

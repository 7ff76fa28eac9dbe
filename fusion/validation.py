"""From the windows of a split, wherever they were reckoned, to whole clips and their official scores."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch.distributed

from abaw.configs.sections import Config
from abaw.postprocessing import stitch
from abaw.tasks.base import PredictionPair, Task
from fusion.targets import LabelsByTask

Raw = dict[str, np.ndarray]  # task -> raw outputs (time out)
Windows = Mapping[str, Mapping[int, Raw]]  # clip -> first step -> raw outputs of the window


def gathered(windows: Windows) -> Windows:
    """The windows of all processes of a training; one that several reckoned is taken once."""
    if not torch.distributed.is_available() or not torch.distributed.is_initialized():
        return windows
    parts: list[Any] = [None] * torch.distributed.get_world_size()
    torch.distributed.all_gather_object(parts, {clip_id: dict(pieces) for clip_id, pieces in windows.items()})
    merged: dict[str, dict[int, Raw]] = defaultdict(dict)
    for part in parts:
        for clip_id, pieces in part.items():
            merged[clip_id] = {**pieces, **merged[clip_id]}
    return merged


def score(
    tasks: Mapping[str, Task], windows: Windows, labels: LabelsByTask, config: Config
) -> dict[str, dict[str, float]]:
    """Each task's official score over all its labelled clips."""
    scores = {}
    for name, task in tasks.items():
        by_clip = {}
        for clip_id, each in labels[name].items():
            pieces = windows.get(clip_id, {})
            rows = stitched([(first, pieces[first][name]) for first in sorted(pieces)], task, config)
            by_clip[clip_id] = PredictionPair(task.to_labels(task.probabilities(rows)), each)
        scores[name] = task.score(by_clip)
    return scores


def stitched(pieces: Iterable[tuple[int, np.ndarray]], task: Task, config: Config) -> np.ndarray:
    """A clip's raw outputs, one row a frame, from its windows as the config has them: first step and rows.

    A network that was trained towards labels ``label_shift`` frames later predicts these: its output for a step belongs
    to the frame so much later. A clip's one label has no lag.
    """
    pieces = list(pieces)
    if not pieces:  # a clip without a frame
        return np.zeros((0, task.out_dim))
    num_steps = max(first + len(rows) for first, rows in pieces)
    rows = stitch(pieces, num_steps, config.window.overlap)
    return later(rows, config.training.label_shift) if task.resolution == "frame" else rows


def later(rows: np.ndarray, shift: int) -> np.ndarray:
    """Every row ``shift`` frames later; the frames before the first one hold it."""
    return rows[np.maximum(np.arange(len(rows)) - shift, 0)]

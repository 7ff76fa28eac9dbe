"""From predicted windows to whole clips and their official scores, also across processes; what last layers receive."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch.distributed
from torch import Tensor, nn

from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.postprocessing import stitch
from abaw.tasks.base import PredictionPair, Task
from fusion.base import FusionModel
from fusion.targets import LabelsByTask

Raw = dict[str, np.ndarray]  # task -> raw outputs (time out)
Windows = Mapping[str, Mapping[int, Raw]]  # clip -> first step -> raw outputs of the window


def gather_windows(windows: Windows) -> Windows:
    """The windows of all training processes; a window predicted by several processes is taken once."""
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
    """Official score of each task over all its labelled clips."""
    scores = {}
    for name, task in tasks.items():
        by_clip = {}
        for clip_id, each in labels[name].items():
            pieces = windows.get(clip_id, {})
            rows = stitch_windows([(first, pieces[first][name]) for first in sorted(pieces)], task, config)
            by_clip[clip_id] = PredictionPair(task.to_labels(task.probabilities(rows)), each)
        scores[name] = task.score(by_clip)
    return scores


def stitch_windows(pieces: Iterable[tuple[int, np.ndarray]], task: Task, config: Config) -> np.ndarray:
    """Raw outputs of a clip, one row per frame, from its windows: pairs of first frame and rows.

    Overlapping windows are averaged as ``window.overlap`` says. A model trained with ``label_shift`` predicts the label
    that many frames ahead, so the rows are moved later by as much; those of clip-level tasks are not.
    """
    pieces = list(pieces)
    if not pieces:  # a clip without frames
        return np.zeros((0, task.out_dim))
    num_steps = max(first + len(rows) for first, rows in pieces)
    rows = stitch(pieces, num_steps, config.window.overlap)
    return delay_rows(rows, config.training.label_shift) if task.resolution == "frame" else rows


def delay_rows(rows: np.ndarray, shift: int) -> np.ndarray:
    """Rows moved ``shift`` frames later; the first row fills the frames before it.

    >>> delay_rows(np.array([1, 2, 3]), 1)
    array([1, 1, 2])
    """
    return rows[np.maximum(np.arange(len(rows)) - shift, 0)]


def check_loss(name: str, config: Config, model: FusionModel) -> None:
    """Raises InputError where the model has no auxiliary loss of that name."""
    if name not in model.loss_weights:
        known = ", ".join(model.loss_weights) or "none"
        raise InputError(f"losses.{name}: model {config.model.name!r} has no such loss; known: {known}")


def state_key(task: str) -> str:
    """The key of the input of a task's last layer among raw outputs."""
    return f"{task}/state"


@contextmanager
def record_inputs(layers: Mapping[str, nn.Module]) -> Iterator[dict[str, np.ndarray]]:
    """A mapping that holds, after each forward pass in the block, the input (batch time dim) of every layer by its key.

    Time is 1 where all steps of a window share one state.
    """
    found: dict[str, np.ndarray] = {}

    def recorder(key: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        def record(_: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            values = inputs[0].detach().float().cpu().numpy()
            found[key] = values[:, None] if values.ndim == 2 else values  # a pooled window

        return record

    handles = [layer.register_forward_pre_hook(recorder(key)) for key, layer in layers.items()]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()

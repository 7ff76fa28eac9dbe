"""Raw outputs of whole clips from a trained module."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from abaw.batches import FeatureSource, windows
from abaw.config import WindowConfig
from abaw.decoding import stitch
from fusion.data import WindowDataset, loader
from fusion.module import FusionModule, Raw


def predict(
    module: FusionModule, source: FeatureSource, clip_ids: Sequence[str], window: WindowConfig, *, batch_size: int = 16
) -> Iterator[tuple[str, Raw, np.ndarray]]:
    """Clip by clip in the order given: its name, task -> raw outputs (time out), where anything was observed (time).

    The windows are those of validation, averaged per step in the same way; the module runs where its weights are.
    """
    outputs = _outputs(module, WindowDataset(source, clip_ids, {}, window), batch_size)
    for clip_id in clip_ids:
        num_steps = len(source.clock(clip_id))
        pieces = list(islice(outputs, len(windows(num_steps, window.length, window.stride))))
        observed = np.zeros(num_steps, bool)
        for first_step, _, seen in pieces:
            observed[first_step : first_step + len(seen)] |= seen
        yield (
            clip_id,
            {name: _stitched(name, pieces, num_steps, task.out_dim) for name, task in module.tasks.items()},
            observed,
        )


def _outputs(module: FusionModule, dataset: WindowDataset, batch_size: int) -> Iterator[tuple[int, Raw, np.ndarray]]:
    """First step, raw outputs and observed flags of every window, in order."""
    module.eval()
    for batch in loader(dataset, batch_size):
        with torch.inference_mode():  # not around the yield: the caller's own gradients stay as they are
            answers = module.outputs(batch.to(module.device))
        for first_step, (raw, seen) in zip(batch.first_step.tolist(), answers, strict=True):
            yield first_step, raw, seen


def _stitched(name: str, pieces: list[tuple[int, Raw, np.ndarray]], num_steps: int, out_dim: int) -> np.ndarray:
    if not num_steps:  # a clip without a frame
        return np.zeros((0, out_dim))
    return stitch(((first_step, raw[name]) for first_step, raw, _ in pieces), num_steps)

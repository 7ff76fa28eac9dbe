"""Raw outputs of whole clips from a trained module."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from abaw.batches import FeatureSource, windows
from abaw.configs.sections import WindowConfig
from fusion.data import WindowDataset, loader
from fusion.module import FusionModule
from fusion.validation import Raw, later, stitched


def predict(
    module: FusionModule, source: FeatureSource, clip_ids: Sequence[str], window: WindowConfig, *, batch_size: int = 16
) -> Iterator[tuple[str, Raw, np.ndarray]]:
    """Clip by clip in the order given: its name, task -> raw outputs (time out), where anything was observed (time).

    The windows are those of validation, averaged per step and shifted to their frames in the same way; the module runs
    where its weights are.
    """
    config = module.config.model_copy(update={"window": window})
    outputs = _outputs(module, WindowDataset(source, clip_ids, {}, window), batch_size)
    for clip_id in clip_ids:
        num_steps = len(source.clock(clip_id))
        pieces = list(islice(outputs, len(windows(num_steps, window.length, window.stride))))
        observed = np.zeros(num_steps, bool)
        for first_step, _, seen in pieces:
            observed[first_step : first_step + len(seen)] |= seen
        yield (
            clip_id,
            {
                name: stitched([(first, raw[name]) for first, raw, _ in pieces], task, config)
                for name, task in module.tasks.items()
            },
            later(observed, config.training.label_shift),
        )


def _outputs(module: FusionModule, dataset: WindowDataset, batch_size: int) -> Iterator[tuple[int, Raw, np.ndarray]]:
    """First step, raw outputs and observed flags of every window, in order."""
    module.eval()
    for batch in loader(dataset, batch_size):
        with torch.inference_mode():  # not around the yield: the caller's own gradients stay as they are
            answers = module.outputs(batch.to(module.device))
        for first_step, (raw, seen) in zip(batch.first_step.tolist(), answers, strict=True):
            yield first_step, raw, seen

"""Raw outputs of a trained module for whole clips."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from abaw.batches import FeatureSource, windows
from abaw.configs.sections import WindowConfig
from fusion.data import WindowDataset, loader
from fusion.layers.heads.hidden_stage import check_cutoffs
from fusion.module import FusionModule, WindowOutput
from fusion.validation import Raw, delay_rows, stitch_windows


def predict(
    module: FusionModule, source: FeatureSource, clip_ids: Sequence[str], window: WindowConfig, *, batch_size: int = 16
) -> Iterator[tuple[str, Raw, dict[str, np.ndarray]]]:
    """Predict clips one by one: yields the clip's name, task -> raw outputs (time out), and where each modality was
    observed (time). Windows are averaged and shifted as in validation. A cut-off above half a frame rate is an error.
    """
    check_cutoffs(module.model.cutoff_hz, module.hidden_stage.cutoff_hz, source, clip_ids, window.length)
    config = module.config.model_copy(update={"window": window})
    outputs = _outputs(module, WindowDataset(source, clip_ids, {}, window, keep=False), batch_size)
    for clip_id in clip_ids:
        num_steps = len(source.clock(clip_id))
        pieces = list(islice(outputs, len(windows(num_steps, window.length, window.stride))))
        observed = {name: np.zeros(num_steps, bool) for name in module.dims}
        for first_step, _, seen in pieces:
            for name, flags in seen.items():
                observed[name][first_step : first_step + len(flags)] |= flags
        yield (
            clip_id,
            {
                name: stitch_windows([(first, raw[name]) for first, raw, _ in pieces], task, config)
                for name, task in module.tasks.items()
            },
            {name: delay_rows(flags, config.training.label_shift) for name, flags in observed.items()},
        )


def _outputs(module: FusionModule, dataset: WindowDataset, batch_size: int) -> Iterator[tuple[int, *WindowOutput]]:
    """First step, raw outputs and each modality's observed flags of every window, in order."""
    module.eval()
    for batch in loader(dataset, batch_size):
        with torch.inference_mode():  # not around the yield, which would disable the caller's gradients
            outputs = module.outputs(batch.to(module.device))
        for first_step, (raw, observed) in zip(batch.first_step.tolist(), outputs, strict=True):
            yield first_step, raw, observed

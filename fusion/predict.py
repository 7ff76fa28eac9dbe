"""Raw outputs of a trained module for whole clips."""

from collections.abc import Iterator, Sequence
from itertools import islice

import numpy as np
import torch

from abaw.batches import Batch, FeatureSource, windows
from abaw.configs.sections import WindowConfig
from fusion.data import WindowDataset, loader
from fusion.layers.heads.hidden_stage import check_cutoffs
from fusion.module import FusionModule, WindowOutput
from fusion.validation import Raw, delay_rows, record_inputs, state_key, stitch_windows


def predict(
    module: FusionModule, source: FeatureSource, clip_ids: Sequence[str], window: WindowConfig, *,
    batch_size: int = 16, states_of: Sequence[str] = (),
) -> Iterator[tuple[str, Raw, dict[str, np.ndarray]]]:  # fmt: skip
    """Predict clips one by one: yields the clip's name, task -> raw outputs (time out), and where each modality was
    observed (time). Windows are averaged and shifted as in validation. A cut-off above half a frame rate is an error.
    ``states_of``: tasks whose last layer\'s input (time dim) is among the raw outputs too, under ``state_key``.
    """
    check_cutoffs(module.model.cutoff_hz, module.hidden_stage.cutoff_hz, source, clip_ids, window.length)
    config = module.config.model_copy(update={"window": window})
    tasks = {**module.tasks, **{state_key(name): module.tasks[name] for name in states_of}}
    outputs = _outputs(module, WindowDataset(source, clip_ids, {}, window, keep=False), batch_size, states_of)
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
                for name, task in tasks.items()
            },
            {name: delay_rows(flags, config.training.label_shift) for name, flags in observed.items()},
        )


def _outputs(
    module: FusionModule, dataset: WindowDataset, batch_size: int, states_of: Sequence[str]
) -> Iterator[tuple[int, *WindowOutput]]:
    """First step, raw outputs with states, and each modality's observed flags of every window, in order."""
    module.eval()
    for batch in loader(dataset, batch_size):
        yield from outputs_of_batch(module, batch, states_of)


def outputs_of_batch(
    module: FusionModule, batch: Batch, states_of: Sequence[str]
) -> list[tuple[int, Raw, dict[str, np.ndarray]]]:
    """First step, raw outputs with states, and each modality's observed flags of every window of a batch."""
    layers = {state_key(name): module.last_layer(name) for name in states_of}
    with torch.inference_mode(), record_inputs(layers) as states:
        outputs = module.outputs(batch.to(module.device))
    found = []
    for i, (first_step, (raw, observed)) in enumerate(zip(batch.first_step.tolist(), outputs, strict=True)):
        num = int(batch.lengths[i])
        own = {key: each[i, :num] if each.shape[1] > 1 else each[i].repeat(num, 0) for key, each in states.items()}
        found.append((first_step, {**raw, **own}, observed))
    return found

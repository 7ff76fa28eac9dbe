"""The Fisher information of a trained module on its windows."""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from abaw.batches import Batch, FeatureSource
from abaw.configs.sections import Config
from abaw.tasks.base import Task
from fusion.continuing.anchors import Weights, measure_fisher
from fusion.data import WindowDataset, loader
from fusion.targets import LabelsByTask, list_clips, make_training_targets


def measure_fisher_of_windows(
    module: nn.Module, config: Config, tasks: Mapping[str, Task], labels: LabelsByTask, source: FeatureSource
) -> Weights:
    """The diagonal empirical Fisher information of a ``FusionModule``; a sample is a window with a labelled frame.

    The loss of a window is the weighted sum of the tasks' losses on ``labels``, without auxiliary losses, teachers and
    penalties. Raises InputError as ``measure_fisher`` does.
    """
    device = next(module.parameters()).device
    targets = make_training_targets(labels, source, tasks, config.training.label_shift)
    windows = WindowDataset(source, list_clips(targets), targets, config.window, only_scored=True, keep=False)

    def losses() -> Iterator[Callable[[], Tensor]]:
        for batch in loader(windows, 1):
            yield partial(_labelled_loss, module, config, tasks, batch.to(device))

    return measure_fisher(module, losses())


def _labelled_loss(module: nn.Module, config: Config, tasks: Mapping[str, Task], batch: Batch) -> Tensor:
    raw, _ = module(batch)
    terms = [
        config.tasks[name].weight * task.loss(raw[name], batch.target[name], batch.scored[name])
        for name, task in tasks.items()
        if name in batch.scored and bool(batch.scored[name].any())
    ]
    return torch.stack(terms).sum()

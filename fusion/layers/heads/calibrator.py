"""The calibration of a task's head, trained with it: an isotonic layer that knows what is observed."""

from collections.abc import Iterable, Iterator, Mapping

import torch
from torch import Tensor, nn

from abaw.configs.sections import Config
from abaw.errors import InputError
from abaw.probabilities.maps import blocks_of
from abaw.tasks.base import Task
from fusion.layers.heads.isotonic import IsotonicLayer

MAX_MODALITIES = 6  # 64 contexts


def calibrators_of(
    tasks: Mapping[str, Task], config: Config, modalities: Iterable[str]
) -> Iterator[tuple[str, "Calibrator"]]:
    """The calibrator of each task whose section of the config asks for one."""
    for name, task in tasks.items():
        if name in config.tasks and config.tasks[name].calibration == "isotonic":
            yield name, Calibrator(task, modalities)


class Calibrator(nn.Module):
    """Maps the raw outputs of classes and units; values pass, since CCC is no calibration target.

    The context of a step is the set of modalities that are observed in it; of a clip-level task all steps have the same
    one. Raises InputError for a task of values alone, and for more than ``MAX_MODALITIES`` modalities.
    """

    def __init__(self, task: Task, modalities: Iterable[str]) -> None:
        super().__init__()
        self.modalities = sorted(modalities) if task.resolution == "frame" else []
        self.columns = [i for _, own in blocks_of(task) for i in range(own.start, own.stop)]
        if not self.columns:
            raise InputError(
                f"tasks.{task.name}: calibration is 'isotonic', but its outputs are values, and CCC is no calibration "
                "target: remove it"
            )
        if len(self.modalities) > MAX_MODALITIES:
            raise InputError(
                f"tasks.{task.name}: calibration has a map for every set of observed features, and there are "
                f"{len(self.modalities)} features, expected {MAX_MODALITIES} or fewer: set it to none, and fit "
                "one afterwards (abaw fit --calibrate)"
            )
        self.layer = IsotonicLayer(len(self.columns), num_contexts=2 ** len(self.modalities))

    def forward(self, raw: Tensor, observed: Mapping[str, Tensor]) -> Tensor:
        """The calibrated outputs (batch time out) of raw ones; ``observed``: modality -> flags (batch time)."""
        contexts = torch.zeros(raw.shape[:-1], dtype=torch.long, device=raw.device)
        for place, name in enumerate(self.modalities):
            contexts = contexts + (~observed[name]).long() * 2**place
        mapped = self.layer(raw[..., self.columns], contexts)
        if len(self.columns) == raw.shape[-1]:
            return mapped
        found = raw.clone()
        found[..., self.columns] = mapped
        return found

"""Continued training: a penalty that keeps weights near those of earlier trainings, most those that mattered there.

The penalty is that of LiRank (Borisyuk et al. 2024, arXiv 2402.06859), a form of elastic weight consolidation (EWC,
Kirkpatrick et al. 2017, arXiv 1612.00796).
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from abaw.errors import InputError
from abaw.files import atomic_write

Weights = dict[str, Tensor]  # parameter -> its values


@dataclass(frozen=True)
class Anchor:
    """The weights of a training, and the Fisher information of each: how much the training's loss depends on it."""

    weights: Weights
    fisher: Weights


@dataclass(frozen=True)
class Anchors:
    """What a continued training starts from and stays near: the first training of its chain, and the last one.

    ``alpha``, from 0 to 1, is the part of the first; with 0 the penalty is that of EWC. ``penalty`` is its weight.
    """

    first: Anchor
    last: Anchor
    alpha: float
    penalty: float

    def to(self, device: torch.device) -> "Anchors":
        """The same on a device."""
        first, last = (
            Anchor(
                *({name: values.to(device) for name, values in part.items()} for part in (each.weights, each.fisher))
            )
            for each in (self.first, self.last)
        )
        return Anchors(first, last, self.alpha, self.penalty)

    def start(self) -> Weights:
        """The weights at the start: alpha w0 + (1 - alpha) w of the last."""
        first, last = self.first.weights, self.last.weights
        return {name: last[name] + self.alpha * (first[name] - last[name]) for name in last}

    def compute_loss(self, parameters: Iterable[tuple[str, nn.Parameter]]) -> Tensor:
        """penalty/2 [alpha (w - w0)' F0 (w - w0) + (1 - alpha) (w - w1)' F1 (w - w1)], 1 for the last training."""
        total: Tensor | None = None
        for name, parameter in parameters:
            for part, anchor in ((self.alpha, self.first), (1 - self.alpha, self.last)):
                if part:
                    term = part * (anchor.fisher[name] * (parameter - anchor.weights[name]).square()).sum()
                    total = term if total is None else total + term
        assert total is not None, "a model has parameters"
        return self.penalty / 2 * total


def read_parameters(module: nn.Module) -> Weights:
    """The parameters of a module, copied to the CPU."""
    return {name: parameter.detach().cpu().clone() for name, parameter in module.named_parameters()}


def measure_fisher(module: nn.Module, losses: Iterable[Callable[[], Tensor]]) -> Weights:
    """The diagonal empirical Fisher information: the mean over samples of the squared gradient of a sample's loss.

    ``losses``: for each sample a function that computes its loss with the module. The module is in eval mode
    meanwhile, without dropout. The result is on the CPU. Raises InputError where there is no sample, or
    a gradient is not finite.
    """
    was_training, num = module.training, 0
    total = {name: torch.zeros_like(each) for name, each in module.named_parameters()}
    module.eval()
    with torch.backends.cudnn.flags(enabled=False):  # cuDNN has no gradient of recurrent layers in eval mode
        for loss in losses:
            gradients = torch.autograd.grad(loss(), [*module.parameters()], allow_unused=True)
            for squares, gradient in zip(total.values(), gradients, strict=True):
                if gradient is not None:
                    squares += gradient.square()
            num += 1
    module.train(was_training)
    if not num:
        raise InputError("no window has a label: the Fisher information of nothing cannot be measured")
    fisher = {name: (each / num).cpu() for name, each in total.items()}
    if not all(torch.isfinite(each).all() for each in fisher.values()):
        raise InputError("the Fisher information is not finite: the run diverged; train it again before continuing it")
    return fisher


def save_parts(path: Path, parts: Mapping[str, Weights]) -> None:
    """Write values of all parameters, by the name of each part, as safetensors, atomically."""
    tensors = {f"{part}/{name}": each.contiguous() for part, values in parts.items() for name, each in values.items()}
    with atomic_write(path) as temporary:
        temporary.write_bytes(safetensors.torch.save(tensors))


def load_parts(path: Path, like: Mapping[str, Tensor], *parts: str) -> list[Weights]:
    """The named parts as they were saved, for the parameters of ``like``. Raises InputError where they are others."""
    try:
        tensors = safetensors.torch.load_file(path)
        found = [{name: tensors[f"{part}/{name}"] for name in like} for part in parts]
        for values in found:
            for name, each in values.items():
                if each.shape != like[name].shape:
                    raise KeyError(f"{name} has the shape {tuple(each.shape)}, not {tuple(like[name].shape)}")
    except (safetensors.SafetensorError, KeyError, OSError) as error:
        raise InputError(
            f"{path} does not hold what a continued training needs of this model ({error}): restore the file, or train "
            "the run again"
        ) from error
    return found

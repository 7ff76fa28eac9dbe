"""What encoders made of torch networks share: frozen, on a device, in a precision, with a choice of layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from abaw.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, dtype, nn

Precision = Literal["fp32", "bf16", "fp16"]
Combine = Literal["mean", "sum"]

Module = TypeVar("Module", bound="nn.Module")


@dataclass(frozen=True)
class Layers:
    """Which hidden layers make a row: one, or the mean or sum of several.

    ``indices`` count as ``hidden_states`` of transformers do: 0 is the embedding, -1 the last. -1 alone is the
    network's final output (with its final normalisation, where it has one).
    """

    indices: tuple[int, ...]
    combine: Combine = "mean"

    @property
    def is_final(self) -> bool:
        """Whether the network's own output serves, without its hidden states."""
        return self.indices == (-1,)

    def of(self, hidden_states: Sequence[Tensor]) -> Tensor:
        """The chosen layers of a network, combined. ValueError where it has no such layer."""
        import torch

        num = len(hidden_states)
        for index in self.indices:
            if not -num <= index < num:
                raise InputError(
                    f"layer {index} was asked for, the network has hidden layers 0 to {num - 1}, or -1 to {-num}"
                )
        chosen = torch.stack([hidden_states[index].float() for index in self.indices])
        return chosen.mean(0) if self.combine == "mean" else chosen.sum(0)


def layers(layer: int | str, combine: Combine) -> Layers:
    """From a setting: ``-1``, ``12``, ``-4..-1`` (both ends included) or ``3+6+9``. ValueError for anything else."""
    text = str(layer)
    if re.fullmatch(r"-?\d+(\+-?\d+)*", text):
        return Layers(tuple(int(index) for index in text.split("+")), combine)
    if match := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text):
        first, last = int(match[1]), int(match[2])
        if first <= last and (first < 0) == (last < 0):
            return Layers(tuple(range(first, last + 1)), combine)
    raise InputError(f"layer is {layer!r}, expected a number (-1 is the last), a range as -4..-1 or a choice as 3+6+9")


def numbers(precision: Precision) -> dtype:
    """The torch number format of a precision."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def frozen(model: Module, device: str, precision: Precision = "fp32", compile: bool = False) -> Module:
    """The network in eval mode, without gradients, on the device, in the precision; compiled where asked.

    ValueError where the device is not here.
    """
    import torch

    try:
        model = model.eval().requires_grad_(False).to(device=device, dtype=numbers(precision))
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"no device {device!r} here: {str(error).splitlines()[0]}; give --device cpu") from error
    compiled: Any = torch.compile(model) if compile else model
    return compiled


@contextmanager
def inference() -> Iterator[None]:
    """No gradients, and on a CUDA device no TF32, to which convolutions in fp32 are rounded unless told otherwise."""
    import torch

    was = torch.backends.cudnn
    with (
        torch.inference_mode(),
        was.flags(was.enabled, was.benchmark, was.benchmark_limit, was.deterministic, allow_tf32=False),
    ):
        yield


def check_batch_size(who: str, batch_size: int) -> int:
    """The batch size. ValueError where it is under 1."""
    if batch_size < 1:
        raise InputError(f"{who}: batch_size is {batch_size}, expected 1 or more")
    return batch_size

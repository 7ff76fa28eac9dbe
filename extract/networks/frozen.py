"""What encoders share that run torch networks: freezing, device, precision and the choice of hidden layers."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from abaw.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor, dtype, nn

Precision = Literal["auto", "fp32", "bf16", "fp16"]
Combine = Literal["mean", "sum"]

DEFINITION = 2  # of hidden layers by index; 1 was that of the library, which changed between versions

Module = TypeVar("Module", bound="nn.Module")


@dataclass(frozen=True)
class Layers:
    """The hidden layers that a row is computed from: one, or the mean or sum of several.

    Of a network with N blocks, 0 is the input of the first block, k the output of block k as the next one takes it, and
    N (or -1) the network's final hidden state, after its final normalisation where it has one; alone or in a list. The
    library's own list ends before or after that normalisation, depending on its version and on the network
    (docs/encoders.md says what this is in each family).
    """

    indices: tuple[int, ...]
    combine: Combine = "mean"

    @property
    def is_final(self) -> bool:
        """Whether the network's own output is taken, without its hidden states."""
        return self.indices == (-1,)

    def takes_final_among(self, num_states: int) -> bool:
        """Whether the final one of ``num_states`` hidden states is taken by its number or together with others."""
        return not self.is_final and any(index in (-1, num_states - 1) for index in self.indices)

    def recipe(self, num_states: int) -> dict[str, int]:
        """The number of our definition of layers, for the recipes whose rows depend on it; otherwise empty."""
        return {"layers": DEFINITION} if self.takes_final_among(num_states) else {}

    def combined(self, hidden_states: Sequence[Tensor]) -> Tensor:
        """The chosen layers, combined. Raises InputError where there is no such layer."""
        import torch

        num = len(hidden_states)
        for index in self.indices:
            if not -num <= index < num:
                raise InputError(
                    f"there is no layer {index}: the network has hidden layers 0 to {num - 1}, or -1 to {-num}"
                )
        chosen = torch.stack([hidden_states[index].float() for index in self.indices])
        return chosen.mean(0) if self.combine == "mean" else chosen.sum(0)


def parse_layers(layer: int | str, combine: Combine) -> Layers:
    """The layers of a setting: ``-1``, ``12``, ``-4..-1`` (both ends included) or ``3+6+9``.

    Raises InputError for anything else.

    >>> parse_layers("-4..-1", "mean")
    Layers(indices=(-4, -3, -2, -1), combine='mean')
    """
    text = str(layer)
    if re.fullmatch(r"-?\d+(\+-?\d+)*", text, re.ASCII):
        return Layers(tuple(int(index) for index in text.split("+")), combine)
    if match := re.fullmatch(r"(-?\d+)\.\.(-?\d+)", text, re.ASCII):
        first, last = int(match[1]), int(match[2])
        if first <= last and (first < 0) == (last < 0):
            return Layers(tuple(range(first, last + 1)), combine)
    raise InputError(
        f"layer is {layer!r}, expected a number (-1 is the last), a range like -4..-1 or a list like 3+6+9"
    )


def hidden_states(made: Any) -> tuple[Any, ...]:
    """The hidden states 0 to N of an output of transformers, the last one after the network's final normalisation.

    Empty where the network does not give its hidden states.
    """
    states = getattr(made, "hidden_states", None)
    return () if states is None else (*states[:-1], made.last_hidden_state)


def precision_on(device: str, precision: Precision) -> Precision:
    """The precision that ``auto`` means on a device: bf16 on CUDA from compute capability 8 on, elsewhere fp32.

    Encoders write this into their recipe, never ``auto``: features in bf16 and in fp32 are different features. Another
    precision is returned as it is; so is ``auto`` as fp32 where there is no such device, which ``freeze`` reports.
    """
    if precision != "auto":
        return precision
    if not device.startswith("cuda"):
        return "fp32"
    import torch

    number = int(device.partition(":")[2] or 0)
    has_bf16 = number < torch.cuda.device_count() and torch.cuda.get_device_capability(number)[0] >= 8
    return "bf16" if has_bf16 else "fp32"


def torch_dtype(precision: Precision) -> dtype:
    """The torch dtype of a precision other than ``auto``."""
    import torch

    return {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}[precision]


def freeze(model: Module, device: str, precision: Precision = "fp32", compile: bool = False) -> Module:
    """The network in eval mode, without gradients, on the device, in the precision; compiled where ``compile``.

    Raises InputError where this machine has no such device.
    """
    import torch

    try:
        model = model.eval().requires_grad_(False).to(device=device, dtype=torch_dtype(precision))
    except (RuntimeError, AssertionError) as error:
        raise InputError(
            f"no device {device!r} on this machine: {str(error).splitlines()[0]}; give --device cpu"
        ) from error
    compiled: Any = torch.compile(model) if compile else model
    return compiled


@contextmanager
def inference() -> Iterator[None]:
    """Without gradients, and on a CUDA device without TF32, to which cuDNN rounds convolutions in fp32 by default."""
    import torch

    was = torch.backends.cudnn
    with (
        torch.inference_mode(),
        was.flags(was.enabled, was.benchmark, was.benchmark_limit, was.deterministic, allow_tf32=False),
    ):
        yield


def check_batch_size(encoder: str, batch_size: int) -> int:
    """The batch size. Raises InputError where it is less than 1."""
    if batch_size < 1:
        raise InputError(f"{encoder}: batch_size is {batch_size}, expected 1 or more")
    return batch_size

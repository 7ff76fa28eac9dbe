"""Recurrent layers that ignore padding."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.layers.masks import make_length_mask, zero_unobserved


class Recurrent(nn.Module):
    """An LSTM or GRU whose output does not depend on padding and is 0 there.

    ``kind`` is ``nn.LSTM`` or ``nn.GRU``. The backward direction starts at each window's own last step: where windows
    differ in length, the layer runs a second time over windows that are aligned at their end. (Torch's packed sequences
    give the same result, but on a CPU the time of their gradient grows with the square of the length.)
    """

    def __init__(
        self, kind: Callable[..., nn.LSTM | nn.GRU], dim: int, hidden_dim: int, *, bidirectional: bool
    ) -> None:
        super().__init__()
        self.layer = kind(dim, hidden_dim, batch_first=True, bidirectional=bidirectional)

    def forward(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time hidden"]:
        inside = make_length_mask(lengths, values.shape[1])
        values = zero_unobserved(values, inside)
        hidden = self._run(values)
        if self.layer.bidirectional and not bool(inside.all()):
            padding = values.shape[1] - lengths
            backwards = roll_windows(self._run(roll_windows(values, padding)), -padding)
            width = self.layer.hidden_size
            hidden = torch.cat([hidden[..., :width], backwards[..., width:]], dim=-1)
        return zero_unobserved(hidden, inside)

    def _run(self, values: Tensor) -> Tensor:
        """The layer's output. In mixed precision it is computed in float32 on a CPU without bfloat16 instructions."""
        is_mixed = values.device.type == "cpu" and torch.is_autocast_enabled("cpu")
        if not is_mixed or torch.ops.mkldnn._is_mkldnn_bf16_supported():
            return self.layer(values)[0]
        with torch.autocast("cpu", enabled=False):  # oneDNN has no LSTM in bfloat16 there
            return self.layer(values.float())[0].to(torch.get_autocast_dtype("cpu"))


def roll_windows(
    values: Float[Tensor, "batch time dim"], shifts: Int[Tensor, " batch"]
) -> Float[Tensor, "batch time dim"]:
    """Each window rolled along time by its own number of steps, like ``torch.roll``."""
    num_steps = values.shape[1]
    sources = (torch.arange(num_steps, device=values.device) - shifts[:, None]) % num_steps
    return values.gather(1, sources[..., None].expand_as(values))

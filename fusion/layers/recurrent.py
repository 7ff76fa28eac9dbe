"""Recurrent layers that end where the window ends."""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from fusion.layers.masks import visible, within


class Recurrent(nn.Module):
    """A recurrent layer that ends where the window ends: padding changes nothing, and is 0 in the output.

    ``kind`` is ``nn.LSTM`` or ``nn.GRU``. The backward direction starts at each window's own last step: where windows
    differ in length it runs a second time, over windows pushed against the far end. (torch's packed sequences do that
    too, but on a CPU their gradient takes time that grows with the square of the length.)
    """

    def __init__(
        self, kind: Callable[..., nn.LSTM | nn.GRU], dim: int, hidden_dim: int, *, bidirectional: bool
    ) -> None:
        super().__init__()
        self.layer = kind(dim, hidden_dim, batch_first=True, bidirectional=bidirectional)

    def forward(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time hidden"]:
        inside = within(lengths, values.shape[1])
        values = visible(values, inside)
        hidden = self.layer(values)[0]
        if self.layer.bidirectional and not bool(inside.all()):
            padding = values.shape[1] - lengths
            backwards = rolled(self.layer(rolled(values, padding))[0], -padding)
            width = self.layer.hidden_size
            hidden = torch.cat([hidden[..., :width], backwards[..., width:]], dim=-1)
        return visible(hidden, inside)


def rolled(values: Float[Tensor, "batch time dim"], shifts: Int[Tensor, " batch"]) -> Float[Tensor, "batch time dim"]:
    """Every window moved by its own number of steps, what leaves at one end coming in at the other."""
    num_steps = values.shape[1]
    sources = (torch.arange(num_steps, device=values.device) - shifts[:, None]) % num_steps
    return values.gather(1, sources[..., None].expand_as(values))

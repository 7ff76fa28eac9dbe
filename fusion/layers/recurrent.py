"""Recurrent layers that end where the window ends."""

from collections.abc import Callable

from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Recurrent(nn.Module):
    """A recurrent layer that ends where the window ends: padding changes nothing, and is 0 in the output.

    ``kind`` is ``nn.LSTM`` or ``nn.GRU``. The backward direction starts at each window's own last step, which is why
    the sequences are packed: masking afterwards would let padding in from the far end.
    """

    def __init__(
        self,
        kind: Callable[..., nn.LSTM | nn.GRU],
        dim: int,
        hidden_dim: int,
        *,
        bidirectional: bool,
        num_layers: int = 1,
    ) -> None:
        super().__init__()
        self.layer = kind(dim, hidden_dim, num_layers, batch_first=True, bidirectional=bidirectional)

    def forward(
        self, values: Float[Tensor, "batch time dim"], lengths: Int[Tensor, " batch"]
    ) -> Float[Tensor, "batch time hidden"]:
        # a packed sequence wants its lengths on the CPU
        packed = pack_padded_sequence(values, lengths.cpu(), batch_first=True, enforce_sorted=False)
        hidden, _ = pad_packed_sequence(self.layer(packed)[0], batch_first=True, total_length=values.shape[1])
        return hidden

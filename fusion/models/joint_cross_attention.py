"""Every modality attends to all of them at once, again and again: which features go together in this window."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import check_normed, check_settings, ordered, seen, seen_with_flags, within
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Praveen and Alam 2024, Recursive Joint Cross-Modal Attention for Multimodal Fusion in Dimensional "
    "Emotion Recognition, arXiv 2403.13659 (RJCMA)",
    "context": "window",
    "differs": "The paper's weights mix the steps of a window, which ties them to its one length: ours mix features, "
    "and a correlation is the mean over the steps in which both sides were observed, where theirs is a sum over 300 "
    "steps divided by sqrt(d); here what is looked at by it is divided so, without which training fails. Layer norm "
    "takes the place of batch norm, every modality is hidden_dim wide, and the TCNs are centred, with ReLU.",
}


@FUSION_MODELS.register
def joint_cross_attention(
    *,
    dims: Mapping[str, int],
    hidden_dim: int = 128,
    num_recursions: int = 2,
    num_layers: int = 4,
    kernel: int = 5,
    conv_dropout: float = 0.1,
    dropout: float = 0.6,
) -> FusionModel:
    """A TCN for each modality, then attention by each one's correlation with all, repeated (RJCMA)."""
    return JointCrossAttention(dims, hidden_dim, num_recursions, num_layers, kernel, conv_dropout, dropout)


class JointCrossAttention(FusionModel):
    """Praveen and Alam 2024 (arXiv 2403.13659, 6th ABAW).

    Per modality m a TCN of ``num_layers`` blocks on its features and whether it was observed, then a layer norm: x_m.
    ``num_recursions`` times, with weights of its own each time, ``JointAttention`` of all modalities. Side by side,
    Linear to ``hidden_dim``, layer norm, leaky ReLU. ``conv_dropout`` is in the TCNs, ``dropout`` in the attention.
    Raises ValueError for settings that make no sense.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        hidden_dim: int,
        num_recursions: int,
        num_layers: int,
        kernel: int,
        conv_dropout: float,
        dropout: float,
    ) -> None:
        super().__init__()
        sizes = {"hidden_dim": hidden_dim, "num_recursions": num_recursions, "num_layers": num_layers, "kernel": kernel}
        check_settings("joint_cross_attention", dropout=dropout, **sizes)
        check_normed(hidden_dim)
        if not 0 <= conv_dropout < 1:
            raise InputError(f"joint_cross_attention: conv_dropout is {conv_dropout}, expected 0 up to 1")
        self.names = ordered(dims)
        self.hidden_dim = hidden_dim
        self.convolve = nn.ModuleList(
            TemporalNetwork(dims[name] + 1, hidden_dim, num_layers, kernel, conv_dropout) for name in self.names
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in self.names)
        self.attend = nn.ModuleList(JointAttention(len(self.names), hidden_dim, dropout) for _ in range(num_recursions))
        joint_dim = hidden_dim * len(self.names)
        self.project = nn.Sequential(nn.Linear(joint_dim, hidden_dim), nn.LayerNorm(hidden_dim), nn.LeakyReLU())

    def forward(self, steps: FusionInput) -> FusionOutput:
        inside = within(steps.lengths, steps.times_s.shape[1])
        values = torch.stack(
            [
                norm(network(seen_with_flags(steps, name), inside))
                for norm, network, name in zip(self.norms, self.convolve, self.names, strict=True)
            ],
            dim=2,
        )
        observed = torch.stack([seen(steps, name)[1] for name in self.names], dim=2)
        for attend in self.attend:
            values = attend(values, observed)
        return FusionOutput(self.project(values.flatten(2)))


class JointAttention(nn.Module):
    """One recursion: each modality m of M looks at the joint representation j, all modalities side by side.

    C_m = tanh(mean over steps of (W_jm x_m) j^T), hidden by M * hidden: for each other modality's share of j the mean
    is over the steps in which it and m were observed, and 0 where there is none.
    H_m(t) = ReLU(W_m x_m(t) + b_m + W_cm C_m^T x_m(t) / sqrt(hidden)), and x_m(t) becomes x_m(t) + W_hm H_m(t) + b_hm.
    Dropout on C_m and on what is added to x_m.
    """

    def __init__(self, num_modalities: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        every = range(num_modalities)
        self.correlate = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim, bias=False) for _ in every)
        self.own = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in every)
        self.of_joint = nn.ModuleList(nn.Linear(num_modalities * hidden_dim, hidden_dim, bias=False) for _ in every)
        self.out = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in every)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "batch time modality hidden"], observed: Bool[Tensor, "batch time modality"]
    ) -> Float[Tensor, "batch time modality hidden"]:
        known = torch.where(observed[..., None], values, values.new_zeros(()))
        flags = observed.to(values.dtype)
        both = (flags.transpose(1, 2) @ flags).clamp(min=1)  # steps in which two modalities were observed
        attended = []
        for i, own in enumerate(values.unbind(2)):
            sums = self.correlate[i](known[:, :, i]).transpose(1, 2) @ known.flatten(2)
            correlation = (sums.unflatten(2, known.shape[2:]) / both[:, i, None, :, None]).tanh().flatten(2)
            looked_at = self.of_joint[i](own @ self.dropout(correlation) / own.shape[-1] ** 0.5)
            attended.append(own + self.dropout(self.out[i]((self.own[i](own) + looked_at).relu())))
        return torch.stack(attended, dim=2)

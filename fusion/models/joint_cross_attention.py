"""Recursive joint cross-attention: each modality attends to all modalities by the correlation of their features."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.convolution import TemporalNetwork
from fusion.layers.masks import (
    check_layer_norm,
    make_length_mask,
    mask_features,
    mask_features_with_flag,
    sort_modalities,
)
from fusion.models import FUSION_MODELS

FACTS = {
    "paper": "Praveen and Alam 2024, Recursive Joint Cross-Modal Attention for Multimodal Fusion in Dimensional "
    "Emotion Recognition, arXiv 2403.13659 (RJCMA)",
    "context": "window",
    "differs": "The paper's weights mix the steps of a window and are tied to its length; ours mix features. A "
    "correlation is the mean over the steps at which both modalities were observed, where the paper divides the sum "
    "over 300 steps by sqrt(d); we divide the attended features by sqrt(d) instead, because training fails without. "
    "Layer norm instead of batch norm, all modalities have hidden_dim features, and the TCNs are centred, with ReLU.",
}


@FUSION_MODELS.register
def joint_cross_attention(
    *,
    dims: Mapping[str, int],
    hidden_dim: Size = 128,
    num_recursions: Size = 2,
    num_layers: Size = 4,
    kernel: Size = 5,
    conv_dropout: DropoutRate = 0.1,
    dropout: DropoutRate = 0.6,
) -> FusionModel:
    """TCN for each modality, then recursive attention by their joint correlation (RJCMA)."""
    return JointCrossAttention(dims, hidden_dim, num_recursions, num_layers, kernel, conv_dropout, dropout)


class JointCrossAttention(FusionModel):
    """RJCMA of Praveen and Alam 2024 (arXiv 2403.13659, 6th ABAW).

    For each modality m a TCN of ``num_layers`` blocks on its features and observed flag, then a layer norm: x_m.
    ``JointAttention`` over all modalities is applied ``num_recursions`` times, each time with its own weights. The
    concatenation goes through a linear layer to ``hidden_dim``, layer norm and leaky ReLU. ``conv_dropout`` is the rate
    in the TCNs, ``dropout`` that in the attention.

    Raises InputError where ``hidden_dim`` is 1, whose layer norm would be 0.
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
        check_layer_norm(hidden_dim)
        self.names = sort_modalities(dims)
        self.hidden_dim = hidden_dim
        self.convolve = nn.ModuleList(
            TemporalNetwork(dims[name] + 1, hidden_dim, num_layers, kernel, conv_dropout) for name in self.names
        )
        self.norms = nn.ModuleList(nn.LayerNorm(hidden_dim) for _ in self.names)
        self.attend = nn.ModuleList(JointAttention(len(self.names), hidden_dim, dropout) for _ in range(num_recursions))
        joint_dim = hidden_dim * len(self.names)
        self.project = nn.Sequential(nn.Linear(joint_dim, hidden_dim), nn.LayerNorm(hidden_dim), nn.LeakyReLU())

    def forward(self, inputs: FusionInput) -> FusionOutput:
        inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
        values = torch.stack(
            [
                norm(network(mask_features_with_flag(inputs, name), inside))
                for norm, network, name in zip(self.norms, self.convolve, self.names, strict=True)
            ],
            dim=2,
        )
        observed = torch.stack([mask_features(inputs, name)[1] for name in self.names], dim=2)
        for attend in self.attend:
            values = attend(values, observed)
        return FusionOutput(self.project(values.flatten(2)))


class JointAttention(nn.Module):
    """One recursion: each modality m attends to the joint representation j, the concatenation of all M modalities.

    C_m = tanh(mean over steps of (W_jm x_m) j^T), of shape (hidden, M * hidden). The part of each modality in j is
    averaged over the steps at which it and m were observed, and is 0 where there are none.
    H_m(t) = ReLU(W_m x_m(t) + b_m + W_cm C_m^T x_m(t) / sqrt(hidden)), and x_m(t) becomes x_m(t) + W_hm H_m(t) + b_hm.
    Dropout is applied to C_m and to the term that is added to x_m.
    """

    def __init__(self, num_modalities: int, hidden_dim: int, dropout: float) -> None:
        super().__init__()
        joint_dim, every = num_modalities * hidden_dim, range(num_modalities)
        self.correlate = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim, bias=False) for _ in every)
        self.project = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in every)
        self.project_correlated = nn.ModuleList(nn.Linear(joint_dim, hidden_dim, bias=False) for _ in every)
        self.out = nn.ModuleList(nn.Linear(hidden_dim, hidden_dim) for _ in every)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, values: Float[Tensor, "batch time modality hidden"], observed: Bool[Tensor, "batch time modality"]
    ) -> Float[Tensor, "batch time modality hidden"]:
        known = torch.where(observed[..., None], values, values.new_zeros(()))
        flags = observed.to(values.dtype)
        num_both = (flags.transpose(1, 2) @ flags).clamp(min=1)  # steps at which both of two modalities were observed
        results = []
        for i, own in enumerate(values.unbind(2)):
            sums = self.correlate[i](known[:, :, i]).transpose(1, 2) @ known.flatten(2)
            correlation = (sums.unflatten(2, known.shape[2:]) / num_both[:, i, None, :, None]).tanh().flatten(2)
            attended = self.project_correlated[i](own @ self.dropout(correlation) / own.shape[-1] ** 0.5)
            results.append(own + self.dropout(self.out[i]((self.project[i](own) + attended).relu())))
        return torch.stack(results, dim=2)

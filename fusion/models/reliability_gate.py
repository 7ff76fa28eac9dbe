"""Reliability-aware fusion: modalities weighted by their estimated reliability, others as context."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import DropoutRate, FusionInput, FusionModel, FusionOutput, Size
from fusion.layers.attention import MultiHeadAttention, TransformerLayer
from fusion.layers.masks import make_length_mask, mask_features, sort_modalities, zero_unobserved
from fusion.models import FUSION_MODELS

NUM_LATENTS = 4  # learned vectors that summarise the context of a window, as in the paper's code

FACTS = {
    "paper": "Ryumina et al. 2026, Team RAS in 10th ABAW Competition: Multimodal Valence and Arousal Estimation "
    "Approach, arXiv 2603.13056 (Reliability-Aware Audio-Visual Fusion)",
    "context": "window",
    "differs": "Sizes are those of the public code, whose input features come from temporal models (a 5-layer "
    "transformer over 400 frames for faces); ours may not, so that more layers can help. No prior weights of "
    "modalities and no single-modality predictions as input. The context is aligned to the frames instead of having "
    "its own rate. Its filter, which keeps sound only while the mouth is open, is not built.",
}


@FUSION_MODELS.register
def reliability_gate(
    *,
    dims: Mapping[str, int],
    context: Sequence[str] = (),
    hidden_dim: Size = 256,
    num_layers: Size = 1,
    num_heads: Size = 4,
    dropout: DropoutRate = 0.1,
) -> FusionModel:
    """Modalities weighted by their reliability at every step, others as context, then a transformer."""
    return ReliabilityGate(dims, context, hidden_dim, num_layers, num_heads, dropout)


class ReliabilityGate(FusionModel):
    """Reliability-aware fusion of Ryumina et al. 2026 (arXiv 2603.13056, 10th ABAW).

    For each modality Linear(dim -> ``hidden_dim``), and a perceptron with one GELU layer that estimates its reliability
    at a step. The modalities are summed with the softmax of the reliabilities over the modalities observed at the step
    as weights (0 where there is none). Modalities named in ``context`` are not summed: their observed steps are
    summarised in 4 learned vectors, to which all steps attend. ``num_layers`` of self-attention without positions,
    layer norm, and Linear with GELU follow. The output has ``hidden_dim`` features.

    Raises InputError where ``context`` names an unknown modality or all of them, or ``num_heads`` does not divide
    ``hidden_dim``.
    """

    def __init__(
        self,
        dims: Mapping[str, int],
        context: Sequence[str],
        hidden_dim: int,
        num_layers: int,
        num_heads: int,
        dropout: float,
    ) -> None:
        super().__init__()
        names = sort_modalities(dims)
        _check_context(context, names)
        self.names = tuple(name for name in names if name not in context)
        self.context = tuple(name for name in names if name in context)
        self.hidden_dim = hidden_dim
        # not a ModuleDict: the name of a modality may contain a dot
        self.projections = nn.ModuleList(nn.Linear(dims[name], hidden_dim) for name in self.names + self.context)
        # a single modality always has weight 1: its gate would have no gradient
        gated = self.names if len(self.names) > 1 else ()
        self.gates = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, 1))
            for _ in gated
        )
        self.context_attention = ContextAttention(hidden_dim, num_heads, dropout) if self.context else None
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_dim, num_heads, 4 * hidden_dim, dropout, activation=nn.GELU)
            for _ in range(num_layers)
        )
        self.out = nn.Sequential(
            nn.LayerNorm(hidden_dim), nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.Dropout(dropout)
        )

    def forward(self, inputs: FusionInput) -> FusionOutput:
        states, observed = self._project(inputs, self.names, self.projections[: len(self.names)])
        hidden = (states * self._weigh(states, observed)[..., None]).sum(2)
        if self.context_attention is not None:
            memory, context_observed = self._project(inputs, self.context, self.projections[len(self.names) :])
            attended = self.context_attention(hidden, memory.flatten(1, 2), context_observed.flatten(1))
            # 0 where no modality was observed, so that the transformer fills in from other steps; the context alone is
            # used only in windows without any observed step
            any_observed = observed.any(-1)
            hidden = zero_unobserved(attended, any_observed | ~any_observed.any(1, keepdim=True))
        inside = make_length_mask(inputs.lengths, hidden.shape[1])
        for layer in self.layers:
            hidden = layer(hidden, inside)
        return FusionOutput(self.out(hidden))

    def _project(
        self, inputs: FusionInput, names: Sequence[str], projections: Iterable[nn.Module]
    ) -> tuple[Float[Tensor, "batch time names hidden"], Bool[Tensor, "batch time names"]]:
        values, observed = zip(*(mask_features(inputs, name) for name in names), strict=True)
        states = [project(each) for project, each in zip(projections, values, strict=True)]
        return torch.stack(states, dim=2), torch.stack(observed, dim=2)

    def _weigh(
        self, states: Float[Tensor, "batch time names hidden"], observed: Bool[Tensor, "batch time names"]
    ) -> Float[Tensor, "batch time names"]:
        """The weights of the modalities at each step: they sum to 1 over the observed ones and are 0 elsewhere."""
        if not self.gates:
            return observed.to(states.dtype)
        reliability = torch.cat([gate(states[:, :, i]) for i, gate in enumerate(self.gates)], dim=-1)
        # finite: a softmax over -inf alone would be NaN
        lowest = torch.finfo(reliability.dtype).min
        weights = torch.where(observed, reliability, lowest).softmax(-1)
        return torch.where(observed, weights, 0.0)


class ContextAttention(nn.Module):
    """Steps attend to a few learned vectors, which have attended to all observed steps of the context.

    In a window without observed context the steps are unchanged.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.02 * torch.randn(NUM_LATENTS, dim))
        self.summarise = MultiHeadAttention(dim, num_heads)
        self.attend = MultiHeadAttention(dim, num_heads)
        self.norm_latents, self.norm_queries, self.norm_output = (nn.LayerNorm(dim) for _ in range(3))

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        memory: Float[Tensor, "batch other dim"],
        context_observed: Bool[Tensor, "batch other"],
    ) -> Float[Tensor, "batch time dim"]:
        latents = self.latents.expand(len(values), -1, -1)
        latents = self.norm_latents(latents + self.summarise(latents, memory, context_observed))
        all_latents = context_observed.new_ones(latents.shape[:2])
        attended = values + self.attend(self.norm_queries(values), latents, all_latents)
        return torch.where(context_observed.any(-1)[:, None, None], self.norm_output(attended), values)


def _check_context(context: Sequence[str], names: Sequence[str]) -> None:
    known = ", ".join(names)
    for name in context:
        if name not in names:
            raise InputError(f"reliability_gate: context names {name!r}, which is not a modality; known: {known}")
    if set(context) == set(names):
        raise InputError(f"reliability_gate: context names all modalities ({known}): leave at least one to be summed")

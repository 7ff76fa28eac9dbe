"""At every step the modalities count as far as they can be relied on; sound is there as context."""

from collections.abc import Iterable, Mapping, Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.errors import InputError
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.attention import MultiHeadAttention, TransformerLayer
from fusion.layers.masks import check_settings, ordered, seen, visible, within
from fusion.models import FUSION_MODELS

NUM_LATENTS = 4  # vectors into which a window's context is pressed, as many as in the paper's code

FACTS = {
    "paper": "Ryumina et al. 2026, Team RAS in 10th ABAW Competition: Multimodal Valence and Arousal Estimation "
    "Approach, arXiv 2603.13056 (Reliability-Aware Audio-Visual Fusion)",
    "context": "window",
    "differs": "Sizes are those of the public code, whose features come from temporal models of their own (a 5-layer "
    "transformer over 400 frames for faces): ours need not, so more layers may pay. No prior weights of modalities and "
    "no predictions of single modalities beside their features; context is on the clock, not at its own rate.",
}


@FUSION_MODELS.register
def reliability_gate(
    *,
    dims: Mapping[str, int],
    context: Sequence[str] = (),
    hidden_dim: int = 256,
    num_layers: int = 1,
    num_heads: int = 4,
    dropout: float = 0.1,
) -> FusionModel:
    """Modalities weighed by their reliability at every step, sound as context, a transformer."""
    return ReliabilityGate(dims, context, hidden_dim, num_layers, num_heads, dropout)


class ReliabilityGate(FusionModel):
    """Ryumina et al. 2026 (arXiv 2603.13056, 10th ABAW), the reliability-aware fusion.

    Per modality Linear(dim -> ``hidden_dim``) and a perceptron with one GELU layer that says how reliable it is at a
    step; a softmax over the modalities observed there weighs their sum (none: 0). ``context`` names modalities that are
    not summed: what was observed of them in the window is pressed into 4 learned vectors, to which the steps attend.
    Then ``num_layers`` of self-attention without positions, layer norm and a GELU layer.
    Raises ValueError for settings that make no sense, a ``context`` that is unknown or leaves no modality to sum, or
    where ``num_heads`` does not divide ``hidden_dim``.
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
        sizes = {"hidden_dim": hidden_dim, "num_layers": num_layers, "num_heads": num_heads}
        check_settings("reliability_gate", dropout=dropout, **sizes)
        names = ordered(dims)
        _check_context(context, names)
        self.names = tuple(name for name in names if name not in context)
        self.context = tuple(name for name in names if name in context)
        self.hidden_dim = hidden_dim
        # no ModuleDict: a modality may have a dot in its name
        self.projections = nn.ModuleList(nn.Linear(dims[name], hidden_dim) for name in self.names + self.context)
        # one modality alone has all the weight: a gate would never learn
        gated = self.names if len(self.names) > 1 else ()
        self.gates = nn.ModuleList(
            nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.Dropout(dropout), nn.Linear(hidden_dim, 1))
            for _ in gated
        )
        self.listen = Listen(hidden_dim, num_heads, dropout) if self.context else None
        self.layers = nn.ModuleList(
            TransformerLayer(hidden_dim, num_heads, 4 * hidden_dim, dropout, activation=nn.GELU)
            for _ in range(num_layers)
        )
        self.out = nn.Sequential(
            nn.LayerNorm(hidden_dim), nn.Linear(hidden_dim, hidden_dim), nn.GELU(), nn.Dropout(dropout)
        )

    def forward(self, steps: FusionInput) -> FusionOutput:
        states, observed = self._project(steps, self.names, self.projections[: len(self.names)])
        hidden = (states * self._weigh(states, observed)[..., None]).sum(2)
        if self.listen is not None:
            memory, heard = self._project(steps, self.context, self.projections[len(self.names) :])
            told = self.listen(hidden, memory.flatten(1, 2), heard.flatten(1))
            # context adds to what was seen; where nothing was, the transformer fills in from other steps, if there are
            was_seen = observed.any(-1)
            hidden = visible(told, was_seen | ~was_seen.any(1, keepdim=True))
        inside = within(steps.lengths, hidden.shape[1])
        for layer in self.layers:
            hidden = layer(hidden, inside)
        return FusionOutput(self.out(hidden))

    def _project(
        self, steps: FusionInput, names: Sequence[str], projections: Iterable[nn.Module]
    ) -> tuple[Float[Tensor, "batch time names hidden"], Bool[Tensor, "batch time names"]]:
        values, observed = zip(*(seen(steps, name) for name in names), strict=True)
        states = [project(each) for project, each in zip(projections, values, strict=True)]
        return torch.stack(states, dim=2), torch.stack(observed, dim=2)

    def _weigh(
        self, states: Float[Tensor, "batch time names hidden"], observed: Bool[Tensor, "batch time names"]
    ) -> Float[Tensor, "batch time names"]:
        """How reliable each modality is at each step: in all 1 over those observed, 0 for the others."""
        if not self.gates:
            return observed.to(states.dtype)
        reliability = torch.cat([gate(states[:, :, i]) for i, gate in enumerate(self.gates)], dim=-1)
        # finite, for where nothing was observed a softmax over -inf would be NaN
        lowest = torch.finfo(reliability.dtype).min
        weights = torch.where(observed, reliability, lowest).softmax(-1)
        return torch.where(observed, weights, 0.0)


class Listen(nn.Module):
    """FusionInput take in what a window's context says, through a few learned vectors that have read all of it.

    A window without context leaves its steps as they are.
    """

    def __init__(self, dim: int, num_heads: int, dropout: float) -> None:
        super().__init__()
        self.latents = nn.Parameter(0.02 * torch.randn(NUM_LATENTS, dim))
        self.read = MultiHeadAttention(dim, num_heads)
        self.tell = MultiHeadAttention(dim, num_heads)
        self.norm_latents, self.norm_steps, self.norm_told = (nn.LayerNorm(dim) for _ in range(3))

    def forward(
        self,
        values: Float[Tensor, "batch time dim"],
        memory: Float[Tensor, "batch other dim"],
        heard: Bool[Tensor, "batch other"],
    ) -> Float[Tensor, "batch time dim"]:
        latents = self.latents.expand(len(values), -1, -1)
        latents = self.norm_latents(latents + self.read(latents, memory, heard))
        told = values + self.tell(self.norm_steps(values), latents, heard.new_ones(latents.shape[:2]))
        return torch.where(heard.any(-1)[:, None, None], self.norm_told(told), values)


def _check_context(context: Sequence[str], names: Sequence[str]) -> None:
    known = ", ".join(names)
    for name in context:
        if name not in names:
            raise InputError(f"reliability_gate: context names {name!r}, which is no modality; known: {known}")
    if set(context) == set(names):
        raise InputError(f"reliability_gate: context names all modalities ({known}): leave at least one to be summed")

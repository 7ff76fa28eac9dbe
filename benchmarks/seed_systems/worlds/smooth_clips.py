"""Clips whose labels change slowly, and what networks with and without attention learn of them.

Latent series with at most ``NUM_KEPT`` - 4 cosine coefficients, seen through noisy features to which each clip adds an
offset of its own. A step alone shows neither the offset nor the series without noise; the whole clip does.
"""

import torch
from torch import Tensor, nn

from abaw.metrics import concordance
from fusion.layers.frequency import FrequencyMode, FrequencySelfAttention, cosine_basis

NUM_STEPS, NUM_LATENTS, NUM_FEATURES, NUM_LABELS, NUM_KEPT, NUM_CLIPS, BATCH = 128, 4, 32, 2, 16, 256, 16
OFFSET, NOISE, NUM_UPDATES = 1.0, 0.5, 400


def make_clips(num: int, seed: int) -> tuple[Tensor, Tensor]:
    """Features (clip time feature) and labels (clip time label); the same mixing of latents for every seed."""
    drawn, fixed = torch.Generator().manual_seed(seed), torch.Generator().manual_seed(1234)
    mixing = torch.randn(NUM_LATENTS, NUM_FEATURES, generator=fixed) / NUM_LATENTS**0.5
    basis = cosine_basis(NUM_STEPS, NUM_KEPT - 3)[:, 1:].float()
    coefficients = torch.randn(num, basis.shape[1], NUM_LATENTS, generator=drawn)
    latents = basis @ coefficients * (NUM_STEPS / basis.shape[1]) ** 0.5
    offsets = OFFSET * torch.randn(num, 1, NUM_LATENTS, generator=drawn)
    noise = NOISE * torch.randn(num, NUM_STEPS, NUM_FEATURES, generator=drawn)
    return (latents + offsets) @ mixing + noise, latents[..., :NUM_LABELS].tanh()


class Network(nn.Module):
    """A linear map, frequency attention or none, and a perceptron at each step."""

    def __init__(self, mode: FrequencyMode | None, hidden_dim: int = 32) -> None:
        super().__init__()
        self.project = nn.Linear(NUM_FEATURES, hidden_dim)
        self.attention = FrequencySelfAttention(hidden_dim, head_dim=16, mode=mode) if mode else None
        self.out = nn.Sequential(nn.Linear(hidden_dim, hidden_dim), nn.ReLU(), nn.Linear(hidden_dim, NUM_LABELS))

    def forward(self, features: Tensor, num_coefficients: int) -> Tensor:
        hidden = self.project(features)
        if self.attention is not None:
            lengths = torch.full((len(features),), NUM_STEPS)
            hidden = self.attention(hidden, lengths, torch.full_like(lengths, num_coefficients))
        return self.out(hidden)


def fit(mode: FrequencyMode | None, num_coefficients: int, seed: int, num_updates: int = NUM_UPDATES) -> Network:
    """A network trained at this number of coefficients."""
    torch.manual_seed(seed)
    network, (features, labels) = Network(mode), make_clips(NUM_CLIPS, seed)
    optimizer, drawn = torch.optim.Adam(network.parameters(), lr=3e-3), torch.Generator().manual_seed(seed)
    for _ in range(num_updates):
        chosen = torch.randint(NUM_CLIPS, (BATCH,), generator=drawn)
        loss = (network(features[chosen], num_coefficients) - labels[chosen]).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


@torch.no_grad()
def score(network: Network, num_coefficients: int, seed: int) -> float:
    """The mean CCC of the labels over new clips."""
    features, labels = make_clips(NUM_CLIPS // 2, seed + 1000)
    found = network(features, num_coefficients)
    return (
        sum(float(concordance(found[..., i].flatten().numpy(), labels[..., i].flatten().numpy())) for i in range(2)) / 2
    )


def compare(mode: FrequencyMode, seed: int, num_updates: int = NUM_UPDATES) -> dict[str, float]:
    """The CCC without attention, with all coefficients, with few after a training with all, and trained with few."""
    none, full = fit(None, 0, seed, num_updates), fit(mode, NUM_STEPS, seed, num_updates)
    few = fit(mode, NUM_KEPT, seed, num_updates)
    return {
        "none": score(none, 0, seed),
        "all": score(full, NUM_STEPS, seed),
        "low-passed": score(full, NUM_KEPT, seed),
        "few": score(few, NUM_KEPT, seed),
    }

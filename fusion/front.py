"""Front: the signals of a batch become steps that a fusion model may read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from abaw.batches import Batch, FeatureSource, Signal
from fusion.layers.masks import ordered, visible
from fusion.models.base import Steps

# A feature that hardly varies in training may leave its range by thousands of standard deviations elsewhere; one such
# number would drown everything a linear layer adds it to. Real features lie far inside ten.
LIMIT_STD = 10.0


@dataclass(frozen=True)
class Spread:
    """Mean and standard deviation of every feature of one modality, over the observed rows of the training split."""

    mean: Float[np.ndarray, " dim"]
    std: Float[np.ndarray, " dim"]


def measure_spread(source: FeatureSource, clip_ids: Iterable[str]) -> dict[str, Spread]:
    """Every modality's spread, clip by clip: memory does not grow with their number.

    Population moments in float64, merged as Chan et al. (1979) do. A constant feature gets std 1, so does one that was
    never observed (mean 0).
    """
    moments = {name: _Moments(source.dim(name)) for name in source.names()}
    for clip_id in clip_ids:
        times_s = source.clock(clip_id).times_s
        for name in moments if len(times_s) else ():
            track = source.read(name, clip_id, times_s[0], times_s[-1])
            moments[name].add(track.values[track.observed].astype(np.float64))
    return {name: moment.spread() for name, moment in moments.items()}


class _Moments:
    def __init__(self, dim: int) -> None:
        self.num, self.mean, self.squares = 0, np.zeros(dim), np.zeros(dim)

    def add(self, rows: np.ndarray) -> None:
        if not len(rows):
            return
        num, mean = self.num + len(rows), rows.mean(0)
        offset = mean - self.mean
        self.squares += ((rows - mean) ** 2).sum(0) + offset**2 * self.num * len(rows) / num
        self.mean += offset * len(rows) / num
        self.num = num

    def spread(self) -> Spread:
        std = np.sqrt(self.squares / max(1, self.num))
        constant = std <= 1e-6 * np.abs(self.mean)  # what rounding leaves of a constant, or exactly 0
        return Spread(self.mean, np.where(constant, 1.0, std))


class Front(nn.Module):
    """Standardises every modality with the training split's spread; what was not observed becomes 0, the mean.

    The spread lies in buffers, so that it is saved with the weights. Signals must be on the clock already.
    """

    def __init__(self, dims: Mapping[str, int]) -> None:
        super().__init__()
        self.names = ordered(dims)
        self.standardise = nn.ModuleList(_Standardise(dims[name]) for name in self.names)

    def set_spread(self, spreads: Mapping[str, Spread]) -> None:
        """Take what ``measure_spread`` found."""
        for name, layer in zip(self.names, self.standardise, strict=True):
            layer.load_state_dict({"mean": torch.tensor(spreads[name].mean), "std": torch.tensor(spreads[name].std)})

    def forward(self, batch: Batch) -> Steps:
        """Raises ValueError where a modality is missing, has another width, or is not on the clock."""
        features, observed = {}, {}
        for name, layer in zip(self.names, self.standardise, strict=True):
            signal = batch.signals.get(name)
            if signal is None:
                raise ValueError(
                    f"no signal {name!r} in the batch, there are {sorted(batch.signals)}: train again with these"
                )
            _check_on_clock(name, signal, batch.times_s)
            features[name], observed[name] = layer(name, signal), signal.observed
        return Steps(features, observed, batch.times_s, batch.lengths)


class _Standardise(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))

    def forward(self, name: str, signal: Signal) -> Float[Tensor, "batch time dim"]:
        if signal.values.shape[-1] != len(self.mean):
            raise ValueError(
                f"signal {name!r} has {signal.values.shape[-1]} features, the model was built with {len(self.mean)}: "
                "use the features it was trained on"
            )
        standard = (signal.values - self.mean) / self.std
        return visible(standard.clamp(-LIMIT_STD, LIMIT_STD), signal.observed)


def _check_on_clock(name: str, signal: Signal, times_s: Float[Tensor, "batch time"]) -> None:
    if signal.times_s.shape != times_s.shape:
        raise ValueError(
            f"signal {name!r} has {signal.times_s.shape[1]} rows for {times_s.shape[1]} steps: "
            "signals must be on the clock, one row a step; name an aligner under features"
        )

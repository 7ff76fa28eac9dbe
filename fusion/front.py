"""InputStage: the signals of a batch become steps that a fusion model may read."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.batches import Batch, FeatureSource, Signal
from abaw.configs.sections import OWN_RATE, FeatureConfig
from abaw.errors import InputError
from fusion.base import FusionInput
from fusion.layers.convolution import Convolution
from fusion.layers.masks import keep_modalities, ordered, visible, within
from fusion.layers.timing import fill_gaps, read_at

# A feature that hardly varies in training may leave its range by thousands of standard deviations elsewhere; one such
# number would drown everything a linear layer adds it to. Real features lie far inside ten.
LIMIT_STD = 10.0

PIECE = 4096  # steps read at once when the spread is measured: 1024 features take 100 MB so, whatever the clip's length


@dataclass(frozen=True)
class FeatureStatistics:
    """Mean and standard deviation of every feature of one modality, over the observed rows of the training split."""

    mean: Float[np.ndarray, " dim"]
    std: Float[np.ndarray, " dim"]


def measure_statistics(source: FeatureSource, clip_ids: Iterable[str]) -> dict[str, FeatureStatistics]:
    """Every modality's spread, piece by piece: memory grows neither with the number of clips nor with their length.

    Population moments in float64, merged as Chan et al. (1979) do. A constant feature gets std 1, so does one that was
    never observed (mean 0).
    """
    moments = {name: _Moments(source.dim(name)) for name in source.names()}
    for clip_id in clip_ids:
        times_s = source.clock(clip_id).times_s
        for name in moments if len(times_s) else ():
            # a long clip in pieces; at its own rate a piece would have a margin, whose rows would count twice
            size = PIECE if source.is_on_clock(name) else len(times_s)
            for piece in np.split(times_s, range(size, len(times_s), size)):
                track = source.read(name, clip_id, piece[0], piece[-1])
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

    def spread(self) -> FeatureStatistics:
        std = np.sqrt(self.squares / max(1, self.num))
        constant = std <= 1e-6 * np.abs(self.mean)  # what rounding leaves of a constant, or exactly 0
        return FeatureStatistics(self.mean, np.where(constant, 1.0, std))


class InputStage(nn.Module):
    """Every modality normalised, projected, brought onto the clock, in training at times hidden, gaps filled, as told.

    ``features``: how, by modality (default: standardised with the training split's spread, and nothing else). The
    spread lies in buffers, so that it is saved with the weights. Raises ValueError where a layer norm of one feature is
    asked for, which is always 0.
    """

    def __init__(self, dims: Mapping[str, int], features: Mapping[str, FeatureConfig] | None = None) -> None:
        super().__init__()
        self.names = ordered(dims)
        self._features = {name: (features or {}).get(name, FeatureConfig()) for name in self.names}
        for name, feature in self._features.items():
            if feature.normalise == "learned" and dims[name] == 1:
                raise InputError(f"features.{name}: normalise: learned makes a single feature 0; use split or none")
        self.channels = nn.ModuleList(_Channel(dims[name], self._features[name]) for name in self.names)

    def set_spread(self, spreads: Mapping[str, FeatureStatistics]) -> None:
        """Take what ``measure_statistics`` found."""
        for name, channel in zip(self.names, self.channels, strict=True):
            if self._features[name].normalise == "split":
                channel.load_state_dict(
                    {"mean": torch.tensor(spreads[name].mean), "std": torch.tensor(spreads[name].std)}, strict=False
                )

    def forward(self, batch: Batch) -> FusionInput:
        """Raises ValueError where a modality is missing, has another width, or is not on the clock."""
        features, observed = {}, {}
        for name, channel in zip(self.names, self.channels, strict=True):
            signal = batch.signals.get(name)
            if signal is None:
                raise InputError(
                    f"no signal {name!r} in the batch, there are {sorted(batch.signals)}: train again with these"
                )
            features[name], observed[name] = channel(name, signal, batch)
        if self.training:
            observed = self._hidden(observed)
        for name, feature in self._features.items():
            if feature.fill_gap_s:
                filled = fill_gaps(features[name], batch.times_s, observed[name], feature.fill_gap_s)
                features[name], observed[name] = filled
        return FusionInput(features, observed, batch.times_s, batch.lengths)

    def _hidden(self, observed: dict[str, Bool[Tensor, "batch time"]]) -> dict[str, Bool[Tensor, "batch time"]]:
        """Whole modalities are lost, and single steps; a window keeps one modality that has anything to show."""
        if any(feature.modality_dropout for feature in self._features.values()):
            present = torch.stack([observed[name].any(1) for name in self.names], dim=1)
            shares = present.new_tensor([self._features[n].modality_dropout for n in self.names], dtype=torch.float32)
            kept = keep_modalities(present, shares)
            observed = {name: observed[name] & kept[:, i, None] for i, name in enumerate(self.names)}
        for name, feature in self._features.items():
            if feature.step_dropout:
                flags = observed[name]
                observed[name] = flags & (torch.rand(flags.shape, device=flags.device) >= feature.step_dropout)
        return observed


def fronted(dims: Mapping[str, int], features: Mapping[str, FeatureConfig]) -> dict[str, int]:
    """The widths that come out of the front."""
    return {name: (features[name].project_dim if name in features else 0) or dim for name, dim in dims.items()}


class _Channel(nn.Module):
    """One modality, from its signal to the clock's steps."""

    mean: Tensor
    std: Tensor

    def __init__(self, dim: int, feature: FeatureConfig) -> None:
        super().__init__()
        self.feature, out_dim = feature, feature.project_dim or dim
        self.register_buffer("mean", torch.zeros(dim))
        self.register_buffer("std", torch.ones(dim))
        self.norm = nn.LayerNorm(dim) if feature.normalise == "learned" else None
        self.convolve = Convolution(dim, out_dim, feature.kernel) if feature.align == OWN_RATE else None
        self.project = nn.Linear(dim, out_dim) if feature.project_dim and not self.convolve else None

    def forward(
        self, name: str, signal: Signal, batch: Batch
    ) -> tuple[Float[Tensor, "batch time dim"], Bool[Tensor, "batch time"]]:
        if signal.values.shape[-1] != len(self.mean):
            raise InputError(
                f"signal {name!r} has {signal.values.shape[-1]} features, the model was built with {len(self.mean)}: "
                "use the features it was trained on"
            )
        values = visible(self._normalised(signal), signal.observed)
        if self.feature.noise_std and self.training:
            values = visible(values + self.feature.noise_std * torch.randn_like(values), signal.observed)
        if self.convolve is not None:
            return self._on_clock(signal, values, batch)
        _check_on_clock(name, signal, batch.times_s)
        return values if self.project is None else visible(self.project(values), signal.observed), signal.observed

    def _normalised(self, signal: Signal) -> Float[Tensor, "batch n dim"]:
        if self.norm is not None:  # of what is there: NaN in one unobserved row would reach the layer's own gradient
            return self.norm(visible(signal.values, signal.observed))
        if self.feature.normalise == "none":
            return signal.values
        return ((signal.values - self.mean) / self.std).clamp(-LIMIT_STD, LIMIT_STD)

    def _on_clock(
        self, signal: Signal, values: Float[Tensor, "batch n dim"], batch: Batch
    ) -> tuple[Float[Tensor, "batch time out"], Bool[Tensor, "batch time"]]:
        assert self.convolve is not None
        inside = within(signal.lengths, values.shape[1]) & signal.observed
        values = self.convolve(values, inside)
        values, seen = read_at(values, signal.times_s, inside, signal.lengths, batch.times_s, self.feature.max_gap_s)
        return values, seen & within(batch.lengths, seen.shape[1])  # padding has times too


def _check_on_clock(name: str, signal: Signal, times_s: Float[Tensor, "batch time"]) -> None:
    if signal.times_s.shape != times_s.shape:
        raise InputError(
            f"signal {name!r} has {signal.times_s.shape[1]} rows for {times_s.shape[1]} steps: "
            "signals must be on the clock, one row a step; name an aligner under features"
        )

"""The input stage: turns the signals of a batch into the input of a fusion model."""

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from abaw.batches import Batch, Signal
from abaw.configs.sections import OWN_RATE, FeatureConfig
from abaw.errors import InputError
from fusion.base import FusionInput
from fusion.layers.convolution import Convolution
from fusion.layers.interpolation import fill_gaps, interpolate_at
from fusion.layers.masks import draw_kept_modalities, make_length_mask, sort_modalities, zero_unobserved
from fusion.normalisation.statistics import FeatureStatistics

# Standardised values are clipped here. A feature that hardly varies in training may be thousands of standard deviations
# off elsewhere and would then dominate every linear layer. Real features stay well below ten.
LIMIT_STD = 10.0


class InputStage(nn.Module):
    """Normalises, projects and aligns every modality, drops modalities and steps in training, and fills gaps.

    ``features`` configures each modality; the default is standardisation with the statistics of the training split and
    nothing else. The statistics are buffers and are saved with the weights. What ``normalise: group`` standardises
    comes standardised from the source (``GroupSource``); the statistics are then for groups with too little material.

    Raises InputError where a modality of one feature is to be normalised by layer norm, which would always give 0.
    """

    def __init__(self, dims: Mapping[str, int], features: Mapping[str, FeatureConfig] | None = None) -> None:
        super().__init__()
        self.names = sort_modalities(dims)
        self._features = {name: (features or {}).get(name, FeatureConfig()) for name in self.names}
        for name, feature in self._features.items():
            if feature.normalise == "learned" and dims[name] == 1:
                raise InputError(
                    f"features.{name}: normalise is 'learned', but the layer norm of a single feature is always 0: "
                    "use split or none"
                )
        self.channels = nn.ModuleList(_Channel(dims[name], self._features[name]) for name in self.names)

    def set_statistics(self, statistics: Mapping[str, FeatureStatistics]) -> None:
        """Use these statistics, by modality, for standardisation. See ``measure_statistics``."""
        for name, channel in zip(self.names, self.channels, strict=True):
            if self._features[name].normalise in ("split", "group"):
                channel.load_state_dict(
                    {"mean": torch.tensor(statistics[name].mean), "std": torch.tensor(statistics[name].std)},
                    strict=False,
                )

    def statistics(self) -> dict[str, FeatureStatistics]:
        """The statistics in use, by modality."""
        return {
            name: FeatureStatistics(*(channel.get_buffer(key).double().cpu().numpy() for key in ("mean", "std")))
            for name, channel in zip(self.names, self.channels, strict=True)
        }

    def forward(self, batch: Batch) -> FusionInput:
        """Raises InputError where a modality is missing, has another width, or is not aligned to the frames."""
        features, observed = {}, {}
        for name, channel in zip(self.names, self.channels, strict=True):
            signal = batch.signals.get(name)
            if signal is None:
                raise InputError(
                    f"the batch has no signal {name!r}, only {sorted(batch.signals)}: predict with the features the "
                    "run was trained on, or train again"
                )
            features[name], observed[name] = channel(name, signal, batch)
        if self.training:
            observed = self._drop(observed)
        for name, feature in self._features.items():
            if feature.fill_gap_s:
                filled = fill_gaps(features[name], batch.times_s, observed[name], feature.fill_gap_s)
                features[name], observed[name] = filled
        return FusionInput(features, observed, batch.times_s, batch.lengths)

    def _drop(self, observed: dict[str, Bool[Tensor, "batch time"]]) -> dict[str, Bool[Tensor, "batch time"]]:
        """Modality dropout and step dropout. A window keeps at least one modality that was observed."""
        if any(feature.modality_dropout for feature in self._features.values()):
            present = torch.stack([observed[name].any(1) for name in self.names], dim=1)
            rates = present.new_tensor([self._features[n].modality_dropout for n in self.names], dtype=torch.float32)
            kept = draw_kept_modalities(present, rates)
            observed = {name: observed[name] & kept[:, i, None] for i, name in enumerate(self.names)}
        for name, feature in self._features.items():
            if feature.step_dropout:
                flags = observed[name]
                observed[name] = flags & (torch.rand(flags.shape, device=flags.device) >= feature.step_dropout)
        return observed


def compute_model_dims(dims: Mapping[str, int], features: Mapping[str, FeatureConfig]) -> dict[str, int]:
    """Number of features of each modality after the input stage, from that before it."""
    return {name: (features[name].project_dim if name in features else 0) or dim for name, dim in dims.items()}


class _Channel(nn.Module):
    """One modality, from its signal to the steps of the frame clock."""

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
        values = zero_unobserved(self._normalise(signal), signal.observed)
        if self.feature.noise_std and self.training:
            values = zero_unobserved(values + self.feature.noise_std * torch.randn_like(values), signal.observed)
        if self.convolve is not None:
            return self._align_to_clock(signal, values, batch)
        _check_on_clock(name, signal, batch.times_s)
        if self.project is not None:
            values = zero_unobserved(self.project(values), signal.observed)
        return values, signal.observed

    def _normalise(self, signal: Signal) -> Float[Tensor, "batch n dim"]:
        if self.norm is not None:
            # masked first: NaN in an unobserved row would reach the gradient of the layer norm's weights
            return self.norm(zero_unobserved(signal.values, signal.observed))
        if self.feature.normalise == "none":
            return signal.values
        if self.feature.normalise == "group":  # standardised when it was read (``GroupSource``)
            return signal.values.clamp(-LIMIT_STD, LIMIT_STD)
        return ((signal.values - self.mean) / self.std).clamp(-LIMIT_STD, LIMIT_STD)

    def _align_to_clock(
        self, signal: Signal, values: Float[Tensor, "batch n dim"], batch: Batch
    ) -> tuple[Float[Tensor, "batch time out"], Bool[Tensor, "batch time"]]:
        assert self.convolve is not None
        inside = make_length_mask(signal.lengths, values.shape[1]) & signal.observed
        values = self.convolve(values, inside)
        values, observed = interpolate_at(
            values, signal.times_s, inside, signal.lengths, batch.times_s, self.feature.max_gap_s
        )
        return values, observed & make_length_mask(batch.lengths, observed.shape[1])  # padded steps have times, too


def _check_on_clock(name: str, signal: Signal, times_s: Float[Tensor, "batch time"]) -> None:
    if signal.times_s.shape != times_s.shape:
        raise InputError(
            f"signal {name!r} has {signal.times_s.shape[1]} rows for {times_s.shape[1]} frames, expected one row per "
            f"frame: name an aligner under features.{name}.align"
        )

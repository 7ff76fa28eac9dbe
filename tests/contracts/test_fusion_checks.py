"""The checks of fusion models catch planted defects, each by the right check, and pass a model without defects."""

import numpy as np
import pytest
import torch
from torch import nn

from fusion.base import FusionModel, FusionOutput
from fusion.layers.masks import make_length_mask, mask_features, mask_features_with_flag, zero_unobserved
from tests.support import fusion_checks as checks
from tests.support.fusion_checks import CHECKS
from tests.support.inputs import DIMS


class Sound(FusionModel):
    """A model without a defect: running means of the observed features."""

    def __init__(self, dims):
        super().__init__()
        self.names, self.hidden_dim = sorted(dims), 4
        self.linear = nn.Linear(sum(dim + 1 for dim in dims.values()), 4)

    def inputs(self, inputs):
        return torch.cat([mask_features_with_flag(inputs, name) for name in self.names], -1)

    def forward(self, inputs):
        values = self.inputs(inputs)
        num = torch.arange(1, values.shape[1] + 1)[:, None]
        return FusionOutput(self.linear(values.cumsum(1) / num))


class IgnoresObserved(Sound):
    def inputs(self, inputs):
        inside = make_length_mask(inputs.lengths, inputs.times_s.shape[1])
        values = [zero_unobserved(inputs.features[name].nan_to_num(posinf=0), inside) for name in self.names]
        return torch.cat([*values, *(inside[..., None].float() for _ in values)], -1)


class MultipliesByObserved(Sound):
    def inputs(self, inputs):
        flags = [
            (inputs.observed[n] & make_length_mask(inputs.lengths, inputs.times_s.shape[1]))[..., None].float()
            for n in self.names
        ]
        return torch.cat(
            [torch.cat([inputs.features[n] * f, f], -1) for n, f in zip(self.names, flags, strict=True)], -1
        )


class ReadsPadding(Sound):
    """Subtracts the mean over time, which reaches to the end of the longest clip."""

    def inputs(self, inputs):
        values = [zero_unobserved(inputs.features[name], inputs.observed[name]) for name in self.names]
        values = torch.cat([*values, *(inputs.observed[name][..., None].float() for name in self.names)], -1)
        return values - values.mean(1, keepdim=True)


class ReadsLengthOfPadding(Sound):
    """Masks padding, but divides by the number of steps including padding."""

    def forward(self, inputs):
        values = self.inputs(inputs)
        return FusionOutput(self.linear(values / values.shape[1]))


class MixesWindows(Sound):
    def inputs(self, inputs):
        values = super().inputs(inputs)
        return values - values.mean(0, keepdim=True)


class ReadsAbsoluteTime(Sound):
    def inputs(self, inputs):
        return super().inputs(inputs) * (1 + torch.sin(inputs.times_s[..., None].float()))


class DividesByNothing(Sound):
    def inputs(self, inputs):
        values = super().inputs(inputs)
        count = sum(mask_features(inputs, name)[1].sum(1) for name in self.names)
        return values / count[:, None, None]


class HasADeadParameter(Sound):
    def __init__(self, dims):
        super().__init__(dims)
        self.unused = nn.Linear(2, 2)


class ForgetsAState(Sound):
    def __init__(self, dims):
        super().__init__(dims)
        self.scale = torch.rand(1)

    def forward(self, inputs):
        return FusionOutput(super().forward(inputs).hidden * self.scale)


class LosesReadPadding(Sound):
    """Its hidden states are correct, its auxiliary loss is not."""

    def __init__(self, dims):
        super().__init__(dims)
        self.loss_weights = {"size": 1.0}

    def forward(self, inputs):
        output = super().forward(inputs)
        return FusionOutput(output.hidden, {"size": output.hidden.square().mean()})


class HasAWrongWidth(Sound):
    def __init__(self, dims):
        super().__init__(dims)
        self.hidden_dim = 5


class FollowsTheOrderOfModalities(Sound):
    def __init__(self, dims):
        super().__init__(dims)
        self.names = list(dims)


class NeedsTwoSteps(Sound):
    def inputs(self, inputs):
        values = super().inputs(inputs)
        return values / values.var(1, correction=0, keepdim=True).sqrt()


class NamesNoLoss(Sound):
    """A loss that is not in loss_weights."""

    def forward(self, inputs):
        output = super().forward(inputs)
        return FusionOutput(
            output.hidden,
            {"size": output.hidden[make_length_mask(inputs.lengths, inputs.times_s.shape[1])].square().mean()},
        )


class Diverges(Sound):
    """Grows with every call, as with a loss that has no minimum."""

    def __init__(self, dims):
        super().__init__(dims)
        self.register_buffer("scale", torch.ones(1))

    def forward(self, inputs):
        if self.training:
            self.scale *= 2
        return FusionOutput(super().forward(inputs).hidden * self.scale)


class DrawsItsOwnNoise(Sound):
    def forward(self, inputs):
        noise = np.random.default_rng().normal()
        return FusionOutput(super().forward(inputs).hidden + noise)


class DetachesItsLoss(Sound):
    """An auxiliary loss that trains nothing."""

    def __init__(self, dims):
        super().__init__(dims)
        self.loss_weights = {"size": 1.0}

    def forward(self, inputs):
        output = super().forward(inputs)
        hidden = output.hidden[make_length_mask(inputs.lengths, inputs.times_s.shape[1])]
        return FusionOutput(output.hidden, {"size": hidden.square().mean().detach() + 0 * self.linear.weight.sum()})


class ChangesWithoutLosses(Sound):
    def forward(self, inputs):
        output = super().forward(inputs)
        return output if inputs.wants_losses else FusionOutput(output.hidden + 1)


class OverflowsInHalfPrecision(Sound):
    def forward(self, inputs):
        output = super().forward(inputs)
        return FusionOutput(output.hidden if output.hidden.dtype == torch.float32 else output.hidden / 0)


class CannotHaveADotInAName(Sound):
    def __init__(self, dims):
        super().__init__(dims)
        self.scales = nn.ParameterDict({name: torch.ones(1) for name in dims})
        self.more = nn.ModuleDict({name: nn.Identity() for name in dims})


MUTANTS = [
    (IgnoresObserved, checks.check_unobserved_values_change_nothing),
    (MultipliesByObserved, checks.check_unobserved_values_change_nothing),
    (ReadsPadding, checks.check_padding_changes_nothing),
    (ReadsLengthOfPadding, checks.check_padding_changes_nothing),
    (LosesReadPadding, checks.check_padding_changes_nothing),
    (MixesWindows, checks.check_windows_do_not_leak),
    (ReadsAbsoluteTime, checks.check_a_common_shift_of_time_changes_nothing),
    (DividesByNothing, checks.check_outputs_and_gradients_are_finite_without_observed_steps),
    (HasADeadParameter, checks.check_every_parameter_gets_a_gradient),
    (ForgetsAState, checks.check_a_saved_and_loaded_model_gives_the_same),
    (HasAWrongWidth, checks.check_shapes_and_names_of_losses),
    (FollowsTheOrderOfModalities, checks.check_the_order_of_modalities_does_not_matter),
    (NeedsTwoSteps, checks.check_windows_of_any_length),
    (DrawsItsOwnNoise, checks.check_a_seed_determines_the_result),
    (NamesNoLoss, checks.check_shapes_and_names_of_losses),
    (DetachesItsLoss, checks.check_each_loss_alone_trains_the_model),
    (ChangesWithoutLosses, checks.check_hidden_states_are_the_same_without_losses),
    (OverflowsInHalfPrecision, checks.check_half_precision_trains),
    (CannotHaveADotInAName, checks.check_modalities_may_have_any_name),
    (Diverges, checks.check_training_on_noise_does_not_diverge),
]


def name_of(part):
    return part.__name__.removeprefix("check_")


def test_every_check_has_a_defect_that_it_catches():
    assert {check for _, check in MUTANTS} == {*CHECKS, checks.check_training_on_noise_does_not_diverge}


@pytest.mark.parametrize("check", [*CHECKS, checks.check_training_on_noise_does_not_diverge], ids=name_of)
def test_a_model_without_defects_passes(check):
    check(Sound, DIMS)


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=name_of)
def test_a_planted_defect_is_caught(mutant, check):
    errors = {"Diverges": RuntimeError, "CannotHaveADotInAName": KeyError}
    with pytest.raises(errors.get(mutant.__name__, AssertionError)):
        check(mutant, DIMS)


def test_a_setting_without_effect_is_caught():
    with pytest.raises(AssertionError, match=r"dropout=0.2 changes nothing"):
        checks.check_each_setting_has_an_effect(lambda *, dims, dropout=0.4: Sound(dims), {"dropout": 0.2})


@pytest.mark.parametrize("context", ["step", "window"])
def test_a_wrong_context_is_caught(context):
    with pytest.raises(AssertionError, match=f"context is '{context}'"):
        checks.check_context(Sound, DIMS, context)

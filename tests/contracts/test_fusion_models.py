"""What every fusion model must survive. A new file in fusion/models is tested by existing.

Every check is a function of a builder, so that mutants, each with one planted defect, can be run through it: they must
be caught, and by the right check.
"""

import ast
import sys
from dataclasses import replace
from typing import Literal, get_args, get_origin, get_type_hints

import numpy as np
import pytest
import torch
from torch import nn

from abaw.configs.sections import TrainingConfig
from abaw.tasks import TASKS
from fusion.base import FusionInput, FusionModel, FusionOutput
from fusion.layers.masks import make_length_mask, mask_features, mask_features_with_flag, zero_unobserved
from fusion.models import FUSION_MODELS
from tests.support.inputs import DIMS, LENGTHS, THREE, make_inputs, make_model, run


def assert_same(one, other):
    (clips, losses), (other_clips, other_losses) = one, other
    for a, b in zip(clips, other_clips, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert losses.keys() == other_losses.keys()
    for key, loss in losses.items():
        torch.testing.assert_close(loss, other_losses[key], rtol=1e-5, atol=1e-5)


def check_shape(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    fused = model(inputs)
    assert fused.hidden.shape == (len(LENGTHS), max(LENGTHS), model.hidden_dim)
    assert fused.hidden.dtype == torch.float32
    assert all(loss.shape == () for loss in fused.losses.values())
    assert set(fused.losses) == set(model.loss_weights), "loss_weights names the losses"


def check_windows_of_any_length(build, dims):
    model = make_model(build, dims)
    for lengths in ((1,), (7,), (1000,), (1, 1, 1), (2, 7)):
        clips, _ = run(model, make_inputs(dims, lengths))
        assert [len(clip) for clip in clips] == list(lengths)
        assert all(torch.isfinite(clip).all() for clip in clips)


def check_unobserved_values_change_nothing(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    expected = run(model, inputs)
    for other in (torch.nan, torch.inf, 1e6, -3.0):
        features = {name: torch.where(inputs.observed[name][..., None], inputs.features[name], other) for name in dims}
        assert_same(run(model, replace(inputs, features=features)), expected)


def check_padding_changes_nothing(build, dims):
    """Other values and flags in padding, and more of it."""
    model, inputs = make_model(build, dims), make_inputs(dims)
    expected, inside = run(model, inputs), make_length_mask(inputs.lengths, max(LENGTHS))
    for other in (torch.nan, 1e6):
        for flag in (True, False):
            features = {name: torch.where(inside[..., None], inputs.features[name], other) for name in dims}
            observed = {name: torch.where(inside, inputs.observed[name], flag) for name in dims}
            assert_same(run(model, replace(inputs, features=features, observed=observed)), expected)
    assert_same(run(model, padded(inputs, 5)), expected)


def padded(inputs, num_more):
    rows = len(inputs.lengths)
    more = inputs.times_s.new_zeros(rows, num_more)
    return FusionInput(
        {k: torch.cat([v, torch.full((rows, num_more, v.shape[2]), torch.nan)], 1) for k, v in inputs.features.items()},
        {k: torch.cat([v, torch.ones(rows, num_more, dtype=torch.bool)], 1) for k, v in inputs.observed.items()},
        torch.cat([inputs.times_s, more], 1),
        inputs.lengths,
    )


def check_a_common_shift_of_time_changes_nothing(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    assert_same(run(model, replace(inputs, times_s=inputs.times_s + 3600.0)), run(model, inputs))


def check_finite_when_nothing_was_observed(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    nothing = {name: torch.zeros_like(flags) for name, flags in inputs.observed.items()}
    features = {name: torch.full_like(values, torch.nan) for name, values in inputs.features.items()}
    fused = model(replace(inputs, features=features, observed=nothing))
    assert torch.isfinite(fused.hidden[make_length_mask(inputs.lengths, max(LENGTHS))]).all()
    assert all(torch.isfinite(loss) for loss in fused.losses.values())
    (fused.hidden[make_length_mask(inputs.lengths, max(LENGTHS))].sum() + sum(fused.losses.values())).backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def check_every_parameter_gets_a_gradient(build, dims):
    model, inputs, task = make_model(build, dims), make_inputs(dims, (30, 20, 10)), TASKS.build("va")
    # unobserved and padded values are NaN: a gradient must not meet them either
    features = {name: torch.where(inputs.observed[name][..., None], inputs.features[name], torch.nan) for name in dims}
    fused = model(replace(inputs, features=features))
    head = nn.Linear(model.hidden_dim, task.out_dim)
    scored = make_length_mask(inputs.lengths, 30)
    loss = task.loss(head(fused.hidden), torch.rand(3, 30, 2), scored) + sum(fused.losses.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"the gradient of {name} is 0"


def check_clips_do_not_leak(build, dims):
    """Every clip alone, and beside other neighbours in another order, gives what it gives in the batch."""
    model, inputs = make_model(build, dims), make_inputs(dims)
    expected, _ = run(model, inputs)
    for i, length in enumerate(LENGTHS):
        alone = take(inputs, [i])
        assert_same((run(model, alone)[0], {}), ([expected[i]], {}))
        assert len(run(model, alone)[0][0]) == length
    order = [2, 0, 1]
    assert_same((run(model, take(inputs, order))[0], {}), ([expected[i] for i in order], {}))


def take(inputs, rows):
    return FusionInput(
        {name: values[rows] for name, values in inputs.features.items()},
        {name: flags[rows] for name, flags in inputs.observed.items()},
        inputs.times_s[rows],
        inputs.lengths[rows],
    )


def check_saved_and_loaded_is_the_same(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    torch.manual_seed(1)
    other = build(dims=dims).eval()
    other.load_state_dict(model.state_dict())
    assert_same(run(other, inputs), run(model, inputs))


def check_deterministic_on_a_seed(build, dims):
    """Also in training: the same seed draws the same dropout."""
    inputs, results = make_inputs(dims), []
    for _ in range(2):
        model = make_model(build, dims).train()
        torch.manual_seed(3)
        results.append(run(model, inputs))
    assert_same(*results)


def check_any_name_of_a_modality_will_do(build, dims):
    odd = dict(zip(("clip.vit", "type", "keys", "forward", "a b"), dims.values(), strict=False))
    fused = make_model(build, odd)(make_inputs(odd))
    assert torch.isfinite(fused.hidden[make_length_mask(torch.tensor(LENGTHS), max(LENGTHS))]).all()


def check_the_order_of_modalities_is_free(build, dims):
    backwards = {name: dims[name] for name in reversed(dims)}
    inputs = make_inputs(dims)
    turned = replace(inputs, features={name: inputs.features[name] for name in backwards})
    assert_same(run(make_model(build, dims), inputs), run(make_model(build, backwards), turned))


def check_losses_that_nobody_wants_change_nothing(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    without = run(model, replace(inputs, wants_losses=False))[0]
    assert_same((without, {}), (run(model, inputs)[0], {}))


def check_half_precision_trains(build, dims):
    """As under trainer.precision=bf16-mixed, with features that a projection of the front has made half as wide."""
    model, inputs = make_model(build, dims).train(), make_inputs(dims)
    features = {name: values.bfloat16() for name, values in inputs.features.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        fused = model(replace(inputs, features=features))
        loss = fused.hidden[make_length_mask(inputs.lengths, max(LENGTHS))].float().square().sum() + sum(
            fused.losses.values()
        )
    loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def check_nothing_runs_away_on_noise(build, dims):
    """200 steps of training at the default learning rate, towards labels that mean nothing."""
    torch.manual_seed(0)
    model, task = build(dims=dims).train(), TASKS.build("va")
    head = nn.Linear(model.hidden_dim, task.out_dim)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=TrainingConfig().learning_rate)
    for seed in range(200):
        inputs = make_inputs(dims, (6, 4), seed)
        fused = model(inputs)
        losses = [model.loss_weights[name] * loss for name, loss in fused.losses.items()]
        loss = task.loss(head(fused.hidden), torch.rand(2, 6, 2) * 2 - 1, make_length_mask(inputs.lengths, 6)) + sum(
            losses
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        optimizer.step()
    assert all(torch.isfinite(parameter).all() for parameter in parameters)
    check_finite_when_nothing_was_observed(lambda *, dims: model.eval(), dims)


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]
CHECKS.remove(check_nothing_runs_away_on_noise)  # seconds each: with three modalities alone


def check_context(build, dims, context):
    """A step's hidden state depends on what FACTS say: itself alone, the past, or the whole window."""
    model, inputs = make_model(build, dims), make_inputs(dims, (9,))
    changed = {name: values.clone() for name, values in inputs.features.items()}
    for name, values in changed.items():
        values[:, 5] += 1 + torch.arange(values.shape[2])  # not the same to all: a layer norm would not see that
        inputs.observed[name][:, 5] = True
    before, after = (run(model, each)[0][0] for each in (inputs, replace(inputs, features=changed)))
    touched = (before - after).abs().amax(-1) > 1e-6
    assert touched[5], "a step's own features change nothing"
    assert context in ("step", "past", "window")
    assert touched[:5].any() == (context == "window"), f"context is {context!r}, steps before: {touched[:5].tolist()}"
    assert touched[6:].any() == (context != "step"), f"context is {context!r}, steps after: {touched[6:].tolist()}"


def check_each_setting_changes_something(build, settings):
    """Parameters, output, or output in training (dropout). ``settings``: name -> default and another value."""

    def traces(**changed):
        torch.manual_seed(0)
        model, inputs = build(dims=THREE, **changed).eval(), make_inputs(THREE)
        shapes = [tuple(p.shape) for p in model.parameters()]
        results = [run(model, inputs)]
        torch.manual_seed(3)
        results.append(run(model.train(), inputs))
        return shapes, [tensor for clips, losses in results for tensor in (*clips, *losses.values())]

    shapes, tensors = traces()
    for key, other in settings.items():
        other_shapes, others = traces(**{key: other})
        is_same = shapes == other_shapes and all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))
        assert not is_same, f"{key}={other!r} changes nothing"


def other_value(key, default, hint):
    """A legal value that is not the default: twice as many, half as much, another word, one modality's name."""
    if isinstance(default, bool):
        return not default
    if isinstance(default, int):
        return default + 2 if key.endswith("kernel") else 2 * default or 2  # odd stays odd, heads still divide
    if isinstance(default, float):
        return default / 2 if default else 0.5
    if get_origin(hint) is Literal:
        return next(word for word in get_args(hint) if word != default)
    if default == ():
        return ("face",)
    raise NotImplementedError(f"say here which other value than {default!r} to try")


def builder(name):
    return lambda *, dims, **settings: FUSION_MODELS.build(name, dims=dims, **settings)


@pytest.mark.parametrize("num_modalities", [1, 2, 3, 5])
@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__.removeprefix("check_"))
@pytest.mark.parametrize("name", FUSION_MODELS.names())
def test_every_model_survives(name, check, num_modalities):
    check(builder(name), dict(list(DIMS.items())[:num_modalities]))


@pytest.mark.parametrize("name", FUSION_MODELS.names())
def test_no_model_runs_away_on_noise(name):
    check_nothing_runs_away_on_noise(builder(name), THREE)


@pytest.mark.parametrize("part", FUSION_MODELS.parts(), ids=lambda part: part.name)
def test_every_setting_of_a_model_changes_something(part):
    FUSION_MODELS.build(part.name, dims=THREE)  # imports the file
    hints = get_type_hints(getattr(sys.modules[part.module], part.name))
    others = {key: other_value(key, ast.literal_eval(text), hints[key]) for key, text in part.settings.items()}
    check_each_setting_changes_something(builder(part.name), others)


@pytest.mark.parametrize("part", FUSION_MODELS.parts(), ids=lambda part: part.name)
def test_what_is_told_of_a_model_is_there_and_its_context_is_true(part):
    assert set(part.facts) == {"paper", "context", "differs"}
    assert all(part.facts.values())
    assert part.summary
    check_context(builder(part.name), THREE, part.facts["context"])


def check_a_single_hidden_feature_is_refused_or_says_something(build):
    """A layer norm of one feature is always 0: a model that has one must refuse it."""
    inputs = [make_inputs(THREE, (40,), seed) for seed in (0, 1)]
    try:
        for seed in range(20):  # of a ReLU over one feature most starts are dead, of a norm all
            torch.manual_seed(seed)
            model = build(dims=THREE, hidden_dim=1).eval()
            if not torch.equal(*(run(model, each)[0][0] for each in inputs)):
                return
    except ValueError:
        return
    pytest.fail("with hidden_dim 1 nothing ever reaches the hidden state")


@pytest.mark.parametrize("part", FUSION_MODELS.parts(), ids=lambda part: part.name)
def test_senseless_settings_are_errors_that_name_the_model(part):
    with pytest.raises(ValueError, match="at least one modality"):
        FUSION_MODELS.build(part.name, dims={})
    with pytest.raises(ValueError, match="modality 'face' has 0 features"):
        FUSION_MODELS.build(part.name, dims={"face": 0})
    limits = {"hidden_dim": 0, "num_layers": 0, "num_heads": 0, "kernel": 0, "dropout": 1.0}
    senseless = {key: limits[key] for key in limits.keys() & part.settings.keys()}
    if "hidden_dim" in part.settings:
        check_a_single_hidden_feature_is_refused_or_says_something(builder(part.name))
    for key in senseless:
        with pytest.raises(ValueError, match=f"{part.name}'?: {key} is {senseless[key]}, expected"):
            FUSION_MODELS.build(part.name, dims={"face": 2}, **{key: senseless[key]})


PAPERS_WEIGHTS = {
    "mctn": {"translation": 0.5, "cycle": 0.5, "translation_2": 0.5},
    "mfm": {"reconstruction": 0.5, "mmd": 1.0},
    "misa": {"difference": 0.3, "similarity": 1.0, "reconstruction": 1.0},
    "mmim": {"likelihood": 0.1, "contrastive": 0.1},
}


@pytest.mark.parametrize("name", FUSION_MODELS.names())
def test_losses_weigh_what_they_weigh_in_their_papers(name):
    assert FUSION_MODELS.build(name, dims=THREE).loss_weights == PAPERS_WEIGHTS.get(name, {})


# ---- planted defects


class Sound(FusionModel):
    """A model without a defect: running means of what was observed so far."""

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
    """Hides padding, but divides by the number of steps with it."""

    def forward(self, inputs):
        values = self.inputs(inputs)
        return FusionOutput(self.linear(values / values.shape[1]))


class MixesClips(Sound):
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
    """Its hidden states are sound, its own loss is not."""

    def __init__(self, dims):
        super().__init__(dims)
        self.loss_weights = {"size": 1.0}

    def forward(self, inputs):
        fused = super().forward(inputs)
        return FusionOutput(fused.hidden, {"size": fused.hidden.square().mean()})


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
    """A loss that no config could weigh by its name."""

    def forward(self, inputs):
        fused = super().forward(inputs)
        return FusionOutput(
            fused.hidden,
            {"size": fused.hidden[make_length_mask(inputs.lengths, inputs.times_s.shape[1])].square().mean()},
        )


class RunsAway(Sound):
    """Grows with every call, as a loss without a floor does."""

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


MUTANTS = [
    (IgnoresObserved, check_unobserved_values_change_nothing),
    (MultipliesByObserved, check_unobserved_values_change_nothing),
    (ReadsPadding, check_padding_changes_nothing),
    (ReadsLengthOfPadding, check_padding_changes_nothing),
    (LosesReadPadding, check_padding_changes_nothing),
    (MixesClips, check_clips_do_not_leak),
    (ReadsAbsoluteTime, check_a_common_shift_of_time_changes_nothing),
    (DividesByNothing, check_finite_when_nothing_was_observed),
    (HasADeadParameter, check_every_parameter_gets_a_gradient),
    (ForgetsAState, check_saved_and_loaded_is_the_same),
    (HasAWrongWidth, check_shape),
    (FollowsTheOrderOfModalities, check_the_order_of_modalities_is_free),
    (NeedsTwoSteps, check_windows_of_any_length),
    (DrawsItsOwnNoise, check_deterministic_on_a_seed),
    (NamesNoLoss, check_shape),
    (RunsAway, check_nothing_runs_away_on_noise),
]


@pytest.mark.parametrize(
    "check", [*CHECKS, check_nothing_runs_away_on_noise], ids=lambda check: check.__name__.removeprefix("check_")
)
def test_a_sound_model_passes(check):
    check(Sound, DIMS)


@pytest.mark.parametrize(("mutant", "check"), MUTANTS, ids=lambda part: part.__name__)
def test_a_planted_defect_is_caught(mutant, check):
    with pytest.raises(RuntimeError if check is check_nothing_runs_away_on_noise else AssertionError):
        check(mutant, DIMS)


def test_a_setting_without_effect_is_caught():
    with pytest.raises(AssertionError, match=r"dropout=0.2 changes nothing"):
        check_each_setting_changes_something(lambda *, dims, dropout=0.4: Sound(dims), {"dropout": 0.2})

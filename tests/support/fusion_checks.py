"""Checks that every fusion model must pass, as functions of a builder ``build(*, dims)``.

``tests/contracts/test_fusion_models.py`` runs them on every model, ``tests/contracts/test_fusion_checks.py`` on models
with one planted defect each.
"""

import contextlib
from dataclasses import replace

import jaxtyping
import pytest
import torch
from torch import nn

from abaw.configs.sections import TrainingConfig
from abaw.tasks import TASKS
from fusion.base import FusionInput
from fusion.layers.masks import make_length_mask
from tests.support.inputs import LENGTHS, THREE, make_inputs, make_model, run


def assert_same(one, other):
    (windows, losses), (other_windows, other_losses) = one, other
    for a, b in zip(windows, other_windows, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)
    assert losses.keys() == other_losses.keys()
    for key, loss in losses.items():
        torch.testing.assert_close(loss, other_losses[key], rtol=1e-5, atol=1e-5)


def check_shapes_and_names_of_losses(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    output = model(inputs)
    assert output.hidden.shape == (len(LENGTHS), max(LENGTHS), model.hidden_dim)
    assert output.hidden.dtype == torch.float32
    assert all(loss.shape == () for loss in output.losses.values())
    assert set(output.losses) == set(model.loss_weights), "loss_weights must name exactly the losses"
    assert all(weight > 0 for weight in model.loss_weights.values())


def check_windows_of_any_length(build, dims):
    model = make_model(build, dims)
    for lengths in ((1,), (7,), (1000,), (1, 1, 1), (2, 7)):
        windows, _ = run(model, make_inputs(dims, lengths))
        assert [len(window) for window in windows] == list(lengths)
        assert all(torch.isfinite(window).all() for window in windows)


def check_unobserved_values_change_nothing(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    expected = run(model, inputs)
    for other in (torch.nan, torch.inf, 1e6, -3.0):
        features = {name: torch.where(inputs.observed[name][..., None], inputs.features[name], other) for name in dims}
        assert_same(run(model, replace(inputs, features=features)), expected)


def check_padding_changes_nothing(build, dims):
    """Other values and masks in the padding, and more padding."""
    model, inputs = make_model(build, dims), make_inputs(dims)
    expected, inside = run(model, inputs), make_length_mask(inputs.lengths, max(LENGTHS))
    for other in (torch.nan, 1e6):
        for flag in (True, False):
            features = {name: torch.where(inside[..., None], inputs.features[name], other) for name in dims}
            observed = {name: torch.where(inside, inputs.observed[name], flag) for name in dims}
            assert_same(run(model, replace(inputs, features=features, observed=observed)), expected)
    assert_same(run(model, pad(inputs, 5)), expected)


def pad(inputs, num_more):
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


def check_outputs_and_gradients_are_finite_without_observed_steps(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    nothing = {name: torch.zeros_like(flags) for name, flags in inputs.observed.items()}
    features = {name: torch.full_like(values, torch.nan) for name, values in inputs.features.items()}
    output = model(replace(inputs, features=features, observed=nothing))
    hidden = output.hidden[make_length_mask(inputs.lengths, max(LENGTHS))]
    assert torch.isfinite(hidden).all()
    assert all(torch.isfinite(loss) for loss in output.losses.values())
    total = hidden.sum() + sum(output.losses.values())
    if total.requires_grad:
        total.backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in model.parameters())


def check_every_parameter_gets_a_gradient(build, dims):
    model, inputs, task = make_model(build, dims), make_inputs(dims, (30, 20, 10)), TASKS.build("va")
    # unobserved values are NaN, which must not reach the gradients either
    features = {name: torch.where(inputs.observed[name][..., None], inputs.features[name], torch.nan) for name in dims}
    output = model(replace(inputs, features=features))
    head = nn.Linear(model.hidden_dim, task.out_dim)
    scored = make_length_mask(inputs.lengths, 30)
    loss = task.loss(head(output.hidden), torch.rand(3, 30, 2), scored) + sum(output.losses.values())
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f"{name} has no gradient"
        assert torch.isfinite(parameter.grad).all(), f"{name} has a gradient that is not finite"
        assert parameter.grad.abs().max() > 0, f"the gradient of {name} is 0"


def check_each_loss_alone_trains_the_model(build, dims):
    """As with every other loss weighted by 0 in the config."""
    for name in make_model(build, dims).loss_weights:
        model = make_model(build, dims).train()
        model(make_inputs(dims, (30, 20, 10))).losses[name].backward()
        gradients = [p.grad for p in model.parameters() if p.grad is not None]
        assert all(torch.isfinite(each).all() for each in gradients), f"{name} has a gradient that is not finite"
        assert any(each.abs().max() > 0 for each in gradients), f"{name} has no gradient"


def check_windows_do_not_leak(build, dims):
    """Every window alone, and beside others in another order, gives the same as in the batch."""
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


def check_a_saved_and_loaded_model_gives_the_same(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    torch.manual_seed(1)
    other = build(dims=dims).eval()
    other.load_state_dict(model.state_dict())
    assert_same(run(other, inputs), run(model, inputs))


def check_a_seed_determines_the_result(build, dims):
    """Also in training: the same seed draws the same dropout."""
    inputs, results = make_inputs(dims), []
    for _ in range(2):
        model = make_model(build, dims).train()
        torch.manual_seed(3)
        results.append(run(model, inputs))
    assert_same(*results)


def check_modalities_may_have_any_name(build, dims):
    odd = dict(zip(("clip.vit", "type", "keys", "forward", "a b"), dims.values(), strict=False))
    output = make_model(build, odd)(make_inputs(odd))
    assert torch.isfinite(output.hidden[make_length_mask(torch.tensor(LENGTHS), max(LENGTHS))]).all()


def check_the_order_of_modalities_does_not_matter(build, dims):
    reverse = {name: dims[name] for name in reversed(dims)}
    inputs = make_inputs(dims)
    reordered = replace(inputs, features={name: inputs.features[name] for name in reverse})
    assert_same(run(make_model(build, dims), inputs), run(make_model(build, reverse), reordered))


def check_hidden_states_are_the_same_without_losses(build, dims):
    model, inputs = make_model(build, dims), make_inputs(dims)
    without = run(model, replace(inputs, wants_losses=False))[0]
    assert_same((without, {}), (run(model, inputs)[0], {}))


def check_half_precision_trains(build, dims):
    """As with trainer.precision=bf16-mixed, where the projections of the input stage give bfloat16 features."""
    model, inputs = make_model(build, dims).train(), make_inputs(dims)
    features = {name: values.bfloat16() for name, values in inputs.features.items()}
    with torch.autocast("cpu", dtype=torch.bfloat16):
        output = model(replace(inputs, features=features))
        hidden = output.hidden[make_length_mask(inputs.lengths, max(LENGTHS))]
        loss = hidden.float().square().sum() + sum(output.losses.values())
    assert torch.isfinite(loss)
    if loss.requires_grad:
        loss.backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


@contextlib.contextmanager
def without_shape_checks():
    """Where the same shapes are checked hundreds of times, the checks take a third of the time."""
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", False)


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


def check_training_on_noise_does_not_diverge(build, dims):
    """200 steps of training at the default learning rate, with random labels."""
    torch.manual_seed(0)
    model, task = build(dims=dims).train(), TASKS.build("va")
    head = nn.Linear(model.hidden_dim, task.out_dim)
    parameters = [*model.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=TrainingConfig().learning_rate, fused=True)

    def step(seed):
        inputs = make_inputs(dims, (6, 4), seed)
        output = model(inputs)
        losses = [model.loss_weights[name] * loss for name, loss in output.losses.items()]
        mask = make_length_mask(inputs.lengths, 6)
        loss = task.loss(head(output.hidden), torch.rand(2, 6, 2) * 2 - 1, mask) + sum(losses)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, 1.0, error_if_nonfinite=True)
        optimizer.step()

    step(0)
    with without_shape_checks():  # the shapes of every step are those of the first
        for seed in range(1, 200):
            step(seed)
    assert all(torch.isfinite(parameter).all() for parameter in parameters)
    check_outputs_and_gradients_are_finite_without_observed_steps(lambda *, dims: model.eval(), dims)


def check_context(build, dims, context):
    """Whether a hidden state depends on the steps that FACTS declare: its own, the past, or the whole window."""
    model, inputs = make_model(build, dims), make_inputs(dims, (9,))
    changed = {name: values.clone() for name, values in inputs.features.items()}
    for name, values in changed.items():
        values[:, 5] += 1 + torch.arange(values.shape[2])  # not a constant, which a layer norm would remove
        inputs.observed[name][:, 5] = True
    before, after = (run(model, each)[0][0] for each in (inputs, replace(inputs, features=changed)))
    differs = (before - after).abs().amax(-1) > 1e-6
    assert differs[5], "the features of a step do not change its own hidden state"
    assert context in ("step", "past", "window")
    assert differs[:5].any() == (context == "window"), f"context is {context!r}, earlier steps: {differs[:5].tolist()}"
    assert differs[6:].any() == (context != "step"), f"context is {context!r}, later steps: {differs[6:].tolist()}"


def check_each_setting_has_an_effect(build, settings):
    """On the parameters, the output, or the output in training. ``settings``: name -> a value besides the default."""

    def trace(**changed):
        torch.manual_seed(0)
        model, inputs = build(dims=THREE, **changed).eval(), make_inputs(THREE)
        shapes = [tuple(p.shape) for p in model.parameters()]
        results = [run(model, inputs)]
        torch.manual_seed(3)
        results.append(run(model.train(), inputs))
        return shapes, [tensor for windows, losses in results for tensor in (*windows, *losses.values())]

    shapes, tensors = trace()
    for key, other in settings.items():
        other_shapes, others = trace(**{key: other})
        is_same = shapes == other_shapes and all(torch.equal(a, b) for a, b in zip(tensors, others, strict=True))
        assert not is_same, f"{key}={other!r} changes nothing"


def check_one_hidden_feature_is_refused_or_carries_information(build):
    """The layer norm of one feature is always 0: a model that has one must refuse ``hidden_dim: 1``."""
    inputs = [make_inputs(THREE, (40,), seed) for seed in (0, 1)]
    try:
        for seed in range(20):  # with a ReLU over one feature most initial weights give 0, with a layer norm all do
            torch.manual_seed(seed)
            model = build(dims=THREE, hidden_dim=1).eval()
            if not torch.equal(*(run(model, each)[0][0] for each in inputs)):
                return
    except ValueError:
        return
    pytest.fail("with hidden_dim 1 the hidden state does not depend on the input")

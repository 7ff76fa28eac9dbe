"""LMF against MMSA's, weights carried over; other numbers of modalities against the tensor that it never forms."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fusion.models import FUSION_MODELS
from tests.faithful.test_tfn import DIMS, carry_subnetworks, last_answer
from tests.support.fusion_checks import check_context
from tests.support.inputs import DIMS as FIVE
from tests.support.inputs import THREE, make_inputs, make_model, run
from tests.support.references import weights_of

FACTOR, RANK = 3, 2
HIDDEN = 2 * FACTOR  # MMSA's text is half as wide as its LSTM


def build(**changed):
    settings = {"hidden_dim": HIDDEN, "factor_dim": FACTOR, "rank": RANK} | changed
    return lambda *, dims: FUSION_MODELS.build("lmf", dims=dims, **settings)


def make_noisy(dims, **changed):
    """No weight stays at 0 or 1, where it starts."""
    model = make_model(build(**changed), dims)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return model


@pytest.mark.peers
def test_lmf_is_mmsas_at_the_last_step(mmsa):
    ours = make_noisy(DIMS, recurrent=("text",))
    settings = SimpleNamespace(
        feature_dims=tuple(DIMS[name] for name in ("text", "audio", "video")),
        hidden_dims=(HIDDEN, FACTOR, FACTOR),
        dropouts=(0.3,) * 4,
        rank=RANK,
        num_classes=HIDDEN,
        train_mode="classification",
    )
    theirs = mmsa.LMF(settings).eval()
    carry_subnetworks(ours.subnetworks, theirs)
    with torch.no_grad():
        for name, factor in zip(DIMS, ours.factors, strict=True):
            with_one = torch.cat([factor.bias[:, None], factor.weight], dim=1)
            getattr(theirs, f"{name}_factor").copy_(with_one.unflatten(0, (RANK, HIDDEN)).transpose(1, 2))
        theirs.fusion_weights.copy_(ours.weights[None])
        theirs.fusion_bias.copy_(ours.bias[None])
    inputs = make_inputs(DIMS, (7, 7, 7), share=1.0)
    clips, _ = run(ours, inputs)
    torch.testing.assert_close(torch.stack(clips)[:, -1], last_answer(theirs, inputs)["M"], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("num_modalities", [1, 2, 5])
def test_lmf_is_its_whole_tensor_applied_to_the_outer_product(num_modalities):
    """Equations 2 to 6 of the paper: W is the sum over the rank of outer products of factors, the answer W z + b."""
    model = make_noisy(dict(list(FIVE.items())[:num_modalities]))
    inputs, weights = make_inputs(dict(list(FIVE.items())[:num_modalities])), weights_of(model)
    with torch.no_grad():
        features = [each.double().numpy() for each in model.subnetworks(inputs)]
    tables = [
        np.concatenate([weights[f"factors.{i}.bias"][:, None], weights[f"factors.{i}.weight"]], axis=1)
        for i in range(num_modalities)
    ]
    tables = [table.reshape(RANK, HIDDEN, FACTOR + 1) for table in tables]
    for goal in range(HIDDEN):
        tensor = sum(weights["weights"][r] * outer([table[r, goal] for table in tables]) for r in range(RANK))
        for i, clip in enumerate(run(model, inputs)[0]):
            for step in range(len(clip)):
                z = outer([np.concatenate([[1.0], each[i, step]]) for each in features])
                expected = (tensor * z).sum() + weights["bias"][goal]
                np.testing.assert_allclose(clip[step, goal].item(), expected, rtol=1e-5, atol=1e-5)


def outer(factors):
    table = np.ones(())
    for factor in factors:
        table = np.multiply.outer(table, factor)
    return table


def test_an_unobserved_modality_starts_as_if_it_were_not_there():
    """What multiplies its 1 starts at 1, so that the product is that of the others."""
    model, inputs = make_model(build(), THREE), make_inputs(THREE)
    inputs.observed["face"][:] = False
    expected, _ = run(model, inputs)
    with torch.no_grad():
        model.factors[model.subnetworks.names.index("face")].weight.normal_()
    for clip, other in zip(run(model, inputs)[0], expected, strict=True):
        torch.testing.assert_close(clip, other)
    for flags in inputs.observed.values():
        flags[:] = False
    for clip in run(model, inputs)[0]:
        torch.testing.assert_close(clip, (model.weights.sum() + model.bias).expand_as(clip))


def test_recurrent_modalities_see_the_past():
    check_context(build(recurrent=("face",)), THREE, "past")


@pytest.mark.parametrize("setting", ["factor_dim", "rank"])
def test_sizes_under_one_are_an_error(setting):
    with pytest.raises(ValueError, match=f"'lmf': {setting} is 0"):
        build(**{setting: 0})(dims=THREE)

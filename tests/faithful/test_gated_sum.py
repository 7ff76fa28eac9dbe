"""The gated multimodal unit against loops over steps and modalities written from Arevalo et al. 2017."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fusion.models import FUSION_MODELS
from tests.support.inputs import THREE, make_inputs, run
from tests.support.references import sigmoid, weights_of

TWO = {"face": 5, "voice": 3}


def make(dims, **settings):
    torch.manual_seed(4)
    return FUSION_MODELS.build("gated_sum", dims=dims, hidden_dim=6, **settings).eval()


def row_of(inputs, name, i, t):
    """One modality's features at one step, in float64, 0 where it was not observed."""
    return inputs.features[name][i, t].double().numpy() * bool(inputs.observed[name][i, t])


def test_it_is_the_papers_unit_for_many_modalities():
    model, inputs = make(THREE), make_inputs(THREE, seed=5)
    weights = weights_of(model)
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        for t, hidden in enumerate(clip.numpy()):
            rows = {name: row_of(inputs, name, i, t) for name in sorted(THREE)}
            gates = sigmoid(weights["gate.weight"] @ np.concatenate(list(rows.values())))
            expected = np.zeros(6)
            for m, row in enumerate(rows.values()):
                expected += gates[6 * m : 6 * m + 6] * np.tanh(weights[f"layers.{m}.weight"] @ row)
            np.testing.assert_allclose(hidden, expected, atol=1e-5)


def test_softmax_over_two_modalities_is_the_papers_unit_for_two():
    """z = sigmoid(W [x_v, x_t]) and h = z tanh(W_v x_v) + (1 - z) tanh(W_t x_t), with W the gates' difference."""
    model, inputs = make(TWO, gates="softmax"), make_inputs(TWO, seed=5, share=1.0)
    weights = weights_of(model)
    first, second = np.split(weights["gate.weight"], 2)
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        for t, hidden in enumerate(clip.numpy()):
            face, voice = (row_of(inputs, name, i, t) for name in ("face", "voice"))
            z = sigmoid((first - second) @ np.concatenate([face, voice]))
            of_face, of_voice = np.tanh(weights["layers.0.weight"] @ face), np.tanh(weights["layers.1.weight"] @ voice)
            np.testing.assert_allclose(hidden, z * of_face + (1 - z) * of_voice, atol=1e-5)


def test_softmax_shares_one_among_the_observed_modalities():
    """Alone at a step, a modality comes through whole; where there is none, nothing does."""
    model, inputs = make(THREE, gates="softmax"), make_inputs(THREE, (4,), share=1.0)
    only_face = {name: flags & (name == "face") for name, flags in inputs.observed.items()}
    only_face["face"][:, 2] = False
    (hidden,), _ = run(model, replace(inputs, observed=only_face))
    with torch.no_grad():
        whole = model.layers[0](inputs.features["face"][0]).tanh()
    torch.testing.assert_close(hidden[[0, 1, 3]], whole[[0, 1, 3]])
    assert not hidden[2].any()


@pytest.mark.parametrize("gates", ["sigmoid", "softmax"])
def test_where_nothing_was_observed_the_hidden_state_is_zero(gates):
    model, inputs = make(TWO, gates=gates), make_inputs(TWO, (4,))
    nothing = {name: torch.zeros_like(flags) for name, flags in inputs.observed.items()}
    assert not run(model, replace(inputs, observed=nothing))[0][0].any()


def test_softmax_over_one_modality_has_no_gate_that_could_not_learn():
    assert [name for name, _ in make({"face": 5}, gates="softmax").named_parameters()] == ["layers.0.weight"]

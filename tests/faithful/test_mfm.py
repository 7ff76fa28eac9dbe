"""MFM against MMSA's, by the authors' code, and against loops where we depart from it: pieces, gaps, expectations."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from fusion.models import FUSION_MODELS, mfm
from fusion.models.mfm import maximum_mean_discrepancy
from tests.faithful.test_mfn import (
    DIMS,
    MEMORY,
    WIDTH,
    carry,
    layers_of_fusion,
    observed_values,
    reference_fusion,
    reference_perceptron,
    settings_of,
)
from tests.support.inputs import make_inputs, make_model, run
from tests.support.references import linear, lstm, sigmoid, weights_of

FACTOR = 5
ENDS = "lav"


def build():
    # without dropout a model in training differs from one in evaluation by the noise of mmd alone
    settings = {"hidden_dim": WIDTH, "memory_dim": MEMORY, "factor_dim": FACTOR, "dropout": 0.0}
    return make_model(lambda *, dims: FUSION_MODELS.build("mfm", dims=dims, **settings), DIMS)


def peer_of(mmsa, model):
    """MMSA's model with our weights; it answers with what its last linear layer reads."""
    settings = settings_of(1)
    for key in ("zy", "zl", "za", "zv", "fy", "fl", "fa", "fv"):
        setattr(settings, f"{key}_size", FACTOR)
    for key in ("zy_to_fy", "zl_to_fl", "za_to_fa", "zv_to_fv", "fy_to_y"):
        setattr(settings, f"{key}_dropout", 0.5)
    for end in ENDS:
        setattr(settings, f"lda_x{end}", 1.0)
    peer = mmsa.MFM(settings).eval()
    carry(peer.mfn_encoder, layers_of_fusion(model.fusion))
    ours = {"last_to_zy_fc1": model.shared, "fy_to_y_fc1": model.out[0]}
    for i, end in enumerate(ENDS):
        carry(getattr(peer, f"encoder_{end}"), {"lstm": model.specific[i].layer, "fc1": model.specific_projections[i]})
        carry(getattr(peer, f"decoder_{end}"), {"lstm": model.decoders[i].cell, "fc1": model.decoders[i].out})
        factor = model.specific_factors[i]
        ours |= {f"z{end}_to_f{end}_fc1": factor[0], f"z{end}_to_f{end}_fc2": factor[3]}
    ours |= {"zy_to_fy_fc1": model.shared_factor[0], "zy_to_fy_fc2": model.shared_factor[3]}
    carry(peer, ours)
    peer.fy_to_y_fc2 = nn.Identity()
    return peer


@pytest.mark.peers
@pytest.mark.parametrize("num_steps", [1, 2, 20])
def test_hidden_states_and_losses_are_mmsas_at_the_last_step(mmsa, num_steps):
    """Both draw the same noise."""
    model, inputs = build().train(), make_inputs(DIMS, (num_steps,) * 4, share=1.0)
    peer = peer_of(mmsa, model)
    torch.manual_seed(7)
    fused = model(inputs)
    torch.manual_seed(7)
    expected, reconstruction, discrepancy, _ = peer(*inputs.features.values())
    torch.testing.assert_close(fused.hidden[:, -1], expected, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused.losses["reconstruction"], reconstruction, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(fused.losses["mmd"], discrepancy, rtol=1e-5, atol=1e-5)


def test_every_piece_is_rebuilt_from_its_last_step(monkeypatch):
    """Windows of several pieces, with gaps and padding, against loops over clips, pieces and steps in float64."""
    monkeypatch.setattr(mfm, "SEGMENT_STEPS", 3)
    model, inputs = build(), make_inputs(DIMS, (8, 6, 1), seed=3)
    weights = weights_of(model)
    clips, losses = run(model, inputs)
    squares, counts = np.zeros(3), np.zeros(3)
    for i, clip in enumerate(clips):
        values, length = observed_values(inputs, i), len(clip)
        fused = linear(reference_fusion(values, weights, "fusion."), weights, "shared")
        factors = [reference_factor(row, weights, "shared_factor") for row in fused]
        np.testing.assert_allclose(clip.numpy(), np.maximum(0, linear(factors, weights, "out.0")), atol=1e-5)
        for m, (name, each) in enumerate(zip(sorted(DIMS), values, strict=True)):
            states = lstm(each, weights, f"specific.{m}.layer", FACTOR)
            for start in range(0, length, 3):
                stop = min(start + 3, length)
                own = linear(states[stop - 1], weights, f"specific_projections.{m}")
                both = np.concatenate([factors[stop - 1], reference_factor(own, weights, f"specific_factors.{m}")])
                rebuilt = reference_decoder(both, weights, f"decoders.{m}", stop - start)
                flags = inputs.observed[name][i, start:stop].numpy()
                squares[m] += np.square(rebuilt - each[start:stop])[flags].sum()
                counts[m] += flags.sum() * DIMS[name]
    np.testing.assert_allclose(losses["reconstruction"].item(), (squares / counts).sum(), atol=1e-5)


def reference_factor(row, weights, at):
    return np.maximum(0, reference_perceptron(row, weights, at))


def reference_decoder(factors, weights, at, num_steps):
    hidden, cell, entering, states = np.zeros_like(factors), np.zeros_like(factors), factors, []
    for _ in range(num_steps):
        gates = weights[f"{at}.cell.weight_ih"] @ entering + weights[f"{at}.cell.weight_hh"] @ hidden
        enter, forget, new, leave = np.split(gates + weights[f"{at}.cell.bias_ih"] + weights[f"{at}.cell.bias_hh"], 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = entering = sigmoid(leave) * np.tanh(cell)
        states.append(hidden)
    return linear(states, weights, f"{at}.out")


def test_in_evaluation_the_discrepancy_is_its_expectation_over_all_noise():
    torch.manual_seed(0)
    rows = torch.randn(4, 3, dtype=torch.float64) * 1.5 + 0.5
    drawn = torch.stack([maximum_mean_discrepancy(rows, drawn=True) for _ in range(4_000)])
    expected = maximum_mean_discrepancy(rows, drawn=False)
    assert abs(drawn.mean() - expected) < 4 * drawn.std() / 4_000**0.5
    assert drawn.std() / 4_000**0.5 < 3e-3


def test_the_discrepancy_falls_when_rows_become_the_gaussians():
    torch.manual_seed(0)
    rows = torch.randn(500, 3)
    near = maximum_mean_discrepancy(rows, drawn=False)
    assert all(near < maximum_mean_discrepancy(other, drawn=False) for other in (rows * 0.2, rows * 5, rows + 2))


def test_without_rows_the_discrepancy_is_0_with_a_gradient():
    rows = torch.zeros(0, 3, requires_grad=True)
    loss = maximum_mean_discrepancy(rows, drawn=True)
    loss.backward()
    assert loss == 0
    assert rows.grad is not None


def test_a_piece_in_which_a_modality_was_not_observed_counts_neither_here_nor_there():
    """Clip 1 has nothing at all: both losses are those of the other clips."""
    model, inputs = build(), make_inputs(DIMS, (6, 6, 6))
    observed = {name: flags & torch.tensor([True, False, True])[:, None] for name, flags in inputs.observed.items()}
    _, losses = run(model, replace(inputs, observed=observed))
    _, expected = run(model, take(inputs, [0, 2]))
    for name, loss in losses.items():
        torch.testing.assert_close(loss, expected[name], rtol=1e-5, atol=1e-5)


def take(inputs, rows):
    return replace(
        inputs,
        features={name: values[rows] for name, values in inputs.features.items()},
        observed={name: flags[rows] for name, flags in inputs.observed.items()},
        times_s=inputs.times_s[rows],
        lengths=inputs.lengths[rows],
    )


def test_of_too_many_rows_some_at_equal_distances_are_compared(monkeypatch):
    monkeypatch.setattr(mfm, "MAX_ROWS", 2)
    model, inputs = build(), make_inputs(DIMS, (4,) * 5)
    _, losses = run(model, inputs)
    _, expected = run(model, take(inputs, [0, 3]))
    torch.testing.assert_close(losses["mmd"], expected["mmd"], rtol=1e-5, atol=1e-5)


def test_settings_that_make_no_sense_are_errors():
    for key in ("factor_dim", "memory_dim"):
        with pytest.raises(ValueError, match=f"'mfm': {key} is 0"):
            FUSION_MODELS.build("mfm", dims=DIMS, **{key: 0})


def test_the_weights_of_the_losses_are_those_of_the_authors_code():
    assert build().loss_weights == {"reconstruction": 0.5, "mmd": 1.0}

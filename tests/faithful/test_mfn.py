"""MFN against MMSA's, by the authors' code, and against loops over steps written from the papers' equations."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from fusion.layers.recurrences.memory import GatedMemory, LstmStates
from fusion.models import FUSION_MODELS
from tests.support.inputs import make_inputs, make_model, run
from tests.support.references import linear, lstm, sigmoid, weights_of

# in alphabetical order text, audio, video as in MMSA
DIMS = {"language": 5, "sound": 3, "video": 4}
WIDTH, MEMORY = 6, 7


def build():
    return make_model(lambda *, dims: FUSION_MODELS.build("mfn", dims=dims, hidden_dim=WIDTH, memory_dim=MEMORY), DIMS)


def settings_of(num_classes):
    """What MMSA reads from its config; every perceptron inside as wide as ours."""
    inside = {
        f"{name}Config": {"shapes": WIDTH, "drop": 0.5} for name in ("NN", "NN1", "NN2", "gamma1", "gamma2", "out")
    }
    return SimpleNamespace(
        feature_dims=list(DIMS.values()),
        hidden_dims=[WIDTH] * 3,
        memsize=MEMORY,
        windowsize=2,
        train_mode="classification",
        num_classes=num_classes,
        device="cpu",
        **inside,
    )


def carry(peer, ours):
    """Weights of our layers, by the peer's layer names."""
    for name, layer in ours.items():
        copy(getattr(peer, name), layer)


def copy(theirs, ours):
    for parameter, value in zip(theirs.parameters(), ours.parameters(), strict=True):
        assert parameter.shape == value.shape
        parameter.data = value.detach().clone()


def layers_of_memory(memory):
    """MMSA's names of a gated memory's layers."""
    perceptrons = {"att2": memory.candidate, "gamma1": memory.retain, "gamma2": memory.update}
    return {f"{key}_fc{i}": mlp[place] for key, mlp in perceptrons.items() for i, place in ((1, 0), (2, 3))}


def layers_of_fusion(fusion):
    cells = {f"lstm_{end}": each.recurrent.layer for end, each in zip("lav", fusion.recurrent, strict=True)}
    return {**cells, "att1_fc1": fusion.attend[0], "att1_fc2": fusion.attend[3], **layers_of_memory(fusion.memory)}


def peer_of(mmsa, model):
    peer = mmsa.MFN(settings_of(WIDTH // 2)).eval()
    carry(peer, {**layers_of_fusion(model.fusion), "out_fc1": model.out[0], "out_fc2": model.out[3]})
    return peer


@pytest.mark.peers
@pytest.mark.parametrize("num_steps", [1, 2, 12])
def test_states_memory_and_their_projection_are_mmsas_at_the_last_step(mmsa, num_steps):
    model, inputs = build(), make_inputs(DIMS, (num_steps,) * 3, share=1.0)
    peer = peer_of(mmsa, model)
    fused = model.fusion(list(inputs.features.values()), inputs.lengths)
    expected = peer(*inputs.features.values())
    torch.testing.assert_close(fused[:, -1], expected["L"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(model.out(fused)[:, -1], expected["M"], rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_gradients_are_mmsas(mmsa):
    """Also those of an LSTM's weights, which lead to its hidden states and, on a way of ours, to its cells."""
    model, inputs = build(), make_inputs(DIMS, (12,) * 3, share=1.0)
    peer = peer_of(mmsa, model)
    model.out(model.fusion(list(inputs.features.values()), inputs.lengths))[:, -1].square().sum().backward()
    peer(*inputs.features.values())["M"].square().sum().backward()
    for name, layer in {**layers_of_fusion(model.fusion), "out_fc1": model.out[0]}.items():
        for ours, theirs in zip(layer.parameters(), getattr(peer, name).parameters(), strict=True):
            torch.testing.assert_close(
                ours.grad, theirs.grad, rtol=1e-5, atol=1e-5, msg=lambda text, at=name: at + text
            )


def test_mfn_is_the_seeds_mfn():
    """Every step of every clip, with gaps and padding, against a loop over steps in float64."""
    model, inputs = build(), make_inputs(DIMS, (9, 6, 1), seed=5)
    weights = weights_of(model)
    clips, _ = run(model, inputs)
    for i, clip in enumerate(clips):
        fused = reference_fusion(observed_values(inputs, i), weights, "fusion.")
        rows = linear(np.maximum(0, linear(fused, weights, "out.0")), weights, "out.3")
        forwards = lstm(rows, weights, "over_time.layer", WIDTH // 2)
        backwards = lstm(rows[::-1], weights, "over_time.layer", WIDTH // 2, "_reverse")[::-1]
        np.testing.assert_allclose(clip.numpy(), np.concatenate([forwards, backwards], axis=1), atol=1e-5)


def observed_values(inputs, i):
    """A clip's modalities in their order, 0 where not observed."""
    length = int(inputs.lengths[i])
    return [
        np.where(inputs.observed[name][i, :length, None], inputs.features[name][i, :length], 0).astype(float)
        for name in sorted(inputs.features)
    ]


def reference_fusion(values, weights, at):
    """Hidden states of all modalities and the memory at every step, from Zadeh et al. 2018."""
    states = [reference_lstm(each, weights, f"{at}recurrent.{i}.recurrent.layer") for i, each in enumerate(values)]
    hidden, cells = (np.concatenate(each, axis=1) for each in zip(*states, strict=True))
    attended = []
    for before, now in zip([np.zeros_like(cells[0]), *cells[:-1]], cells, strict=True):
        both = np.concatenate([before, now])
        scores = np.exp(reference_perceptron(both, weights, f"{at}attend"))
        attended.append(scores / scores.sum() * both)
    return np.concatenate([hidden, reference_memory(attended, weights, f"{at}memory.")], axis=1)


def reference_lstm(rows, weights, layer):
    """Hidden states and cells, from the four gates' equations."""
    hidden, cell, states = np.zeros(WIDTH), np.zeros(WIDTH), []
    for row in rows:
        gates = weights[f"{layer}.weight_ih_l0"] @ row + weights[f"{layer}.weight_hh_l0"] @ hidden
        enter, forget, new, leave = np.split(gates + weights[f"{layer}.bias_ih_l0"] + weights[f"{layer}.bias_hh_l0"], 4)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        hidden = sigmoid(leave) * np.tanh(cell)
        states.append((hidden, cell))
    return tuple(np.array(each) for each in zip(*states, strict=True))


def reference_memory(attended, weights, at, drop=lambda hidden: hidden):
    memory, memories = np.zeros(len(weights[f"{at}retain.3.bias"])), []
    for row in attended:
        candidate = np.tanh(reference_perceptron(row, weights, f"{at}candidate", drop))
        both = np.concatenate([row, memory])
        retain, update = (
            sigmoid(reference_perceptron(both, weights, at + gate, drop)) for gate in ("retain", "update")
        )
        memory = retain * memory + update * candidate
        memories.append(memory)
    return np.array(memories)


def reference_perceptron(row, weights, at, drop=lambda hidden: hidden):
    return linear(drop(np.maximum(0, linear(row, weights, f"{at}.0"))), weights, f"{at}.3")


def test_an_lstm_returns_its_cells_at_every_step():
    torch.manual_seed(0)
    layer, values = LstmStates(4, WIDTH), torch.randn(2, 30, 4)
    hidden, cell = layer(values, torch.tensor([30, 11]))
    weights = weights_of(layer)
    for i, length in enumerate((30, 11)):
        expected = reference_lstm(values[i, :length].double().numpy(), weights, "recurrent.layer")
        np.testing.assert_allclose(hidden[i, :length].detach().numpy(), expected[0], atol=1e-5)
        np.testing.assert_allclose(cell[i, :length].detach().numpy(), expected[1], atol=1e-5)


def test_in_training_dropout_lies_inside_the_candidate_and_both_gates(monkeypatch):
    """Drawn for all steps at once, and yet where the paper has it: here the second half of the units is dropped."""

    def drop_half(values, p=0.5, training=True, inplace=False):
        kept = values.new_zeros(values.shape[-1])
        kept[: len(kept) // 2] = 1 / (1 - p)
        return values * kept

    monkeypatch.setattr(F, "dropout", drop_half)
    torch.manual_seed(0)
    memory, attended = GatedMemory(4, MEMORY, WIDTH, dropout=0.5).train(), torch.randn(1, 9, 4)
    expected = reference_memory(
        attended[0].double().numpy(),
        weights_of(memory),
        "",
        drop=lambda hidden: hidden * np.repeat([2.0, 0.0], WIDTH // 2),
    )
    np.testing.assert_allclose(memory(attended)[0].detach().numpy(), expected, atol=1e-5)


def test_dropout_differs_between_steps_and_clips():
    torch.manual_seed(0)
    memory = GatedMemory(4, MEMORY, WIDTH, dropout=0.5).train()
    first = memory(torch.ones(8, 1, 4))
    assert len(torch.unique(first, dim=0)) > 1
    with torch.no_grad():  # nothing is retained: steps differ by their dropout alone
        memory.retain[3].bias -= 100
    inputs = memory(torch.ones(1, 8, 4))[0]
    assert len(torch.unique(inputs, dim=0)) > 1


def test_settings_that_make_no_sense_are_errors():
    with pytest.raises(ValueError, match="mfn: hidden_dim is 7, expected an even number"):
        FUSION_MODELS.build("mfn", dims=DIMS, hidden_dim=7)
    with pytest.raises(ValueError, match="'mfn': memory_dim is 0"):
        FUSION_MODELS.build("mfn", dims=DIMS, memory_dim=0)

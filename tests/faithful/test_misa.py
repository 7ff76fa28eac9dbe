"""MISA against MMSA's, by the authors' code, and against loops over steps where MMSA has only the last one."""

import importlib
from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from fusion.layers.representation_losses import central_moment_discrepancy, difference_loss
from fusion.models import FUSION_MODELS
from fusion.models.misa import MAX_ROWS
from tests.support.inputs import make_inputs, make_model, run
from tests.support.references import lstm, weights_of

# in alphabetical order text, video, audio as in MMSA, whose LSTMs are as wide as their features
DIMS = {"language": 5, "picture": 6, "sound": 6}
SETTINGS = {"hidden_dim": 8, "encoder_dim": 6, "mlp_dim": 2048}
# MMSA's transformer has its batch on the second axis
pytestmark = pytest.mark.filterwarnings("ignore:enable_nested_tensor is True:UserWarning")


def build(dims=DIMS):
    return make_model(lambda *, dims: FUSION_MODELS.build("misa", dims=dims, **SETTINGS), dims)


class Bert(nn.Module):
    """Instead of BERT: what our recurrent layers say of text."""

    def __init__(self, **_):
        super().__init__()

    def forward(self, text):
        return self.states[:, None]


def peer_of(mmsa, model, monkeypatch):
    """MMSA's MISA with our model's weights; it answers with what its last linear layer reads."""
    monkeypatch.setattr(importlib.import_module(f"{mmsa.__name__}.MISA"), "BertTextEncoder", Bert)
    config = SimpleNamespace(
        use_bert=True, use_finetune=False, transformers="", pretrained="", feature_dims=[5, 6, 6], num_classes=1
    )
    config.train_mode, config.rnncell, config.use_cmd_sim, config.dropout, config.hidden_size = "", "lstm", True, 0.5, 8
    peer = mmsa.MISA(config).eval()
    peer.project_t[0] = nn.Linear(24, 8)
    for i, (end, recurrent) in enumerate(zip("tva", model.recurrent, strict=True)):
        if end != "t":
            copy(getattr(peer, f"{end}rnn1"), recurrent.first.layer)
            copy(getattr(peer, f"{end}rnn2"), recurrent.second.layer)
            copy(getattr(peer, f"{end}layer_norm"), recurrent.norm)
        copy(getattr(peer, f"project_{end}"), model.projections[i])
        # MMSA has the layers side by side within each direction, we have the directions within each layer
        linear = getattr(peer, f"project_{end}")[0]
        linear.weight.data = linear.weight.unflatten(1, (2, 2, 6)).transpose(1, 2).flatten(1).detach().clone()
        copy(getattr(peer, f"private_{end}"), model.private[i])
        copy(getattr(peer, f"recon_{end}"), model.reconstruct[i])
    copy(peer.shared, model.shared)
    copy(peer.transformer_encoder.layers[0], model.transformer)
    copy(peer.fusion.fusion_layer_1, model.fuse[0])
    peer.fusion.fusion_layer_3 = nn.Identity()
    return peer


def copy(goal, layer):
    """Into layers of the same structure and other names."""
    values = layer.state_dict().values()
    goal.load_state_dict(dict(zip(goal.state_dict(), values, strict=True)))


def as_the_peer_orders(states):
    """Columns (layer direction 6) -> (direction layer 6)."""
    return states.unflatten(-1, (2, 2, 6)).transpose(-2, -3).flatten(-3)


def answers(peer, states_of_text, video, audio):
    """Hidden states and losses of utterances (rows, steps, dims)."""
    trains = importlib.import_module("MMSA.trains.singleTask.MISA")
    peer.bertmodel.states = as_the_peer_orders(states_of_text)
    with torch.no_grad():
        hidden = peer(torch.ones(len(audio), 3, 1), audio, video)["M"]
    trainer = object.__new__(trains.MISA)
    trainer.args, trainer.model = SimpleNamespace(use_cmd_sim=True), SimpleNamespace(Model=peer)
    trainer.loss_diff, trainer.loss_recon, trainer.loss_cmd = trains.DiffLoss(), trains.MSE(), trains.CMD()
    losses = {
        "difference": trainer.get_diff_loss(),
        "similarity": trainer.get_cmd_loss(),
        "reconstruction": trainer.get_recon_loss(),
    }
    return hidden, losses


def losses_where(peer, flags):
    """MMSA's functions over the steps where the modality, or both of a pair, were observed."""
    trains = importlib.import_module("MMSA.trains.singleTask.MISA")
    private, shared, rebuilt, projected = (
        [getattr(peer, f"utt_{kind.format(end)}") for end in "tva"]
        for kind in ("private_{}", "shared_{}", "{}_recon", "{}_orig")
    )
    pairs = [(i, j, flags[i] & flags[j]) for i, j in combinations(range(3), 2)]
    differences = [trains.DiffLoss()(private[i][flags[i]], shared[i][flags[i]]) for i in range(3)]
    differences += [trains.DiffLoss()(private[i][both], private[j][both]) for i, j, both in pairs]
    return {
        "difference": sum(differences),
        "similarity": sum(trains.CMD()(shared[i][both], shared[j][both], 5) for i, j, both in pairs) / 3,
        "reconstruction": sum(trains.MSE()(rebuilt[i][flags[i]], projected[i][flags[i]]) for i in range(3)) / 3,
    }


def assert_losses(losses, expected):
    assert losses.keys() == expected.keys()
    for key, loss in losses.items():
        torch.testing.assert_close(loss, expected[key].detach(), rtol=1e-5, atol=1e-5)


@pytest.mark.peers
def test_windows_of_one_step_are_mmsas_utterances(mmsa, monkeypatch):
    """There the last states of both directions, which MMSA reads, are those of the step."""
    model, inputs = build(), make_inputs(DIMS, (1,) * 12, share=1.0)
    clips, losses = run(model, inputs)
    with torch.no_grad():
        states = model.recurrent[0](inputs.features["language"], inputs.lengths)[:, 0]
    peer = peer_of(mmsa, model, monkeypatch)
    hidden, expected = answers(peer, states, inputs.features["picture"], inputs.features["sound"])
    torch.testing.assert_close(torch.cat(clips), hidden, rtol=1e-5, atol=1e-5)
    assert_losses(losses, expected)


@pytest.mark.peers
def test_every_step_of_a_window_is_an_utterance_of_mmsas(mmsa, monkeypatch):
    """Recurrent states are from loops in float64, by which MMSA's are replaced; with all observed, and with less."""
    model = build()
    peer = peer_of(mmsa, model, monkeypatch)
    for share in (1.0, 0.6):
        inputs = make_inputs(DIMS, (9, 6, 1), share=share)
        clips, losses = run(model, inputs)
        states = [torch.tensor(reference_states(model, inputs, i), dtype=torch.float32) for i in range(3)]
        given = iter(as_the_peer_orders(each).unflatten(1, (2, 12)).transpose(0, 1) for each in states[1:])
        peer.extract_features = lambda *_, given=given: next(given).split(6, dim=-1)
        empty = torch.zeros(16, 1, 6)
        hidden, expected = answers(peer, states[0], empty, empty)
        torch.testing.assert_close(torch.cat(clips), hidden, rtol=1e-5, atol=1e-5)
        inside = torch.arange(9) < inputs.lengths[:, None]
        assert_losses(
            losses, expected if share == 1.0 else losses_where(peer, [f[inside] for f in inputs.observed.values()])
        )


def reference_states(model, inputs, i):
    """Both layers' states (steps of all clips, 24) of the i-th modality."""
    weights, name, states = weights_of(model), sorted(DIMS)[i], []
    scale, shift = weights[f"recurrent.{i}.norm.weight"], weights[f"recurrent.{i}.norm.bias"]
    for values, flags, length in zip(inputs.features[name], inputs.observed[name], inputs.lengths, strict=True):
        rows = np.where(flags[:length, None], values[:length], 0).astype(float)
        first = both_ways(rows, weights, f"recurrent.{i}.first.layer")
        centred = first - first.mean(1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * scale + shift
        states.append(np.concatenate([first, both_ways(normed, weights, f"recurrent.{i}.second.layer")], axis=1))
    return np.concatenate(states)


def both_ways(rows, weights, layer):
    forwards = lstm(rows, weights, layer, 6)
    backwards = lstm(rows[::-1], weights, layer, 6, "_reverse")[::-1]
    return np.concatenate([forwards, backwards], axis=1)


@pytest.mark.peers
def test_gradients_of_losses_are_mmsas(mmsa):
    """None goes through the length of a step."""
    trains = importlib.import_module("MMSA.trains.singleTask.MISA")
    torch.manual_seed(1)
    rows, counted = torch.rand(2, 20, 4, requires_grad=True), torch.ones(1, 20, dtype=torch.bool)
    one, other = rows.split(1)
    for ours, peers in (
        (difference_loss(one, other, counted, max_rows=64), trains.DiffLoss()(*rows)),
        (central_moment_discrepancy(one, other, counted, num_moments=5), trains.CMD()(*rows, 5)),
    ):
        gradients = [torch.autograd.grad(loss, rows, retain_graph=True)[0] for loss in (ours, peers)]
        torch.testing.assert_close(*gradients, rtol=1e-5, atol=1e-5)


def test_losses_read_only_steps_where_both_were_observed():
    """Those of the counted steps alone, wherever they lie."""
    torch.manual_seed(1)
    one, other, counted = torch.rand(2, 5, 4), torch.rand(2, 5, 4), torch.rand(2, 5) < 0.6
    alone, everything = torch.ones(1, int(counted.sum()), dtype=torch.bool), torch.ones(2, 5, dtype=torch.bool)
    for loss in (
        lambda *rows: difference_loss(*rows, max_rows=64),
        lambda *rows: central_moment_discrepancy(*rows, num_moments=5),
    ):
        expected = loss(one[counted][None], other[counted][None], alone)
        torch.testing.assert_close(loss(one, other, counted), expected)
        assert (loss(one, other, everything) - expected).abs() > 1e-4


def test_difference_does_not_grow_with_the_number_of_steps():
    """The same steps ten times over: as if there were 64 of them."""
    torch.manual_seed(1)
    one, other = torch.rand(1, MAX_ROWS, 4), torch.rand(1, MAX_ROWS, 4)
    once, often = (
        difference_loss(a, b, torch.ones(a.shape[:2], dtype=torch.bool), max_rows=MAX_ROWS)
        for a, b in ((one, other), (one.repeat(1, 10, 1), other.repeat(1, 10, 1)))
    )
    torch.testing.assert_close(once, often)


@pytest.mark.parametrize("num_counted", [0, 1, 2])
def test_losses_of_hardly_any_or_equal_steps_have_finite_gradients(num_counted):
    rows = torch.rand(1, 3, 4, requires_grad=True)
    counted = torch.arange(3)[None] < num_counted
    for loss in (
        difference_loss(rows, rows, counted, max_rows=64),
        central_moment_discrepancy(rows, rows, counted, num_moments=5),
    ):
        (gradient,) = torch.autograd.grad(loss, rows)
        assert torch.isfinite(loss)
        assert torch.isfinite(gradient).all()
    assert central_moment_discrepancy(rows, rows, counted, num_moments=5) == 0


def test_one_modality_has_nothing_to_be_similar_to():
    assert build({"face": 5}).loss_weights == {"difference": 0.3, "reconstruction": 1.0}
    assert build().loss_weights == {"difference": 0.3, "similarity": 1.0, "reconstruction": 1.0}


def test_more_steps_than_a_kernel_takes_at_once_are_the_same(monkeypatch):
    inputs = make_inputs(DIMS)
    whole, _ = run(build(), inputs)
    monkeypatch.setattr("fusion.models.misa.MAX_STEPS", 4)
    parts, _ = run(build(), inputs)
    torch.testing.assert_close(torch.cat(parts), torch.cat(whole))


def test_heads_that_do_not_divide_the_width_are_an_error():
    with pytest.raises(ValueError, match="misa: 3 heads do not divide hidden_dim 128: choose"):
        FUSION_MODELS.build("misa", dims={"face": 2}, num_heads=3)
    with pytest.raises(ValueError, match="'misa': mlp_dim is 0"):
        FUSION_MODELS.build("misa", dims={"face": 2}, mlp_dim=0)
    with pytest.raises(ValueError, match="'misa': encoder_dim is 0"):
        FUSION_MODELS.build("misa", dims={"face": 2}, encoder_dim=0)


def test_a_modality_that_a_window_lacks_is_not_attended_to():
    """Its tokens change nothing of the others' tokens; where it is seen once, they do."""
    model, inputs = build(), make_inputs(DIMS, (6, 6), share=1.0)
    inputs.observed["sound"][0] = False
    inputs.observed["sound"][1, 1:] = False
    model.fuse = nn.Flatten(1)  # the tokens after attention
    before = model(inputs).hidden
    with torch.no_grad():
        model.private[2][0].bias += 1  # of sound
    changed = (model(inputs).hidden - before).unflatten(-1, (2, len(DIMS), -1)).abs().amax((1, 2, 4))
    assert (changed[0, :2] == 0).all()
    assert (changed[1, :2] > 0).all()

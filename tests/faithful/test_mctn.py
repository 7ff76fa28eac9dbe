"""MCTN against MMSA's parts, and against loops over clips and steps written from the paper's description."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

from fusion.layers.masks import make_length_mask
from fusion.layers.recurrences.translation import Translator, _Decoder
from fusion.models import FUSION_MODELS
from tests.support.inputs import make_inputs, run
from tests.support.references import lstm, sigmoid, weights_of

DIMS = {"face": 5, "voice": 3, "scene": 4}
H = 6


def build(dims=DIMS, **settings):
    torch.manual_seed(4)
    return FUSION_MODELS.build("mctn", dims=dims, hidden_dim=H, **settings).eval()


@pytest.mark.peers
def test_mctn_is_mmsas_where_the_decoder_forgets(mmsa):
    """MMSA's LSTM starts every step at a zero state and is fed the truth.

    So it is ours with a forget gate that is shut and no recurrent weights, and with its own backward direction, which
    sees that one step, silenced. It is given the step of zeros that we start from; what it predicts for the next step
    is then our first.
    """
    dims = {"face": 4, "scene": 4, "voice": 4}
    model, inputs = build(dims, always_truth=True), make_inputs(dims, (7, 7), share=1.0)
    for translator in model.translators:
        nn.init.zeros_(translator.cell.weight_hh)
        nn.init.constant_(translator.cell.bias_ih[H : 2 * H], -1e4)
    parts = sys.modules[mmsa.MCTN.__module__]
    first, second = (mmsa_seq2seq(parts, translator) for translator in model.translators)
    face, scene, voice = (inputs.features[name].transpose(0, 1) for name in sorted(dims))
    zeros = torch.zeros(1, 2, 4)
    with torch.no_grad():
        joint, to_scene = first(face, torch.cat([zeros, scene]))
        _, to_face = first(to_scene[1:], torch.cat([zeros, face]))
        joint, to_voice = second(joint, torch.cat([zeros, voice]))
        hidden = model.over_time.layer(joint.transpose(0, 1))[0]
    clips, losses = run(model, inputs)
    torch.testing.assert_close(torch.stack(clips), hidden, rtol=1e-5, atol=1e-5)
    expected = {"translation": (to_scene, scene), "cycle": (to_face, face), "translation_2": (to_voice, voice)}
    for name, (said, truth) in expected.items():
        torch.testing.assert_close(losses[name], nn.MSELoss()(said[1:], truth), rtol=1e-5, atol=1e-5)


def mmsa_seq2seq(parts, translator):
    """MMSA's encoder, attention and decoder with our weights."""
    dim, out_dim = translator.dim, translator.out_dim
    attention = parts.Attention(H)
    encoder = parts.Encoder(dim, H, 0.0, 1)
    decoder = parts.Decoder(out_dim, H, 0.0, 1, attention, bidirectional=True)
    encoder.rnn.load_state_dict(translator.encoder.layer.state_dict())
    encoder.fc.load_state_dict(translator.start.state_dict())
    attention.attn.weight.data = torch.cat([translator.query.weight, translator.key.weight], dim=1).detach()
    attention.v.load_state_dict(translator.score.state_dict())
    for parameter in decoder.rnn.parameters():
        nn.init.zeros_(parameter)
    cell = {f"{name}_l0": weight for name, weight in translator.cell.state_dict().items()}
    decoder.rnn.load_state_dict(cell, strict=False)
    decoder.fc_out.load_state_dict(translator.out.state_dict())
    return parts.Seq2Seq(encoder, decoder, "cpu").eval()


@pytest.mark.parametrize("always_truth", [False, True])
def test_one_step_is_a_bidirectional_lstm_over_one_step(always_truth):
    """torch's own LSTM over one step, its directions added, with our weights; loops over the steps of a clip."""
    torch.manual_seed(3)
    translator = Translator(4, 3, H, 0.0, one_step=True).double()
    network = nn.LSTM(3 + H, H, bidirectional=True).double()
    for suffix, half in zip(("", "_reverse"), range(2), strict=True):
        rows = slice(3 * half * H, 3 * (half + 1) * H)
        for name, ours in (("weight_ih", translator.cell.weight), ("bias_ih", translator.cell.bias)):
            theirs = getattr(network, f"{name}_l0{suffix}").data
            enter, new, leave = ours.data[rows].chunk(3)
            theirs.copy_(torch.cat([enter, torch.randn_like(enter), new, leave]))  # the forget gate has no effect
        getattr(network, f"bias_hh_l0{suffix}").data.zero_()
    source, target = torch.randn(1, 6, 4).double(), torch.randn(1, 6, 3).double()
    forced = torch.tensor([[True, False, False, True, True, False]]) | always_truth
    joint, said = translator(source, torch.tensor([6]), target, forced)
    _, state = translator.encode(source, torch.tensor([6]))
    word, expected = torch.zeros(3).double(), []
    for step, flag in zip(target[0], forced[0], strict=True):
        shares = translator.score((translator.query(state) + translator.key(joint[0])).tanh())[:, 0].softmax(0)
        attended = shares @ joint[0]
        state = sum(network(torch.cat([word, attended])[None])[0][0].chunk(2))[None]
        expected.append(translator.out(torch.cat([state[0], attended])))
        word = step if flag else expected[-1]
    torch.testing.assert_close(said[0], torch.stack(expected))
    ours, by_loops = ((rows - target[0]).square().mean() for rows in (said[0], torch.stack(expected)))
    heads = [translator.out.weight, translator.query.weight, translator.score.weight]
    for one, other in zip(*(torch.autograd.grad(loss, heads) for loss in (ours, by_loops)), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("always_truth", [False, True])
def test_mctn_is_the_papers(always_truth):
    """Loops in float64: clips of other lengths, steps not observed, modalities of other widths; source is the face."""
    model, inputs = build(always_truth=always_truth), make_inputs(DIMS, seed=5)
    given = [inputs.observed[name] & always_truth for name in ("scene", "face", "voice")]
    assert_is_reference(model, inputs, given)


def test_in_training_the_truth_is_drawn():
    model, inputs = build(dropout=0.0, teacher_forcing=0.4).train(), make_inputs(DIMS, seed=5)
    torch.manual_seed(8)
    given = [inputs.observed[name] & (torch.rand(inputs.times_s.shape) < 0.4) for name in ("scene", "face", "voice")]
    torch.manual_seed(8)
    assert_is_reference(model, inputs, given)


def assert_is_reference(model, inputs, given):
    weights = weights_of(model)
    clips, losses = run(model, inputs)
    errors = {name: [] for name in losses}
    for i, clip in enumerate(clips):
        inside = slice(0, len(clip))
        observed = {name: inputs.observed[name][i, inside].numpy() for name in DIMS}
        values = {
            name: np.where(observed[name][:, None], inputs.features[name][i, inside].double().numpy(), 0)
            for name in DIMS
        }
        given_of_clip = [flags[i, inside].numpy() for flags in given]
        hidden, translations = reference(values, weights, given_of_clip)
        np.testing.assert_allclose(clip.numpy(), hidden, rtol=1e-5, atol=1e-5)
        for name, goal in (("translation", "scene"), ("cycle", "face"), ("translation_2", "voice")):
            errors[name].append(((translations[name] - values[goal]) ** 2)[observed[goal]])
    for name, of_clips in errors.items():
        np.testing.assert_allclose(losses[name].item(), np.concatenate(of_clips).mean(), rtol=1e-5)


def reference(values, weights, given):
    face, scene, voice = (values[name] for name in sorted(DIMS))
    joint, to_scene = translate(face, scene, given[0], weights, "translators.0", width=5)
    _, to_face = translate(to_scene, face, given[1], weights, "translators.0", width=5)
    joint, to_voice = translate(joint, voice, given[2], weights, "translators.1", width=3)
    translations = {"translation": to_scene, "cycle": to_face, "translation_2": to_voice}
    return np.concatenate(both_directions(joint, weights, "over_time.layer"), axis=1), translations


def both_directions(rows, weights, layer):
    backwards = lstm(rows[::-1], weights, layer, H, "_reverse")[::-1]
    return np.array(lstm(rows, weights, layer, H)), np.array(backwards)


def translate(source, truth, given, weights, name, width):
    """Encoder, then the decoder step by step; features that a modality lacks are 0."""
    num_features = weights[f"{name}.encoder.layer.weight_ih_l0"].shape[1]
    source = np.pad(source, ((0, 0), (0, num_features - source.shape[1])))
    forwards, backwards = both_directions(source, weights, f"{name}.encoder.layer")
    joint = forwards + backwards
    state, cell = np.tanh(weights[f"{name}.start.weight"] @ (forwards[-1] + backwards[0])), np.zeros(H)
    word, said = np.zeros(width), []
    for step, flag in zip(truth, given, strict=True):
        attended = attend(state, joint, weights, name)
        gates = weights[f"{name}.cell.weight_ih"] @ np.concatenate([word, attended]) + weights[f"{name}.cell.bias_ih"]
        gates = gates + weights[f"{name}.cell.weight_hh"] @ state + weights[f"{name}.cell.bias_hh"]
        enter, forget, new, leave = gates.reshape(4, H)
        cell = sigmoid(forget) * cell + sigmoid(enter) * np.tanh(new)
        state = sigmoid(leave) * np.tanh(cell)
        word = weights[f"{name}.out.weight"] @ np.concatenate([state, attended]) + weights[f"{name}.out.bias"]
        said.append(word[: len(step)])
        word = np.pad(step if flag else said[-1], (0, width - len(step)))
    return joint, np.array(said)


def attend(state, joint, weights, name):
    query, key, v = (weights[f"{name}.{part}.weight"] for part in ("query", "key", "score"))
    shares = np.exp([v[0] @ np.tanh(query @ state + key @ row) for row in joint])
    return shares @ joint / shares.sum()


@pytest.mark.parametrize("gates", [8, 12])  # an LSTM's, and those of one_step
def test_the_decoders_gradient_is_that_of_differences(gates):
    torch.manual_seed(0)
    lengths, given = torch.tensor([4, 2, 1]), torch.rand(3, 4) < 0.5

    def values(*shape):
        return torch.randn(*shape, dtype=torch.float64, requires_grad=True)

    sequences = values(3, 4, 2), values(3, 4, 2), make_length_mask(lengths, 4), values(3, 2), values(3, 4, gates), given
    weights = values(2, 2), values(2), values(gates, 4), values(gates), values(gates, 4), values(gates)
    assert torch.autograd.gradcheck(_Decoder.apply, (*sequences, *weights))


@pytest.mark.parametrize(
    ("targets", "chain"),
    [
        ((), ("face", "scene", "voice")),
        (("voice",), ("face", "voice", "scene")),
        (("face",), ("scene", "face", "voice")),
        (("scene", "face"), ("voice", "scene", "face")),
    ],
)
def test_the_source_is_the_first_that_is_no_target(targets, chain):
    assert build(targets=targets).chain == chain


def test_a_single_modality_is_translated_into_itself():
    model = build({"face": 5})
    assert model.chain == ("face", "face")
    assert model.loss_weights == {"translation": 0.5, "cycle": 0.5}


def test_every_further_target_has_a_translation():
    model = build({"face": 5, "voice": 3, "scene": 4, "words": 2})
    assert list(model.loss_weights) == ["translation", "cycle", "translation_2", "translation_3"]


def test_only_the_source_reaches_the_hidden_state():
    """At test time the others may be missing altogether: that is what the paper is about."""
    model, inputs = build(targets=("face", "scene")), make_inputs(DIMS)
    clips, losses = run(model, inputs)
    for name in ("face", "scene"):
        inputs.observed[name][:] = False
    without, their_losses = run(model, inputs)
    for clip, other in zip(clips, without, strict=True):
        assert torch.equal(clip, other)
    assert losses["cycle"] == their_losses["cycle"]
    assert losses["translation"] > 0
    assert their_losses["translation"] == 0


def test_what_was_said_goes_back_in_whatever_the_precision():
    """In mixed precision the decoder stays in the features' own."""
    model, inputs = build(), make_inputs(DIMS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = model(inputs).losses
    for name, loss in model(inputs).losses.items():
        torch.testing.assert_close(mixed[name].float(), loss, rtol=0.05, atol=0.05)
    sum(mixed.values()).backward()
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_targets_that_leave_no_order_are_errors():
    with pytest.raises(
        ValueError, match="mctn: targets names 'smell', which is not a modality; known: face, scene, voice"
    ):
        build(targets=("smell",))
    with pytest.raises(ValueError, match=r"mctn: targets names a modality twice, got \['face', 'face'\]"):
        build(targets=("face", "face"))
    with pytest.raises(ValueError, match="mctn: targets names every modality: leave out the one"):
        build(targets=("face", "scene", "voice"))


def test_teacher_forcing_that_is_no_probability_is_an_error():
    for share in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"mctn: teacher_forcing is {share}, expected a probability"):
            build(teacher_forcing=share)

"""MMIM against MMSA's, by the authors' code: every step is the utterance of what came before it."""

import importlib
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from fusion.layers.representation_losses import contrastive_loss
from fusion.models import FUSION_MODELS
from tests.support.inputs import make_inputs, make_model, run

# in alphabetical order text, audio, video as in MMSA; e and h are the widths of encoders and of the fused state
DIMS = {"language": 5, "sound": 3, "video": 4}
E, H = 6, 8


def build(dims=DIMS, anchors=("language",)):
    settings = {"hidden_dim": H, "encoder_dim": E, "anchors": anchors}
    return make_model(lambda *, dims: FUSION_MODELS.build("mmim", dims=dims, **settings), dims)


class Bert(nn.Module):
    """Instead of BERT: what our encoder of text says."""

    def __init__(self, **_):
        super().__init__()

    def forward(self, text):
        return self.encoded[:, None]


def peer_of(mmsa, model, monkeypatch, *, add_va):
    """MMSA's MMIM with our model's weights, and the tanh its own configuration names for the variance."""
    module = importlib.import_module(f"{mmsa.__name__}.MMIM")
    monkeypatch.setattr(module, "BertTextEncoder", Bert)
    widths = dict.fromkeys(("d_vh", "d_ah", "d_vout", "d_aout"), E)
    config = SimpleNamespace(**widths, feature_dims=[E, 3, 4], use_bert=True, train_mode="regression", d_prjh=H)
    config.use_finetune, config.transformers, config.pretrained, config.need_data_aligned = False, "", "", False
    config.n_layer, config.bidirectional, config.cpc_layers, config.cpc_activation = 1, False, 1, "Tanh"
    config.mmilb_mid_activation, config.mmilb_last_activation = "ReLU", "Tanh"
    config.add_va, config.dropout_prj = add_va, 0.1
    peer = module.MMIM(config).eval()
    for i, encoder in ((1, peer.acoustic_enc), (2, peer.visual_enc)):
        encoder.rnn.load_state_dict(model.recurrent[i].layer.state_dict())
        encoder.linear_1.load_state_dict(model.projections[i].state_dict())
    peer.fusion_prj.linear_1.load_state_dict(model.fuse[1].state_dict())
    peer.fusion_prj.linear_2.load_state_dict(model.fuse[3].state_dict())
    for i, net in enumerate((peer.cpc_zt, peer.cpc_za, peer.cpc_zv)):
        net.net.load_state_dict(model.predict[i].state_dict())
    bounds = {(0, 1): peer.mi_ta, (0, 2): peer.mi_tv} | ({(2, 1): peer.mi_va} if add_va else {})
    assert set(bounds) == set(model.pairs)
    for i, pair in enumerate(model.pairs):
        bounds[pair].mlp_mu.load_state_dict(model.mean[i].state_dict())
        bounds[pair].mlp_logvar.load_state_dict(model.log_variance[i].state_dict())
        bounds[pair].mlp_logvar.append(nn.Tanh())
    return peer


def answers(peer, text, audio, video, lengths):
    """MMSA's answer for utterances, and minus the whole Gaussian log likelihood: its own lacks the log variances."""
    log_variances = []
    for name, bound in peer.named_children():
        if name.startswith("mi_"):
            bound.mlp_logvar.register_forward_hook(lambda *given: log_variances.append(given[-1]))
    peer.bertmodel.encoded = text
    with torch.no_grad():
        result = peer(text[:, None], (audio, lengths), (video, lengths))
    return result, -result["lld"] + sum(each.sum(-1).mean() / 2 for each in log_variances)


@pytest.mark.peers
@pytest.mark.parametrize("anchors", [("language",), ("language", "video")])
def test_a_step_is_mmsas_utterance_of_all_before_it(mmsa, monkeypatch, anchors):
    """Two anchors: the paper's pairs with that of video and audio."""
    model, inputs = build(anchors=anchors), make_inputs(DIMS, (7, 4, 1), share=1.0)
    clips, losses = run(model, inputs)
    peer = peer_of(mmsa, model, monkeypatch, add_va=len(anchors) == 2)
    ends = [(clip, end) for clip, length in enumerate(inputs.lengths.tolist()) for end in range(length)]
    with torch.no_grad():
        text = model.projections[0](model.recurrent[0](inputs.features["language"], inputs.lengths))
    text = torch.stack([text[clip, end] for clip, end in ends])
    audio, video = (torch.stack([inputs.features[key][clip] for clip, _ in ends]) for key in ("sound", "video"))
    result, likelihood = answers(peer, text, audio, video, torch.tensor([end + 1 for _, end in ends]))
    torch.testing.assert_close(torch.cat(clips), result["Feature_f"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(losses["contrastive"], result["nce"], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(losses["likelihood"], likelihood, rtol=1e-5, atol=1e-5)


def test_losses_are_torchs_over_steps_where_the_modality_or_both_were_observed():
    """A Gaussian's log likelihood, and the cross entropy of identifying which step's prediction belongs to which."""
    model, inputs = build(), make_inputs(DIMS, share=0.5)
    fused = model(inputs)
    inside = torch.arange(9) < inputs.lengths[:, None]
    flags = [inputs.observed[key] & inside for key in DIMS]
    encoded = [
        project(recurrent(torch.where(each[..., None], values, 0), inputs.lengths))
        for project, recurrent, each, values in zip(
            model.projections, model.recurrent, flags, inputs.features.values(), strict=True
        )
    ]
    likelihood = 0
    for i, both in enumerate((flags[0] & flags[1], flags[0] & flags[2])):
        mean, variance = model.mean[i](encoded[0][both]), model.log_variance[i](encoded[0][both]).exp()
        likelihood += F.gaussian_nll_loss(mean, encoded[i + 1][both], variance) * E
    torch.testing.assert_close(fused.losses["likelihood"], likelihood, rtol=1e-5, atol=1e-5)
    contrastive = 0
    for predict, values, each in zip(model.predict, encoded, flags, strict=True):
        cosines = F.normalize(values[each]) @ F.normalize(predict(fused.hidden[each])).T
        contrastive += F.cross_entropy(cosines, torch.arange(len(cosines)))
    torch.testing.assert_close(fused.losses["contrastive"], contrastive, rtol=1e-5, atol=1e-5)


def test_a_likelihood_has_a_floor():
    """However sure a modality is of another: the variance stays over 1 / e."""
    model = build()
    with torch.no_grad():
        for parameter in [*model.projections.parameters(), *model.mean.parameters()]:
            parameter.zero_()
        for net in model.log_variance:
            net[2].bias.fill_(-1e6)
    _, losses = run(model, make_inputs(DIMS))
    torch.testing.assert_close(losses["likelihood"], torch.tensor(-2 * E / 2.0))


def test_contrast_reads_only_counted_steps():
    torch.manual_seed(1)
    values, predicted, counted = torch.randn(2, 5, 4), torch.randn(2, 5, 4), torch.rand(2, 5) < 0.6
    alone = torch.ones(1, int(counted.sum()), dtype=torch.bool)
    expected = contrastive_loss(values[counted][None], predicted[counted][None], alone, max_rows=9)
    torch.testing.assert_close(contrastive_loss(values, predicted, counted, max_rows=9), expected)


def test_of_many_steps_evenly_spaced_ones_contrast():
    torch.manual_seed(1)
    values, predicted = torch.randn(1, 10, 4), torch.randn(1, 10, 4)
    kept = [0, 2, 5, 7]
    some = contrastive_loss(values, predicted, torch.ones(1, 10, dtype=torch.bool), max_rows=4)
    few = contrastive_loss(values[:, kept], predicted[:, kept], torch.ones(1, 4, dtype=torch.bool), max_rows=4)
    torch.testing.assert_close(some, few)


def test_the_model_contrasts_at_most_256_steps():
    """A prediction that is the same for every step is at chance: the logarithm of how many there are."""
    model = build({"face": 2}, anchors=())
    with torch.no_grad():
        model.predict[0].weight.zero_()
    _, losses = run(model, make_inputs({"face": 2}, (400,), share=1.0))
    torch.testing.assert_close(losses["contrastive"], torch.tensor(math.log(256)))


@pytest.mark.parametrize("num_counted", [0, 1, 3])
def test_contrast_of_hardly_any_or_zero_rows_has_finite_gradients(num_counted):
    values, predicted = torch.zeros(1, 3, 4, requires_grad=True), torch.rand(1, 3, 4, requires_grad=True)
    loss = contrastive_loss(values, predicted, torch.arange(3)[None] < num_counted, max_rows=9)
    torch.testing.assert_close(loss.detach(), torch.tensor(math.log(max(num_counted, 1))))
    for gradient in torch.autograd.grad(loss, [values, predicted]):
        assert gradient.abs().max() < 2


def test_without_anchors_every_pair_counts_and_one_modality_has_none():
    assert build(anchors=()).pairs == [(0, 1), (0, 2), (1, 2)]
    assert build(anchors=("video",)).pairs == [(2, 0), (2, 1)]
    assert build({"face": 2}, anchors=("face",)).loss_weights == {"contrastive": 0.1}


def test_an_anchor_that_is_no_modality_is_an_error():
    with pytest.raises(ValueError, match="mmim: anchors names text, which is not a modality; known: face, voice"):
        FUSION_MODELS.build("mmim", dims={"voice": 2, "face": 2}, anchors=("text", "face"))
    with pytest.raises(ValueError, match="'mmim': encoder_dim is 0"):
        FUSION_MODELS.build("mmim", dims={"face": 2}, encoder_dim=0)


def test_the_weights_of_the_losses_are_those_of_the_paper():
    assert build().loss_weights == pytest.approx({"likelihood": 0.1 * 16 / E, "contrastive": 0.1})

"""Recurrent layers, compared with torch's own on each clip alone."""

import pytest
import torch
from torch import nn

from fusion.layers.recurrent import Recurrent


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def assert_same(one, other, atol=1e-6):
    torch.testing.assert_close(one, other, rtol=1e-5, atol=atol)


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
@pytest.mark.parametrize("bidirectional", [True, False])
def test_a_recurrent_layer_gives_each_clip_what_torch_gives_it_alone(kind, bidirectional):
    layer = Recurrent(kind, 3, 4, bidirectional=bidirectional)
    values, lengths = torch.randn(3, 9, 3), torch.tensor([6, 9, 1])
    values[0, 6:] = torch.nan
    hidden = layer(values, lengths)
    assert hidden.shape == (3, 9, 8 if bidirectional else 4)
    for i, length in enumerate(lengths):
        assert_same(hidden[i, :length], layer.layer(values[i : i + 1, :length])[0][0])
        assert (hidden[i, length:] == 0).all()


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU])
def test_mixed_precision_on_a_processor_without_bfloat16_computes_in_float32(monkeypatch, kind):
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    layer, values = Recurrent(kind, 3, 4, bidirectional=True), torch.randn(2, 6, 3)
    lengths = torch.tensor([6, 4])
    wanted = layer(values, lengths)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = layer(values, lengths)
    assert torch.equal(found, wanted.bfloat16())

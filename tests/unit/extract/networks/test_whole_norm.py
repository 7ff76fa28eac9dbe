"""The group norm over a whole sound, applied to its chunks."""

import numpy as np

from extract.networks.whole_norm import find_whole_norm


def test_a_norm_fixed_over_the_whole_sound_does_to_a_chunk_what_it_does_to_the_whole(monkeypatch):
    import torch
    from torch import nn

    torch.manual_seed(0)
    layer = nn.Module()
    layer.conv, layer.layer_norm = nn.Conv1d(1, 6, 10, 5), nn.GroupNorm(6, 6)
    nn.init.normal_(layer.layer_norm.weight)
    nn.init.normal_(layer.layer_norm.bias)
    extractor = nn.Module()
    extractor.conv_layers = nn.ModuleList([layer])
    norm = find_whole_norm(extractor)
    monkeypatch.setattr("extract.networks.whole_norm.FRAMES", 100)
    samples = np.linspace(0, 1, 5000, dtype=np.float32) + 0.1 * np.random.default_rng(0).normal(size=5000).astype(
        np.float32
    )
    level = norm.level(samples, lambda part: torch.from_numpy(part)[None])
    with torch.inference_mode():
        waves = torch.from_numpy(samples)[None, None]
        whole = layer.layer_norm(layer.conv(waves))
        with norm.fixed(level):
            chunk = layer.layer_norm(layer.conv(waves[:, :, 1000:2000]))
        assert torch.allclose(chunk, whole[:, :, 200 : 200 + chunk.shape[2]], atol=1e-5)
        assert not torch.allclose(layer.layer_norm(layer.conv(waves[:, :, 1000:2000])), chunk, atol=0.1)
    assert find_whole_norm(nn.Module()) is None


def test_a_layer_norm_over_channels_needs_no_replacement():
    from torch import nn

    layer = nn.Module()
    layer.conv, layer.layer_norm = nn.Conv1d(1, 6, 10, 5), nn.LayerNorm(6)
    extractor = nn.Module()
    extractor.conv_layers = nn.ModuleList([layer])
    assert find_whole_norm(extractor) is None

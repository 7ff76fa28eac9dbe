"""Statistics over observed steps, heads that pool, and the pooled model's own statistics."""

import numpy as np
import pytest
import torch

from fusion.base import FusionInput
from fusion.layers.pooling import PoolingHead, masked_moments, masked_quantiles
from fusion.models import FUSION_MODELS


def test_statistics_are_those_of_numpy_over_the_observed_steps():
    generator = torch.Generator().manual_seed(0)
    values, mask = torch.randn(2, 9, 3, generator=generator), torch.rand(2, 9, generator=generator) < 0.7
    spoilt = torch.where(mask[..., None], values, torch.nan)
    mean, std = masked_moments(spoilt, mask)
    levels = (0.1, 0.5, 0.9)
    quantiles = masked_quantiles(spoilt, mask, levels)
    torch.testing.assert_close(masked_quantiles(spoilt.requires_grad_(), mask, levels), quantiles)
    for i in range(2):
        rows = values[i][mask[i]].numpy()
        np.testing.assert_allclose(mean[i].detach(), rows.mean(0), atol=1e-6)
        np.testing.assert_allclose(std[i].detach(), rows.std(0), atol=1e-5)
        np.testing.assert_allclose(quantiles[i], np.quantile(rows, levels, axis=0), atol=1e-6)


@pytest.mark.parametrize("pooling", ["attention", "statistics"])
def test_a_pooling_head_gives_every_step_of_a_window_the_same(pooling):
    torch.manual_seed(0)
    head, hidden = PoolingHead(4, 3, pooling), torch.randn(2, 6, 4)
    mask = torch.tensor([[True] * 6, [True, True, False, False, False, False]])
    raw = head(hidden, mask)
    assert raw.shape == (2, 6, 3)
    assert torch.equal(raw, raw[:, :1].expand_as(raw))
    torch.testing.assert_close(head(hidden[1:, :2], mask[1:, :2])[0, 0], raw[1, 0])  # steps outside count for nothing
    head(hidden.masked_fill(~mask[..., None], torch.nan), mask).sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in head.parameters())


def test_the_pooled_model_standardises_its_statistics_over_the_training_windows():
    model = FUSION_MODELS.build("pooled", dims={"voice": 3}).eval()
    inputs = FusionInput(
        {"voice": 5 + 3 * torch.randn(40, 12, 3, generator=torch.Generator().manual_seed(0))},
        {"voice": torch.ones(40, 12, dtype=torch.bool)},
        torch.zeros(40, 12, dtype=torch.float64),
        torch.full((40,), 12),
    )
    model.measure([inputs])
    hidden = model(inputs).hidden[:, 0]
    np.testing.assert_allclose(hidden.mean(0), 0, atol=1e-4)
    np.testing.assert_allclose(hidden.std(0, correction=0)[:-1], 1, atol=1e-3)
    assert not hidden[:, -1].any()  # the share of observed steps is constant here
    unseen = FusionInput(
        inputs.features, {"voice": torch.zeros(40, 12, dtype=torch.bool)}, inputs.times_s, inputs.lengths
    )
    assert not model(unseen).hidden[..., :-1].any()  # the mean of every statistic

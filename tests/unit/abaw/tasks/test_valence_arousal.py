"""The loss of valence and arousal: unscored steps have no part in it, whatever they hold."""

import pytest
import torch

from abaw.tasks import TASKS

SETTINGS = [
    {"ccc_over": ccc_over, "mse_weight": mse_weight, "mae_weight": mae_weight}
    for ccc_over in ("batch", "sequence")
    for mse_weight in (0.0, 5.0)
    for mae_weight in (0.0, 1.0)
]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("hidden", [float("nan"), float("inf"), 1e30])
def test_unscored_steps_change_neither_loss_nor_gradient(settings, hidden):
    task, generator = TASKS.build("va", **settings), torch.Generator().manual_seed(0)
    raw, target = torch.randn(3, 12, 2, generator=generator), torch.rand(3, 12, 2, generator=generator)
    scored = torch.rand(3, 12, generator=generator) > 0.4
    found = []
    for filling in (0.0, hidden):
        outputs = torch.where(scored[..., None], raw, filling).requires_grad_()
        loss = task.loss(outputs, torch.where(scored[..., None], target, filling), scored)
        loss.backward()
        found.append((loss.item(), torch.where(scored[..., None], outputs.grad, 0.0)))
    assert found[1][0] == pytest.approx(found[0][0], rel=1e-6)
    assert torch.isfinite(found[1][1]).all()
    torch.testing.assert_close(found[1][1], found[0][1])

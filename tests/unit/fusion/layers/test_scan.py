"""The parallel linear recurrence, compared with a loop."""

import pytest
import torch

from fusion.layers.recurrences.scan import linear_scan


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def loop(decay, added):
    states, state = [], torch.zeros_like(added[:, 0])
    for i in range(added.shape[1]):
        state = decay[:, i] * state + added[:, i]
        states.append(state)
    return torch.stack(states, dim=1)


def scan_inputs(num_steps, rest=(3,)):
    shape = (2, num_steps, *rest)
    decay, added = torch.rand(shape, dtype=torch.float64) * 1.5 - 0.5, torch.randn(shape, dtype=torch.float64)
    decay[:, num_steps // 2] = 0  # forgets all
    return decay.requires_grad_(), added.requires_grad_()


@pytest.mark.parametrize("rest", [(), (3,), (2, 3)])
@pytest.mark.parametrize("num_steps", [1, 2, 3, 7, 16, 300])
def test_a_scan_is_a_loop_over_time_and_so_is_its_gradient(num_steps, rest):
    decay, added = scan_inputs(num_steps, rest)
    weights = torch.randn_like(added)
    before = decay.detach().clone(), added.detach().clone()
    expected, found = loop(decay, added), linear_scan(decay, added)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    grads = [torch.autograd.grad((states * weights).sum(), (decay, added)) for states in (found, expected)]
    for ours, loops in zip(*grads, strict=True):
        torch.testing.assert_close(ours, loops, rtol=1e-12, atol=1e-12)
    assert torch.equal(decay, before[0]), "the input was written to"
    assert torch.equal(added, before[1]), "the input was written to"


@pytest.mark.parametrize("num_steps", [1, 2, 7, 16])
def test_the_gradient_of_a_scan_is_that_of_finite_differences(num_steps):
    assert torch.autograd.gradcheck(linear_scan, scan_inputs(num_steps))


def test_a_scan_has_no_gradient_of_its_gradient():
    decay, added = scan_inputs(7)
    (grad,) = torch.autograd.grad(linear_scan(decay, added).square().sum(), added, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        grad.sum().backward()

"""Continued training: the penalty against its formula, the Fisher information of a model whose gradients are known."""

import pytest
import torch
from torch import nn

from fusion.continuing.anchors import Anchor, Anchors, load_parts, measure_fisher, read_parameters, save_parts


class Logistic(nn.Module):
    """A logistic model: p = sigmoid(x' w + b)."""

    def __init__(self, dim):
        super().__init__()
        self.layer = nn.Linear(dim, 1)

    def loss(self, x, y):
        return nn.functional.binary_cross_entropy_with_logits(self.layer(x)[:, 0], y)


def draw(num, dim=4, seed=0, shift=0.0):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(num, dim, generator=generator, dtype=torch.float64) + shift
    y = (x.sum(1) + torch.randn(num, generator=generator, dtype=torch.float64) > 0).double()
    return x, y


def samples_of(model, x, y):
    return [lambda i=i: model.loss(x[i : i + 1], y[i : i + 1]) for i in range(len(x))]


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Logistic(4).double()


def anchor_of(model, x, y):
    return Anchor(read_parameters(model), measure_fisher(model, samples_of(model, x, y)))


def test_fisher_information_is_the_mean_squared_gradient_of_a_sample(model):
    x, y = draw(50)
    fisher = measure_fisher(model, samples_of(model, x, y))
    with torch.no_grad():
        residual = model.layer(x)[:, 0].sigmoid() - y  # the gradient of a sample is (p - y) x, and p - y for the bias
    torch.testing.assert_close(fisher["layer.weight"], (residual[:, None] * x).square().mean(0, keepdim=True))
    torch.testing.assert_close(fisher["layer.bias"], residual.square().mean().reshape(1))
    assert model.training
    assert all(parameter.grad is None for parameter in model.parameters())


def test_the_penalty_is_that_of_the_paper_and_with_alpha_0_the_plain_ewc_term(model):
    generator = torch.Generator().manual_seed(0)
    now = read_parameters(model)

    def anchor():
        like = {name: torch.rand(each.shape, generator=generator, dtype=torch.float64) for name, each in now.items()}
        return Anchor({name: now[name] + like[name] for name in now}, like)

    first, last = anchor(), anchor()

    def term(of):
        return sum(float((of.fisher[name] * (now[name] - of.weights[name]) ** 2).sum()) for name in now)

    for alpha in (0.0, 0.3, 1.0):
        anchors = Anchors(first, last, alpha, 7.0)
        expected = 3.5 * (alpha * term(first) + (1 - alpha) * term(last))
        assert penalty_of(anchors, model) == pytest.approx(expected, rel=1e-12)
        for name, start in anchors.start().items():
            blend = alpha * first.weights[name] + (1 - alpha) * last.weights[name]
            torch.testing.assert_close(start, blend, rtol=1e-12, atol=1e-12)
    assert penalty_of(Anchors(first, last, 0.0, 1.0), model) == pytest.approx(term(last) / 2)


def penalty_of(anchors, model):
    return float(anchors.compute_loss(model.named_parameters()).detach())


def fit(model, anchors, x, y):
    """The minimum of loss and penalty, from the start of a continued training."""
    model.load_state_dict(anchors.start())
    optimizer = torch.optim.LBFGS(
        model.parameters(), max_iter=200, tolerance_grad=1e-13, tolerance_change=1e-16, line_search_fn="strong_wolfe"
    )

    def closure():
        optimizer.zero_grad()
        loss = model.loss(x, y) + anchors.compute_loss(model.named_parameters())
        loss.backward()
        return loss

    optimizer.step(closure)
    start = anchors.start()
    return max(float((each - start[name]).abs().max()) for name, each in read_parameters(model).items())


def test_the_larger_the_penalty_the_nearer_the_weights_stay_and_at_last_they_do_not_move(model):
    last = anchor_of(model, *draw(200))
    moved = [
        fit(model, Anchors(last, last, 0.5, penalty), *draw(200, seed=1, shift=1.0)) for penalty in (0.1, 1e2, 1e8)
    ]
    assert moved[0] > 0.3
    assert moved[1] < 0.1 * moved[0]
    assert moved[2] < 1e-6


def test_on_new_samples_less_of_the_old_ones_is_forgotten_than_by_plain_fine_tuning(model):
    """Old labels depend on all features; those of new samples not on the first two, which fine-tuning unlearns."""
    old = draw(400)
    fit(model, Anchors(nothing := Anchor(start := read_parameters(model), start), nothing, 0.0, 0.0), *old)
    x, _ = draw(400, seed=1)
    new = x, (x[:, 2:].sum(1) > 0).double()
    last, losses = anchor_of(model, *old), {}
    for penalty in (0.0, 1.0):
        fit(model, Anchors(last, last, 0.0, penalty), *new)
        losses[penalty] = [float(model.loss(*samples).detach()) for samples in (old, new)]
    assert losses[1.0][0] < 0.5 * losses[0.0][0]
    assert losses[1.0][1] < 0.6  # and something is learned


def test_saved_parts_are_read_again_and_those_of_another_model_are_refused(model, tmp_path):
    weights, path = read_parameters(model), tmp_path / "first.safetensors"
    save_parts(path, {"weights": weights, "fisher": {name: each**2 for name, each in weights.items()}})
    found, fisher = load_parts(path, weights, "weights", "fisher")
    for name, each in weights.items():
        assert torch.equal(found[name], each)
        assert torch.equal(fisher[name], each**2)
    with pytest.raises(ValueError, match=r"first\.safetensors does not hold .*shape"):
        load_parts(path, read_parameters(Logistic(5)), "weights")
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(ValueError, match=r"first\.safetensors does not hold"):
        load_parts(path, weights, "weights")


def test_the_information_of_nothing_is_refused(model):
    with pytest.raises(ValueError, match="no window has a label"):
        measure_fisher(model, [])

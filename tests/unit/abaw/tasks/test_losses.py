"""Each task's loss against loops, torch's own and the official metrics; what is fitted from the training split."""

import numpy as np
import pytest
import torch

from abaw.dataset.annotations import Labels
from abaw.metrics import concordance
from abaw.tasks import TASKS
from abaw.tasks.base import PredictionPair

NUM = 24


def tensors(task, num_sequences=2, seed=0):
    """raw (batch time out) with a gradient, target (batch time goal), scored (batch time) with some of both."""
    rng = np.random.default_rng(seed)
    raw, other = rng.normal(size=(2, num_sequences, NUM, task.out_dim)).astype(np.float32)
    target = np.stack([task.to_labels(task.probabilities(each)) for each in other])
    scored = torch.tensor(rng.random((num_sequences, NUM)) < 0.6)
    return torch.tensor(raw, requires_grad=True), torch.tensor(target), scored


def labels_of(values):
    """One clip, every frame of it scored."""
    return {"a": Labels(np.array(values, np.float32), np.ones(len(values), bool))}


# ---- valence and arousal


def test_the_loss_of_valence_arousal_is_one_minus_the_official_score():
    task = TASKS.build("va")
    outputs, target, scored = tensors(task)
    truth = Labels(target.flatten(0, 1).numpy(), scored.flatten().numpy())
    scores = task.score({"a": PredictionPair(outputs.detach().flatten(0, 1).numpy(), truth)})
    assert task.loss(outputs, target, scored).item() == pytest.approx(1 - scores["CCC"], abs=1e-6)
    squared = (outputs[scored] - target[scored]).square().mean().item()
    with_error = TASKS.build("va", mse_weight=0.5).loss(outputs, target, scored).item()
    assert with_error == pytest.approx(1 - scores["CCC"] + 0.5 * squared, abs=1e-6)


def distances(outputs, target, scored):
    """1 - CCC of valence and of arousal of one sequence, by the official metric."""
    p, t = outputs.detach().numpy()[scored].astype(float), target.numpy()[scored].astype(float)
    return [1 - concordance(p[:, i], t[:, i]) for i in (0, 1)]


def test_concordance_per_sequence_is_the_mean_over_sequences_and_not_that_of_the_batch():
    outputs, target, scored = tensors(TASKS.build("va"), num_sequences=3)
    expected = np.mean([distances(*each) for each in zip(outputs, target, scored, strict=True)])
    loss = TASKS.build("va", ccc_over="sequence").loss(outputs, target, scored)
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    whole = np.mean(distances(outputs.flatten(0, 1), target.flatten(0, 1), scored.flatten()))
    assert TASKS.build("va").loss(outputs, target, scored).item() == pytest.approx(whole, abs=1e-6)
    assert abs(whole - expected) > 0.01


@pytest.mark.parametrize("num_scored", [0, 1])
def test_a_sequence_with_under_two_scored_steps_has_no_concordance_of_its_own(num_scored):
    task = TASKS.build("va", ccc_over="sequence")
    outputs, target, scored = tensors(task, num_sequences=3)
    scored[1] = False
    scored[1, :num_scored] = True
    loss = task.loss(outputs, target, scored)
    loss.backward()
    expected = np.mean([distances(outputs[i], target[i], scored[i]) for i in (0, 2)])
    assert loss.item() == pytest.approx(expected, abs=1e-6)
    assert not outputs.grad[1].any()
    assert torch.isfinite(outputs.grad).all()


def test_the_errors_beside_the_concordance_are_over_every_scored_step():
    outputs, target, scored = tensors(TASKS.build("va"))
    gap = (outputs - target)[scored].detach()
    for over in ("batch", "sequence"):
        plain = TASKS.build("va", ccc_over=over).loss(outputs, target, scored).item()
        both = TASKS.build("va", ccc_over=over, mse_weight=0.5, mae_weight=0.25).loss(outputs, target, scored).item()
        assert both - plain == pytest.approx(0.5 * (gap**2).mean().item() + 0.25 * gap.abs().mean().item(), abs=1e-6)


def test_where_no_sequence_has_two_scored_steps_the_squared_error_teaches():
    task = TASKS.build("va", ccc_over="sequence", mae_weight=1.0)
    outputs, target, scored = tensors(task)
    scored[:] = False
    scored[:, 4] = True
    expected = (outputs - target)[:, 4].square().mean()
    torch.testing.assert_close(task.loss(outputs, target, scored), expected)


@pytest.mark.parametrize(("over", "is_equal"), [("batch", False), ("sequence", True)])
def test_two_batches_of_half_the_size_have_another_loss_only_over_the_batch(over, is_equal):
    """What gradient accumulation and several processes do: they average the losses of their batches."""
    task = TASKS.build("va", ccc_over=over)
    target = torch.linspace(-1, 1, 4)[:, None, None] + torch.rand(4, 20, 2, generator=torch.manual_seed(0)) / 4
    scored = torch.ones(4, 20, dtype=torch.bool)
    outputs = target + 0.1
    whole = task.loss(outputs, target, scored)
    halves = [task.loss(outputs[i : i + 2], target[i : i + 2], scored[:2]) for i in (0, 2)]
    assert torch.isclose(sum(halves) / 2, whole, rtol=1e-5) == is_equal


@pytest.mark.parametrize("over", ["batch", "sequence"])
def test_a_constant_sequence_has_a_finite_loss(over):
    task = TASKS.build("va", ccc_over=over)
    outputs = torch.full((2, 5, 2), 0.25, requires_grad=True)
    loss = task.loss(outputs, torch.full((2, 5, 2), 0.25), torch.ones(2, 5, dtype=torch.bool))
    loss.backward()
    assert loss.item() == pytest.approx(1)
    assert torch.isfinite(outputs.grad).all()


# ---- classes


def test_expression_weighs_classes_by_their_frequency_in_training():
    labels = Labels(np.repeat([0.0, 1.0], [90, 10])[:, None].astype(np.float32), np.ones(100, bool))
    weights = TASKS.build("expr", class_balance=1.0).fitted({"a": labels}).settings()["class_weights"]
    # 1/90 and 1/10, then scaled so that the mean over 100 frames is 1: 90 * w0 + 10 * w1 = 100 with w1 = 9 w0
    assert weights == pytest.approx([5 / 9, 5, 0, 0, 0, 0, 0, 0], abs=1e-6)
    equal = TASKS.build("expr", class_balance=0.0).fitted({"a": labels}).settings()["class_weights"]
    assert equal == pytest.approx([1, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(("weights", "smoothing"), [([1.0, 0.5, 2.0, 1.0, 1.0, 3.0, 1.0, 0.1], 0.0), (None, 0.1)])
def test_the_loss_of_expression_is_torchs_own_with_weights_or_smoothing(weights, smoothing):
    """With both it is not: see test_optima.py."""
    task = TASKS.build("expr", class_weights=weights, label_smoothing=smoothing)
    outputs, target, scored = tensors(task)
    expected = torch.nn.functional.cross_entropy(
        outputs[scored],
        target[scored][:, 0].long(),
        weight=torch.tensor(weights) if weights else None,
        label_smoothing=smoothing,
    )
    torch.testing.assert_close(task.loss(outputs, target, scored), expected)


def test_what_is_fitted_keeps_every_other_setting():
    settings = {"class_balance": 1.0, "label_smoothing": 0.1, "focal_gamma": 2.0, "focal_alpha": 0.9, "kl_weight": 0.2}
    labels = Labels(np.array([[0.0], [1.0]], np.float32), np.ones(2, bool))
    fitted = TASKS.build("expr", **settings).fitted({"a": labels}).settings()
    assert {key: fitted[key] for key in settings} == settings


def test_the_focal_loss_of_expression_is_that_of_the_seed():
    """Step by step: 0.9 (1 - p)^2 times the smoothed cross-entropy, 0.2 of the divergence from the smoothed label."""
    task = TASKS.build("expr", class_balance=0.0, label_smoothing=0.1, focal_gamma=2.0, focal_alpha=0.9, kl_weight=0.2)
    outputs, target, scored = tensors(task)
    losses = []
    for row, label in zip(outputs[scored].detach().double().numpy(), target[scored][:, 0].long().tolist(), strict=True):
        p = np.exp(row) / np.exp(row).sum()
        smooth = np.full(8, 0.1 / 8)
        smooth[label] += 0.9
        focal = 0.9 * (1 - p[label]) ** 2 * -(smooth * np.log(p)).sum()
        losses.append(focal + 0.2 * (smooth * np.log(smooth / p)).sum())
    loss = task.loss(outputs, target, scored)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)
    loss.backward()
    assert torch.isfinite(outputs.grad).all()


def test_disagreement_of_classes_is_the_mean_of_both_divergences():
    for name in ("expr", "ce"):
        task = TASKS.build(name)
        (one, _, scored), (other, _, _) = tensors(task), tensors(task, seed=9)
        p, q = (torch.distributions.Categorical(logits=side[scored].double()) for side in (one, other))
        divergence = torch.distributions.kl_divergence
        expected = (divergence(p, q) + divergence(q, p)).mean() / 2
        assert task.disagreement(one, other, scored).item() == pytest.approx(expected.item(), rel=1e-5)


# ---- action units


def test_the_loss_of_action_units_is_torchs_own():
    weights = [0.5 * i for i in range(1, 13)]
    task = TASKS.build("au", pos_weights=weights)
    outputs, target, scored = tensors(task)
    expected = torch.nn.functional.binary_cross_entropy_with_logits(
        outputs[scored], target[scored], pos_weight=torch.tensor(weights)
    )
    torch.testing.assert_close(task.loss(outputs, target, scored), expected)


def test_the_focal_loss_of_smoothed_units_is_that_of_a_loop():
    task = TASKS.build("au", pos_weights=[3.0] * 12, label_smoothing=0.2, focal_gamma=1.5)
    outputs, target, scored = tensors(task)
    losses = []
    for row, truths in zip(outputs[scored].detach().double().tolist(), target[scored].tolist(), strict=True):
        for value, truth in zip(row, truths, strict=True):
            p = 1 / (1 + np.exp(-value))
            smooth = 0.9 if truth else 0.1
            entropy = -smooth * np.log(p) - (1 - smooth) * np.log(1 - p)
            losses.append((3 if truth else 1) * (1 - p if truth else p) ** 1.5 * entropy)
    loss = task.loss(outputs, target, scored)
    assert loss.item() == pytest.approx(np.mean(losses), rel=1e-5)
    loss.backward()
    assert torch.isfinite(outputs.grad).all()


def test_a_certain_output_has_a_finite_focal_gradient():
    for name in ("expr", "au"):
        task = TASKS.build(name, focal_gamma=0.5)
        outputs, target, scored = tensors(task)
        certain = (1e3 * outputs.detach()).requires_grad_()
        task.loss(certain, target, scored).backward()
        assert torch.isfinite(certain.grad).all()


def test_action_units_weigh_the_active_side_by_what_the_training_split_has():
    values = np.zeros((100, 12))
    values[:10, 0], values[:75, 1], values[:, 2] = 1, 1, 1  # 10 of 100, 75 of 100, always; the others never
    make_balanced_order = TASKS.build("au", balance=1.0).fitted(labels_of(values)).settings()["pos_weights"]
    assert make_balanced_order == pytest.approx([9, 1 / 3, *[1] * 10], abs=1e-6)
    half = TASKS.build("au").fitted(labels_of(values)).settings()["pos_weights"]
    assert half == pytest.approx([3, 3**-0.5, *[1] * 10], abs=1e-6)
    assert TASKS.build("au", balance=0.0).fitted(labels_of(values)).settings()["pos_weights"] == [1.0] * 12


def test_unscored_frames_weigh_nothing_in_what_is_fitted():
    values = np.zeros((100, 12), np.float32)
    values[:10] = 1
    scored = np.arange(100) < 40
    fitted = TASKS.build("au", balance=1.0).fitted({"a": Labels(values, scored), "b": Labels(values[:0], scored[:0])})
    assert fitted.settings()["pos_weights"] == pytest.approx([3] * 12)


def test_disagreement_of_units_is_the_mean_of_both_divergences():
    task = TASKS.build("au")
    (one, _, scored), (other, _, _) = tensors(task), tensors(task, seed=9)
    p, q = (torch.distributions.Bernoulli(logits=side[scored].double()) for side in (one, other))
    divergence = torch.distributions.kl_divergence
    expected = (divergence(p, q) + divergence(q, p)).mean() / 2
    assert task.disagreement(one, other, scored).item() == pytest.approx(expected.item(), rel=1e-5)

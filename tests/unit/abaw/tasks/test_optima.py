"""Where each loss is smallest: what weights and smoothing together teach. Found by minimising the loss over logits."""

import numpy as np
import pytest
import torch

from abaw.configs.file import read_config
from abaw.tasks import TASKS
from benchmarks.simulations import smoothing

SMOOTH = {"label_smoothing": 0.1}
NETEASE = read_config("expr").values["tasks"]["expr"]["class_weights"]
# one frame of every class: Neutral, Anger, ...
FRAMES = torch.arange(8.0)[None, :, None]


def minimise(task, target):
    """The probabilities (time out) of one window at which the task's loss is smallest; each step has its own logits."""
    raw = torch.zeros(1, target.shape[1], task.out_dim, requires_grad=True)
    scored = torch.ones(target.shape[:2], dtype=torch.bool)
    optimizer = torch.optim.LBFGS([raw], max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe")

    def closure():
        optimizer.zero_grad()
        loss = 100 * task.loss(raw, target, scored)
        loss.backward()
        return loss

    optimizer.step(closure)
    return task.probabilities(raw.detach()[0].numpy())


def smoothed(shares, amount=0.1):
    return (1 - amount) * np.asarray(shares) + amount / np.shape(shares)[-1]


@pytest.mark.parametrize("weights", [None, NETEASE])
def test_the_optimum_for_a_frame_is_its_smoothed_label_whatever_the_class_weights(weights):
    """With torch's own weighted smoothing the optimum for a Neutral frame was Neutral 0.562, Fear 0.151."""
    found = minimise(TASKS.build("expr", class_weights=weights, **SMOOTH), FRAMES)
    assert found == pytest.approx(smoothed(np.eye(8)), abs=2e-3)
    assert found[0, 0] == pytest.approx(0.9125, abs=2e-3)


def test_smoothing_of_weighted_classes_changes_no_decision():
    """Ten frames that look alike: the optimum is the smoothed weighted frequency, so the largest stays the largest."""
    task = TASKS.build("expr", class_weights=NETEASE, **SMOOTH)
    classes = np.array([0, 0, 0, 0, 0, 0, 7, 7, 7, 1])  # of Anger's weight 10.4, Neutral's 1, Other's 1.06
    raw = torch.zeros(8, requires_grad=True)
    optimizer = torch.optim.LBFGS([raw], max_iter=500, tolerance_change=1e-12, line_search_fn="strong_wolfe")
    target, scored = torch.tensor(classes, dtype=torch.float32)[None, :, None], torch.ones(1, 10, dtype=torch.bool)

    def closure():
        optimizer.zero_grad()
        loss = task.loss(raw.expand(1, 10, 8), target, scored)
        loss.backward()
        return loss

    optimizer.step(closure)
    weighted = np.bincount(classes, minlength=8) * np.array(NETEASE)
    assert raw.detach().softmax(-1).numpy() == pytest.approx(smoothed(weighted / weighted.sum()), abs=2e-3)


def test_shares_of_classes_have_the_optimum_of_as_many_frames_with_these_classes():
    task = TASKS.build("classes", class_names=["a", "b", "c"], level="frame", class_weights=[1.0, 3.0, 9.0], **SMOOTH)
    shares = np.array([[0.75, 0.25, 0.0], [1.0, 0.0, 0.0]])
    target = torch.tensor(np.concatenate([[[0.0], [0.0]], shares], axis=1), dtype=torch.float32)[None]
    # 0.75 * 1 and 0.25 * 3 weigh the same
    assert minimise(task, target) == pytest.approx(smoothed([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]]), abs=2e-3)


def test_the_optimum_for_a_unit_is_its_smoothed_label_whatever_its_weight():
    """Weighed by the smoothed label, an inactive unit with a weight of 20 had an optimum of 0.513: active."""
    task = TASKS.build("au", pos_weights=[20.0, 0.5] * 6, **SMOOTH)
    truth = np.array([[0.0] * 12, [1.0] * 12])
    found = minimise(task, torch.tensor(truth, dtype=torch.float32)[None])
    assert found == pytest.approx(0.9 * truth + 0.05, abs=2e-3)


def test_the_parts_of_multitask_learning_have_the_same_optima():
    parts = {"expr": {"class_weights": NETEASE, **SMOOTH}, "au": {"pos_weights": [20.0] * 12, **SMOOTH}}
    target = torch.zeros(1, 1, 15)  # valence and arousal 0, Neutral, every unit inactive
    found = minimise(TASKS.build("mtl", **parts), target)[0]
    assert found[2:10] == pytest.approx(smoothed(np.eye(8)[0]), abs=2e-3)
    assert found[10:] == pytest.approx(np.full(12, 0.05), abs=2e-3)


def test_a_focal_loss_alone_undoes_smoothing_and_the_divergence_keeps_it():
    focal = {"focal_gamma": 2.0, **SMOOTH}
    sure = torch.tensor([[[9.0, *[0.0] * 7]]]), torch.zeros(1, 1, 1), torch.ones(1, 1, dtype=torch.bool)
    surer = (2 * sure[0], *sure[1:])
    alone, both = TASKS.build("expr", **focal), TASKS.build("expr", kl_weight=0.2, **focal)
    assert alone.loss(*surer) < alone.loss(*sure)
    assert both.loss(*surer) > both.loss(*sure)


def test_macro_f1_of_the_optimum_is_that_of_weights_alone():
    """The simulation in small: torch's pair falls below the weights, ours does not."""
    classes, probabilities = smoothing.draw(seed=1, separation=0.75, num=3000)
    compared = smoothing.losses(NETEASE, 0.1)
    scores = {
        name: smoothing.macro_f1(smoothing.minimise(loss, probabilities).argmax(-1).numpy(), classes)
        for name, loss in compared.items()
    }
    assert scores["both, as they are here"] == pytest.approx(scores["weights"], abs=0.002)
    assert scores["both, as torch combines them"] < scores["weights"] - 0.02

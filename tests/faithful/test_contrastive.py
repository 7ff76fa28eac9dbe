"""The multi-task contrastive embedding: its equations by loops, and the worlds in which it must win and must lose."""

import numpy as np
import pytest
import torch

from abaw.metrics import pair_auc
from abaw.tasks import TASKS
from benchmarks.seed_systems.worlds import contrastive as contrastive_world
from fusion.contrastive.pairs import Pairs, draw_pairs, pair_loss
from fusion.contrastive.relations import relations_of
from fusion.models import FUSION_MODELS
from tests.support.inputs import THREE, make_inputs, make_model, run

NUM_CLIPS, NUM_STEPS = 6, 9
OTHER = 7


@pytest.fixture(autouse=True)
def seeded():
    torch.manual_seed(0)


def relation_of(task):
    (relation,) = relations_of(TASKS.build(task))
    return relation


def labels_of(task, num=NUM_CLIPS * NUM_STEPS):
    rng = np.random.default_rng(0)
    made = {
        "va": rng.uniform(-1, 1, (num, 2)),
        "expr": rng.integers(0, 8, (num, 1)),
        "au": rng.random((num, 12)) < 0.2,
    }
    return torch.tensor(made[task]).float()


def is_same_by_hand(task, a, b):
    """True for alike, False for different, None for neither; the rules of the note, row by row."""
    if task == "expr":
        return None if a[0] == b[0] == OTHER else bool(a[0] == b[0])
    if task == "va":
        distance = float(np.hypot(*(a - b).tolist()))
        return True if distance < 0.4 else False if distance > 0.8 else None
    one, two = ({i for i, value in enumerate(each.tolist()) if value} for each in (a, b))
    overlap = len(one & two) / len(one | two) if one | two else 1.0
    return True if overlap >= 0.5 else False if overlap <= 0.25 else None


@pytest.mark.parametrize("task", ["va", "expr", "au"])
def test_relations_are_those_of_the_note_with_its_drop_zones(task):
    values = labels_of(task)
    alike, different = relation_of(task).compare(values, values)
    expected = [[is_same_by_hand(task, a, b) for b in values] for a in values]
    assert alike.tolist() == [[each is True for each in row] for row in expected]
    assert different.tolist() == [[each is False for each in row] for row in expected]
    assert {each for row in expected for each in row} == {True, False, None}


def drawn(task, clip_ids=None, usable=None):
    target = labels_of(task).reshape(NUM_CLIPS, NUM_STEPS, -1)
    usable = torch.rand(NUM_CLIPS, NUM_STEPS) < 0.7 if usable is None else usable
    clip_ids = clip_ids or [f"clip {i}" for i in range(NUM_CLIPS)]
    return draw_pairs(relation_of(task), clip_ids, target, usable), target, usable


@pytest.mark.parametrize("task", ["va", "expr", "au"])
def test_no_pair_has_both_steps_in_one_clip_and_kinds_are_one_to_one(task):
    clip_ids = ["a", "a", "b", "c", "b", "c"]  # windows of the same clip
    pairs, target, usable = drawn(task, clip_ids)
    assert len(pairs.is_alike) > 20
    assert int(pairs.is_alike.sum()) * 2 == len(pairs.is_alike)
    for first, second, is_alike in zip(pairs.first, pairs.second, pairs.is_alike, strict=True):
        a, b = pairs.steps[first].tolist(), pairs.steps[second].tolist()
        assert clip_ids[a[0]] != clip_ids[b[0]]
        assert usable[tuple(a)]
        assert usable[tuple(b)]
        assert is_same_by_hand(task, target[tuple(a)], target[tuple(b)]) is bool(is_alike)


def test_two_faces_of_other_are_never_a_pair_that_is_alike():
    target = torch.full((2, 4, 1), float(OTHER))
    target[0, 0] = target[1, 0] = 4
    pairs = draw_pairs(relation_of("expr"), ["a", "b"], target, torch.ones(2, 4, dtype=torch.bool))
    alike = [pairs.steps[each].tolist() for each in pairs.first[pairs.is_alike]]
    assert alike == [[0, 0]]


def test_the_loss_is_the_cross_entropy_of_scaled_cosines_and_swapping_changes_nothing():
    embedding = torch.nn.functional.normalize(torch.randn(NUM_CLIPS, NUM_STEPS, 5, dtype=torch.float64), dim=-1)
    pairs, _, _ = drawn("va")
    scale, offset = 3.7, -0.4
    given = torch.tensor([scale, offset], dtype=torch.float64)
    by_hand = []
    for first, second, is_alike in zip(pairs.first, pairs.second, pairs.is_alike, strict=True):
        a, b = (embedding[tuple(pairs.steps[each].tolist())].numpy() for each in (first, second))
        probability = 1 / (1 + np.exp(-(scale * float(a @ b) + offset)))
        by_hand.append(-np.log(probability if is_alike else 1 - probability))
    loss = pair_loss(embedding, pairs, given)
    assert float(loss) == pytest.approx(np.mean(by_hand), rel=1e-12)
    swapped = Pairs(pairs.steps, pairs.second, pairs.first, pairs.is_alike)
    assert float(pair_loss(embedding, swapped, given)) == pytest.approx(float(loss), rel=1e-14)


def test_a_task_without_labels_contributes_exactly_nothing():
    pairs, _, _ = drawn("va", usable=torch.zeros(NUM_CLIPS, NUM_STEPS, dtype=torch.bool))
    embedding, scale = torch.randn(NUM_CLIPS, NUM_STEPS, 5, requires_grad=True), torch.ones(2, requires_grad=True)
    loss = pair_loss(embedding, pairs, scale)
    loss.backward()
    assert loss.item() == 0
    assert not embedding.grad.any()
    assert not scale.grad.any()


def test_the_embedding_has_50_numbers_of_unit_length():
    model = make_model(lambda *, dims: FUSION_MODELS.build("multitask_contrastive", dims=dims), THREE)
    hidden, losses = run(model, make_inputs(THREE))
    assert model.hidden_dim == 50
    assert not losses
    for rows in hidden:
        assert rows.norm(dim=-1).numpy() == pytest.approx(1, abs=1e-6)


def test_pair_auc_is_the_share_of_pairs_in_order():
    rng = np.random.default_rng(0)
    alike, different = rng.integers(0, 9, 40) / 8, rng.integers(0, 7, 60) / 8
    by_hand = np.mean([(a > b) + (a == b) / 2 for a in alike for b in different])
    assert pair_auc(alike, different) == pytest.approx(by_hand, rel=1e-12)


@pytest.fixture(scope="module")
def worlds():
    """The gains of the joint encoder in the complementary world and in the control, of a shorter training."""
    return {
        name: contrastive_world.measure(name, 0, num_steps=150, num_test=600) for name in ("complementary", "control")
    }


def test_the_joint_embedding_wins_where_each_task_sees_a_part_of_the_nuisance(worlds):
    gains = contrastive_world.gains(worlds["complementary"])
    assert gains["EXPR"] >= 0.10
    assert gains["VA"] >= 0.08
    assert gains["AU"] >= 0.04
    assert gains["zero-shot"] >= 0.02


def test_the_joint_embedding_loses_where_the_tasks_have_nothing_in_common(worlds):
    gains = contrastive_world.gains(worlds["control"])
    assert max(gains[name] for name in ("EXPR", "VA", "AU")) < 0

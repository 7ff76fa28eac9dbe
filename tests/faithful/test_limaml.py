"""LiMAML's claims (Wang et al. 2024, arXiv 2403.00803) on the world of benchmarks/seed_systems/worlds/persons.py.

The benchmark trains for 1500 steps; here a shorter training must meet the same bounds.
"""

import pytest
import torch

from abaw.configs.optional_sections import AdaptationConfig
from benchmarks.seed_systems.worlds.persons import (
    SETTINGS,
    World,
    by_gap,
    influence,
    measure,
    outer_slopes,
    stored_difference,
    train,
    unadapted_difference,
)
from tests.support.fusion_checks import without_shape_checks

NUM_STEPS = 500


@pytest.fixture(scope="module")
def trained():
    world = World.draw(0)
    with without_shape_checks():
        return train(world, 0, NUM_STEPS), train(world, 0, NUM_STEPS, None), world


def test_unseen_persons_are_predicted_after_ten_frames_and_three_steps(trained):
    adaptive, plain, world = trained
    base, unadapted, adapted = (
        measure(plain, world, None),
        measure(adaptive, world, None),
        measure(adaptive, world, SETTINGS),
    )
    assert adapted.ccc >= 0.90
    assert adapted.mse <= 0.25 * base.mse
    assert unadapted.mse <= 1.2 * base.mse


def test_a_stored_vector_predicts_what_the_adapted_network_predicts(trained):
    adaptive, _, world = trained
    before = {name: each.clone() for name, each in adaptive.state_dict().items()}
    assert stored_difference(adaptive, world) == 0
    assert all(torch.equal(each, before[name]) for name, each in adaptive.state_dict().items())


def test_without_steps_or_with_rate_0_nothing_is_adapted(trained):
    assert unadapted_difference(trained[0], trained[2]) == 0


def test_labels_of_other_persons_change_no_vector(trained):
    assert influence(trained[0], trained[2]) == 0


def test_the_gradient_goes_through_the_inner_loop():
    slope, expected = outer_slopes(first_order=False)
    assert slope == pytest.approx(expected, rel=1e-6)
    short, _ = outer_slopes(first_order=True)
    assert abs(short / expected - 1) > 1e-3


def test_labels_help_less_the_further_away_they_are_in_time(trained):
    near, far = by_gap(trained[0], trained[2], AdaptationConfig(), (0.0, 8.0))
    assert near.ccc > far.ccc + 0.05

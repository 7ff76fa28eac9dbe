"""The order of windows: shuffled, balanced, distributed over processes."""

import numpy as np
import pytest

from abaw.dataset.annotations import Labels
from fusion.data import ClipDataModule
from fusion.sampling import (
    RankSampler,
    compute_balancing_weights,
    derive_epoch_seed,
    make_balanced_order,
    make_shuffled_order,
)
from tests.support.memory import make_config, make_tasks, with_training


def test_the_order_of_windows_follows_from_seed_and_epoch():
    orders = []
    for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0), (-1, 0)):
        sampler = RankSampler(make_shuffled_order(50, seed), 50)
        sampler.set_epoch(epoch)
        orders.append(list(sampler))
        assert sorted(orders[-1]) == list(range(50))
    assert orders[0] == orders[1]
    assert len({tuple(order) for order in orders}) == 4
    assert derive_epoch_seed(0, 1) != derive_epoch_seed(1, 0)


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 4])
@pytest.mark.parametrize("num_items", [1, 11, 12])
def test_the_shares_of_all_processes_are_the_order_and_all_as_long(num_ranks, num_items):
    shares = [
        list(RankSampler(make_shuffled_order(num_items, 5), num_items, rank, num_ranks)) for rank in range(num_ranks)
    ]
    whole = list(RankSampler(make_shuffled_order(num_items, 5), num_items))
    assert {len(share) for share in shares} == {-(-num_items // num_ranks)}
    dealt = [shares[i % num_ranks][i // num_ranks] for i in range(sum(map(len, shares)))]
    assert dealt[:num_items] == whole
    assert set(dealt[num_items:]) <= set(whole[: num_ranks - 1] or whole)  # an order that does not divide begins again


def uneven(source):
    """One window in eight is of class 4, all others of class 5."""
    values = np.full((60, 1), 5, np.float32)
    values[52:] = 4
    some = Labels(values, np.arange(60) >= 4)
    return {"train": {"expr": {"both": some}}, "validation": {"expr": {"both": some}}}


def test_balanced_sampling_sees_every_kind_alike(source):
    config = with_training(make_config(tasks=["expr"], window=(4, 4)), sampling="balanced", batch_size=1)
    data = ClipDataModule(config, make_tasks("expr"), uneven(source), source)
    train, kinds = data.train_dataloader(), []
    for epoch in range(40):
        train.sampler.set_epoch(epoch)
        kinds += [batch.target["expr"][0, 0, 0].item() for batch in train]
    assert len(kinds) == 40 * 14
    assert np.mean(np.array(kinds) == 4) == pytest.approx(0.5, abs=0.06)
    even = ClipDataModule(with_training(config, sampling="shuffled"), make_tasks("expr"), uneven(source), source)
    assert np.mean([batch.target["expr"][0, 0, 0].item() == 4 for batch in even.train_dataloader()]) == 2 / 14


def test_a_windows_weight_is_the_mean_over_its_scored_frames_and_over_tasks():
    class Kinds:
        def strata(self, labels):
            return np.where(labels.scored, labels.values[:, 0].astype(int), -1)

    def clip(*values):
        return Labels(np.array(values, np.float32)[:, None], np.array(values) >= 0)

    one = {"a": clip(0, 0, 0, 2, -1, -1), "b": clip(2, 2, 0, 0, -1, -1)}  # 0: 5 of 8, 2: 3 of 8
    two = {"a": clip(1, 1, 1, 1, 1, 1)}
    spans = [("a", 0, 2), ("a", 2, 4), ("a", 3, 6), ("a", 4, 6), ("b", 0, 2), ("b", 4, 6)]
    weights = compute_balancing_weights(spans, {"one": one, "two": two}, {"one": Kinds(), "two": Kinds()})
    often, seldom = 8 / 5 / 2, 8 / 3 / 2
    expected = [(often + 1) / 2, ((often + seldom) / 2 + 1) / 2, (seldom + 1) / 2, 1, seldom, 0]
    np.testing.assert_allclose(weights, expected)


def test_balanced_windows_follow_from_seed_and_epoch():
    weights = np.arange(1, 31.0)
    orders = [tuple(make_balanced_order(weights, seed)(epoch)) for seed, epoch in ((0, 0), (0, 0), (0, 1), (1, 0))]
    assert orders[0] == orders[1]
    assert len(set(orders)) == 3

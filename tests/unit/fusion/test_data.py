"""From labels and tracks to windows, their order and their targets."""

import numpy as np
import pytest
import torch

from abaw.batches import collate
from abaw.dataset.annotations import Labels
from abaw.tracks import Track
from fusion.data import ClipDataModule, WindowDataset
from fusion.sampling import (
    RankSampler,
    compute_balancing_weights,
    derive_epoch_seed,
    make_balanced_order,
    make_shuffled_order,
)
from fusion.targets import fit_to_clock
from tests.support.memory import Mood, make_config, make_tasks, with_training


def test_a_window_holds_its_own_rows_and_labels(source, labels):
    dataset = WindowDataset(
        source, ["both"], fit_to_clock(labels["train"], source) | {"expr": {}}, make_config().window
    )
    window = dataset[2]
    assert (window.clip_id, window.first_step, len(window.times_s)) == ("both", 20, 20)
    np.testing.assert_array_equal(window.signals["face"].values, source.tracks["both"]["face"].values[20:40])
    np.testing.assert_array_equal(window.target["va"], labels["train"]["va"]["both"].values[20:40])
    assert set(window.scored) == {"va"}


def test_labels_shorter_than_the_clock_are_unscored_at_the_end(source, labels):
    short = {"va": {"both": Labels(np.ones((50, 2), np.float32), np.ones(50, bool))}}
    fitted = fit_to_clock(short, source)["va"]["both"]
    assert len(fitted) == 60
    assert fitted.scored.sum() == 50
    assert not fitted.scored[50:].any()


def test_labels_longer_than_the_clock_name_the_clip(source):
    long = {"va": {"both": Labels(np.ones((61, 2), np.float32), np.ones(61, bool))}}
    with pytest.raises(
        ValueError, match=r"'both' has 61 label lines for va and a clock of 60 frames: run abaw extract again"
    ):
        fit_to_clock(long, source)


def test_a_source_that_is_not_aligned_is_refused(source):
    track = source.tracks["both"]["voice"]
    source.tracks["both"]["voice"] = Track(track.values[::2], track.times_s[::2], track.observed[::2])
    dataset = WindowDataset(source, ["both"], {}, make_config().window)
    with pytest.raises(ValueError, match=r"voice of clip 'both' has 10 rows .* must be aligned to the clock"):
        dataset[0]


def test_windows_without_a_scored_step_are_left_out_of_training_but_not_of_validation(source):
    scored = np.zeros(60, bool)
    scored[3] = True
    some = Labels(np.zeros((60, 2), np.float32), scored)
    labels = {"train": {"va": {"both": some}}, "validation": {"va": {"both": some}}}
    data = ClipDataModule(make_config(tasks=["va"]), make_tasks("va"), labels, source)
    assert [start for _, start, _ in data.train.spans] == [0]
    assert [start for _, start, _ in data.validation.spans] == [0, 10, 20, 30, 40]


def test_a_task_without_a_scored_frame_is_an_error(source, labels):
    labels["validation"]["expr"] = {"val_both": Labels(np.zeros((3, 1), np.float32), np.zeros(3, bool))}
    with pytest.raises(ValueError, match="no frame of the validation split is scored for expr"):
        ClipDataModule(make_config(), make_tasks(), labels, source)


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


def test_one_batch_carries_clips_that_have_different_tasks(source, labels):
    dataset = WindowDataset(
        source, ["only_va", "only_expr"], fit_to_clock(labels["train"], source), make_config().window
    )
    batch = collate([dataset[0], dataset[len(dataset) - 1]])
    assert batch.scored["va"].any(1).tolist() == [True, False]
    assert batch.scored["expr"].any(1).tolist() == [False, True]


# ---- what several processes see


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


# ---- labels that lag, labels of clips


def test_a_steps_target_is_the_label_that_comes_later(source, labels):
    config = with_training(make_config(), label_shift=4)
    data = ClipDataModule(config, make_tasks(), labels, source)
    window, official = data.train[1], labels["train"]["va"]["both"]
    assert (window.clip_id, window.first_step) == ("both", 10)
    np.testing.assert_array_equal(window.target["va"], official.values[14:34])
    np.testing.assert_array_equal(window.scored["va"], official.scored[14:34])
    last = data.train[4]
    assert last.first_step == 40
    np.testing.assert_array_equal(last.target["va"][:-4], official.values[44:])
    assert not last.scored["va"][-4:].any()
    np.testing.assert_array_equal(data.truth["va"]["val_both"].values, labels["validation"]["va"]["val_both"].values)


def test_a_shift_longer_than_a_clip_leaves_nothing_of_it(source, labels):
    config = with_training(make_config(), label_shift=52)
    data = ClipDataModule(config, make_tasks(), labels, source)
    assert {clip for clip, _, _ in data.train.spans} == {"both"}
    with pytest.raises(ValueError, match="no frame of the train split is scored for va"):
        ClipDataModule(with_training(config, label_shift=60), make_tasks(), labels, source)


def mood(value):
    return Labels(np.array([[value]], np.float32), np.ones(1, bool))


def test_the_label_of_a_clip_is_every_steps(source):
    clips = {split: {"mood": {clip: mood(1.0)}} for split, clip in (("train", "both"), ("validation", "val_va"))}
    data = ClipDataModule(with_training(make_config(), label_shift=4), {"mood": Mood()}, clips, source)
    assert data.train[4].target["mood"].tolist() == [[1.0]] * 20
    assert data.train[4].scored["mood"].all()
    assert data.truth["mood"]["val_va"] is clips["validation"]["mood"]["val_va"]


def test_a_clip_level_task_with_several_rows_a_clip_is_an_error(source):
    two = {"mood": {"both": Labels(np.zeros((2, 1), np.float32), np.ones(2, bool))}}
    with pytest.raises(ValueError, match="'both' has 2 label rows for mood, expected one for the clip"):
        ClipDataModule(make_config(), {"mood": Mood()}, {"train": two, "validation": two}, source)


# ---- balanced windows


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


# ---- workers


def test_workers_read_the_same_batches_in_the_same_order(source, labels):
    alone, helped = (
        ClipDataModule(with_training(make_config(), num_workers=num), make_tasks(), labels, source).train_dataloader()
        for num in (0, 2)
    )
    assert (helped.num_workers, helped.persistent_workers) == (2, True)
    for one, two in zip(alone, helped, strict=True):
        assert one.clip_ids == two.clip_ids
        assert torch.equal(one.first_step, two.first_step)
        for name, signal in one.signals.items():
            assert torch.equal(signal.values.nan_to_num(), two.signals[name].values.nan_to_num())
        assert one.target.keys() == two.target.keys()
        assert all(torch.equal(one.target[name], two.target[name]) for name in one.target)

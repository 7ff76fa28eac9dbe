"""From labels and tracks to windows, their order and their targets."""

import numpy as np
import pytest
import torch

from abaw.batches import collate
from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tracks import Track
from fusion.data import ClipDataModule, WindowDataset, _num_workers
from fusion.targets import fit_to_clock
from fusion.train import errors_of_workers
from tests.support.memory import make_config, make_tasks, with_training


def test_a_window_holds_its_own_rows_and_labels(source, labels):
    dataset = WindowDataset(
        source, ["both"], fit_to_clock(labels["train"], source) | {"expr": {}}, make_config().window
    )
    window = dataset[2]
    assert (window.clip_id, window.first_step, len(window.times_s)) == ("both", 20, 20)
    np.testing.assert_array_equal(window.signals["face"].values, source.tracks["both"]["face"].values[20:40])
    np.testing.assert_array_equal(window.target["va"], labels["train"]["va"]["both"].values[20:40])
    assert set(window.scored) == {"va"}


def test_a_source_that_is_not_aligned_is_refused(source):
    track = source.tracks["both"]["voice"]
    source.tracks["both"]["voice"] = Track(track.values[::2], track.times_s[::2], track.observed[::2])
    dataset = WindowDataset(source, ["both"], {}, make_config().window)
    with pytest.raises(ValueError, match=r"voice of clip 'both' has 10 rows .* must align its tracks"):
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


def test_one_batch_carries_clips_that_have_different_tasks(source, labels):
    dataset = WindowDataset(
        source, ["only_va", "only_expr"], fit_to_clock(labels["train"], source), make_config().window
    )
    batch = collate([dataset[0], dataset[len(dataset) - 1]])
    assert batch.scored["va"].any(1).tolist() == [True, False]
    assert batch.scored["expr"].any(1).tolist() == [False, True]


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


def test_an_error_in_a_worker_is_the_one_that_it_would_be_without(source, labels, monkeypatch):
    def refuse(*_):
        raise InputError("a.safetensors is damaged: delete it")

    monkeypatch.setattr(type(source), "read", refuse)
    data = ClipDataModule(with_training(make_config(), num_workers=1), make_tasks(), labels, source)
    with pytest.raises(InputError) as caught, errors_of_workers():
        next(iter(data.train_dataloader()))
    assert str(caught.value) == "a.safetensors is damaged: delete it"
    with pytest.raises(InputError, match="^other$"), errors_of_workers():
        raise InputError("other")


def test_workers_start_by_themselves_only_where_a_gpu_waits_for_windows(source, labels, monkeypatch):
    data = ClipDataModule(make_config(), make_tasks(), labels, source)
    assert data.train.is_kept
    assert data.train_dataloader().num_workers == 0
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    assert (_num_workers("auto", waits=False), _num_workers("auto", waits=True), _num_workers(7, waits=False)) == (
        0,
        4,
        7,
    )

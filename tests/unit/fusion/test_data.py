"""From labels and tracks to windows, their order and their targets."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.utils.data._utils.pin_memory import pin_memory

from abaw.batches import Batch, collate
from abaw.dataset.annotations import Labels
from abaw.errors import InputError
from abaw.tracks import Track
from fusion.data import ClipDataModule, WindowDataset
from fusion.targets import fit_to_clock
from fusion.train import errors_of_workers, train
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


def on_gpus(data, num_devices=1):
    """Let the data believe that Lightning trains on so many GPUs of this machine, of two machines."""
    strategy = SimpleNamespace(root_device=torch.device("cuda"))
    data.trainer = SimpleNamespace(
        strategy=strategy, num_devices=num_devices, global_rank=0, world_size=2 * num_devices
    )
    return data


@pytest.mark.parametrize(
    ("num_cores", "num_devices", "num_workers"), [(16, 1, 4), (16, 4, 3), (16, 8, 1), (2, 1, 1), (2, 4, 0), (1, 1, 0)]
)
def test_processes_that_train_together_share_the_cores_between_their_workers(
    source, labels, monkeypatch, num_cores, num_devices, num_workers
):
    monkeypatch.setattr("fusion.data.MAX_KEPT_BYTES", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(num_cores)), raising=False)
    data = on_gpus(ClipDataModule(make_config(), make_tasks(), labels, source), num_devices)
    for found in (data.train_dataloader(), data.val_dataloader()):
        assert (found.num_workers, found.pin_memory) == (num_workers, True)


def test_workers_start_by_themselves_only_where_a_gpu_waits_for_windows(source, labels, monkeypatch):
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    data = ClipDataModule(make_config(), make_tasks(), labels, source)
    assert data.train.is_kept
    assert on_gpus(data).train_dataloader().num_workers == 0, "kept windows take no time"
    monkeypatch.setattr("fusion.data.MAX_KEPT_BYTES", 0)
    data = ClipDataModule(make_config(), make_tasks(), labels, source)
    assert (data.train_dataloader().num_workers, data.train_dataloader().pin_memory) == (0, False), "on the CPU"
    given = on_gpus(ClipDataModule(with_training(make_config(), num_workers=7), make_tasks(), labels, source), 8)
    assert given.train_dataloader().num_workers == 7, "a number that was given is kept"


def test_no_more_workers_start_than_shared_memory_holds_the_batches_of(source, labels, monkeypatch, caplog):
    monkeypatch.setattr("fusion.data.MAX_KEPT_BYTES", 0)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(16)), raising=False)
    monkeypatch.setattr("pathlib.Path.is_dir", lambda _: True)
    data = on_gpus(ClipDataModule(make_config(), make_tasks(), labels, source))
    batch_bytes = make_config().training.batch_size * 20 * (3 + 2) * 4  # windows of 20 steps, 3 and 2 features
    for num_fitting, num_workers in ((9, 4), (2, 2), (0, 0)):
        free = num_fitting * 2 * batch_bytes + 1
        monkeypatch.setattr("shutil.disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        caplog.clear()
        assert data.train_dataloader().num_workers == num_workers
        assert ("--shm-size" in caplog.text) == (num_workers < 4)


def tensors_of(batch):
    """All tensors of a batch."""
    signals = [each for signal in batch.signals.values() for each in vars(signal).values()]
    return [batch.first_step, batch.lengths, batch.times_s, *signals, *batch.target.values(), *batch.scored.values()]


def test_all_tensors_of_a_batch_are_pinned_and_their_copies_to_a_gpu_do_not_block(source, labels, monkeypatch):
    data = ClipDataModule(make_config(), make_tasks(), labels, source)
    batch = next(iter(data.train_dataloader()))
    pinned, copied = [], []
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda tensor: pinned.append(tensor) or tensor.clone())
    monkeypatch.setattr(
        torch.Tensor, "to", lambda tensor, *given, **named: copied.append((tensor, given, named)) or tensor
    )
    ready = pin_memory(batch)
    assert {id(each) for each in pinned} == {id(each) for each in tensors_of(batch)}
    for device, is_free in (("cuda", True), ("cpu", False)):
        copied.clear()
        moved = data.transfer_batch_to_device(ready, torch.device(device), 0)
        assert type(moved) is Batch
        assert {id(tensor) for tensor, *_ in copied} == {id(each) for each in tensors_of(ready)}
        assert all(given == (torch.device(device),) for _, given, _ in copied)
        assert all(named == {"non_blocking": is_free} for *_, named in copied)


def test_lightning_moves_every_batch_by_the_data_modules_own_way(source, labels, monkeypatch, tmp_path):
    splits, move = [], ClipDataModule.transfer_batch_to_device

    def watched(self, batch, device, index):
        splits.append("train" if self.trainer.training else "validation")
        return move(self, batch, device, index)

    monkeypatch.setattr(ClipDataModule, "transfer_batch_to_device", watched)
    train(make_config(max_epochs=1), make_tasks(), labels, source, tmp_path)
    data = ClipDataModule(make_config(), make_tasks(), labels, source)
    assert splits.count("train") == len(data.train_dataloader())
    assert splits.count("validation") == len(data.val_dataloader())


def test_windows_that_are_used_once_are_not_kept(source):
    window = make_config().window
    assert WindowDataset(source, ["both"], {}, window).is_kept
    dataset = WindowDataset(source, ["both"], {}, window, keep=False)
    assert not dataset.is_kept
    assert dataset[0] is not dataset[0]
    assert dataset.longest_bytes() == 20 * (3 + 2) * 4
    assert WindowDataset(source, [], {}, window).longest_bytes() == 0

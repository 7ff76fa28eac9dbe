"""From windows to whole clips."""

import numpy as np

from abaw.batches import collate
from abaw.postprocessing import stitch
from fusion.checkpoint import build_module
from fusion.data import WindowDataset
from fusion.predict import predict
from fusion.validation import gather_windows, score
from tests.support.memory import Mood, make_config, make_source, make_tasks, with_training


def test_predictions_are_the_mean_of_overlapping_windows(source):
    config = make_config("bigru", window=(20, 7))
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2})
    ((clip_id, raw, observed),) = predict(module, source, ["both"], config.window)
    dataset = WindowDataset(source, ["both"], {}, config.window)
    pieces = [(dataset[i].first_step, module.outputs(collate([dataset[i]]))[0][0]["va"]) for i in range(len(dataset))]
    assert clip_id == "both"
    assert raw["va"].shape == (60, 2)
    assert raw["expr"].shape == (60, 8)
    np.testing.assert_allclose(raw["va"], stitch(pieces, 60), atol=1e-6)
    tracks = source.tracks["both"]
    np.testing.assert_array_equal(observed["face"], tracks["face"].observed)
    np.testing.assert_array_equal(observed["voice"], tracks["voice"].observed)


def test_predictions_come_clip_by_clip_in_the_order_asked_whatever_the_batch_size(source):
    config = make_config()
    module = build_module(config, make_tasks("va"), {"face": 3, "voice": 2})
    clips = ["val_va", "both", "only_va"]
    large, small = (list(predict(module, source, clips, config.window, batch_size=size)) for size in (50, 1))
    assert [clip for clip, _, _ in large] == clips
    for (_, a, _), (_, b, _) in zip(large, small, strict=True):
        np.testing.assert_allclose(a["va"], b["va"], atol=1e-5)


def test_a_clip_without_a_frame_has_predictions_without_a_row(source):
    empty = make_source({"empty": 0, "both": 30})
    module = build_module(make_config(), make_tasks("va"), {"face": 3, "voice": 2})
    (_, raw, observed), (_, other, _) = predict(module, empty, ["empty", "both"], make_config().window)
    assert raw["va"].shape == (0, 2)
    assert {name: flags.shape for name, flags in observed.items()} == {"face": (0,), "voice": (0,)}
    assert other["va"].shape == (30, 2)


def test_where_windows_overlap_the_configs_average_is_taken(source):
    config = make_config("bigru", window=(20, 7))
    config = config.model_copy(update={"window": config.window.model_copy(update={"overlap": "centre"})})
    module = build_module(config, make_tasks(), {"face": 3, "voice": 2})
    ((_, raw, _),) = predict(module, source, ["both"], config.window)
    dataset = WindowDataset(source, ["both"], {}, config.window)
    pieces = [(dataset[i].first_step, module.outputs(collate([dataset[i]]))[0][0]["va"]) for i in range(len(dataset))]
    np.testing.assert_allclose(raw["va"], stitch(pieces, 60, "centre"), atol=1e-6)
    assert not np.allclose(raw["va"], stitch(pieces, 60), atol=1e-4)


def test_outputs_for_a_step_belong_to_the_frame_so_much_later(source):
    config = make_config()
    module = build_module(config, make_tasks("va"), {"face": 3, "voice": 2})
    ((_, plain, seen),) = predict(module, source, ["both"], config.window)
    module.config = with_training(config, label_shift=4)
    ((_, raw, observed),) = predict(module, source, ["both"], config.window)
    np.testing.assert_array_equal(raw["va"][4:], plain["va"][:-4])
    np.testing.assert_array_equal(raw["va"][:4], np.repeat(plain["va"][:1], 4, axis=0))
    for name in ("face", "voice"):
        np.testing.assert_array_equal(observed[name][4:], seen[name][:-4])
        assert not np.array_equal(observed[name], seen[name])


# ---- windows of several processes


def test_a_window_that_two_processes_computed_is_taken_once(monkeypatch):
    mine, theirs = {"a": {0: {"va": np.zeros((2, 2))}}}, {"a": {0: {"va": np.ones((2, 2))}, 2: {"va": np.ones((1, 2))}}}
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr(
        "torch.distributed.all_gather_object", lambda out, _: out.__setitem__(slice(None), [mine, theirs])
    )
    windows = gather_windows(mine)
    assert sorted(windows["a"]) == [0, 2]
    assert not windows["a"][0]["va"].any()


def test_a_score_does_not_hang_on_the_order_in_which_windows_came(source, labels):
    rng = np.random.default_rng(0)
    task, truth = make_tasks("va"), {"va": labels["validation"]["va"]}
    windows = {
        clip: {
            first: {"va": rng.normal(size=(min(20, len(each)), 2))}
            for first in (0, 10, 20, 27)
            if first < len(each) - 8
        }
        for clip, each in truth["va"].items()
    }
    backwards = {clip: dict(reversed(pieces.items())) for clip, pieces in reversed(windows.items())}
    assert score(task, windows, truth, make_config()) == score(task, backwards, truth, make_config())


def test_a_clips_one_label_has_no_lag_whatever_the_labels_of_frames_have(source):
    config = make_config()
    module = build_module(config, {"mood": Mood(), **make_tasks("va")}, {"face": 3, "voice": 2})
    ((_, plain, _),) = predict(module, source, ["both"], config.window)
    module.config = with_training(config, label_shift=4)
    ((_, raw, _),) = predict(module, source, ["both"], config.window)
    np.testing.assert_array_equal(raw["mood"], plain["mood"])
    assert not np.array_equal(raw["va"], plain["va"])

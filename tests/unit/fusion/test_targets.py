"""Training targets and validation labels, one row per frame."""

import numpy as np
import pytest

from abaw.configs.sections import Config
from abaw.dataset.annotations import Labels
from fusion.checkpoint import build_module
from fusion.data import ClipDataModule
from fusion.targets import fit_to_clock
from tests.support.memory import Mood, make_config, make_tasks, with_training


def test_labels_shorter_than_the_clock_are_unscored_at_the_end(source, labels):
    short = {"va": {"both": Labels(np.ones((50, 2), np.float32), np.ones(50, bool))}}
    fitted = fit_to_clock(short, source)["va"]["both"]
    assert len(fitted) == 60
    assert fitted.scored.sum() == 50
    assert not fitted.scored[50:].any()


def test_labels_longer_than_the_clock_name_the_clip(source):
    long = {"va": {"both": Labels(np.ones((61, 2), np.float32), np.ones(61, bool))}}
    with pytest.raises(
        ValueError, match=r"'both' has 61 labels for va, but only 60 frames in the store: run abaw extract again"
    ):
        fit_to_clock(long, source)


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
    with pytest.raises(ValueError, match="'both' has 2 label rows for mood, expected one per clip"):
        ClipDataModule(make_config(), {"mood": Mood()}, {"train": two, "validation": two}, source)


def with_teachers(**sections):
    given = {"pseudo_labels": {"tables": ["a"], "weight": 0.5}, "distillation": {"tables": ["b"], "weight": 3.0}}
    return Config.model_validate({**make_config().model_dump(mode="json"), **given, **sections})


def test_targets_of_teachers_add_a_term_for_each_task_to_the_loss(source, labels):
    soft = {"only_expr": Labels(np.full((50, 2), 0.5, np.float32), np.ones(50, bool))}
    hard = {"only_va": Labels(np.full((45, 1), 4, np.float32), np.ones(45, bool))}
    train = {**labels["train"], "va/distillation": soft, "expr/pseudo_labels": hard}
    config, tasks = with_training(with_teachers(), batch_size=100), make_tasks()
    data = ClipDataModule(config, tasks, {**labels, "train": train}, source)
    (batch,) = data.train_dataloader()
    module, logged = build_module(config, tasks, {"face": 3, "voice": 2}), {}
    module.eval()
    module.log = lambda name, value, **_: logged.update({name.removeprefix("train/"): value.item()})
    total = module.training_step(batch, 0)
    kinds = {f"{task}/{kind}" for task in tasks for kind in ("pseudo_labels", "distillation")}
    assert logged.keys() == {"loss", *tasks, *kinds}
    assert (logged["va/pseudo_labels"], logged["expr/distillation"]) == (0, 0)  # no teacher of these
    raw, _ = module(batch)
    scored = batch.scored["expr/pseudo_labels"]
    expected = tasks["expr"].loss(raw["expr"], batch.target["expr/pseudo_labels"], scored).item()
    assert logged["expr/pseudo_labels"] == pytest.approx(expected, rel=1e-5)
    assert logged["va/distillation"] > 0.1
    parts = logged["va"] + logged["expr"] + 0.5 * logged["expr/pseudo_labels"] + 3 * logged["va/distillation"]
    assert total.item() == pytest.approx(parts, rel=1e-5)


def test_balanced_sampling_draws_windows_that_only_a_teacher_knows_as_often_as_others(source, labels):
    train = {"va": {"both": labels["train"]["va"]["both"]}}
    soft = {"only_expr": Labels(np.full((50, 2), 0.5, np.float32), np.ones(50, bool))}
    config = with_training(with_teachers(), sampling="balanced")
    tasks = make_tasks("va")
    validation = {"va": labels["validation"]["va"]}
    given = {"train": {**train, "va/distillation": soft}, "validation": validation}
    data = ClipDataModule(config, tasks, given, source)
    drawn = [data.train.spans[i][0] for epoch in range(200) for i in data._order(epoch)]
    windows = [clip for clip, *_ in data.train.spans]
    share = windows.count("only_expr") / len(windows)
    assert drawn.count("only_expr") / len(drawn) == pytest.approx(share, abs=0.05)

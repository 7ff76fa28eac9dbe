"""How much a training has to do, and what it costs by the measurements of a trial."""

import math

import numpy as np
import pytest

from abaw.dataset.annotations import Labels, TimedLabels
from abaw.errors import InputError
from abaw.tasks import TASKS
from fusion.trials.sizes import ClockSource, RunSize, bound_epochs, limit, size_run
from fusion.trials.timing import TrialResult, select_trial
from tests.support.recipes import config_of

INF = math.inf


@pytest.mark.parametrize(
    ("trainer", "epochs"),
    [
        ("{max_epochs: 30}", (9, 30)),
        ("{max_epochs: 5}", (5, 5)),
        ("{max_epochs: 30, min_epochs: 20}", (20, 30)),
        ("{max_epochs: 30, check_val_every_n_epoch: 3}", (12, 30)),
        ("{max_epochs: -1}", (9, INF)),
        ("{max_time: '00:01:00:00'}", (9, INF)),
        ("{max_steps: 100}", (9, 10)),  # of 10 batches
        ("{max_steps: 100, accumulate_grad_batches: 5}", (9, 50)),
        ("{max_steps: 100, limit_train_batches: 4}", (9, 25)),
        ("{}", (9, 100)),
    ],
)
def test_patience_and_the_trainer_bound_the_epochs(trainer, epochs):
    config = config_of(f"trainer={trainer}")[1]
    assert config.training.patience_epochs == 8
    assert bound_epochs(config, 9.5) == epochs
    assert bound_epochs(config, 9.5, holds_out=False) == (epochs[1], epochs[1])


def test_batches_are_limited_by_number_or_by_share():
    assert [limit(given, 9.5) for given in (None, 4, 20, 0.5, 1.0, 0.01)] == [9.5, 4, 9.5, 4.75, 9.5, 1.0]


def labels(num_frames, num_clips=3):
    return {f"c{i}": Labels(np.zeros((num_frames, 2), np.float32), np.ones(num_frames, bool)) for i in range(num_clips)}


def test_windows_are_counted_from_the_clips_lengths_and_not_from_features():
    config = config_of("tasks={va: {}}", "window={length: 10, stride: 5}", "training.batch_size=4")[1]
    tasks, lengths = {"va": TASKS.build("va")}, {"c0": 20, "c1": 20, "c2": 30}
    found = size_run(config, tasks, {"train": {"va": labels(20)}, "validation": {"va": labels(20, 1)}},
                     ClockSource(config, {"face_hog": 8}, lengths))  # fmt: skip
    assert (found.num_train, found.num_validation, found.num_frames) == ((3 + 3 + 4) / 4, 3 / 4, 70)
    assert found.is_kept
    with pytest.raises(InputError, match="the length of clip 'c2' is not known before it is extracted"):
        size_run(config, tasks, {"train": {"va": labels(20)}, "validation": {"va": labels(20, 1)}},
                 ClockSource(config, {"face_hog": 8}, {"c0": 20, "c1": 20}))  # fmt: skip


def test_labels_at_times_are_counted_although_the_ends_of_clips_are_not_known_exactly():
    config = config_of("tasks={va: {}}", "window={length: 10, stride: 5}", "training.batch_size=1")[1]
    spans_s = np.array([[0.0, 1.0], [1.0, 2.0]])  # of a clip of 20 frames a second: at 30 it ends at 1.3 s
    timed = TimedLabels(np.zeros((2, 2), np.float32), np.ones(2, bool), "", spans_s, ("1", "2"))
    given, num_frames = {"train": {"va": {"a": timed}}, "validation": {"va": {"b": timed}}}, {"a": 40, "b": 10}
    found = size_run(config, {"va": TASKS.build("va")}, given, ClockSource(config, {"face_hog": 8}, num_frames))
    assert (found.num_train, found.num_validation) == (7, 1)


def test_a_trial_takes_the_first_frames_of_a_few_clips():
    config = config_of("tasks={va: {}}", "window={length: 10, stride: 5}", "training.batch_size=4")[1]
    given = {"train": {"va": labels(1000, 9)}, "validation": {"va": {"v": labels(1000)["c0"]}}}
    lengths = {**dict.fromkeys(given["train"]["va"], 1000), "v": 1000}
    few, num_frames = select_trial(config, {"va": TASKS.build("va")}, given, lengths)
    assert list(few["train"]["va"]) == ["c0", "c1"]  # of 8 windows each: 3 batches of 4 are 12
    assert num_frames == {"c0": 45, "c1": 45, "v": 45}
    assert {len(each) for each in few["train"]["va"].values()} == {45}


def test_a_run_costs_its_start_its_statistics_its_epochs_and_its_reading():
    trial = TrialResult(1.0, 0.001, read_s=0.5, train_s=2.0, validation_s=1.0, epoch_s=3.0, num_bytes=8)
    size = RunSize(10, 4, 2000, is_kept=True, min_epochs=2, max_epochs=5, max_s=INF)
    epoch_s = 10 * 2 + 4 * 1 + 3
    assert trial.run_s(size, 2) == 1 + 2 + 2 * epoch_s + 14 * 0.5  # windows are read once
    again = RunSize(10, 4, 2000, is_kept=False, min_epochs=2, max_epochs=5, max_s=INF)
    assert trial.run_s(again, 2) == 1 + 2 + 2 * (epoch_s + 14 * 0.5)
    assert trial.run_s(again, 2, num_workers=1) == 1 + 2 + 2 * epoch_s  # read while others are trained on
    timed = RunSize(10, 4, 2000, is_kept=False, min_epochs=2, max_epochs=INF, max_s=60.0)
    assert (trial.run_s(timed, 2), trial.run_s(timed, INF)) == (60, 60)
    assert trial.prediction_s(4) == 4 * 1.5

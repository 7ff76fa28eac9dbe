"""Windows merged into clips: across processes, overlapping, and with labels that lag."""

import numpy as np
import pytest

from fusion.validation import delay_rows, gather_windows, stitch_windows
from tests.support.memory import Mood, make_config, make_tasks, with_training


def test_windows_of_several_processes_are_merged_and_duplicates_taken_once(monkeypatch):
    mine = {"a": {0: {"va": np.zeros((2, 2))}}, "b": {0: {"va": np.ones((1, 2))}}}
    other = {"a": {0: {"va": np.full((2, 2), 9.0)}, 2: {"va": np.ones((2, 2))}}}

    def all_gather(parts, part):
        parts[:] = [part, other]

    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    monkeypatch.setattr("torch.distributed.get_world_size", lambda: 2)
    monkeypatch.setattr("torch.distributed.all_gather_object", all_gather)
    merged = gather_windows(mine)
    assert {clip: sorted(windows) for clip, windows in merged.items()} == {"a": [0, 2], "b": [0]}
    assert not merged["a"][0]["va"].any(), "a window of several processes is that of the first"


def test_overlapping_windows_are_averaged_and_moved_to_their_frames():
    task, config = make_tasks("va")["va"], with_training(make_config(), label_shift=1)
    windows = [(0, np.array([[0.0, 0.0], [2.0, 2.0]])), (1, np.array([[4.0, 4.0], [6.0, 6.0]]))]
    np.testing.assert_allclose(stitch_windows(windows, task, config)[:, 0], [0, 0, 3])
    np.testing.assert_allclose(stitch_windows(windows, Mood(), config)[:, 0], [0, 3, 6], err_msg="one label per clip")
    assert stitch_windows([], task, config).shape == (0, 2)


@pytest.mark.parametrize(("shift", "expected"), [(0, [1, 2, 3]), (1, [1, 1, 2]), (5, [1, 1, 1])])
def test_delayed_rows_repeat_the_first(shift, expected):
    assert delay_rows(np.array([1, 2, 3]), shift).tolist() == expected

"""Mean and standard deviation of features over a split."""

import numpy as np
import pytest

import fusion.normalisation.statistics
from abaw.tracks import Clock, Track
from fusion.normalisation.statistics import measure_statistics


class OneTrack:
    """A source of one modality: clip -> (values, observed)."""

    def __init__(self, clips):
        self.clips = {
            clip: (np.asarray(values, np.float32), np.asarray(seen, bool)) for clip, (values, seen) in clips.items()
        }

    def names(self):
        return ("face",)

    def dim(self, name):
        return next(iter(self.clips.values()))[0].shape[1]

    def is_on_clock(self, name):
        return True

    def clock(self, clip_id):
        num = len(self.clips[clip_id][1])
        return Clock(np.arange(1, num + 1), np.arange(num) / 25, np.ones(num, bool))

    def read(self, name, clip_id, start_s, stop_s):
        values, seen = self.clips[clip_id]
        times_s = np.arange(len(seen)) / 25
        inside = (times_s >= start_s) & (times_s <= stop_s)
        return Track(values[inside], times_s[inside], seen[inside])


def test_the_spread_is_that_of_all_observed_rows_together():
    rng = np.random.default_rng(0)
    clips = {str(i): (rng.normal(i, i + 1, (n, 3)), rng.random(n) < 0.7) for i, n in enumerate((50, 1, 200))}
    spread = measure_statistics(OneTrack(clips), clips)["face"]
    rows = np.concatenate([np.asarray(values, np.float32)[seen] for values, seen in clips.values()]).astype(float)
    np.testing.assert_allclose(spread.mean, rows.mean(0), rtol=1e-9)
    np.testing.assert_allclose(spread.std, rows.std(0), rtol=1e-9)


@pytest.mark.parametrize("size", [1, 7, 50, 200])
def test_the_spread_of_a_long_clip_is_measured_in_pieces_that_count_every_row_once(size, monkeypatch):
    rng = np.random.default_rng(1)
    source = OneTrack({"a": (rng.normal(5, 2, (200, 3)), rng.random(200) < 0.7)})
    whole = measure_statistics(source, ["a"])["face"]
    reads = []
    monkeypatch.setattr(fusion.normalisation.statistics, "CHUNK_STEPS", size)
    monkeypatch.setattr(OneTrack, "read", lambda self, *of, read=OneTrack.read: reads.append(of) or read(self, *of))
    pieces = measure_statistics(source, ["a"])["face"]
    assert len(reads) == -(-200 // size)
    np.testing.assert_allclose(pieces.mean, whole.mean, rtol=1e-12)
    np.testing.assert_allclose(pieces.std, whole.std, rtol=1e-12)


def test_unobserved_rows_do_not_enter_the_spread_even_as_nan():
    spread = measure_statistics(OneTrack({"a": ([[1.0], [np.nan], [3.0]], [True, False, True])}), ["a"])["face"]
    assert (spread.mean[0], spread.std[0]) == (2, 1)


@pytest.mark.parametrize("constant", [0.0, 0.1, -12345.678])
def test_a_constant_feature_gets_std_1(constant):
    source = OneTrack({clip: (np.full((n, 1), constant), [True] * n) for clip, n in (("a", 7), ("b", 100))})
    spread = measure_statistics(source, ["a", "b"])["face"]
    assert spread.std[0] == 1
    assert spread.mean[0] == pytest.approx(constant)


def test_a_small_feature_is_not_taken_for_a_constant():
    spread = measure_statistics(OneTrack({"a": ([[1e-7], [-1e-7]], [True, True])}), ["a"])["face"]
    assert spread.std[0] == pytest.approx(1e-7)


def test_a_modality_never_observed_and_a_clip_without_a_frame_are_no_error():
    source = OneTrack({"a": (np.zeros((2, 2)), [False, False]), "empty": (np.zeros((0, 2)), [])})
    spread = measure_statistics(source, ["a", "empty"])["face"]
    np.testing.assert_array_equal(spread.mean, [0, 0])
    np.testing.assert_array_equal(spread.std, [1, 1])

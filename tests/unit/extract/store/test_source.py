"""The aligned source: a window reads only the rows it needs and equals that part of the whole clip."""

import resource
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.tracks import Clock, Track
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from tests.support.stores import make_clock, make_track

RECIPE = {"name": "loud", "encoder": "loud", "settings": {"gain": 1.0}, "version": 1}


def voice(num=21, seed=0):
    return make_track(num, 3, 0.05, seed)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "store")
    store.put_clock("a", make_clock(), {"source": "s1"})
    store.put(RECIPE, "a", voice(), {"source": "s1"})
    return store


def test_a_window_is_a_part_of_the_whole_clip_also_after_pickling(store):
    import pickle

    source = AlignedSource(store, {"loud": FeatureConfig(align="linear")})
    for each in (source, pickle.loads(pickle.dumps(source))):
        times_s = each.clock("a").times_s
        whole = each.read("loud", "a", times_s[0], times_s[-1])
        part = each.read("loud", "a", times_s[3], times_s[6])
        assert np.array_equal(part.times_s, times_s[3:7])
        assert part.values.tobytes() == whole.values[3:7].tobytes()
        assert np.array_equal(part.observed, whole.observed[3:7])
        assert each.dim("loud") == 3


@pytest.mark.parametrize("kernel", [1, 4, 5])
def test_a_window_at_its_own_rate_has_the_rows_that_convolution_and_interpolation_need(store, kernel):
    """Aligned by the input stage's convolution, every window gives the same as the whole clip."""
    import torch

    from abaw.batches import Window, collate
    from fusion.input_stage import InputStage

    features = {"loud": FeatureConfig(align="convolution", kernel=kernel)}
    source = AlignedSource(store, features)
    assert not source.is_on_clock("loud")
    torch.manual_seed(0)
    front = InputStage({"loud": 3}, features).eval()
    times_s = source.clock("a").times_s

    def steps(first, stop):
        own = source.read("loud", "a", times_s[first], times_s[stop - 1])
        window = Window("a", first, torch.tensor(times_s[first:stop]), {"loud": own}, {}, {})
        return len(own), front(collate([window]))

    num_rows, whole = steps(0, len(times_s))
    for first, stop in ((0, 1), (2, 4), (3, 7), (len(times_s) - 2, len(times_s))):
        num_read, part = steps(first, stop)
        assert num_read < num_rows
        assert source.read("loud", "a", times_s[first], times_s[stop - 1]).values.dtype == np.float32
        assert torch.equal(part.observed["loud"][0], whole.observed["loud"][0, first:stop])
        torch.testing.assert_close(part.features["loud"][0], whole.features["loud"][0, first:stop])
    assert whole.observed["loud"].any()


def test_reading_a_window_touches_only_the_rows_it_needs(store, monkeypatch):
    from extract.store.track_file import TrackFile

    asked = []
    rows = TrackFile.rows
    monkeypatch.setattr(
        TrackFile, "rows", lambda self, a, b, **named: asked.append((a, b)) or rows(self, a, b, **named)
    )
    source = AlignedSource(store, {"loud": FeatureConfig(align="nearest")})
    times_s = source.clock("a").times_s
    source.read("loud", "a", times_s[2], times_s[3])
    assert asked == [(4, 7)]


def test_the_source_gives_each_aligner_its_own_max_gap(store):
    hole = Track(np.ones((2, 1), np.float32), np.array([0.0, 0.9]), np.ones(2, bool))
    recipe = {**RECIPE, "name": "hole"}
    store.put(recipe, "a", hole, {"source": "s1"})
    observed = {
        gap_s: AlignedSource(store, {"hole": FeatureConfig(max_gap_s=gap_s)}).read("hole", "a", 0.0, 1.0).observed.sum()
        for gap_s in (0.05, 1.0)
    }
    assert observed == {0.05: 2, 1.0: 10}


@pytest.mark.parametrize(
    ("align", "width_s"),
    [("linear", None), ("window_mean", None), ("window_mean", 0.09), ("nearest", None), ("hold_last", None)],
)
def test_a_window_equals_that_part_of_the_whole_clip_exactly(store, align, width_s):
    rng = np.random.default_rng(0)
    for gap_s in (0.05, 0.5, 2.0):
        times_s = 1 + np.cumsum(rng.choice([0.01, 0.04, 0.05, 0.9], 300))
        observed = rng.random(300) > 0.3
        goal_s = np.cumsum(rng.choice([0.04, 0.033, 0.7], 200, p=[0.5, 0.45, 0.05]))
        recipe = {"name": "f", "encoder": "x", "settings": {"gap": gap_s}, "stored_dtype": "float32"}
        store.put_clock("a", Clock(np.arange(1, 201), goal_s, np.ones(200, bool)), {})
        store.put(recipe, "a", Track(rng.normal(size=(300, 2)).astype(np.float32), times_s, observed))
        source = AlignedSource(
            store, {"f": FeatureConfig(align=align, max_gap_s=gap_s, width_s=width_s)}, {"f": recipe}
        )
        for each in (source, source.shifted({"f": 0.137})):
            whole = each.read("f", "a", goal_s[0], goal_s[-1])
            assert 0 < whole.observed.sum() < 200
            for first, stop in [(0, 200), (0, 1), (199, 200), *np.sort(rng.integers(0, 201, (20, 2)), axis=1)]:
                if first < stop:
                    part = each.read("f", "a", goal_s[first], goal_s[stop - 1])
                    np.testing.assert_array_equal(part.values, whole.values[first:stop])
                    np.testing.assert_array_equal(part.observed, whole.observed[first:stop])
                    np.testing.assert_array_equal(part.times_s, goal_s[first:stop])


@pytest.mark.parametrize("shift_s", [-0.4, -0.04, 0.0, 0.04, 0.4])
def test_a_shifted_track_has_at_a_frame_what_it_had_so_much_earlier(tmp_path, shift_s):
    import pickle

    store, at_s, goal_s = FeatureStore(tmp_path / "store"), 0.3 + np.arange(400) * 0.01, 0.503 + np.arange(80) * 0.04
    store.put_clock("a", Clock(np.arange(1, 81), goal_s, np.ones(80, bool)), {})
    recipe = {**RECIPE, "stored_dtype": "float32"}
    store.put(recipe, "a", Track(at_s[:, None].astype(np.float32), at_s, np.ones(400, bool)))
    aligned = AlignedSource(store, {"loud": FeatureConfig()}).shifted({"loud": shift_s})
    for source in (aligned, pickle.loads(pickle.dumps(aligned))):
        track = source.read("loud", "a", goal_s[0], goal_s[-1])
        inside = (goal_s - shift_s >= at_s[0]) & (goal_s - shift_s <= at_s[-1])
        np.testing.assert_array_equal(track.observed, inside)
        np.testing.assert_allclose(track.values[inside, 0], (goal_s - shift_s)[inside], atol=1e-5)
    own = AlignedSource(store, {"loud": FeatureConfig(align="convolution")}).shifted({"loud": shift_s})
    track = own.read("loud", "a", 1.0, 2.0)
    np.testing.assert_allclose(track.values[:, 0], track.times_s - shift_s, atol=1e-5)
    assert track.times_s[0] < 1.0 < 2.0 < track.times_s[-1]


def test_memory_does_not_grow_with_the_length_of_the_clips(store):
    def kept(num_rows):
        """Memory a source holds after a window of every clip."""
        recipe = {"name": "f", "encoder": "x", "settings": {"rows": num_rows}}
        times_s = np.arange(num_rows) / 25
        for clip_id in "abcdefgh":
            store.put_clock(clip_id, Clock(np.arange(1, num_rows + 1), times_s, np.ones(num_rows, bool)), {})
            store.put(recipe, clip_id, Track(np.zeros((num_rows, 2), np.float32), times_s, np.ones(num_rows, bool)))
        source = AlignedSource(store, {"f": FeatureConfig(align="window_mean")}, {"f": recipe})
        tracemalloc.start()
        for clip_id in "abcdefgh":
            assert len(source.read("f", clip_id, 1.0, 2.0)) == 26
        held, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        return held

    assert kept(20_000) - kept(1_000) < 100_000  # one copy of the times of one clip would be 160,000


@pytest.mark.parametrize("can_be_raised", [True, False])
def test_a_store_of_more_clips_than_a_process_may_open_files_can_be_read(store, can_be_raised):
    for number in range(200):
        store.put_clock(str(number), make_clock(), {"source": "s1"})
        store.put(RECIPE, str(number), voice(), {"source": "s1"})
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1] if can_be_raised else 128
    code = f"""
import resource
from pathlib import Path
from abaw.configs.sections import FeatureConfig
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
resource.setrlimit(resource.RLIMIT_NOFILE, (128, {hard}))
source = AlignedSource(FeatureStore(Path({str(store.root)!r})), {{"loud": FeatureConfig()}})
assert all(len(source.read("loud", str(number), 0.0, 1.0)) == 10 for number in range(200))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_an_unknown_aligner_is_an_error_before_anything_is_read(store):
    with pytest.raises(ValueError, match=r"no aligner named 'linar'; did you mean 'linear'"):
        AlignedSource(store, {"loud": FeatureConfig(align="linar")})


def test_the_dim_of_features_without_tracks_is_an_error_that_names_the_command(store):
    (store.folder(RECIPE) / "a.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"holds no track: run abaw extract .* --encoder loud"):
        AlignedSource(store, {"loud": FeatureConfig()}).dim("loud")


@pytest.mark.parametrize(
    ("hop_s", "feature", "observed", "lost"),
    [
        (0.25, FeatureConfig(align="window_mean"), 76, 0),
        (0.25, FeatureConfig(align="window_mean", max_gap_s=0.05), 13, 63),
        (0.25, FeatureConfig(align="linear", max_gap_s=0.05), 4, 72),
        (0.25, FeatureConfig(align="convolution"), 76, 0),
        (0.04, FeatureConfig(align="linear"), 90, 0),
    ],
)
def test_a_source_counts_the_frames_in_which_a_track_is_observed_and_those_that_alignment_loses(
    tmp_path, hop_s, feature, observed, lost
):
    """90 frames at 25 a second; frames before the first row and after the last one are no loss of alignment."""
    store = FeatureStore(tmp_path)
    store.put_clock("a", Clock(np.arange(1, 91), np.arange(90) / 25, np.ones(90, bool)), {"source": "s"})
    times_s = np.arange(90) / 25 if hop_s == 0.04 else np.arange(13) / 4
    store.put(
        RECIPE,
        "a",
        Track(np.ones((len(times_s), 1), np.float32), times_s, np.ones(len(times_s), bool)),
        {"source": "s"},
    )
    found = AlignedSource(store, {"loud": feature}, {"loud": RECIPE}).count_observed("loud", ["a"])
    assert (found.num_frames, found.num_observed, found.num_lost) == (90, observed, lost)
    assert found.is_lost == (lost > 0)

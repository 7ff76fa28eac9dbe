"""The store: what is put is got, a track is whole or absent, and errors say what to do."""

import json
import tracemalloc

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.tracks import Clock, Track
from extract.store.source import AlignedSource
from extract.store.store import Failure, FeatureStore

RECIPE = {"name": "loud", "encoder": "loud", "settings": {"gain": 1.0}, "version": 1}


def clock(num=10, step_s=0.1):
    return Clock(np.arange(1, num + 1), np.arange(num) * step_s, np.ones(num, bool))


def track(num=21, dim=3, step_s=0.05, seed=0):
    values = np.random.default_rng(seed).normal(size=(num, dim)).astype(np.float16).astype(np.float32)
    return Track(values, np.arange(num) * step_s, np.arange(num) % 5 != 3)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "store")
    store.put_clock("a", clock(), {"source": "s1"})
    store.put(RECIPE, "a", track(), {"source": "s1"})
    return store


def test_what_is_put_is_got(store):
    got, given = store.get(RECIPE, "a"), track()
    assert np.array_equal(got.times_s, given.times_s)
    assert np.array_equal(got.observed, given.observed)
    assert np.array_equal(got.values[given.observed], given.values[given.observed])
    assert got.values.dtype == np.float32
    assert np.array_equal(store.clock("a").times_s, clock().times_s)


def test_a_track_without_rows_is_kept_with_its_width(store):
    store.put(RECIPE, "a", Track(np.zeros((0, 3), np.float32), np.zeros(0), np.zeros(0, bool)), {"source": "s1"})
    assert store.get(RECIPE, "a").values.shape == (0, 3)


def test_any_change_of_the_recipe_is_another_folder(store):
    assert store.has(RECIPE, "a")
    for change in ({"settings": {"gain": 2.0}}, {"version": 2}, {"name": "other"}, {"weights": "abc"}):
        assert not store.has({**RECIPE, **change}, "a")


def test_the_order_of_a_recipes_keys_does_not_matter(store):
    assert store.has(dict(reversed(RECIPE.items())), "a")


def test_a_value_that_half_precision_cannot_hold_is_refused_and_named(store):
    big = Track(np.array([[1.0], [1e6]], np.float32), np.array([0.0, 1.0]), np.ones(2, bool))
    with pytest.raises(ValueError, match=r"clip 'b': value 1e\+06 \(row 1, column 0\) of loud.*stored_dtype=float32"):
        store.put(RECIPE, "b", big)
    assert not store.has(RECIPE, "b")
    wide = {**RECIPE, "stored_dtype": "float32"}
    store.put_clock("b", clock(), {})
    store.put(wide, "b", big)
    assert store.get(wide, "b").values[1, 0] == 1e6


def test_nan_where_nothing_was_observed_is_not_stored(store):
    holes = Track(np.array([[np.nan], [1.0]], np.float32), np.array([0.0, 1.0]), np.array([False, True]))
    store.put({**RECIPE, "version": 3}, "a", holes, {"source": "s1"})
    assert store.get({**RECIPE, "version": 3}, "a").values[:, 0].tolist() == [0, 1]


def test_a_missing_track_says_which_command_makes_it(store):
    store.put_clock("b", clock(), {})
    with pytest.raises(FileNotFoundError, match=r"no loud track for clip 'b'.*abaw extract .* --encoder loud"):
        store.get(RECIPE, "b")
    with pytest.raises(FileNotFoundError, match=r"no clock for clip 'zz'.*abaw extract"):
        store.clock("zz")


def test_a_store_that_is_not_there_says_which_command_makes_it(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no store at .*abaw extract"):
        FeatureStore(tmp_path / "none").recipes()


def test_a_track_of_other_media_than_the_clock_is_refused(store):
    store.put_clock("a", clock(), {"source": "s2"})
    with pytest.raises(ValueError, match=r"loud track of clip 'a' was made from other media than its clock: run abaw"):
        store.get(RECIPE, "a")
    assert not store.has(RECIPE, "a", "s2")
    assert store.has(RECIPE, "a", "s1")


def test_a_damaged_file_is_named_and_is_not_taken_for_done(store):
    path = store.folder(RECIPE) / "a.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    assert not store.has(RECIPE, "a", "s1")
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged .*delete it and run abaw extract"):
        store.get(RECIPE, "a")


def test_a_write_that_fails_leaves_nothing_half_written(store, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("extract.store.track_file.pack_header", full)
    with pytest.raises(OSError, match="no space left"):
        store.put(RECIPE, "c", track())
    assert sorted(p.name for p in store.folder(RECIPE).iterdir()) == ["a.safetensors", "recipe.json"]


def test_a_name_with_two_recipes_must_be_written_with_its_hash(store):
    other = {**RECIPE, "version": 2}
    store.put(other, "a", track(seed=1), {"source": "s1"})
    with pytest.raises(ValueError, match=r"2 recipes named 'loud': write one of loud-\w{10}, loud-\w{10}"):
        store.find("loud")
    assert store.find(store.folder(other).name) == other


def test_an_unknown_name_lists_the_known_ones(store):
    with pytest.raises(
        ValueError, match=r"no features named 'lou'.*did you mean 'loud'\? there are: loud; run abaw extract"
    ):
        store.find("lou")


def test_failures_are_listed_and_the_list_goes_when_there_are_none(store):
    path = store.folder(RECIPE) / "failed.jsonl"
    store.record_failure(RECIPE, Failure("x", "decode", "empty"))
    assert path.read_text() == '{"clip": "x", "stage": "decode", "reason": "empty"}\n'
    store.record_failure(RECIPE, Failure("w", "decode", "gone"))
    store.record_failure(RECIPE, Failure("w", "decode", "empty"))
    assert [json.loads(row)["clip"] for row in path.read_text().splitlines()] == ["w", "x"]
    store.remove_failure(RECIPE, "x")
    assert path.read_text() == '{"clip": "w", "stage": "decode", "reason": "empty"}\n'
    store.remove_failure(RECIPE, "w")
    store.remove_failure(RECIPE, "v")
    assert not path.exists()


def test_a_window_of_the_source_is_the_part_of_the_whole(store):
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
def test_at_its_own_rate_a_window_reads_the_rows_that_a_convolution_and_a_linear_read_need(store, kernel):
    """InputStage aligned by convolution: every window gives what the whole clip gives."""
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
    monkeypatch.setattr(TrackFile, "rows", lambda self, a, b: asked.append((a, b)) or rows(self, a, b))
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


def test_the_error_of_a_missing_track_names_the_very_recipe(store):
    recipe = {**RECIPE, "name": "mine", "stored_dtype": "float32"}
    with pytest.raises(FileNotFoundError, match=r"--encoder loud:gain=1\.0,as=mine,stored_dtype=float32"):
        store.get(recipe, "a")


@pytest.mark.parametrize("align", ["linear", "window_mean", "nearest", "hold_last"])
def test_a_window_of_a_source_is_that_of_the_whole_clip_to_the_bit(store, align):
    rng = np.random.default_rng(0)
    for gap_s in (0.05, 0.5, 2.0):
        times_s = 1 + np.cumsum(rng.choice([0.01, 0.04, 0.05, 0.9], 300))
        observed = rng.random(300) > 0.3
        goal_s = np.cumsum(rng.choice([0.04, 0.033, 0.7], 200, p=[0.5, 0.45, 0.05]))
        recipe = {"name": "f", "encoder": "x", "settings": {"gap": gap_s}, "stored_dtype": "float32"}
        store.put_clock("a", Clock(np.arange(1, 201), goal_s, np.ones(200, bool)), {})
        store.put(recipe, "a", Track(rng.normal(size=(300, 2)).astype(np.float32), times_s, observed))
        source = AlignedSource(store, {"f": FeatureConfig(align=align, max_gap_s=gap_s)}, {"f": recipe})
        whole = source.read("f", "a", goal_s[0], goal_s[-1])
        assert 0 < whole.observed.sum() < 200
        for first, stop in [(0, 200), (0, 1), (199, 200), *np.sort(rng.integers(0, 201, (20, 2)), axis=1)]:
            if first < stop:
                part = source.read("f", "a", goal_s[first], goal_s[stop - 1])
                np.testing.assert_array_equal(part.values, whole.values[first:stop])
                np.testing.assert_array_equal(part.observed, whole.observed[first:stop])
                np.testing.assert_array_equal(part.times_s, goal_s[first:stop])


def test_reading_windows_of_many_clips_keeps_nothing_that_grows_with_their_length(store):
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

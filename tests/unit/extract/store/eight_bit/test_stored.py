"""Tracks in int8 in a store: reading, damage, and what the store's commands say of them."""

import numpy as np
import pytest

from abaw.configs.sections import FeatureConfig
from abaw.errors import InputError
from abaw.tracks import Clock, Track
from extract import align
from extract.store import tensor_file
from extract.store.diff import diff
from extract.store.export import export
from extract.store.import_ import RowTimes, import_folder
from extract.store.info import info
from extract.store.source import AlignedSource
from extract.store.store import FeatureStore
from extract.store.track_file import TrackFile
from extract.store.verify import verify
from tests.support.stores import make_clock, rewrite

NUM, DIM = 60, 40
RECIPE = {"name": "x", "encoder": "voice_mel", "settings": {}, "version": 1, "stored_dtype": "int8"}


def make_rows(num=NUM, *, uneven=True):
    rows = np.random.default_rng(num).standard_normal((num, DIM))
    return (rows * (np.geomspace(0.01, 10, DIM) if uneven else 1)).astype(np.float32)


def make_track(num=NUM, *, uneven=True):
    """A track of which every fifth row is not observed."""
    observed = np.arange(num) % 5 != 3
    return Track(np.where(observed[:, None], make_rows(num, uneven=uneven), 0), np.arange(num) / 25, observed)


@pytest.fixture
def store(tmp_path):
    store = FeatureStore(tmp_path / "store")
    for clip_id, uneven in (("a", True), ("b", False)):
        store.put_clock(clip_id, make_clock(NUM, 0.04), {"source": clip_id, "num_frames": str(NUM)})
        store.put(RECIPE, clip_id, make_track(uneven=uneven), {"source": clip_id})
    return store


def path_in(store, clip_id="a"):
    return store.track_path(RECIPE, clip_id)


def test_a_track_is_restored_and_rows_not_observed_are_zeros(store):
    for clip_id, uneven in (("a", True), ("b", False)):
        track, wanted = store.get(RECIPE, clip_id), make_track(uneven=uneven)
        deviation = wanted.values[wanted.observed].std(axis=0)
        assert (np.abs(track.values - wanted.values) <= 0.05 * deviation).all()
        assert not track.values[~wanted.observed].any()
        assert (store.open(RECIPE, clip_id).columns is not None) == uneven


def test_a_window_has_the_rows_of_the_whole_clip(store):
    source = AlignedSource(store, {"x": FeatureConfig()})
    times_s = source.clock("a").times_s
    whole, part = source.read("x", "a", times_s[0], times_s[-1]), source.read("x", "a", times_s[17], times_s[30])
    assert (whole.values[17:31] == part.values).all()
    file = store.open(RECIPE, "a")
    assert (file.rows(17, 31) == file.rows(0, NUM)[17:31]).all()
    assert (file.take(np.array([30, 17])) == file.rows(0, NUM)[[30, 17]]).all()


@pytest.mark.parametrize("how", ["nearest", "linear", "window_mean", "hold_last"])
def test_columns_restored_after_alignment_give_what_alignment_of_the_rows_gives(store, how):
    file, goal_s = store.open(RECIPE, "a"), store.clock("a").times_s + 0.013
    store.put_clock("a", Clock(np.arange(1, NUM + 1), goal_s, np.ones(NUM, bool)), {"source": "a"})
    found = AlignedSource(store, {"x": FeatureConfig(align=how)}).read("x", "a", goal_s[0], goal_s[-1])
    given = {"times_s": file.times_s, "observed": file.observed, "goal_s": goal_s, "max_gap_s": 0.5}
    plan = getattr(align, how)(**given)
    wanted = align.apply(plan, file.rows(0, NUM))
    np.testing.assert_allclose(found.values, wanted, rtol=1e-4, atol=1e-5 * np.abs(wanted).max())
    assert not found.values[~found.observed].any()
    assert found.observed.any()
    assert not found.observed.all()


def test_a_constant_row_is_exact_also_after_alignment(tmp_path):
    store, track = FeatureStore(tmp_path / "store"), make_track()
    track.values[10] = 0.125
    store.put_clock("a", make_clock(NUM, 0.04), {})
    store.put(RECIPE, "a", track)
    assert store.open(RECIPE, "a").columns is not None
    found = AlignedSource(store, {"x": FeatureConfig()}).read("x", "a", 0.0, 2.0)
    assert (found.values[10] == 0.125).all()


def test_the_recipe_of_another_type_is_the_same_as_before():
    store = FeatureStore("store")
    without = {key: value for key, value in RECIPE.items() if key != "stored_dtype"}
    assert store.folder({**without, "stored_dtype": "float16"}).name == "x-908064cac0"
    assert store.folder(RECIPE).name != store.folder({**RECIPE, "stored_dtype": "float16"}).name


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"scale": None}, "its values are int8, but it has no scale"),
        ({"middle": None}, "its values are int8, but it has no middle"),
        ({"column_deviation": None}, "it has no column_deviation"),
        ({"column_mean": None}, "it has the deviation of its columns, but not their mean"),
        ({"scale": np.ones(NUM - 1, np.float32)}, r"scale has the shape \(59,\) and type float32, expected \(60,\)"),
        ({"middle": np.ones(NUM)}, r"middle has the shape \(60,\) and type float64"),
        ({"column_mean": np.ones(DIM + 1, np.float32)}, r"column_mean has the shape \(41,\)"),
        ({"scale": np.full(NUM, np.nan, np.float32)}, "scale has values that no row can have"),
        ({"scale": np.full(NUM, -1, np.float32)}, "scale has values that no row can have"),
        ({"metadata": {"int8_error": None}}, "the error of its 8-bit rows cannot be read"),
        ({"metadata": {"int8_error": "[1]"}}, "the error of its 8-bit rows cannot be read"),
    ],
)
def test_a_track_without_what_its_codes_need_is_refused_with_what_to_do(store, changes, fault):
    rewrite(path_in(store), **changes)
    with pytest.raises(InputError, match=rf"x-\w+/a\.safetensors is damaged \(.*{fault}.*\): delete it and run abaw"):
        store.get(RECIPE, "a")
    assert any(fault.split("(")[0].replace("\\", "")[:20] in each.message for each in verify(store).faults)
    assert info(store).features[0].damaged == ["a"]


def test_every_flipped_bit_is_an_error_that_names_the_file(store, monkeypatch):
    monkeypatch.setattr(tensor_file, "_CHECKED", set())
    path = path_in(store)
    content = path.read_bytes()
    for bit in np.random.default_rng(0).choice(8 * len(content), 60, replace=False).tolist():
        changed = bytearray(content)
        changed[bit // 8] ^= 1 << bit % 8
        path.write_bytes(changed)
        with pytest.raises(InputError, match=r"a\.safetensors is damaged"):
            store.get(RECIPE, "a")


def test_values_of_another_type_than_the_recipes_are_a_fault(store):
    rewrite(path_in(store, "b"), values=np.zeros((NUM, DIM), np.float16), scale=None, middle=None)
    assert [fault.message for fault in verify(store).faults] == [
        "values are float16, but the recipe's stored_dtype is int8"
    ]


def test_what_loses_too_much_is_refused_and_nothing_is_written(tmp_path):
    store = FeatureStore(tmp_path / "store")
    track = Track((make_rows() ** 15).astype(np.float32), np.arange(NUM) / 25, np.ones(NUM, bool))
    with pytest.raises(
        InputError, match=r"clip 'c': x would lose too much in int8.*: extract it with x:stored_dtype=float16"
    ):
        store.put(RECIPE, "c", track)
    assert [path for path in store.root.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_not_finite_are_refused(tmp_path, value):
    track = make_track()
    track.values[0, 3] = value
    with pytest.raises(InputError, match=r"gave (nan|inf) \(row 0, column 3\), expected finite numbers"):
        FeatureStore(tmp_path / "store").put(RECIPE, "c", track)


def test_an_empty_track_and_one_row_are_stored(tmp_path):
    store = FeatureStore(tmp_path / "store")
    for num in (0, 1):
        store.put_clock(f"c{num}", make_clock(num), {})
        store.put(RECIPE, f"c{num}", make_track(num, uneven=False))
        assert len(store.get(RECIPE, f"c{num}").values) == num
        assert store.open(RECIPE, f"c{num}").int8_error().columns is None


def test_info_shows_type_size_and_error(store):
    (found,) = info(store).features
    assert found.dtype == "int8"
    assert (found.int8.num_tracks, found.int8.num_standardised, found.int8.num_short) == (2, 1, 0)
    assert 0 < found.int8.worst.rows < 0.01
    sizes = [store.open(RECIPE, clip_id).num_value_bytes for clip_id in "ab"]
    assert sizes == [NUM * (DIM + 8) + 8 * DIM, NUM * (DIM + 8)]
    assert found.int8.size == round(sum(sizes) / (2 * 2 * NUM * DIM), 4)
    line = next(line for line in str(info(store)).splitlines() if line.startswith("  int8: "))
    assert "% of the size in float16, columns standardised in 1 of 2 tracks; largest error of a track" in line


def test_diff_compares_what_is_restored(store, tmp_path):
    other = FeatureStore(tmp_path / "other")
    recipe = {**RECIPE, "stored_dtype": "float32"}
    other.put_clock("a", make_clock(NUM, 0.04), {"source": "a"})
    other.put(recipe, "a", make_track(), {"source": "a"})
    (folder,) = diff(store, other, ["a"]).folders
    assert folder.keys == {"stored_dtype": ("int8", "float32")}
    assert folder.unreadable == {}
    error = store.open(RECIPE, "a").int8_error()
    assert folder.max_difference == pytest.approx(error.max_difference)
    assert folder.min_cosine == pytest.approx(error.min_cosine)


def test_an_export_has_what_is_restored(store, tmp_path):
    assert not export(store, tmp_path / "out", "x").failed
    assert (np.load(tmp_path / "out/x/a.npy") == store.get(RECIPE, "a").values).all()


def import_rows(store, folder, rows, **options):
    folder.mkdir(exist_ok=True)
    np.save(folder / "a.npy", rows)
    return import_folder(store, folder, "theirs", RowTimes(clock=True), **options)


def test_features_of_other_programs_are_imported_in_int8(store, tmp_path):
    import_rows(store, tmp_path / "in", make_rows(), stored_dtype="int8")
    recipe = store.find("theirs")
    assert recipe["stored_dtype"] == "int8"
    assert store.open(recipe, "a").is_int8
    np.testing.assert_allclose(store.get(recipe, "a").values, make_rows(), atol=0.5)


def test_an_import_that_would_lose_too_much_writes_nothing(store, tmp_path):
    with pytest.raises(
        InputError, match=r"clip 'a': theirs would lose too much in int8.*: give --stored-dtype float16"
    ):
        import_rows(store, tmp_path / "in", make_rows() ** 15, stored_dtype="int8")
    assert [recipe["name"] for recipe in store.recipes().values()] == ["x"]


def test_a_packed_track_is_read(store, tmp_path):
    from extract.store.packs.writing import pack

    before = store.get(RECIPE, "a").values
    pack(store.root, store.folder(RECIPE), ["a"])
    assert not path_in(store).exists()
    assert TrackFile(path_in(store)).is_int8
    assert (store.get(RECIPE, "a").values == before).all()
    assert verify(store).faults == []

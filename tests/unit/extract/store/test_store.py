"""The feature store: tracks are complete or absent, recipes name folders, and errors say what to do."""

import json

import numpy as np
import pytest

from abaw.errors import InputError
from abaw.tracks import Track
from extract.store.store import Failure, FeatureStore, encoder_option, read_failures
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


def test_a_track_is_read_as_it_was_written(store):
    got, given = store.get(RECIPE, "a"), voice()
    assert np.array_equal(got.times_s, given.times_s)
    assert np.array_equal(got.observed, given.observed)
    assert np.array_equal(got.values[given.observed], given.values[given.observed])
    assert got.values.dtype == np.float32
    assert np.array_equal(store.clock("a").times_s, make_clock().times_s)


def test_a_track_without_rows_keeps_its_dim(store):
    store.put(RECIPE, "a", Track(np.zeros((0, 3), np.float32), np.zeros(0), np.zeros(0, bool)), {"source": "s1"})
    assert store.get(RECIPE, "a").values.shape == (0, 3)


def test_any_change_of_the_recipe_is_another_folder(store):
    assert store.has(RECIPE, "a")
    for change in ({"settings": {"gain": 2.0}}, {"version": 2}, {"name": "other"}, {"weights": "abc"}):
        assert not store.has({**RECIPE, **change}, "a")


def test_the_order_of_a_recipes_keys_does_not_matter(store):
    assert store.has(dict(reversed(RECIPE.items())), "a")


def test_a_value_that_does_not_fit_float16_is_refused_with_its_place(store):
    big = Track(np.array([[1.0], [1e6]], np.float32), np.array([0.0, 1.0]), np.ones(2, bool))
    with pytest.raises(ValueError, match=r"clip 'b': value 1e\+06 \(row 1, column 0\) of loud.*stored_dtype=float32"):
        store.put(RECIPE, "b", big)
    assert not store.has(RECIPE, "b")
    wide = {**RECIPE, "stored_dtype": "float32"}
    store.put_clock("b", make_clock(), {})
    store.put(wide, "b", big)
    assert store.get(wide, "b").values[1, 0] == 1e6


def test_rows_that_are_not_observed_are_stored_as_zeros(store):
    holes = Track(np.array([[np.nan], [1.0]], np.float32), np.array([0.0, 1.0]), np.array([False, True]))
    store.put({**RECIPE, "version": 3}, "a", holes, {"source": "s1"})
    assert store.get({**RECIPE, "version": 3}, "a").values[:, 0].tolist() == [0, 1]


def test_the_error_of_a_missing_track_names_the_command(store):
    store.put_clock("b", make_clock(), {})
    with pytest.raises(FileNotFoundError, match=r"no loud track for clip 'b'.*abaw extract .* --encoder loud"):
        store.get(RECIPE, "b")
    with pytest.raises(FileNotFoundError, match=r"no clock for clip 'zz'.*abaw extract"):
        store.clock("zz")


def test_the_error_of_a_missing_store_names_the_command(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no store at .*abaw extract"):
        FeatureStore(tmp_path / "none").recipes()


def test_a_track_of_other_media_than_the_clock_is_refused(store):
    store.put_clock("a", make_clock(), {"source": "s2"})
    with pytest.raises(ValueError, match=r"loud track of clip 'a' was made from other media than its clock: run abaw"):
        store.get(RECIPE, "a")
    assert not store.has(RECIPE, "a", "s2")
    assert store.has(RECIPE, "a", "s1")


def test_a_damaged_file_is_named_and_counts_as_missing(store):
    path = store.folder(RECIPE) / "a.safetensors"
    path.write_bytes(path.read_bytes()[:40])
    assert not store.has(RECIPE, "a", "s1")
    with pytest.raises(ValueError, match=r"a\.safetensors is damaged .*delete it and run abaw extract"):
        store.get(RECIPE, "a")


def test_a_write_that_fails_leaves_no_file(store, monkeypatch):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("extract.store.tensor_file.pack_header", full)
    with pytest.raises(OSError, match="no space left"):
        store.put(RECIPE, "c", voice())
    assert sorted(p.name for p in store.folder(RECIPE).iterdir()) == ["a.safetensors", "recipe.json"]


def test_a_name_with_two_recipes_must_be_written_with_its_hash(store):
    other = {**RECIPE, "version": 2}
    store.put(other, "a", voice(seed=1), {"source": "s1"})
    with pytest.raises(ValueError, match=r"2 recipes named 'loud': write one of loud-\w{10}, loud-\w{10}"):
        store.find("loud")
    assert store.find(store.folder(other).name) == other


def test_an_unknown_name_lists_the_known_ones(store):
    with pytest.raises(
        ValueError, match=r"no features named 'lou'.*did you mean 'loud'\? there are: loud; run abaw extract"
    ):
        store.find("lou")


def test_failures_are_listed_and_the_list_is_removed_with_the_last(store):
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


def test_the_error_of_a_missing_track_names_the_settings_of_the_recipe(store):
    recipe = {**RECIPE, "name": "mine", "stored_dtype": "float32"}
    with pytest.raises(FileNotFoundError, match=r"--encoder loud:gain=1\.0,as=mine,stored_dtype=float32"):
        store.get(recipe, "a")


def test_the_error_of_a_missing_track_says_why_extraction_failed(store):
    store.record_failure({**RECIPE, "name": "other"}, Failure("b", "decode", "the file is empty"))
    with pytest.raises(FileNotFoundError, match=r"clip 'b' \(decode failed: the file is empty; fix that, or remove"):
        store.get(RECIPE, "b")


@pytest.mark.parametrize("text", ['{"clip": "x"', "[]", '{"clip": "x"}'])
def test_a_damaged_list_of_failures_is_named(store, text):
    (store.folder(RECIPE) / "failed.jsonl").write_text(text)
    with pytest.raises(ValueError, match=r"failed\.jsonl: not readable as a list of failures: .*; delete it"):
        read_failures(store.folder(RECIPE))


def test_where_weights_were_found_does_not_count_for_the_folder(store):
    found = {**RECIPE, "found_at": ["model"], "settings": {"gain": 1.0, "model": "here"}}
    assert store.folder(found) == store.folder({**found, "settings": {"gain": 1.0, "model": "elsewhere"}})
    assert store.folder(found) != store.folder({**found, "settings": {"gain": 2.0, "model": "here"}})


def test_the_error_of_a_missing_import_names_the_command_that_imports(store):
    with pytest.raises(FileNotFoundError, match=r"run abaw store import .* FOLDER --name theirs"):
        store.get({"name": "theirs", "encoder": "import", "settings": {}}, "a")


def test_the_recipe_as_an_option_makes_the_same_recipe_again():
    recipe = {
        "name": "mine",
        "encoder": "hf_vision",
        "settings": {"span": None, "layer": -1},
        "stored_dtype": "float32",
    }
    assert encoder_option(recipe) == "hf_vision:layer=-1,as=mine,stored_dtype=float32"
    assert encoder_option({"name": "faces", "finder": "haar", "settings": {}}) == "NAME"


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"encoder": "net"}, "expected a JSON object with a text as 'name'"),
        (["net"], "expected a JSON object with a text as 'name'"),
        ({"name": "net", "settings": 5}, "settings is '5', expected dict"),
        ({"name": "net", "encoder": ["net"]}, r"encoder is .*, expected str"),
        ({"name": "net", "span": "wide"}, "span is 'wide', expected int"),
        ({"name": "net", "assumed_clock": "1"}, "assumed_clock is '1', expected dict"),
    ],
)
def test_a_recipe_with_a_value_of_another_type_names_its_file(tmp_path, recipe, message):
    path = tmp_path / "net-0123456789/recipe.json"
    path.parent.mkdir()
    path.write_text(json.dumps(recipe))
    with pytest.raises(InputError, match=rf"{path}: {message}"):
        FeatureStore(tmp_path).recipes()


def test_a_sound_recipe_is_read_as_it_is(tmp_path):
    path = tmp_path / "net-0123456789/recipe.json"
    path.parent.mkdir()
    path.write_text('{"name": "net", "span": 1, "stride": null, "other": [1]}')
    assert FeatureStore(tmp_path).recipes() == {path.parent.name: json.loads(path.read_text())}

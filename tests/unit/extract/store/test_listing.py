"""What all commands of the store share: the missing store, names and sizes in reports."""

import shutil

import pytest

from abaw.errors import NotFoundError
from extract.store.diff import diff
from extract.store.info import info
from extract.store.listing import format_bytes, modality
from extract.store.prune import prune
from extract.store.store import FeatureStore
from extract.store.verify import verify
from tests.support.stores import make_store


def test_the_error_of_a_missing_store_names_the_command_that_makes_one(tmp_path):
    for work in (info, verify, prune):
        with pytest.raises(FileNotFoundError, match=r"no store at .*abaw extract"):
            work(FeatureStore(tmp_path / "none"))
    with pytest.raises(FileNotFoundError, match=r"no store at .*none: run abaw extract"):
        diff(make_store(tmp_path / "one"), FeatureStore(tmp_path / "none"))


@pytest.mark.parametrize("files", [(), ("notes.txt",), ("clock/12.txt", "a/b.safetensors"), ("runs/va/config.yaml",)])
def test_a_folder_that_is_no_store_is_an_error_that_says_so(tmp_path, files):
    for name in files:
        (tmp_path / "some" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "some" / name).touch()
    (tmp_path / "some").mkdir(exist_ok=True)
    for work in (info, verify, prune):
        with pytest.raises(
            NotFoundError, match=r"some is no store of features: .* check the path, or run abaw extract"
        ):
            work(FeatureStore(tmp_path / "some"))


@pytest.mark.parametrize("removed", ["clock", "hog-*", "*-*/recipe.json"])
def test_a_store_that_lacks_a_part_is_still_a_store(tmp_path, removed):
    store = make_store(tmp_path / "store")
    for path in store.root.glob(removed):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert verify(store).num_tracks > 0


@pytest.mark.parametrize(
    ("num", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (2_500_000, "2.5 MB"), (7e12, "7.0 TB"), (2e15, "2000.0 TB")],
)
def test_sizes_have_decimal_units(num, text):
    assert format_bytes(num) == text


@pytest.mark.parametrize(
    ("recipe", "expected"),
    [
        ({"name": "hog", "encoder": "face_hog"}, "vision"),
        ({"name": "mine", "encoder": "of_a_plugin", "span": 1, "stride": 1}, "vision"),
        ({"name": "mine", "encoder": "of_a_plugin"}, "audio or text"),
        ({"name": "mine", "encoder": "import", "modality": "text"}, "text"),
        ({}, None),
    ],
)
def test_the_modality_of_an_encoder_of_a_plug_in_that_is_not_loaded_is_read_from_its_recipe(recipe, expected):
    assert modality(recipe) == expected

"""A recipe.json that was damaged is refused with its name, whichever value is of another type."""

import json

import pytest

from abaw.errors import InputError
from extract.store.store import FeatureStore


@pytest.mark.parametrize(
    ("recipe", "message"),
    [
        ({"encoder": "net"}, "expected a JSON object with a text as 'name'"),
        (["net"], "expected a JSON object with a text as 'name'"),
        ({"name": "net", "settings": 5}, "settings is '5', expected dict"),
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

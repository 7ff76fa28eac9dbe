"""A recipe's folder and the checksum of a track."""

import hashlib
import json

from safetensors import safe_open

from extract.store.store import FeatureStore
from tests.support.extract.many_clips import Brightness, store_of


def test_the_folder_depends_on_the_content_of_weights_and_not_on_their_place(tmp_path):
    store = FeatureStore(tmp_path)
    recipe = {"name": "x", "encoder": "e", "settings": {"file": "a", "k": 1}, "weights": "1", "found_at": ["file"]}
    faces = {"finder": "f", "settings": {"file": "a"}, "weights": "1", "found_at": ["file"]}
    recipe["faces"] = faces
    moved = {**recipe, "settings": {"file": "b", "k": 1}, "faces": {**faces, "settings": {"file": "c"}}}
    assert store.folder(moved) == store.folder(recipe)
    for other in ({"weights": "2"}, {"settings": {"file": "a", "k": 2}}, {"faces": {**faces, "weights": "2"}}):
        assert store.folder({**recipe, **other}) != store.folder(recipe)


def test_a_track_carries_the_checksum_of_its_content(six, tmp_path):

    store, _ = store_of(Brightness(), six, tmp_path)
    path = store.folder(store.find("light")) / "c3.safetensors"
    with safe_open(path, framework="numpy") as file:
        checksum = file.metadata()["sha256"]
    content = path.read_bytes()
    assert hashlib.sha256(content[8 + int.from_bytes(content[:8], "little") :]).hexdigest() == checksum


def test_a_recipes_folder_does_not_depend_on_the_order_of_its_keys(six, tmp_path):
    store, _ = store_of(Brightness(), six / "c0.mp4", tmp_path)
    recipe = store.find("light")
    assert store.folder(json.loads(json.dumps(dict(reversed(recipe.items()))))) == store.folder(recipe)

"""What a run, a recipe or a store asks for that needs the user's own consent."""

import pytest

from abaw.configs.file import read_config
from abaw.errors import InputError
from abaw.files.trust import find_untrusted
from abaw.pipelines.configuration import check_encoders
from abaw.pipelines.extraction import build_encoder
from abaw.pipelines.rebuilding import rebuild
from extract.faces.target import TargetConfig
from extract.store.store import FeatureStore
from tests.support.drawn_faces import Colours


def hog(**changes):
    """The recipe of features that are made with built-in parts."""
    recipe = build_encoder("face_hog").recipe(TargetConfig(Colours()), False)
    return {**recipe, **changes}


@pytest.mark.parametrize(
    ("settings", "asked"),
    [
        ({"trust_remote_code": True}, ["trust_remote_code=True"]),
        ({"trust_remote_code": "yes"}, ["trust_remote_code=yes"]),
        ({"download": True}, ["download=True"]),
        ({"file": "/etc/passwd"}, ["file=/etc/passwd"]),
        ({"file": "~/net.onnx"}, ["file=~/net.onnx"]),
        ({"weights": "nets/../../net.pt"}, ["weights=nets/../../net.pt"]),
        ({"model": ".."}, ["model=.."]),
        ({"model": "local-dir:/srv/net"}, ["model=local-dir:/srv/net"]),
        ({"own": "/srv"}, ["own=/srv"]),
        ({"trust_remote_code": False, "download": False}, []),
        ({"model": "facebook/wav2vec2-base", "file": "nets/net.onnx", "weights": None, "layer": "-4..-1"}, []),
        ({"output": "/features/Add_output_0"}, []),  # the name of a tensor in an ONNX file
    ],
)
def test_code_and_paths_out_of_the_folder_are_found(settings, asked):
    assert find_untrusted(settings, found_at=["own"]) == asked


@pytest.mark.parametrize("place", ["settings", "faces"])
def test_a_recipe_of_features_is_rebuilt_only_where_it_asks_for_nothing_or_is_trusted(place):
    asked = {"file": "/srv/net.onnx", "trust_remote_code": True}
    recipe = hog(settings=asked) if place == "settings" else hog(faces={"settings": asked, "found_at": ["file"]})
    said = r"features face_hog asks for file=/srv/net.onnx, trust_remote_code=True: .* give --trust"
    with pytest.raises(InputError, match=said):
        rebuild(recipe)
    with pytest.raises(
        (ValueError, KeyError)
    ) as error:  # trusted, it is built, and refuses settings that it does not have
        rebuild(recipe, trusted=True)
    assert "--trust" not in str(error.value)


@pytest.mark.parametrize("name", ["../../victim", "/victim", "..", ""])
def test_the_names_in_a_recipe_cannot_lead_out_of_the_store(tmp_path, name):
    with pytest.raises(InputError, match="expected the name of a file, not a path"):
        rebuild(hog(name=name), trusted=True)
    store = FeatureStore(tmp_path / "store")
    for make in (
        lambda: store.folder(hog(name=name)),
        lambda: store.track_path(hog(), name),
        lambda: store.clock_path(name),
    ):
        with pytest.raises(InputError, match="expected the name of a file, not a path"):
            make()
    assert not list(tmp_path.iterdir())


def test_a_recipe_file_that_runs_the_code_of_models_needs_trust_and_the_command_line_does_not(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("name: x\nencoders:\n  - hf_audio:model=x,trust_remote_code=true\n")
    with pytest.raises(InputError, match=r"c\.yaml:2: a recipe asks for hf_audio:model=x,trust_remote_code=true"):
        check_encoders(read_config(path), "a recipe")
    check_encoders(read_config(path, ["encoders=[hf_audio:model=x,trust_remote_code=true]"]), "a recipe")


def test_a_recipe_of_features_that_lacks_a_key_says_so():
    with pytest.raises(InputError, match="a recipe of features lacks encoder, settings: its run.json is damaged"):
        rebuild({"name": "x", "stored_dtype": "float16"})

"""A run's encoders are rebuilt where its weights have moved, and only from files with the content they had."""

import pytest

from abaw.errors import InputError, NotFoundError
from abaw.pipelines.extraction import build_encoder
from abaw.pipelines.rebuilding import WeightPlaces, portable, rebuild
from extract.faces.target import TargetConfig
from extract.networks.tiny.onnx import write_face_net
from tests.support.drawn_faces import Colours


@pytest.fixture(scope="module")
def net(tmp_path_factory):
    return write_face_net(tmp_path_factory.mktemp("nets") / "net.onnx").read_bytes()


@pytest.fixture
def place(tmp_path, monkeypatch, net):
    """A folder in which features were made with nets/net.onnx, by a relative path and by an absolute one."""
    folder = tmp_path / "there"
    (folder / "nets").mkdir(parents=True)
    (folder / "nets/net.onnx").write_bytes(net)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(folder)
    return folder


def recipe_of(file):
    return build_encoder(f"onnx:file={file},crop=none,as=net").recipe(TargetConfig(Colours()), False)


def file_of(recipe, **options):
    """Where the rebuilt encoder has its weights."""
    spec, _ = rebuild(recipe, **options)
    return spec.encoder.recipe()["settings"]["file"]


@pytest.fixture(params=["relative", "absolute"])
def recipe(request, place):
    return recipe_of("nets/net.onnx" if request.param == "relative" else place / "nets/net.onnx")


def test_a_run_that_was_copied_with_its_project_finds_its_weights(place, tmp_path, monkeypatch, recipe):
    (place / "runs/x").mkdir(parents=True)
    place.rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "here")
    (tmp_path / "moved/net.onnx").write_bytes(b"another network of this name")
    if recipe["settings"]["file"].startswith("/"):  # of an absolute path only the name is looked for
        (tmp_path / "moved/nets/net.onnx").rename(tmp_path / "moved/runs/x/net.onnx")
    found = file_of(recipe, places=WeightPlaces.of([tmp_path / "moved/runs/x"]))
    assert found.startswith(str(tmp_path / "moved"))
    assert not found.endswith("moved/net.onnx")


@pytest.mark.parametrize("form", ["path", "name", "folder", "search"])
def test_weights_are_taken_from_where_the_user_says(place, tmp_path, monkeypatch, recipe, form):
    old, new = recipe["settings"]["file"], tmp_path / "elsewhere/deep"
    new.mkdir(parents=True)
    (place / "nets/net.onnx").rename(new / "net.onnx")
    monkeypatch.chdir(tmp_path / "here")
    given = {
        "path": f"{old}={new / 'net.onnx'}",
        "name": f"net.onnx={new / 'net.onnx'}",
        "folder": f"{old.removesuffix('/net.onnx')}={new}",
        "search": str(new.parent),
    }
    assert file_of(recipe, places=WeightPlaces.of([], [given[form]])) == str(new / "net.onnx")


def test_a_run_records_paths_below_the_current_folder_as_relative(place, tmp_path):
    inside, outside = recipe_of(place / "nets/net.onnx"), recipe_of(place / "nets/net.onnx")
    assert portable(inside)["settings"]["file"] == "nets/net.onnx"
    assert inside["settings"]["file"] == str(place / "nets/net.onnx")
    outside["settings"]["file"] = str(tmp_path / "net.onnx")
    assert portable(outside) == outside
    faces = {"settings": {"file": str(place / "y.onnx")}, "found_at": ["file"]}
    assert portable({**inside, "faces": faces})["faces"]["settings"]["file"] == "y.onnx"


def test_missing_weights_are_named_with_their_hash(place, tmp_path, monkeypatch, recipe):
    monkeypatch.chdir(tmp_path / "here")
    (place / "nets/net.onnx").unlink()
    digest = next(iter(recipe["weights"].values()))[:16]
    with pytest.raises(NotFoundError, match=rf"needs net\.onnx \(SHA-256 {digest}\.\.\.\).* --weights .*=NEW"):
        rebuild(recipe)


def test_weights_of_another_content_are_refused(place, tmp_path, monkeypatch, recipe):
    write_face_net(tmp_path / "net.onnx", px=40)
    monkeypatch.chdir(tmp_path / "here")
    (place / "nets/net.onnx").unlink()
    with pytest.raises(NotFoundError, match="there is no"):
        rebuild(recipe, places=WeightPlaces.of([], [str(tmp_path)]))
    moved = WeightPlaces.of([], [f"{recipe['settings']['file']}={tmp_path / 'net.onnx'}"])
    with pytest.raises(InputError, match=r"had another recipe \(.*weights"):
        rebuild(recipe, places=moved)


def test_an_absolute_path_needs_trust_even_where_its_content_is_right(place):
    absolute, relative = recipe_of(place / "nets/net.onnx"), recipe_of("nets/net.onnx")
    with pytest.raises(InputError, match="give --trust"):
        rebuild(absolute)
    assert file_of(absolute, trusted=True) == str(place / "nets/net.onnx")
    assert file_of(relative) == "nets/net.onnx"


def test_a_name_in_a_recipe_leads_to_no_other_folder(place, tmp_path):
    recipe = recipe_of("nets/net.onnx")
    recipe["weights"] = {"../there/nets/net.onnx": next(iter(recipe["weights"].values()))}
    recipe["settings"]["file"] = "gone.onnx"
    with pytest.raises(NotFoundError, match="there is no"):
        rebuild(recipe, places=WeightPlaces.of([tmp_path / "here"]))


@pytest.mark.parametrize("given", ["gone", "a=gone"])
def test_a_place_that_does_not_exist_is_refused(tmp_path, monkeypatch, given):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotFoundError, match=f"--weights {given}: no .*gone: give OLD=NEW"):
        WeightPlaces.of([], [given])

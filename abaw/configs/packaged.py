"""The configs that come with the package, known by name: the YAML files of this folder."""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from abaw.errors import NotFoundError
from abaw.files import as_path
from abaw.registry import nearest


@dataclass(frozen=True)
class PackagedConfig:
    """``summary`` is the first line of the file's comment."""

    name: str
    path: Path
    summary: str


def packaged_configs() -> dict[str, PackagedConfig]:
    """Every config of the package, by name."""
    paths = sorted(_folder().glob("*.yaml"))
    return {path.stem: PackagedConfig(path.stem, path, _summary(path)) for path in paths}


def packaged_config(name: str) -> PackagedConfig:
    """The config of that name. Raises NotFoundError, with the names that exist, where there is none."""
    found = packaged_configs()
    if str(name) not in found:
        raise NotFoundError(f"no config named {name!r}{nearest(name, found)} known: {', '.join(found)}")
    return found[str(name)]


def config_path(given: str | Path) -> Path:
    """The file that is meant by a path or by the name of a config of the package; a file of that path comes first.

    Raises NotFoundError, with the names that exist, where there is neither.
    """
    path, found = as_path(given, "config"), packaged_configs()
    if path.is_file():
        return path
    if str(given) not in found:
        raise NotFoundError(
            f"no config at {path}: give a YAML file, or the name of a config of the package"
            f"{nearest(path.stem, found)} known: {', '.join(found)}"
        )
    return found[str(given)].path


def _folder() -> Path:
    return Path(str(files("abaw.configs")))


def _summary(path: Path) -> str:
    with path.open(encoding="utf-8") as file:
        return file.readline().removeprefix("#").strip()

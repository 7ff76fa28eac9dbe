"""The packages that are installed beside abaw: ``extract`` and ``fusion``, names that others use too."""

import importlib.util
import sys
from pathlib import Path

from abaw.errors import InputError

ROOT = Path(__file__).resolve().parents[2]
SIBLINGS = ("extract", "fusion")


def check_siblings() -> None:
    """Check that ``import extract`` and ``import fusion`` give this project's packages.

    Raises InputError where another file of that name comes first on Python's search path, or was imported before; the
    message names the file.
    """
    for name in SIBLINGS:
        found = _location(name)
        if found is None:
            raise InputError(f"the package {name!r}, a part of abaw, is not in {ROOT}: install abaw again")
        if found != ROOT / name:
            raise InputError(
                f"{found} hides the package {name!r}, a part of abaw in {ROOT}: rename it, or start Python in another "
                "folder, or with the option -P, which leaves the current folder out of the search for modules"
            )


def _location(name: str) -> Path | None:
    """The folder of the package that an import of ``name`` gives, or the file where it gives a plain module."""
    loaded = sys.modules.get(name)
    spec = importlib.util.find_spec(name) if loaded is None else loaded.__spec__
    if spec is None:
        file = getattr(loaded, "__file__", None)
        return None if file is None else Path(file).resolve()
    folders = spec.submodule_search_locations
    place = next(iter(folders), None) if folders else spec.origin
    return None if place is None else Path(place).resolve()

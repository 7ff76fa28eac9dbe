"""Optional packages: one message that names the package and how to install it."""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest

from abaw import optional
from abaw.errors import InputError
from abaw.optional import import_optional, install_command

ROOT = Path(optional.__file__).resolve().parents[1]


def test_an_installed_module_is_returned():
    assert import_optional("json", needed_by="x") is sys.modules["json"]


def test_the_message_names_what_needs_the_package_and_how_to_install_it():
    message = "encoder x needs the package missing-package: pip install missing-package"
    with pytest.raises(InputError, match=re.escape(message)):
        import_optional("missing.part", needed_by="encoder x", package="missing-package")
    with pytest.raises(InputError, match="needs the package missing: pip install missing"):
        import_optional("missing.part", needed_by="x")


def test_the_packages_of_an_extra_are_named_because_this_project_is_on_no_index(monkeypatch):
    declared = ["numpy>=2", "one>=1,<3; extra == 'x'", "two==2; extra == 'x'", "three; extra == 'y'"]
    monkeypatch.setattr(optional, "requires", lambda name: declared)
    assert install_command("one", "x") == "pip install 'one<3,>=1' two==2"
    assert install_command("one") == install_command("one", "new in the sources") == "pip install one"
    with pytest.raises(InputError, match=re.escape("needs the package one: pip install 'one<3,>=1' two==2")):
        import_optional("one_missing", needed_by="x", package="one", extra="x")


def test_from_sources_that_are_not_installed_the_package_is_named(monkeypatch):
    def missing(name: str) -> None:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(optional, "requires", missing)
    assert install_command("one", "x") == "pip install one"


def test_every_extra_that_a_message_names_is_declared():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    folders = [ROOT / name for name in ("abaw", "extract", "fusion")]
    texts = [path.read_text() for folder in folders for path in folder.rglob("*.py")]
    named = {extra for text in texts if "optional" in text for extra in re.findall(r'\bextra="(\w+)"', text)}
    assert {"mtcnn", "app", "rerun"} <= named - {"allow", "forbid"} <= declared.keys()

"""Optional packages: one message that names the package and how to install it."""

import re
import sys

import pytest

from abaw.errors import InputError
from abaw.optional import import_optional


def test_an_installed_module_is_returned():
    assert import_optional("json", needed_by="x", install="json") is sys.modules["json"]


def test_the_message_names_what_needs_the_package_and_how_to_install_it():
    message = "encoder x needs the package missing-package: pip install 'abaw[x]'"
    with pytest.raises(InputError, match=re.escape(message)):
        import_optional("missing.part", needed_by="encoder x", install="'abaw[x]'", package="missing-package")
    with pytest.raises(InputError, match="needs the package missing: pip install missing"):
        import_optional("missing.part", needed_by="x", install="missing")

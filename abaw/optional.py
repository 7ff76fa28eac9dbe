"""Packages that only some parts need: imported when they are used, with a message that says how to install them."""

import importlib
from types import ModuleType

from abaw.errors import InputError


def import_optional(module: str, *, needed_by: str, install: str, package: str | None = None) -> ModuleType:
    """The module. ``install`` is what ``pip install`` takes; ``package`` its name there, where it is another.

    Raises InputError where the package is not installed.

    >>> import_optional("no_such_module", needed_by="encoder x", install="'abaw[x]'", package="no-such")
    Traceback (most recent call last):
    abaw.errors.InputError: encoder x needs the package no-such: pip install 'abaw[x]'
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = package or module.partition(".")[0]
        raise InputError(f"{needed_by} needs the package {name}: pip install {install}") from error

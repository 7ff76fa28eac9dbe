"""Packages that only some parts need: imported when they are used, with a message that says how to install them."""

import importlib
import shlex
from importlib.metadata import PackageNotFoundError, requires
from types import ModuleType

from packaging.requirements import Requirement

from abaw.errors import InputError


def import_optional(module: str, *, needed_by: str, package: str | None = None, extra: str | None = None) -> ModuleType:
    """The module. ``package``: its name for pip, where it is another; ``extra``: of this project, that contains it.

    Raises InputError where the package is not installed.

    >>> import_optional("no_such_module", needed_by="encoder x", package="no-such")
    Traceback (most recent call last):
    abaw.errors.InputError: encoder x needs the package no-such: pip install no-such
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        name = package or module.partition(".")[0]
        raise InputError(f"{needed_by} needs the package {name}: {install_command(name, extra)}") from error


def install_command(package: str, extra: str | None = None) -> str:
    """The command that installs a package, or all that an ``extra`` of this project consists of.

    It names packages, because this project is on no package index, where ``pip install 'abaw[extra]'`` would look.
    """
    try:
        needed = [Requirement(text) for text in requires("abaw") or ()]
    except PackageNotFoundError:  # run from a folder of sources that is not installed
        needed = []
    found = [
        shlex.quote(f"{each.name}{each.specifier}")
        for each in needed
        if extra and each.marker and each.marker.evaluate({"extra": extra}) and not each.marker.evaluate({"extra": ""})
    ]
    return f"pip install {' '.join(found or [package])}"

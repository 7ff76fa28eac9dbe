"""Plug-ins: parts in the user's own Python files, or in packages that are installed.

A file is loaded by ``load_plugin``, by ``--plugin FILE`` on the command line or by ``plugins: [FILE]`` in a config; it
is run as Python code. A package declares its parts as entry points in the groups ``abaw.encoders``, ``abaw.models``,
``abaw.recognisers`` and ``abaw.tasks`` (``name = "package.module:function"``) and needs no loading. Either way a part
is a function decorated with its registry's ``register``, as in this project's own files.

What a run or a store was made with is recorded by the content's hash, and checked before it is used again. A file is
run only where the user has named it, or trusts who made the run.
"""

import ast
import hashlib
import importlib.machinery
import importlib.util
import os
import sys
import traceback
from collections.abc import Iterable, Mapping
from contextlib import redirect_stdout
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from abaw.errors import InputError, NotFoundError
from abaw.files import as_path, sha256

REGISTRIES = {  # by the name that a plug-in decorates with
    "ENCODERS": "extract.encoders",
    "RECOGNISERS": "extract.recognisers",
    "DETECTORS": "extract",
    "ALIGNERS": "extract",
    "FUSION_MODELS": "fusion.models",
    "TASKS": "abaw.tasks",
}
GROUPS = ("abaw.encoders", "abaw.models", "abaw.recognisers", "abaw.tasks")
HOW = "a function at the top level of the file, without brackets, with " + ", ".join(
    f"@{name}.register (from {REGISTRIES[name]})" for name in ("ENCODERS", "FUSION_MODELS", "TASKS")
)


@dataclass(frozen=True)
class PlugIn:
    """A file with parts: its path, the hash of its content, and the name it is imported under.

    ``package`` is "name version" where an installed package declares its parts, "" for a user's own file.
    """

    path: Path
    sha256: str
    module: str
    package: str = ""

    def __str__(self) -> str:
        return self.package or self.path.name

    def record(self) -> dict[str, str]:
        """What a run or a recipe records of it."""
        where = {"package": self.package, "module": self.module} if self.package else {"path": str(self.path)}
        return {**where, "sha256": self.sha256}


_LOADED: dict[Path, PlugIn] = {}


def loaded() -> tuple[PlugIn, ...]:
    """The plug-in files loaded in this process."""
    return tuple(_LOADED.values())


def load_plugin(path: str | Path) -> PlugIn:
    """Run a Python file and add the parts it registers, by name, to everything that takes a part's name.

    Loading the same file twice changes nothing; after an edit it is loaded anew. Raises NotFoundError where there is
    no such file; InputError where it does not import, registers nothing, or takes a name that is in use.
    """
    path = Path(os.path.realpath(as_path(path, "plug-in")))  # resolve() raises where links form a circle
    if not path.is_file():
        raise NotFoundError(f"no plug-in at {path}: give a Python file that decorates {HOW}")
    text = path.read_bytes()
    content = hashlib.sha256(text).hexdigest()  # of the very text that is checked below
    plugin = PlugIn(path, content, f"abaw_plugin_{path.stem}_{content[:8]}")
    if _LOADED.get(path) == plugin:
        return plugin
    if not _registered(text, path):
        raise InputError(f"the plug-in {path} registers nothing: decorate {HOW}")
    before = _LOADED.get(path)
    _LOADED[path] = plugin
    try:
        _run(plugin)
    except BaseException:
        _LOADED.pop(path)
        if before is not None:
            _LOADED[path] = before
        raise
    return plugin


@cache
def installed(group: str) -> tuple[tuple[str, PlugIn], ...]:
    """The parts that installed packages declare in an entry-point group: function name and where it is defined.

    Nothing is imported but the packages that hold the modules. Raises InputError where a declared module is missing.
    """
    from importlib.metadata import entry_points  # late: it is not needed for --help

    found = []
    for point in sorted(entry_points(group=group)):
        package = f"{point.dist.name} {point.dist.version}" if point.dist else "an installed package"
        module, function = point.module, point.attr
        try:
            spec = importlib.util.find_spec(module)
        except ImportError:
            spec = None
        if spec is None or spec.origin is None or not Path(spec.origin).is_file():
            raise InputError(
                f"{package} declares {point.name!r} in the group {group}, but there is no module {module}: "
                "reinstall or uninstall that package"
            )
        path = Path(spec.origin)
        found.append((function, PlugIn(path, sha256(path), module, package)))
    return tuple(found)


def require(records: Iterable[Mapping[str, str]], made: str, *, trusted: bool = False) -> None:
    """Load the plug-ins that ``made`` (a run, a store: named in messages) was made with.

    Raises InputError where one has changed since, or is not loaded yet and ``made`` is not ``trusted``; NotFoundError
    where it is missing.
    """
    for record in records:
        keys = ("package", "module", "sha256") if "package" in record else ("path", "sha256")
        if not all(isinstance(record.get(key), str) for key in keys):
            raise InputError(f"{made} has a damaged record of a plug-in ({record}), expected {' and '.join(keys)}")
        if "package" in record:
            _require_package(record, made)
        elif not any(each.sha256 == record["sha256"] for each in loaded()):
            _require_file(record, made, trusted)


def records(plugins: Iterable[PlugIn | None]) -> list[dict[str, str]]:
    """The records of those that are plug-ins, each once."""
    found: dict[str, dict[str, str]] = {}
    for plugin in plugins:
        if plugin is not None:
            found[plugin.sha256] = plugin.record()
    return list(found.values())


def _require_file(record: Mapping[str, str], made: str, trusted: bool) -> None:
    path = Path(record["path"])
    for known in (each.path for each in loaded() if each.path.name == path.name):
        raise InputError(_changed(str(known), made))
    if not trusted:
        raise InputError(
            f"{made} was made with the plug-in {path}, a Python file that would be run: read it and, if you trust it, "
            f"give --plugin {path}, or --trust to predict, analyze, train, search or recipe"
        )
    if not path.is_file():
        others = f", and {', '.join(map(str, loaded()))} has other content" if loaded() else ""
        raise NotFoundError(
            f"the plug-in {path} that {made} was made with is missing{others}: put it back, or say where it is now "
            "with --plugin FILE"
        )
    if sha256(path) != record["sha256"]:
        raise InputError(_changed(str(path), made))
    load_plugin(path)


def _require_package(record: Mapping[str, str], made: str) -> None:
    # only what an installed package declares: looking for any other module would import the packages in its name
    declared = [plugin for group in GROUPS for _, plugin in installed(group) if plugin.module == record["module"]]
    if not declared:
        raise NotFoundError(f"{made} was made with {record['package']}, which is not installed: install it")
    if declared[0].sha256 != record["sha256"]:
        raise InputError(_changed(f"module {record['module']} of {record['package']}", made))


def _changed(what: str, made: str) -> str:
    return (
        f"the plug-in {what} has changed since {made} was made: restore the content it had then, or make {made} again"
    )


class _SourceLoader(importlib.machinery.SourceFileLoader):
    """Compiles the file itself: bytecode cached beside it may be of other content, which no hash of the file shows."""

    def get_code(self, fullname: str) -> CodeType:
        return self.source_to_code(self.get_data(self.path), self.path)


def _run(plugin: PlugIn) -> ModuleType:
    loader = _SourceLoader(plugin.module, str(plugin.path))
    spec = importlib.util.spec_from_file_location(plugin.module, plugin.path, loader=loader)
    if spec is None or plugin.path.suffix != ".py":
        raise InputError(f"the plug-in {plugin.path} is no Python file: its name must end in .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[plugin.module] = module  # before it runs: dataclasses and pickles look it up
    try:
        with redirect_stdout(sys.stderr):  # what it prints must not end in a command's table or JSON document
            loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[plugin.module]
        if isinstance(error, InputError):  # a name that is in use, say
            if str(error).startswith(str(plugin.path)):
                raise
            raise InputError(f"the plug-in {plugin.path}: {error}") from error
        lines = [each.lineno for each in traceback.extract_tb(error.__traceback__) if each.filename == str(plugin.path)]
        where = f":{lines[-1]}" if lines else ""
        raise InputError(
            f"the plug-in {plugin.path}{where} does not import: {type(error).__name__}: {error}"
        ) from error
    return module


def _registered(text: bytes, path: Path) -> list[str]:
    """The functions a file decorates with a registry of ours."""
    try:
        tree = ast.parse(text, filename=str(path))
    except (SyntaxError, ValueError) as error:
        line = getattr(error, "lineno", None)
        raise InputError(f"the plug-in {path}{f':{line}' if line else ''} is not valid Python: {error}") from error
    return [
        node.name
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and any(registers(each, set(REGISTRIES)) for each in node.decorator_list)
    ]


def registers(decorator: ast.expr, names: set[str]) -> bool:
    """Whether a decorator is ``NAME.register`` with one of these names (``set()``: with any)."""
    if not isinstance(decorator, ast.Attribute) or decorator.attr != "register":
        return False
    return not names or ast.unparse(decorator.value).rpartition(".")[2] in names


def about(plugin: PlugIn | None) -> dict[str, Any]:
    """What a listing says of where a part comes from; {} for one of this project."""
    return {} if plugin is None else {"plugin": str(plugin)}

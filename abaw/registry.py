"""Parts by name: one file, one builder, one name.

A part is a function decorated with ``@REGISTRY.register``; the function's name is the part's name, its
keyword-only arguments are the part's settings. ``parts()`` parses the files and imports nothing, so listing
is fast; only ``build`` imports the one file it needs.
"""

import ast
import difflib
import importlib
import importlib.util
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from abaw.errors import InputError
from abaw.files import visible
from abaw.plugins import PlugIn, installed, loaded, registers

REQUIRED = "required"
INNER = "inner"  # the setting of a part that wraps another one: that part's name

Builder = TypeVar("Builder", bound=Callable[..., Any])


@dataclass(frozen=True)
class Part:
    """What can be said of a part without importing it.

    ``settings`` maps a setting to the text of its default, ``choices`` one of few values to all of them; ``given`` are
    the arguments the pipeline hands over; ``plugin`` is where it comes from, None for a part of this project.
    ``wraps``: whether it also takes the settings of the part that its setting ``inner`` names (``**settings``).
    """

    name: str
    summary: str
    settings: dict[str, str]
    given: tuple[str, ...]
    facts: dict[str, Any]
    module: str
    plugin: PlugIn | None = None
    choices: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    wraps: bool = False


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` where a known name is near, else ``;``."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ";"


@dataclass
class Registry:
    """The parts of one kind, found in a folder of files, in one file, and in plug-ins.

    ``given`` names arguments that the pipeline hands to a builder (the feature sizes, say): they are no settings.
    ``symbol`` is the registry's own name, with which plug-ins decorate; ``group`` the entry-point group in which
    installed packages declare such parts ("": none). ``builds`` is ``module:class`` of what a builder must return
    ("": not checked).
    """

    kind: str
    package: str
    given: tuple[str, ...] = ()
    symbol: str = ""
    group: str = ""
    builds: str = ""
    _builders: dict[str, Callable[..., Any]] = field(default_factory=dict, repr=False)

    def register(self, builder: Builder) -> Builder:
        """Make a function the builder of the part of its name. Raises InputError where the name is in use."""
        name, module = builder.__name__, builder.__module__
        known = self._builders.get(name)
        if any(plugin.module == module for plugin in loaded()):  # it may replace what the file had before an edit
            self.parts()
        elif known is not None and known.__module__ != module:
            raise _same_name(self.kind, name, known.__module__, module)
        self._builders[name] = builder
        return builder

    def parts(self) -> list[Part]:
        """Every part, by name, plug-ins included. Raises InputError where two files define the same name."""
        found: dict[str, Part] = {}
        for part in (*self._own(), *self._of_plugins()):
            if part.name in found and found[part.name].module != part.module:
                raise _same_name(self.kind, part.name, found[part.name].module, part.module)
            found[part.name] = part
        return [found[name] for name in sorted(found)]

    def _own(self) -> Iterator[Part]:
        for module, path in self._files():
            yield from _parse(module, path, self.given, "", None)

    def _of_plugins(self) -> Iterator[Part]:
        if not self.symbol:
            return
        for plugin in loaded():
            yield from _parse(plugin.module, plugin.path, self.given, self.symbol, plugin)
        for name, plugin in installed(self.group) if self.group else ():
            parts = _parse(plugin.module, plugin.path, self.given, self.symbol, plugin)
            yield from (part for part in parts if part.name == name)

    def plugin(self, name: str) -> PlugIn | None:
        """The plug-in that a part comes from; None for one of this project, and for a name that is no part."""
        return next((part.plugin for part in self.parts() if part.name == name), None)

    def names(self) -> list[str]:
        return [part.name for part in self.parts()]

    def part(self, name: str) -> Part:
        """The part of that name; ValueError lists the known ones."""
        for part in self.parts():
            if part.name == name:
                return part
        names = self.names()
        raise InputError(f"no {self.kind} named {name!r}{nearest(name, names)} known: {', '.join(names)}")

    def _place(self, name: str) -> str:
        """Where a part is defined, for messages."""
        part = self.part(name)
        return str(part.plugin.path) if part.plugin else part.module

    def settings_of(self, name: str, given: Mapping[str, Any]) -> dict[str, str]:
        """The settings of a part with their defaults; of one that wraps another part, those of that part too.

        ``given``: the settings in use, which may name the part that is wrapped.
        """
        part = self.part(name)
        inner = self._inner(part, given)
        return {**(self.part(inner).settings if inner else {}), **part.settings}

    def _inner(self, part: Part, given: Mapping[str, Any]) -> str | None:
        """The name of the part that another one wraps; None where it wraps none, or it is not a name."""
        inner = given.get(INNER, ast.literal_eval(part.settings[INNER])) if part.wraps else None
        return inner if isinstance(inner, str) else None

    def check_settings(self, name: str, settings: Iterable[str], given: Mapping[str, Any] | None = None) -> None:
        """ValueError where a setting is not one of the part's; the message lists them. ``given``: as there."""
        known = self.settings_of(name, given or {})
        for key in settings:
            if key not in known:
                listing = ", ".join(known) or "none"
                raise InputError(f"{self.kind} {name!r} has no setting {key!r}{nearest(key, known)} known: {listing}")

    def check(self, name: str, settings: Mapping[str, Any]) -> dict[str, Any]:
        """The settings in their declared types; the part is imported for them.

        ValueError where a setting is unknown, missing, of the wrong type or outside the limits of its type.
        """
        part = self.part(name)
        self.check_settings(name, [key for key in settings if key not in self.given], settings)
        for key, default in part.settings.items():
            if default == REQUIRED and key not in settings:
                raise InputError(
                    f"{self.kind} {name!r} needs the setting {key!r}: write {name}:{key}=... or give it in the config"
                )
        importlib.import_module(part.module)
        try:
            hints = get_type_hints(self._builders[name], include_extras=True)  # with limits, as Field(ge=1)
        except (NameError, SyntaxError, TypeError) as error:
            raise InputError(
                f"{self.kind} {name!r}, in {self._place(name)}: the annotation of a setting cannot be read: {error}"
            ) from error
        own = part.settings.keys()
        typed = {
            key: self._typed(name, key, _expanded(value), hints.get(key, Any)) if key in own else value
            for key, value in settings.items()
        }
        of_inner = {key: value for key, value in settings.items() if key not in own and key not in self.given}
        if inner := self._inner(part, settings):
            typed |= self.check(inner, of_inner)
        return typed

    def build(self, name: str, **settings: Any) -> Any:
        """Call the part's builder. ValueError as of ``check``, and what the builder refuses."""
        typed = self.check(name, settings)
        built = self._builders[name](**typed)
        if self.builds:
            module, _, expected = self.builds.partition(":")
            if not isinstance(built, getattr(importlib.import_module(module), expected)):
                raise InputError(
                    f"{self.kind} {name!r}, in {self._place(name)}: the function returns "
                    f"{type(built).__name__}, expected an instance of {expected} (from {module})"
                )
        return built

    def _typed(self, name: str, key: str, value: Any, expected: Any) -> Any:
        try:
            return TypeAdapter(expected).validate_python(value, strict=True)  # 30 for a float is 30.0, as in a recipe
        except ValidationError as error:
            if get_origin(expected) is Annotated:
                expected = get_args(expected)[0]
            if get_origin(expected) is Literal:
                wanted = f"one of {', '.join(map(str, get_args(expected)))}"
            else:
                wanted = getattr(expected, "__name__", str(expected)) if "[" not in str(expected) else str(expected)
                wanted = f"{wanted}: {error.errors()[0]['msg']}"
            raise InputError(f"{self.kind} {name!r}: {key} is {value!r}, expected {wanted}") from error

    def _files(self) -> list[tuple[str, Path]]:
        spec = importlib.util.find_spec(self.package)
        if spec is None or spec.origin is None:
            raise InputError(f"no package {self.package!r} to find {self.kind}s in")
        if not spec.submodule_search_locations:
            return [(self.package, Path(spec.origin))]
        return [
            (f"{self.package}.{path.stem}", path)
            for folder in spec.submodule_search_locations
            for path in visible(Path(folder), "*.py")
            if path.stem not in ("__init__", "base")
        ]


def _expanded(value: Any) -> Any:
    """A setting in which ``~``, where it begins a path, is the home folder."""
    return os.path.expanduser(value) if isinstance(value, str) and value.startswith("~") else value


@cache
def _parse(module: str, path: Path, given: tuple[str, ...], symbol: str, plugin: PlugIn | None) -> list[Part]:
    names = {symbol} if symbol else set()
    tree = ast.parse(path.read_bytes(), filename=str(path))  # bytes: Python itself finds their encoding
    facts: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and [t.id for t in node.targets if isinstance(t, ast.Name)] == ["FACTS"]:
            facts = _literal(node, path)
    parts = []
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and any(registers(each, names) for each in node.decorator_list):
            own = facts.get(node.name, facts)  # a file with several parts has facts for each
            summary = (ast.get_docstring(node) or "").split("\n")[0]
            arguments = _arguments(node)
            settings = {name: default for name, default in arguments.items() if name not in given}
            own_given, choices = tuple(arguments.keys() & set(given)), _choices(node, tree)
            wraps = node.args.kwarg is not None and INNER in settings
            parts.append(Part(node.name, summary, settings, own_given, own, module, plugin, choices, wraps))
    return parts


def _literal(node: ast.Assign, path: Path) -> dict[str, Any]:
    """The value of FACTS, which is read without running the file."""
    try:
        facts = ast.literal_eval(node.value)
    except ValueError:
        facts = None
    if not isinstance(facts, dict):
        raise InputError(f"{path}:{node.lineno}: FACTS is read without running the file: write a dict of plain values")
    return facts


def _same_name(kind: str, name: str, first: str, second: str) -> InputError:
    return InputError(f"two {kind}s are named {name!r}: {first} and {second}; rename one")


def _arguments(node: ast.FunctionDef) -> dict[str, str]:
    pairs = zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True)
    return {arg.arg: REQUIRED if default is None else ast.unparse(default) for arg, default in pairs}


def _choices(node: ast.FunctionDef, tree: ast.Module) -> dict[str, tuple[Any, ...]]:
    """The values of each argument that is annotated with a ``Literal``, or with a name that the file gives to one."""
    named = {
        target.id: each.value
        for each in tree.body
        if isinstance(each, ast.Assign)
        for target in each.targets
        if isinstance(target, ast.Name)
    }
    found: dict[str, tuple[Any, ...]] = {}
    for arg in node.args.kwonlyargs:
        kind = named.get(arg.annotation.id) if isinstance(arg.annotation, ast.Name) else arg.annotation
        if isinstance(kind, ast.Subscript) and isinstance(kind.value, ast.Name) and kind.value.id == "Literal":
            values = kind.slice.elts if isinstance(kind.slice, ast.Tuple) else [kind.slice]
            found[arg.arg] = tuple(each.value for each in values if isinstance(each, ast.Constant))
    return found

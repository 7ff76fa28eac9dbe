"""YAML 1.2 read with line numbers, and written: configs, data set files, search spaces.

YAML 1.2 reads ``1e-3`` as a number, and ``no``, ``on`` and ``0:59`` as text. Only plain data are read: text, numbers,
true, false, null, lists and mappings; no tag can build any other object.
"""

import io
import re
import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, ReusedAnchorWarning, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from abaw.errors import InputError
from abaw.files.text import read_text

Keys = tuple[str, ...]
MAX_BYTES = 2**18  # a config has 10 kB; a file of this size takes seconds
MAX_NODES = 100_000  # aliases written out: a few lines of them can stand for billions of values
MAX_DEPTH = 50
TAG = "tag:yaml.org,2002:"
PLAIN = frozenset(TAG + name for name in ("str", "int", "float", "bool", "null", "map", "seq", "merge"))

UNUSED = frozenset((f"{TAG}timestamp", f"{TAG}value"))  # dates and "=": in YAML 1.2 they are text


@dataclass(frozen=True)
class Document:
    """The values of a YAML text. ``lines``: the line, from 1, of every key and list item by its path of keys; of the
    whole by the empty path. ``written``: the scalars among them as they are written: 01 is the number 1 in YAML."""

    values: Any
    lines: dict[Keys, int]
    written: dict[Keys, str] = field(default_factory=dict)


def read_yaml(path: Path) -> Document:
    """Read a file. Raises InputError with file and line where it is no YAML, too large, or gives a key twice."""
    if path.stat().st_size > MAX_BYTES:
        raise InputError(f"{path}: {path.stat().st_size} bytes, expected a YAML file of at most {MAX_BYTES}")
    return parse_yaml(read_text(path, advice="save it as UTF-8"), path)


def parse_yaml(text: str, place: str | Path) -> Document:
    """Read one document from text; an empty text is None.

    ``place`` names the text in errors, with the line where it is a path. Raises InputError where the text is no YAML
    or gives a key twice.

    >>> parse_yaml("rate: 1e-3\\ntime: 0:59", "example").values
    {'rate': 0.001, 'time': '0:59'}
    """
    if re.search(r"^%YAML", text, re.MULTILINE):  # of another version, which reads the values differently
        raise InputError(f"{place}: remove the line that begins with %YAML: files are read as YAML 1.2")
    yaml = _yaml()
    try:
        with warnings.catch_warnings(action="ignore", category=ReusedAnchorWarning):  # YAML allows it
            node = yaml.compose(text)
        if node is None:
            return Document(None, {})
        lines, written = _lines(node, place)
        return Document(_copy(yaml.constructor.construct_document(node)), lines, written)
    except InputError:
        raise
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        at = place if mark is None else _at(place, mark.line + 1)
        problem = ", ".join(filter(None, (error.context, error.problem)))
        hint = ": a colon needs a space after it, as in {key: {}}" if re.search(r"\w:[\[{]", text) else ""
        raise InputError(f"{at}: not readable as YAML: {problem}{hint}") from error
    except YAMLError as error:
        raise InputError(f"{place}: not readable as YAML: {' '.join(str(error).split())}") from error
    except (
        ValueError,
        LookupError,
    ) as error:  # a number of thousands of digits, or a tag such as !!int on another word
        raise InputError(f"{place}: not readable as YAML: {error}") from error
    except RecursionError as error:
        raise InputError(f"{place}: nested too deeply, expected at most {MAX_DEPTH} levels") from error


def dump_yaml(values: Any) -> str:
    """The YAML text of plain data, in the order given, one key a line.

    >>> print(dump_yaml({"name": "small", "widths": [1, 5]}), end="")
    name: small
    widths:
    - 1
    - 5
    """
    text = io.StringIO()
    _yaml().dump(values, text)
    return text.getvalue()


def _yaml() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = sys.maxsize
    return yaml


def _at(place: str | Path, line: int) -> str:
    return f"{place}:{line}" if isinstance(place, Path) else place


def _copy(value: Any) -> Any:
    """A value in which aliases share nothing, so that a change of one of them leaves the others as they are."""
    if isinstance(value, dict):
        return {key: _copy(each) for key, each in value.items()}
    return [_copy(each) for each in value] if isinstance(value, list) else value


def _lines(root: Node, place: str | Path) -> tuple[dict[Keys, int], dict[Keys, str]]:
    lines: dict[Keys, int] = {}
    written: dict[Keys, str] = {}
    for num_nodes, (keys, line, node) in enumerate(_walk(root, (), 1, place), start=1):
        if num_nodes > MAX_NODES:
            raise InputError(f"{_at(place, line)}: more than {MAX_NODES} values, aliases written out: give fewer")
        if keys in lines:
            name = ".".join(keys)
            raise InputError(
                f"{_at(place, line)}: {name} is given twice, first on line {lines[keys]}: remove one of them"
            )
        lines[keys] = line
        if isinstance(node, ScalarNode):
            written[keys] = str(node.value)
        if node.tag in UNUSED:
            node.tag = f"{TAG}str"
        if node.tag not in PLAIN:
            tag = str(node.tag).replace(TAG, "!!")
            raise InputError(
                f"{_at(place, line)}: the tag {tag} is not allowed, expected a plain value: remove the tag"
            )
    return lines, written


def _walk(node: Node, keys: Keys, line: int, place: str | Path) -> Iterator[tuple[Keys, int, Node]]:
    """Path, line and node of a value and of all that it holds; the line of a mapping's entry is that of its key."""
    if len(keys) > MAX_DEPTH:
        raise RecursionError
    yield keys, line, node
    if isinstance(node, MappingNode):
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise InputError(f"{_at(place, line)}: a key is a list or a mapping, expected text")
            yield from _walk(value, (*keys, str(key.value)), line, place)
    elif isinstance(node, SequenceNode):
        for i, item in enumerate(node.value):
            yield from _walk(item, (*keys, str(i)), item.start_mark.line + 1, place)

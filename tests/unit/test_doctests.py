"""The examples in docstrings, run. Only modules that have any are imported: all of them would take many seconds."""

import doctest
import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = re.compile(r"^\s*>>> ", re.M)
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for folder in ("abaw", "extract", "fusion")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if EXAMPLE.search(path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("name", MODULES)
def test_the_examples_of_a_module_give_what_they_show(name):
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    done = doctest.testmod(importlib.import_module(name), optionflags=flags, raise_on_error=False)
    assert done.failed == 0
    assert done.attempted == len(EXAMPLE.findall(MODULES[name].read_text(encoding="utf-8")))


def test_some_module_has_an_example():
    assert MODULES

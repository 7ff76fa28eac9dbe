"""The parts that pages define, and those of the examples: complete files that pass ruff and the contracts.

``./run.sh lint`` checks them with mypy.
"""

import subprocess
import sys

import pytest

from tests.support.abaw.commands import abaw
from tests.support.markdown import ROOT, write_parts

EXAMPLE = ROOT / "examples/own_fusion_model.py"
CONTRACTS = {
    "mean_colour": "encoders",
    "mean_fusion": "fusion_models",
    "max_fusion": "fusion_models",
    "our_faces": "recognisers",
    "polarity": "tasks",
}

# a pytest plug-in: loads the files once jaxtyping's import hook is in place, before tests are collected
LOADS = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    import abaw
    for path in {paths!r}:
        abaw.load_plugin(path)
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Part -> its file, written as printed."""
    return {**write_parts(tmp_path_factory.mktemp("parts")), "max_fusion": EXAMPLE}


def run(*words, **environment):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=ROOT, **environment)
    return done.returncode, done.stdout + done.stderr


def test_every_part_that_a_page_defines_is_tested(files):
    assert set(files) == set(CONTRACTS)


@pytest.fixture(scope="module")
def contracts(files, tmp_path_factory):
    """The exit code of the contract tests of all printed parts, and what was printed: a line for each test."""
    folder = tmp_path_factory.mktemp("contracts")
    (folder / "load_the_parts.py").write_text(LOADS.format(paths=[str(path) for path in files.values()]))
    words = ["-p", "load_the_parts", "-p", "no:cacheprovider", "-v", "-k", " or ".join(CONTRACTS)]
    code = f"import sys; sys.path.insert(0, {str(folder)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    return run("-c", code, *words, *sorted({f"tests/contracts/test_{kind}.py" for kind in CONTRACTS.values()}))


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_printed_part_passes_the_contract_tests(name, contracts):
    returned, said = contracts
    assert returned == 0, said
    own = [line for line in said.splitlines() if f"test_{CONTRACTS[name]}.py::" in line and name in line]
    assert any(" PASSED" in line for line in own), said


def test_the_printed_parts_pass_ruff(files):
    for command in (
        ["check", "--config", ROOT / "pyproject.toml"],
        ["format", "--check", "--config", ROOT / "pyproject.toml"],
    ):
        returned, said = run("-m", "ruff", *command, "--no-cache", *files.values())
        assert returned == 0, said


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_printed_part_is_listed_as_a_plug_in(name, files):
    kind = {"fusion_models": "models"}.get(CONTRACTS[name], CONTRACTS[name])
    assert f"  {name} " in abaw("--plugin", files[name], "list", kind, cwd=ROOT).stdout

"""The parts that pages define, and those of the examples: complete files that pass linters and contracts."""

import subprocess
import sys

import pytest

from tests.support.markdown import ROOT, blocks

EXAMPLE = ROOT / "examples/own_fusion_model.py"
PARTS = {block.defines_part(): block.text for block in blocks("python") if block.defines_part()}
CONTRACTS = {
    "mean_colour": "encoders",
    "mean_fusion": "fusion_models",
    "max_fusion": "fusion_models",
    "polarity": "tasks",
}

# a pytest plug-in: loads the file once jaxtyping's import hook is in place, before tests are collected
LOADS = """
import pytest

@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session):
    import abaw
    abaw.load_plugin({path!r})
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Part -> its file, written as printed."""
    folder = tmp_path_factory.mktemp("parts")
    for name, text in PARTS.items():
        (folder / f"{name}.py").write_text(text)
    return {**{name: folder / f"{name}.py" for name in PARTS}, "max_fusion": EXAMPLE}


def run(*words, **environment):
    done = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, cwd=ROOT, **environment)
    return done.returncode, done.stdout + done.stderr


def test_every_part_that_a_page_defines_is_tested():
    assert {*PARTS, "max_fusion"} == set(CONTRACTS)


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_printed_part_passes_the_contract_tests(name, files, tmp_path):
    (tmp_path / "load_the_part.py").write_text(LOADS.format(path=str(files[name])))
    words = ["-p", "load_the_part", "-p", "no:cacheprovider", "-q", "-k", name]
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import pytest; sys.exit(pytest.main(sys.argv[1:]))"
    returned, said = run("-c", code, *words, f"tests/contracts/test_{CONTRACTS[name]}.py")
    assert returned == 0, said
    assert " passed" in said


def test_the_printed_parts_pass_ruff(files):
    for command in (
        ["check", "--config", ROOT / "pyproject.toml"],
        ["format", "--check", "--config", ROOT / "pyproject.toml"],
    ):
        returned, said = run("-m", "ruff", *command, "--no-cache", *files.values())
        assert returned == 0, said


def test_the_printed_parts_pass_mypy(files):
    _, said = run("-m", "mypy", "--config-file", "pyproject.toml", *files.values())  # what they import, lint checks
    assert "error:" in said or "Success" in said
    assert [line for line in said.splitlines() if any(path.name in line for path in files.values())] == []


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_printed_part_is_listed_as_a_plug_in(name, files):
    kind = {"encoders": "encoders", "fusion_models": "models", "tasks": "tasks"}[CONTRACTS[name]]
    returned, said = run("-m", "abaw", "--plugin", files[name], "list", kind)
    assert returned == 0, said
    assert f"  {name} " in said

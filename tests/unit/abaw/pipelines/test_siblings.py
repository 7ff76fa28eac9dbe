"""``import abaw`` and the command line in a folder that has an extract.py or a fusion.py of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from abaw.pipelines.siblings import check_siblings

ROOT = Path(__file__).resolve().parents[4]
HIDES = "hides the package"


def python(*words, cwd):
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment)


@pytest.fixture
def folder(tmp_path):
    """A folder with a module that has the name of a package of this project."""
    (tmp_path / "extract.py").write_text("print('the wrong module')\n")
    return tmp_path


def test_the_packages_of_this_project_pass():
    check_siblings()


@pytest.mark.parametrize(
    "use",
    [
        "abaw.extract",
        "abaw.FeatureStore",
        "abaw.list_encoders",
        "abaw.train",
        "__import__('abaw.pipelines.extraction')",
    ],
)
def test_a_hidden_package_is_an_error_that_names_the_file_and_the_remedy(folder, use):
    code = f"import abaw\ntry:\n    {use}\nexcept abaw.InputError as error:\n    print(error)\n"
    done = python("-c", code, cwd=folder)
    assert done.stderr == ""
    assert str(folder / "extract.py") in done.stdout
    assert HIDES in done.stdout
    assert "rename it" in done.stdout
    assert "the wrong module" not in done.stdout


def test_a_script_named_as_the_package_is_such_a_file(folder):
    (folder / "fusion.py").write_text("import abaw\nabaw.train\n")
    (folder / "extract.py").unlink()
    done = python("fusion.py", cwd=folder)
    assert done.stderr.splitlines()[-1].startswith(f"abaw.errors.InputError: {folder / 'fusion.py'} {HIDES} 'fusion'")


def test_a_module_that_was_imported_before_is_named_too(folder):
    code = "import sys, extract\nsys.path.remove('')\nimport abaw\nabaw.extract\n"
    done = python("-c", code, cwd=folder)
    assert str(folder / "extract.py") in done.stderr.splitlines()[-1]


def test_what_needs_neither_package_works_beside_such_a_file(folder):
    done = python("-c", "import abaw\nprint(abaw.Track.__name__, abaw.score.__name__)", cwd=folder)
    assert done.stdout == "Track score\n", done.stderr


def test_with_the_option_that_the_message_names_it_works(folder):
    done = python("-P", "-c", "import abaw\nprint(abaw.list_encoders.__name__)", cwd=folder)
    assert done.stdout == "list_encoders\n", done.stderr


def test_the_command_line_does_not_see_modules_of_the_current_folder(folder):
    done = python("-m", "abaw", "list", "encoders", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("encoders:")


def test_the_command_line_names_a_file_that_hides_a_package_by_the_search_path(folder):
    code = "import sys\nsys.path.insert(0, sys.argv.pop(1))\nfrom abaw.cli import main\nmain()\n"
    done = python("-c", code, str(folder), "list", cwd=folder.parent)
    assert done.returncode == 2
    assert done.stderr.startswith(f"abaw: {folder / 'extract.py'} {HIDES} 'extract'")
    assert done.stderr.count("\n") == 1

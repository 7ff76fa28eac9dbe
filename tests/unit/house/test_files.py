"""How long files and folders are, which files check shapes, and what no file may name."""

import ast
import re
import tomllib
from pathlib import Path

from tests.support.house import MODULES, PACKAGES, ROOT, SOURCES, tracked

MAX_LINES = 350
REASON = re.compile(r"\bone file\b", re.I)  # as in: "One file, because ..."


def too_long(place, text):
    docstring = ast.get_docstring(ast.parse(text)) or ""
    return len(text.splitlines()) > MAX_LINES and not REASON.search(docstring)


def test_a_long_file_gives_the_reason_in_its_docstring():
    python = [name for name in tracked() if name.endswith(".py")]
    assert {*PACKAGES, "benchmarks", "tests"} <= {name.split("/")[0] for name in python}
    assert [name for name in python if too_long(name, (ROOT / name).read_text(encoding="utf-8"))] == []


def test_a_planted_long_file_is_seen():
    assert too_long("abaw/x.py", '"""Long."""\n' + "x = 1\n" * MAX_LINES)
    assert not too_long("abaw/x.py", '"""Long. One file, because it is a table."""\n' + "x = 1\n" * MAX_LINES)


def test_no_folder_lists_too_many_files():
    listed = {}
    for name in tracked():
        if (ROOT / name).stat().st_size:  # an empty __init__.py or py.typed is nothing to read
            listed.setdefault(str(Path(name).parent), []).append(name)
    one_file_a_part = {
        "extract/encoders",
        "fusion/models",
        "abaw/commands",
        "abaw/configs",
        "tests/faithful",
        "tests/unit/extract/encoders",
    }
    assert {
        folder: len(files) for folder, files in listed.items() if len(files) >= 15 and folder not in one_file_a_part
    } == {}


def test_shapes_are_checked_at_run_time_in_every_file_that_annotates_them():
    options = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["pytest"]["ini_options"]["addopts"]
    checked = re.search(r"--jaxtyping-packages=(\S+),beartype\.beartype", options).group(1).split(",")
    assert set(checked) <= MODULES.keys()
    annotated = {module for module, place in MODULES.items() if "from jaxtyping import" in SOURCES[place]}
    covered = {module for module in annotated for name in checked if f"{module}.".startswith(f"{name}.")}
    # beartype refuses the whole numbers that its callers give for pixels, which are floats
    assert annotated - covered == {"extract.faces.geometry"}


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    pattern = re.compile(r"pyp[i]\.org|pythonhoste[d]|(^|[\s\"'=(])/(work|root|home|mnt|data)/")
    found = [name for name in tracked() if pattern.search((ROOT / name).read_text(errors="ignore"))]
    assert found == []


def test_constraints_pin_every_dependency():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [each for name in extras if name != "mediapipe" for each in extras[name]]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[\w.-]+", each).group().lower()) for each in wanted}
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert names - {"abaw"} <= pinned  # dev names the project's own extras

"""The house's own rules: who imports whom, what loads late, what the README draws."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "lightning", "transformers", "torchvision", "torchaudio", "librosa", "cv2", "av", "numpy", "timm")
EXTRAS = ("timm", "onnx", "onnxruntime", "opensmile", "facenet_pytorch", "mediapipe", "ray")


def sources(*folders):
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def imports(path):
    """(module, whether it is imported when the file is) of every import of a file."""
    tree = ast.parse(path.read_text())
    late = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    checking = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        for name in names:
            yield name, id(node) not in late | checking


def forbidden(path):
    """What a file may not import at all, and what it may import only late."""
    place = path.relative_to(ROOT).as_posix()
    never, late = set(), set()
    if place.startswith("abaw/verbs/") or place == "abaw/cli.py":
        late |= {"extract", "fusion", *HEAVY}
    elif place.startswith("abaw/"):
        never |= {"extract", "fusion"}
    elif place.startswith("extract/"):
        never |= {"fusion"}
    elif place.startswith("fusion/"):
        never |= {"extract"}
    if place not in ("extract/media.py", "extract/film.py"):
        never.add("av")
    if not place.startswith("fusion/"):
        never.add("lightning")
    if place.startswith(("extract/", "abaw/tasks/")):
        late |= {"torch", "torchvision", "torchaudio", "transformers", "huggingface_hub", "librosa", *EXTRAS}
    return never, late


def violations(path):
    never, late = forbidden(path)
    for name, is_early in imports(path):
        top = name.split(".")[0]
        if top in never or (is_early and top in late):
            yield f"{path.relative_to(ROOT)} imports {name}"


def test_no_file_imports_against_the_allowed_direction():
    assert [each for path in sources("abaw", "extract", "fusion") for each in violations(path)] == []


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("abaw/clips.py", "import extract.media"),
        ("abaw/clips.py", "def f():\n    from fusion import train"),
        ("extract/run.py", "def f():\n    import fusion.data"),
        ("fusion/data.py", "from extract.store import FeatureStore"),
        ("extract/faces.py", "import av"),
        ("extract/encoders/x.py", "import torch"),
        ("abaw/verbs/x.py", "from extract.run import extract"),
        ("abaw/tasks/x.py", "import torch"),
    ],
)
def test_the_import_rule_sees_a_planted_violation(place, line, monkeypatch):
    monkeypatch.setattr(Path, "read_text", lambda self: line)
    assert list(violations(ROOT / place))


@pytest.mark.parametrize(
    "words", [["--help"], ["list"], ["list", "encoders", "--json"], ["extract", "--help"], ["store", "--help"]]
)
def test_list_and_help_import_nothing_heavy(words):
    code = (
        "import sys, atexit\n"
        f"heavy = {HEAVY!r}\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules], file=sys.stderr))\n"
        "from abaw.cli import app\n"
        f"app({words!r})\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    assert done.stderr.strip().splitlines()[-1] == "[]"


def test_the_readmes_tree_is_the_tree_on_disk():
    text = (ROOT / "README.md").read_text()
    block = re.search(r"## The tree\n.*?```\n(.*?)```", text, re.S).group(1)
    drawn, folders = set(), []
    for line in block.splitlines():
        name = line.split("  ")[0].strip() if not line.startswith(" ") else line.strip().split("  ")[0]
        depth = (len(line) - len(line.lstrip())) // 2
        folders[depth:] = [name]
        drawn.add("".join(folders))
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    files = {name for name in tracked if not name.endswith("__init__.py") or (ROOT / name).stat().st_size}
    drawn_files = {name for name in drawn if not name.endswith("/")}
    # tests are drawn by folder only
    expected = {name for name in files if not name.startswith("tests/")}
    assert drawn_files == expected
    assert {name for name in drawn if name.startswith("tests/")} == {"tests/"} | {
        "/".join(name.split("/")[:2]) + "/" for name in files if name.count("/") > 1 and name.startswith("tests/")
    }


def test_no_file_names_a_registry_or_a_path_of_one_machine():
    pattern = re.compile(r"pyp[i]\.org|pythonhoste[d]|(^|[\s\"'=(])/(work|root|home|mnt|data)/")
    tracked = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    found = [name for name in tracked if pattern.search((ROOT / name).read_text(errors="ignore"))]
    assert found == []


def test_constraints_pin_every_dependency():
    import tomllib

    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    wanted = project["dependencies"] + [each for name in extras if name != "mediapipe" for each in extras[name]]
    names = {re.match(r"[\w.-]+", each).group().lower().replace("_", "-") for each in wanted}
    pinned = {
        line.split("==")[0].lower() for line in (ROOT / "constraints.txt").read_text().splitlines() if "==" in line
    }
    assert names - {"abaw"} <= pinned  # dev names the project's own extras

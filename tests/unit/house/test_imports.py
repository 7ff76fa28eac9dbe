"""Who imports whom, and what loads late."""

import ast
import graphlib
import re
import subprocess
import sys

import pytest

from tests.support.house import MODULES, PACKAGES, ROOT, SOURCES, module_of

HEAVY = ("torch", "lightning", "transformers", "torchvision", "torchaudio", "librosa", "cv2", "av", "numpy", "timm")
EXTRAS = ("timm", "onnx", "onnxruntime", "opensmile", "facenet_pytorch", "mediapipe", "ray")
HUBS = ("huggingface_hub", "timm")


# The rooms of each package, lowest first. A file imports from its own room and from rooms on lower lines, from no
# other room on its own line. "__init__" is the package's own file: of abaw the public API, elsewhere registries.
ORDER = {
    "abaw": [
        ("errors",),
        ("files", "metrics", "numbers", "optional", "processes", "progress", "tracks"),
        ("plugins",),
        ("batches", "registry"),
        ("configs", "dataset"),
        ("corpora", "tasks"),
        ("folds", "probabilities", "uncertainty"),
        ("postprocessing",),
        ("results",),
        ("challenge", "evaluation"),
        ("calibration", "teachers"),
        ("ensembling", "probes"),
        ("views",),
        ("pipelines",),
        ("app", "competition", "tuning"),
        ("__init__",),
        ("commands",),
        ("cli",),
        ("__main__",),
    ],
    "extract": [
        ("__init__",),
        ("align", "losses", "media"),
        ("networks",),
        ("faces",),
        ("encoders",),
        ("presets", "store"),
        ("engine", "recognisers"),
        ("dataset_check", "synthetic", "weights"),
        ("missing",),
    ],
    "fusion": [
        ("__init__", "base", "normalisation", "targets"),
        ("adaptation", "layers", "sampling", "validation", "weight_decay"),
        ("data", "input_stage", "models"),
        ("continuing",),
        ("module",),
        ("contrastive",),
        ("checkpoint", "loggers", "predict"),
        ("callbacks", "live", "trainer_settings"),
        ("train",),
        ("trials",),
    ],
}


PLACE = {(top, room): line for top, lines in ORDER.items() for line, rooms in enumerate(lines) for room in rooms}


def room_of(module):
    """(package, room) of a module of this project."""
    top, _, rest = module.partition(".")
    return top, rest.split(".")[0] or "__init__"


def line_of(room):
    """The place of a room in the order of its package; a room that has none is above all others."""
    return PLACE.get(room, len(PLACE))


def imports(text):
    """(module, when) of every import: "early" with the file, "late" in a function, or "types" for type checkers."""
    tree = ast.parse(text)
    late = {id(inner) for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) for inner in ast.walk(node)}
    types = {
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
            assert not node.level, "relative imports are not used"
            names = [
                submodule if (submodule := f"{node.module}.{alias.name}") in MODULES else node.module
                for alias in node.names
            ]
        for name in names:
            yield name, "late" if id(node) in late else "types" if id(node) in types else "early"


def is_forbidden(place, name, when):
    """Whether a file may not import this module, in this way."""
    (package, room), top = room_of(module_of(place)), name.split(".")[0]
    if top in PACKAGES:
        if place == "abaw/__init__.py":
            return when != "types"
        if top == package:
            target = room_of(name)
            return target != (package, room) and line_of(target) >= line_of((package, room))
        if package == "abaw":
            return room not in ("pipelines", "commands") or when == "early"
        return top != "abaw" or line_of(room_of(name)) >= line_of(("abaw", "pipelines"))
    if top == "av":
        return (package, room) != ("extract", "media") and place != "extract/synthetic/write_clip.py"
    if top == "lightning":
        return package != "fusion"
    if top in HUBS and not (package == "extract" and room in ("encoders", "networks", "faces")):
        return True
    late = set()
    if package == "abaw" and room in ("commands", "cli", "__main__", "__init__"):
        late = set(HEAVY) | {"pydantic", "yaml", "ruamel", "tqdm", "pyarrow", "scipy"}
    elif package == "extract" or (package == "abaw" and room == "tasks"):
        late = {"torch", "torchvision", "torchaudio", "transformers", "huggingface_hub", "librosa", *EXTRAS}
    return top in late and when == "early"


def violations(place, text):
    return [f"{place} imports {name} ({when})" for name, when in imports(text) if is_forbidden(place, name, when)]


def test_the_order_names_every_room_once():
    assert sum(len(rooms) for lines in ORDER.values() for rooms in lines) == len(PLACE)
    assert set(PLACE) == {room_of(module) for module in MODULES}


def test_no_file_imports_against_the_allowed_direction():
    found = [each for place, text in SOURCES.items() for each in violations(place, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("abaw/tracks.py", "import extract.media"),
        ("abaw/tracks.py", "def f():\n    from fusion import train"),
        ("abaw/tracks.py", "import abaw"),
        ("abaw/tracks.py", "if TYPE_CHECKING:\n    from abaw.batches import Batch"),
        ("abaw/dataset/layout.py", "def f():\n    from abaw.configs.sections import Config"),
        ("abaw/tasks/x.py", "import torch"),
        ("abaw/tasks/x.py", "from abaw.evaluation import report"),
        ("abaw/competition/x.py", "def f():\n    from extract.store.store import FeatureStore"),
        ("abaw/pipelines/x.py", "from extract.engine.run import extract"),
        ("abaw/pipelines/x.py", "from abaw.commands import command"),
        ("abaw/commands/x.py", "from extract.engine.run import extract"),
        ("abaw/commands/x.py", "import numpy as np"),
        ("abaw/commands/x.py", "import yaml"),
        ("abaw/__init__.py", "from abaw.tracks import Track"),
        ("extract/engine/run.py", "def f():\n    import fusion.data"),
        ("extract/engine/run.py", "def f():\n    from abaw.pipelines.extraction import build"),
        ("extract/engine/run.py", "import abaw"),
        ("extract/engine/run.py", "import lightning"),
        ("extract/faces/target.py", "import av"),
        ("extract/faces/target.py", "from extract.store.store import FeatureStore"),
        ("extract/encoders/x.py", "import torch"),
        ("extract/store/store.py", "def f():\n    import huggingface_hub"),
        ("fusion/data.py", "from extract.store.store import FeatureStore"),
        ("fusion/layers/masks.py", "from fusion.module import FusionModule"),
    ],
)
def test_the_import_rule_sees_a_planted_violation(place, line):
    assert violations(place, line)


@pytest.mark.parametrize(
    ("place", "line"),
    [
        ("abaw/commands/x.py", "def f():\n    import numpy as np"),
        ("abaw/commands/x.py", "from abaw import __version__"),
        ("abaw/pipelines/x.py", "def f():\n    from extract.engine.run import extract"),
        ("extract/encoders/x.py", "def f():\n    import timm"),
        ("extract/media/video.py", "import av"),
        ("fusion/data.py", "from abaw.batches import Batch"),
    ],
)
def test_the_import_rule_lets_pass_what_is_allowed(place, line):
    assert violations(place, line) == []


def cycle(sources):
    """Files that import each other in a circle, also where an import is late; None where there is no circle."""
    graph = {
        module_of(place): {name for name, when in imports(text) if when != "types" and name in MODULES}
        for place, text in sources.items()
    }
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def test_parquet_is_read_in_one_place_without_threads_that_could_outlive_the_interpreter():
    """A process with such threads can be aborted as it ends (exit code 134), whatever it did before."""
    readers = re.compile(r"ParquetFile\(|\bparquet\.read_table\(|\bread_parquet = |\bpd\.read_parquet\(")
    assert [place for place, text in SOURCES.items() if readers.search(text)] == ["abaw/files/parquet.py"]
    assert "use_threads=False" in SOURCES["abaw/files/parquet.py"]


def test_no_files_import_each_other_in_a_circle():
    assert cycle(SOURCES) is None


def test_a_planted_circle_is_seen():
    planted = {"abaw/metrics.py": "import abaw.tracks", "abaw/tracks.py": "def f():\n    from abaw import metrics"}
    assert set(cycle({**SOURCES, **planted})) == {"abaw.metrics", "abaw.tracks"}


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["list"],
        ["list", "encoders", "--json"],
        ["extract", "--help"],
        ["store", "--help"],
        ["weights", "list"],
    ],
)
def test_list_and_help_import_nothing_heavy(words):
    assert loaded(f"from abaw.cli import app\napp({words!r})", HEAVY) == []


def test_help_imports_no_library_but_typer():
    assert loaded("from abaw.cli import app\napp(['--help'])", ("pydantic", "yaml", "ruamel", "tqdm", "rich")) == []


def test_import_abaw_imports_nothing_heavy():
    assert loaded("import abaw\nprint(abaw.__version__)", (*HEAVY, "typer", "pydantic", "yaml", "ruamel")) == []


def loaded(code, modules):
    """Those of ``modules`` that a new interpreter has loaded after the code."""
    report = (
        "import sys, atexit\n"
        f"atexit.register(lambda: print([each for each in {modules!r} if each in sys.modules], file=sys.stderr))\n"
    )
    done = subprocess.run([sys.executable, "-c", report + code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()
    return ast.literal_eval(done.stderr.strip().splitlines()[-1])

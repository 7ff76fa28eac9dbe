"""The house's own rules: who imports whom, what loads late, how long files are, which words are used."""

import ast
import graphlib
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("abaw", "extract", "fusion")
HEAVY = ("torch", "lightning", "transformers", "torchvision", "torchaudio", "librosa", "cv2", "av", "numpy", "timm")
EXTRAS = ("timm", "onnx", "onnxruntime", "opensmile", "facenet_pytorch", "mediapipe", "ray")
HUBS = ("huggingface_hub", "timm")

# The rooms of each package, lowest first. A file imports from its own room and from rooms on lower lines, from no
# other room on its own line. "__init__" is the package's own file: of abaw the public API, elsewhere registries.
ORDER = {
    "abaw": [
        ("errors",),
        ("files", "metrics", "optional", "plugins", "progress", "tracks"),
        ("batches", "registry"),
        ("configs", "dataset"),
        ("tasks",),
        ("folds", "postprocessing"),
        ("results",),
        ("challenge", "evaluation"),
        ("calibration",),
        ("ensembling",),
        ("pipelines",),
        ("competition", "tuning"),
        ("__init__",),
        ("commands",),
        ("cli",),
        ("__main__",),
    ],
    "extract": [
        ("__init__", "audio_buffer"),
        ("align", "media"),
        ("networks",),
        ("faces",),
        ("encoders",),
        ("presets", "store"),
        ("engine",),
        ("dataset_check", "synthetic"),
    ],
    "fusion": [
        ("__init__", "base", "feature_statistics", "targets"),
        ("layers", "sampling", "validation"),
        ("data", "input_stage", "models"),
        ("module",),
        ("checkpoint", "loggers", "predict"),
        ("callbacks", "trainer_settings"),
        ("train",),
    ],
}
PLACE = {(top, room): line for top, lines in ORDER.items() for line, rooms in enumerate(lines) for room in rooms}


def tracked(*folders):
    """The project's files, those not yet committed included."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--deduplicate", *folders]
    names = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=True).stdout.splitlines()
    return [name for name in names if (ROOT / name).is_file()]


def module_of(place):
    """The dotted name of a source file."""
    return place.removesuffix(".py").replace("/", ".").removesuffix(".__init__")


SOURCES = {place: (ROOT / place).read_text(encoding="utf-8") for place in tracked(*PACKAGES) if place.endswith(".py")}
MODULES = {module_of(place): place for place in SOURCES}


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
        return place not in ("extract/media.py", "extract/synthetic/write_clip.py")
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
        ("extract/media.py", "import av"),
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


def test_no_files_import_each_other_in_a_circle():
    assert cycle(SOURCES) is None


def test_a_planted_circle_is_seen():
    planted = {"abaw/metrics.py": "import abaw.tracks", "abaw/tracks.py": "def f():\n    from abaw import metrics"}
    assert set(cycle({**SOURCES, **planted})) == {"abaw.metrics", "abaw.tracks"}


@pytest.mark.parametrize(
    "words", [["--help"], ["list"], ["list", "encoders", "--json"], ["extract", "--help"], ["store", "--help"]]
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


MAX_LINES = 350
REASON = re.compile(r"\bone file\b", re.I)  # as in: "One file, because ..."


def too_long(place, text):
    docstring = ast.get_docstring(ast.parse(text)) or ""
    return len(text.splitlines()) > MAX_LINES and not REASON.search(docstring)


def test_a_long_file_gives_the_reason_in_its_docstring():
    assert [place for place, text in SOURCES.items() if too_long(place, text)] == []


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


# The words that were replaced, and what stands in their place. Each is looked for in every text file, in prose and as a
# part of a name: "finder" is found in face_finder and in FaceFinder.
REPLACED = {
    "crew": "selector",
    "desk": "batcher",
    "finder": "detector",
    "finders": "detectors",
    "follower": "tracker",
    "followers": "trackers",
    "heard": "transcribed, recorded",
    "holdings": "listing",
    "hurt": "warning, error",
    "hurts": "warning, error",
    "intake": "import",
    "judged": "scored, labelled predictions",
    "leavings": "stale temporary files",
    "ledger": "stage state",
    "litter": "stale temporary files",
    "personalised": "subject-adapted",
    "reckon": "compute",
    "reckoned": "computed",
    "rescorer": "bootstrap",
    "stir": "mouth motion",
    "tape": "audio buffer",
    "tell": "report",
    "telling": "report",
    "tells": "reports",
    "told": "reported",
    "verb": "command",
    "verbs": "commands",
    "watch": "target",
    "watcher": "target selector",
    "watches": "targets",
}
# Words of which prose has need: no class, function or constant is named so, alone or as a part of the name.
REPLACED_NAMES = {
    "asked": "encoder spec",
    "aside": "temporary file",
    "audit": "verify",
    "claimed": "leased",
    "claims": "leases",
    "decoded": "post-processed",
    "decoding": "post-processing",
    "ears": "audio stream",
    "eyes": "face stream",
    "following": "tracking",
    "fused": "fusion output",
    "hear": "transcribe",
    "kinds": "classes, strata",
    "lane": "frame stream",
    "lay": "append",
    "looks": "appearance",
    "mixture": "ensemble weights",
    "movement": "optical flow",
    "say": "report",
    "speaking": "active speaker",
    "spots": "keypoints",
    "strike": "invalidate",
    "sums": "sufficient statistics",
    "undecoded": "raw",
    "unlike": "appearance",
}
# Whole names that say too little, or the wrong thing.
REPLACED_WHOLE_NAMES = {
    "Batches": "Batcher",
    "Fills": "gap filling",
    "Front": "InputStage",
    "Fused": "FusionOutput",
    "HeldOut": "LabelledPredictions",
    "Order": "ReadRequest",
    "Read": "ReadResult",
    "Scored": "PredictionPair",
    "Steps": "FusionInput",
    "bring_in": "import",
    "came_back": "Batcher",
    "note": "record",
    "numbers": "torch_dtype",
    "whole": "atomic_write",
}
REPLACED_PHRASES = {
    "all the same": "the same",
    "embedded encoder": "built-in encoder",
    "find a face": "detect a face",
    "finds a face": "detects a face",
    "label kinds": "label tasks",
    "on two sides": "in both training and validation",
    "the seed's": "Wen et al. 2024",
    "will hurt": "warnings",
}
# Kept on purpose, and why: (word, file or folder).
KEPT = {
    ("verb", "CONTRIBUTING.md"): "the grammatical term: subject, verb, object",
    ("verbs", "CONTRIBUTING.md"): "the grammatical term: functions are verbs",
    ("tell", "abaw/tuning/study.py"): "a method of Optuna",
    ("eyes", "extract/synthetic/"): "those of a drawn face",
    ("finder", "extract/"): "a key of stored recipes, whose hash names the store's folders",
    ("finder", "abaw/pipelines/extraction.py"): "the same key",
    ("finder", "tests/"): "the same key",
}


def words_of(text):
    """The words of a text in lower case; names are split at underscores and at capitals."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}


def names_defined(text):
    """The names of the classes, functions and module constants that a source file defines."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)):
            yield node.name
    for node in tree.body:
        if isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))


def replaced_words(place, text):
    """What a file has of the words that were replaced: "place: word (write ...)"."""
    found = {word: right for word, right in REPLACED.items() if word in words_of(text)}
    found |= {phrase: right for phrase, right in REPLACED_PHRASES.items() if phrase in " ".join(text.lower().split())}
    if place.endswith(".py") and not Path(place).name.startswith(("test_", "conftest")):
        for name in names_defined(text):
            found |= {word: right for word, right in REPLACED_NAMES.items() if word in words_of(name)}
            if name in REPLACED_WHOLE_NAMES:
                found[name] = REPLACED_WHOLE_NAMES[name]
    return [
        f"{place}: {word} (write: {right})"
        for word, right in found.items()
        if not any(word == kept and place.startswith(where) for kept, where in KEPT)
    ]


def texts():
    # LOG.md and CHANGELOG.md are history; this file has the list
    skipped = ("LOG.md", "CHANGELOG.md", "tests/unit/test_house.py")
    suffixes = (".py", ".md", ".yaml", ".sh", ".toml", ".cff")
    for place in tracked():
        if place.endswith(suffixes) and place not in skipped:
            yield place, (ROOT / place).read_text(encoding="utf-8")


def test_no_file_has_a_word_that_was_replaced():
    found = [each for place, text in texts() for each in replaced_words(place, text)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "text",
    [
        '"""A face finder."""',
        "class FaceFinder: ...",
        "def told(): ...",
        "# what will\n# hurt",
        "class Steps: ...",
        "LANE = 1",
    ],
)
def test_a_planted_word_is_seen(text):
    assert replaced_words("abaw/x.py", text)


def test_every_word_that_is_kept_is_there():
    has = {
        (word, where)
        for word, where in KEPT
        for place, text in texts()
        if place.startswith(where) and word in words_of(text)
    }
    assert has == set(KEPT)


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

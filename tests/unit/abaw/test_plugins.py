"""Plug-ins: parts in a user's own file or in an installed package are listed, built and recorded by name."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from abaw import plugins
from abaw.errors import InputError, NotFoundError
from abaw.plugins import load_plugin, loaded, records, require
from abaw.tasks import TASKS
from extract.encoders import ENCODERS
from extract.recognisers import RECOGNISERS
from fusion.models import FUSION_MODELS
from tests.support.abaw.commands import abaw
from tests.support.plugins import OWN_REGISTRIES, PARTS, write_package

ROOT = Path(__file__).resolve().parents[3]


pytestmark = pytest.mark.usefixtures("without_plugins")
NAMES = ("own_colour", "own_mean", "own_mood", "own_va")


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "my_parts.py"
    path.write_text(PARTS)
    return path


def write(tmp_path, text, name="bad.py"):
    path = tmp_path / name
    path.write_text(text)
    return path


@pytest.mark.parametrize(("registry", "name"), list(zip(OWN_REGISTRIES, NAMES, strict=True)), ids=NAMES)
def test_a_part_of_a_file_is_known_by_name_once_the_file_is_loaded(file, registry, name):
    assert name not in registry.names()
    plugin = load_plugin(file)
    part = registry.part(name)
    assert (part.plugin, str(part.plugin)) == (plugin, "my_parts.py")
    assert registry.plugin(name) == plugin
    assert registry.plugin(registry.names()[0]) is None
    of_recognisers = {"answers", "commercial", "trained_on"}
    of_encoders_and_models = {"modality", "dim", "built_in", "licence", "size_mb", "paper", "context", "differs"}
    assert set(part.facts) <= of_encoders_and_models | of_recognisers
    settings = {"dims": {"a": 3}} if registry is FUSION_MODELS else {}
    built = registry.build(name, **settings)
    assert registry is RECOGNISERS or type(built).__module__ == plugin.module


def test_a_file_is_loaded_once_and_again_after_an_edit(file, monkeypatch):
    monkeypatch.setattr(sys, "dont_write_bytecode", False)  # the edit has the size and the second of what it replaces
    first = load_plugin(file)
    assert load_plugin(file) == first
    assert load_plugin(str(file)) == first
    assert loaded() == (first,)
    file.write_text(PARTS.replace("hidden_dim: int = 64", "hidden_dim: int = 32"))
    second = load_plugin(file)
    assert loaded() == (second,)
    assert FUSION_MODELS.build("own_mean", dims={"a": 3}).hidden_dim == 32


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "import numpy\n",
            r"bad.py registers nothing: decorate a function at the top level of the file, without brackets",
        ),
        ("def f(:\n", r"bad.py:1 is not valid Python"),
        (
            "from abaw.tasks import TASKS\nfrom abaw import nowhere\n@TASKS.register\ndef a(): ...\n",
            r"bad.py:2 does not import: ImportError: cannot import name 'nowhere'",
        ),
        (
            "from abaw.tasks import TASKS\n@TASKS.register\ndef va(): ...\n",
            r"bad.py: two tasks are named 'va': abaw.tasks.va and abaw_plugin_bad_\w+; rename one",
        ),
        (
            "from abaw.tasks import TASKS\n@TASKS.register()\ndef a(): ...\n",
            r"bad.py registers nothing: .* without brackets",
        ),
        (PARTS + "\nraise SystemExit(0)\n", r"bad.py:\d+ does not import: SystemExit: 0"),
        (
            PARTS.replace('"dim": 3', '"dim": int("3")'),
            r"^[^:]*bad.py:\d+: FACTS is read without running the file: write a dict of plain values",
        ),
    ],
)
def test_a_file_that_cannot_serve_is_refused_and_leaves_nothing_behind(tmp_path, text, message):
    before = TASKS.names()
    with pytest.raises(InputError, match=message):
        load_plugin(write(tmp_path, text))
    assert loaded() == ()
    assert TASKS.names() == before
    assert TASKS.build("va").name == "va"


def test_an_edit_that_breaks_a_file_keeps_what_was_loaded(file):
    first = load_plugin(file)
    file.write_text(PARTS + "\n1 / 0\n")
    with pytest.raises(InputError, match=r"my_parts.py:\d+ does not import: ZeroDivisionError"):
        load_plugin(file)
    assert loaded() == (first,)
    assert "own_mean" in FUSION_MODELS.names()


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(NotFoundError, match=r"no plug-in at .*nowhere.py: give a Python file"):
        load_plugin(tmp_path / "nowhere.py")


def test_two_files_with_one_name_of_a_part_are_refused(file, tmp_path):
    load_plugin(file)
    with pytest.raises(InputError, match="two encoders are named 'own_colour'"):
        load_plugin(write(tmp_path, PARTS, "copy.py"))
    assert ENCODERS.build("own_colour").dim == 3


def test_what_something_was_made_with_is_loaded_again(file, monkeypatch):
    kept = records([load_plugin(file), None, load_plugin(file)])
    assert kept == [{"path": str(file), "sha256": loaded()[0].sha256}]
    require(kept, "runs/a")  # the user has loaded it
    monkeypatch.setattr(plugins, "_LOADED", {})
    with pytest.raises(
        InputError, match=r"runs/a was made with the plug-in .*my_parts.py, .*give --plugin .*, or --trust"
    ):
        require(kept, "runs/a")
    assert not loaded()
    require(kept, "runs/a", trusted=True)
    assert ENCODERS.plugin("own_colour").path == file


def test_a_plugin_that_has_changed_or_is_missing_is_an_error_that_says_so(file, monkeypatch, tmp_path):
    kept = records([load_plugin(file)])
    monkeypatch.setattr(plugins, "_LOADED", {})
    file.write_text(PARTS + "# edited\n")
    with pytest.raises(InputError, match=r"my_parts.py has changed since runs/a was made: restore the content"):
        require(kept, "runs/a", trusted=True)
    load_plugin(file)
    with pytest.raises(InputError, match=r"my_parts.py has changed since runs/a was made"):
        require(kept, "runs/a", trusted=True)
    monkeypatch.setattr(plugins, "_LOADED", {})
    file.unlink()
    with pytest.raises(NotFoundError, match=r"my_parts.py that runs/a was made with is missing: put it back, or say"):
        require(kept, "runs/a", trusted=True)
    load_plugin(write(tmp_path, PARTS, "moved.py"))  # the same content elsewhere
    require(kept, "runs/a", trusted=True)


def test_a_module_that_no_installed_package_declares_is_never_looked_for(tmp_path, monkeypatch):
    (tmp_path / "evil").mkdir()
    (tmp_path / "evil/__init__.py").write_text("raise SystemExit('the code of a stranger ran')")
    (tmp_path / "evil/parts.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    record = {"package": "evil 1.0", "module": "evil.parts", "sha256": "0"}
    with pytest.raises(NotFoundError, match="made with evil 1.0, which is not installed"):
        require([record], "runs/a", trusted=True)


@pytest.mark.parametrize("record", [{}, {"path": "a.py"}, {"sha256": "0"}, {"package": "a", "sha256": "0"}])
def test_a_damaged_record_of_a_plugin_is_an_error(record):
    with pytest.raises(InputError, match="runs/a has a damaged record of a plug-in"):
        require([record], "runs/a", trusted=True)


def in_a_process(folder, *words, **environment):
    paths = f"{folder}{os.pathsep}{ROOT}"
    return subprocess.run(
        [sys.executable, "-m", "abaw", *words],
        capture_output=True,
        text=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": paths, **environment},
    )


def test_parts_that_an_installed_package_declares_are_listed_with_where_they_come_from(tmp_path):
    write_package(tmp_path)
    done = in_a_process(tmp_path, "list")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("plug-in: parts-of-others 2.5") == 4
    for name in NAMES:
        assert name in done.stdout


def test_a_package_whose_module_is_gone_is_named(tmp_path):
    write_package(tmp_path)
    (tmp_path / "parts_of_others.py").unlink()
    done = in_a_process(tmp_path, "list", "models")
    assert done.returncode == 2
    assert "parts-of-others 2.5 declares 'mean' in the group abaw.models, but there is no module" in done.stderr


@pytest.mark.parametrize("words", [["--plugin", "my_parts.py", "list"], ["list", "--plugin=my_parts.py"]])
def test_the_option_is_taken_before_the_command_and_behind_it(file, words):
    assert abaw(*words, cwd=file.parent).stdout.count("plug-in: my_parts.py") == 4


def test_what_a_file_prints_stays_out_of_a_commands_output(tmp_path):
    write(tmp_path, PARTS + "\nprint('hello')\n", "my_parts.py")
    done = abaw("list", "tasks", "--json", "--plugin", "my_parts.py", cwd=tmp_path)
    assert "own_va" in {each["name"] for each in json.loads(done.stdout)}
    assert done.stderr == "hello\n"


@pytest.mark.parametrize("text", [b"\xef\xbb\xbf" + PARTS.encode(), b"# coding: latin-1\n# \xe9\n" + PARTS.encode()])
def test_a_file_is_read_in_the_encoding_that_python_reads(tmp_path, text):
    (tmp_path / "my_parts.py").write_bytes(text)
    load_plugin(tmp_path / "my_parts.py")
    assert set(NAMES) <= {
        *ENCODERS.names(),
        *FUSION_MODELS.names(),
        *RECOGNISERS.names(),
        *TASKS.names(),
    }


def test_links_that_form_a_circle_are_no_file(tmp_path):
    (tmp_path / "loop.py").symlink_to("loop.py")
    with pytest.raises(NotFoundError, match=r"no plug-in at .*loop.py"):
        load_plugin(tmp_path / "loop.py")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("*, gain=1.0): return 5", r"task 'odd', in .*odd.py: the function returns int, expected an instance of Task"),
        ("*, gain: 'Nope' = 1): ...", r"task 'odd', in .*odd.py: the annotation of a setting cannot be read: .*Nope"),
    ],
)
def test_a_builder_that_cannot_serve_is_named_with_its_file(tmp_path, body, message):
    load_plugin(write(tmp_path, f"from abaw.tasks import TASKS\n@TASKS.register\ndef odd({body}\n", "odd.py"))
    with pytest.raises(InputError, match=message):
        TASKS.build("odd")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--plugin"], "--plugin needs a value: the path of a Python file"),
        (["train", "--plugin", "--help"], "--plugin needs a value: the path of a Python file"),
        (["score", "--", "--plugin"], "no predictions at --plugin"),  # behind -- it is no option
        (["list", "--quiet=1"], "Option '--quiet' does not take a value"),
    ],
)
def test_a_shared_option_in_an_odd_place_is_explained(tmp_path, words, message):
    done = in_a_process(tmp_path, *words)
    assert (done.returncode, message in done.stderr) == (2, True), done.stderr


@pytest.mark.parametrize("words", [["list", "tasks", "-qv"], ["list", "--version"], ["--version", "extra"]])
def test_shared_options_may_be_joined_and_stand_anywhere(tmp_path, words):
    assert in_a_process(tmp_path, *words).returncode == 0

"""The public API: what ``import abaw`` offers, what it loads, and how it reports bad input."""

import ast
import builtins
import inspect
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

import abaw

ROOT = Path(__file__).resolve().parents[3]
FUNCTIONS = [name for name in abaw.__all__ if inspect.isfunction(getattr(abaw, name))]
CLASSES = [name for name in abaw.__all__ if inspect.isclass(getattr(abaw, name))]
TRACK = abaw.Track(values=np.zeros((3, 2), np.float32), times_s=np.arange(3) / 10, observed=np.ones(3, bool))


def source():
    return ast.parse((ROOT / "abaw/__init__.py").read_text())


def test_every_public_name_is_there_and_listed():
    assert sorted(abaw.__all__) == dir(abaw)
    for name in abaw.__all__:
        assert getattr(abaw, name) is not None
    assert set(FUNCTIONS) >= {"align", "analyze", "check", "combine", "extract", "fit", "predict", "score", "search"}


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'extrct'"):
        abaw.extrct  # noqa: B018


def test_type_checkers_see_the_names_that_are_loaded_late():
    checking = next(node for node in source().body if isinstance(node, ast.If))
    seen = {(node.module, alias.name) for node in checking.body for alias in node.names}
    assert all(alias.asname == alias.name for node in checking.body for alias in node.names)  # public to mypy
    assert seen == {(module, name) for module, names in abaw._HOMES.items() for name in names}


def test_mypy_is_strict_over_every_module_of_the_public_names():
    tables = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (strict,) = [table["module"] for table in tables if table.get("warn_return_any")]
    assert strict == sorted({"abaw", *abaw._HOMES})


def test_no_public_name_is_a_module_that_an_import_would_put_in_its_place():
    assert not set(abaw.__all__) & {module.name for module in pkgutil.iter_modules(abaw.__path__)}


def test_the_version_is_the_one_that_the_build_reads():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert project["project"]["dynamic"] == ["version"]
    assert project["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "abaw.__version__"}
    assert re.fullmatch(r"\d+\.\d+\.\d+", abaw.__version__)


def test_import_abaw_loads_no_module_but_itself():
    code = "import sys, importlib, typing; before = set(sys.modules); import abaw; print(*(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.split() == ["abaw"]


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_has_a_docstring_and_annotations(name):
    function = getattr(abaw, name)
    first = inspect.getdoc(function).splitlines()[0]
    assert first.endswith((".", ";", ":"))
    assert "return" in function.__annotations__
    assert function.__annotations__.keys() == {*inspect.signature(function).parameters, "return"}


@pytest.mark.parametrize("name", CLASSES)
def test_every_class_has_a_docstring_of_its_own(name):
    documented = inspect.getdoc(getattr(abaw, name))
    assert documented
    assert not documented.startswith(f"{name}(")  # what a dataclass writes for itself


@pytest.mark.parametrize("name", [*FUNCTIONS, *CLASSES])
def test_the_exceptions_of_a_docstring_exist(name):
    for error in re.findall(r"\b[A-Z]\w*Error\b", inspect.getdoc(getattr(abaw, name))):
        assert issubclass(getattr(abaw, error, None) or getattr(builtins, error), Exception)


def test_the_projects_errors_are_those_that_python_code_expects():
    assert issubclass(abaw.InputError, abaw.AbawError)
    assert issubclass(abaw.InputError, ValueError)
    assert issubclass(abaw.NotFoundError, abaw.AbawError)
    assert issubclass(abaw.NotFoundError, FileNotFoundError)


LISTS = [name for name in FUNCTIONS if name.startswith("list_")]


@pytest.mark.parametrize("name", LISTS)
def test_lists_return_rows_with_a_name_and_print_nothing(name, capsys):
    rows = getattr(abaw, name)()
    assert rows
    assert all(row["name"] and row["summary"] for row in rows)
    assert capsys.readouterr() == ("", "")


def test_align_and_check_return_their_result_and_print_nothing(tmp_path, capsys):
    assert abaw.align(TRACK, [0.05]).values.shape == (1, 2)
    made = abaw.synthesize(tmp_path / "data", clips=14, seconds=2.0)
    assert isinstance(abaw.check(made), abaw.CheckReport)
    assert isinstance(abaw.open_dataset(made), abaw.Dataset)
    assert capsys.readouterr() == ("", "")


BAD_CALLS = {
    "align, unknown aligner": lambda here: abaw.align(TRACK, [0.0], how="cubic"),
    "align, times that do not increase": lambda here: abaw.align(TRACK, [0.1, 0.0]),
    "analyze, unknown persons": lambda here: abaw.analyze(here, out=here / "out", persons="two"),
    "analyze, missing media": lambda here: abaw.analyze(here / "none.mp4", here / "run", here / "out"),
    "analyze, wrong progress": lambda here: abaw.analyze(here, here, here / "out", progress=5),
    "check, missing data": lambda here: abaw.check(here / "none"),
    "check, wrong progress": lambda here: abaw.check(here, progress=5),
    "combine, missing folders": lambda here: abaw.combine([here / "a", here / "b"], here / "out"),
    "combine, unknown way": lambda here: abaw.combine([here / "a", here / "b"], here / "out", how="median"),
    "embed, missing run": lambda here: abaw.embed(here / "none", here / "store"),
    "embed, wrong progress": lambda here: abaw.embed(here, here, progress=5),
    "estimate_extraction, missing data": lambda here: abaw.estimate_extraction(here / "none", here / "s", "face_hog"),
    "extract, missing data": lambda here: abaw.extract(here / "none", here / "store", "face_hog"),
    "extract, unknown detector": lambda here: abaw.extract(here, here / "store", "face_hog", faces="har"),
    "extract, unknown encoder": lambda here: abaw.extract(here, here / "store", "face_hogg"),
    "extract, unknown engine": lambda here: abaw.extract(here, here / "store", "face_hog", engine="spark"),
    "extract, wrong progress": lambda here: abaw.extract(here, here / "store", "face_hog", progress=5),
    "extract, unknown setting": lambda here: abaw.extract(here, here / "store", "face_hog:cell=8"),
    "extract, unknown target": lambda here: abaw.extract(here, here / "store", "face_hog", target="nearest"),
    "extract, wrong shard": lambda here: abaw.extract(here, here / "store", "face_hog", shard="3/2"),
    "fetch_weights, unknown name": lambda here: abaw.fetch_weights("none"),
    "find_weights, unknown name": lambda here: abaw.find_weights("none"),
    "fetch_weights, wrong progress": lambda here: abaw.fetch_weights("none", progress=5),
    "find_similar, missing store": lambda here: abaw.find_similar("a@1", here / "none"),
    "find_similar, no time": lambda here: abaw.find_similar("a", here),
    "find_similar, wrong number": lambda here: abaw.find_similar("a@1", here, num=0),
    "fit, missing folder": lambda here: abaw.fit(here / "none"),
    "fit, wrong progress": lambda here: abaw.fit(here, progress=5),
    "live, missing file": lambda here: abaw.live(here / "none.mp4"),
    "live, a camera that is not there": lambda here: abaw.live(97),
    "live, negative seconds": lambda here: abaw.live(here, max_s=-1),
    "load_batch, unknown store": lambda here: abaw.load_batch(here / "none", ["face_hog"], ["1"]),
    "load_plugin, missing file": lambda here: abaw.load_plugin(here / "none.py"),
    "load_track, unknown store": lambda here: abaw.load_track(here / "none", "face_hog", "1"),
    "make_manifest, unknown corpus": lambda here: abaw.make_manifest("none", here, here / "a.yaml"),
    "make_manifest, other suffix": lambda here: abaw.make_manifest("ravdess", here, here / "a.txt"),
    "open_dataset, missing folder": lambda here: abaw.open_dataset(here / "none"),
    "measure_robustness, missing run": lambda here: abaw.measure_robustness(here / "none"),
    "measure_robustness, unknown split": lambda here: abaw.measure_robustness(here, split="train"),
    "measure_robustness, no seed": lambda here: abaw.measure_robustness(here, num_seeds=0),
    "measure_robustness, no stretch": lambda here: abaw.measure_robustness(here, stretch_s=0),
    "measure_robustness, wrong progress": lambda here: abaw.measure_robustness(here, progress=5),
    "personalise, missing run": lambda here: abaw.personalise(here / "none", here / "labels.csv"),
    "personalise, wrong progress": lambda here: abaw.personalise(here, here / "labels.csv", progress=5),
    "plot_clip, missing folder": lambda here: abaw.plot_clip(here / "none", "1"),
    "plot_clip, no name": lambda here: abaw.plot_clip(here, 5),
    "plot_comparison, a single folder": lambda here: abaw.plot_comparison(here),
    "plot_confusion, missing folder": lambda here: abaw.plot_confusion(here / "none"),
    "plot_curves, no run": lambda here: abaw.plot_curves([]),
    "plot_curves, unknown width": lambda here: abaw.plot_curves(here, width="wide"),
    "plot_reliability, missing folder": lambda here: abaw.plot_reliability(here / "none"),
    "plot_values, missing folder": lambda here: abaw.plot_values(here / "none"),
    "plan_recipe, unknown config": lambda here: abaw.plan_recipe("none"),
    "predict, missing run": lambda here: abaw.predict(here / "none", here / "out", split="test"),
    "predict, neither split nor clips": lambda here: abaw.predict(here / "none", here / "out"),
    "read_robustness, not measured": lambda here: abaw.read_robustness(here / "none"),
    "read_robustness, no path": lambda here: abaw.read_robustness(5),
    "recognise, missing data": lambda here: abaw.recognise(
        "fer_mini_xception", here / "none", here / "s", here / "out"
    ),
    "recognise, unknown recogniser": lambda here: abaw.recognise("fer", here, here / "s", here / "out", split="test"),
    "probe, missing data": lambda here: abaw.probe(here / "none", here / "store"),
    "probe, unknown classifier": lambda here: abaw.probe(here, here / "store", classifier="bayes"),
    "probe, unknown normalisation": lambda here: abaw.probe(here, here / "store", normalise="person"),
    "read_config_text, unknown config": lambda here: abaw.read_config_text("none"),
    "suggest_labels, missing run": lambda here: abaw.suggest_labels(here / "none", here / "new.csv", num=3),
    "predict, wrong progress": lambda here: abaw.predict(here, here / "out", split="test", progress=5),
    "combine, wrong progress": lambda here: abaw.combine([here], here / "out", progress=5),
    "read_runs, wrong progress": lambda here: abaw.read_runs(here, progress=5),
    "score, wrong progress": lambda here: abaw.score(here, progress=5),
    "search, wrong progress": lambda here: abaw.search("va", progress=5),
    "train, wrong progress": lambda here: abaw.train("va", progress=5),
    "train_folds, wrong progress": lambda here: abaw.train_folds("va", progress=5),
    "run_recipe, wrong progress": lambda here: abaw.run_recipe("va", progress=5),
    "run_recipe, missing data": lambda here: abaw.run_recipe("va", data=here / "none"),
    "read_runs, missing folder": lambda here: abaw.read_runs(here / "none"),
    "read_runs, unknown column": lambda here: abaw.read_runs(here, sort="f1"),
    "read_runs, no condition": lambda here: abaw.read_runs(here, where=["bigru"]),
    "report, missing folder": lambda here: abaw.report(here / "none", here / "report.html"),
    "score, missing folder": lambda here: abaw.score(here / "none"),
    "score, unknown split": lambda here: abaw.score(here, split="dev"),
    "search, missing config": lambda here: abaw.search(here / "none.yaml", vary=["model.dropout=0:1"]),
    "submit, missing template": lambda here: abaw.submit(here, here / "none.txt", here / "out.txt"),
    "synthesize, no clips": lambda here: abaw.synthesize(here / "data", clips=0),
    "synthesize, wrong progress": lambda here: abaw.synthesize(here / "data", progress=5),
    "train, missing config": lambda here: abaw.train(here / "none.yaml"),
    "train, setting without a value": lambda here: abaw.train(ROOT / "abaw/configs/synthetic.yaml", ["data"]),
    "train, unknown key": lambda here: abaw.train(ROOT / "abaw/configs/synthetic.yaml", {"modle.name": "concat"}),
    "train_folds, a single fold": lambda here: abaw.train_folds(ROOT / "abaw/configs/synthetic.yaml"),
    "verify, missing file": lambda here: abaw.verify(here / "none.txt", here / "template.txt"),
}


@pytest.mark.parametrize("call", BAD_CALLS.values(), ids=BAD_CALLS)
def test_bad_input_is_an_error_of_this_project_in_one_message(call, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(abaw.AbawError) as caught:
        call(tmp_path)
    assert str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())  # nothing was written
    assert capsys.readouterr() == ("", "")


def test_every_function_that_takes_an_argument_has_a_bad_call():
    takes = {name for name in FUNCTIONS if inspect.signature(getattr(abaw, name)).parameters}
    assert takes <= {name.split(",")[0] for name in BAD_CALLS}


PATHS = [
    (name, parameter.name)
    for name in FUNCTIONS
    for parameter in inspect.signature(getattr(abaw, name)).parameters.values()
    if "Path" in str(parameter.annotation)
]


@pytest.mark.parametrize("bad", [5, b"x", "", "a\0b", [None]], ids=repr)
@pytest.mark.parametrize(("name", "argument"), PATHS, ids=map(".".join, PATHS))
def test_what_is_no_path_is_refused_wherever_a_path_is_expected(name, argument, bad, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    required = {
        each.name: str(tmp_path / each.name)
        for each in inspect.signature(getattr(abaw, name)).parameters.values()
        if each.default is each.empty
    }
    with pytest.raises(abaw.AbawError):
        getattr(abaw, name)(**{**required, argument: bad})
    assert not list(tmp_path.iterdir())


WRONG_TYPES = {
    "track": (r"track is a ndarray, expected a Track", lambda: abaw.align(TRACK.values, [0.0])),
    "times": (r"times are 'soon', expected a row of seconds", lambda: abaw.align(TRACK, "soon")),
    "max_gap_s": (r"max_gap_s is -1, expected seconds, 0 or more", lambda: abaw.align(TRACK, [0.0], max_gap_s=-1)),
    "max_gap_s, nan": (r"max_gap_s is nan", lambda: abaw.align(TRACK, [0.0], max_gap_s=float("nan"))),
    "how": (r"no aligner named None; known: ", lambda: abaw.align(TRACK, [0.0], how=None)),
    "clips": (r"clips is 5, expected a list of clips", lambda: abaw.load_batch("store", ["face_hog"], 5)),
    "features": (r"features is 5, expected names in the store", lambda: abaw.load_batch("store", 5, ["1"])),
    "no features": (r"no features to load", lambda: abaw.load_batch("store", [], ["1"])),
    "key of features": (
        r"features 'face_hog': unknown key 'algin'; did you mean 'align'\?",
        lambda: abaw.load_batch("store", {"face_hog": {"algin": "linear"}}, ["1"]),
    ),
    "features of None": (
        r"features 'face_hog': a NoneType is given, expected a mapping of keys to values",
        lambda: abaw.load_batch("store", {"face_hog": None}, ["1"]),
    ),
    "encoders": (r"encoders is 5, expected NAME:setting=value", lambda: abaw.extract("data", "store", 5)),
    "an encoder": (r"encoders is \[5\], expected NAME", lambda: abaw.extract("data", "store", [5])),
    "settings": (r"settings is 5, expected key=value texts", lambda: abaw.train("synthetic", 5)),
    "a setting": (r"settings is \[5\], expected key=value texts", lambda: abaw.train("synthetic", [5])),
    "name of a run": (r"name is '../x', expected letters, digits", lambda: abaw.train("synthetic", {"name": "../x"})),
    "data": (r"data is ''.*expected a path", lambda: abaw.train("synthetic", {"data": ""})),
    "plugins": (
        r"plugins is 'my_parts.py', expected a list of Python files",
        lambda: abaw.train("synthetic", {"plugins": "my_parts.py"}),
    ),
    "a plug-in": (r"plugins is \[None\], expected a list", lambda: abaw.train("synthetic", {"plugins": [None]})),
}


@pytest.mark.parametrize(("message", "call"), WRONG_TYPES.values(), ids=WRONG_TYPES)
def test_a_value_of_another_type_is_named_with_what_was_expected(message, call, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(abaw.AbawError, match=message):
        call()
    assert not list(tmp_path.iterdir())

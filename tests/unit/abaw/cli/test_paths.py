"""Paths in options, configs and settings: ~ is the home folder, a colon a character; what is no path is a sentence."""

import io
import os
from pathlib import Path

import pytest

from abaw.cli import main
from abaw.configs.file import read_config
from abaw.configs.sections import Config
from abaw.dataset.dataset_file import read_dataset_file
from abaw.errors import InputError, NotFoundError
from abaw.files import as_path
from extract.encoders import ENCODERS
from tests.support.abaw.submissions import predicted, template


@pytest.fixture
def home(tmp_path, monkeypatch):
    """A home folder with predictions and their template, which is also the current folder."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    predicted(tmp_path / "p", a_left=[[0, 0.5]] * 2, b=[[0.1, 0.2]] * 3)
    predicted(tmp_path / "q", a_left=[[0, 0.5]] * 2, b=[[0.3, 0.2]] * 3)
    template(tmp_path)
    return tmp_path


def run(*words):
    """The exit code of a command."""
    with pytest.raises(SystemExit) as end:
        main(words)
    return end.value.code


def test_the_home_folder_is_meant_in_every_option(home, capsys):
    assert run("submit", "~/p", "--template", "~/va_sample.txt", "--out", "~/out.txt") == 0
    assert (home / "out.txt").is_file()
    assert not Path("~").exists()
    assert run("combine", "~/p", "~/q", "--out", "~/both") == 0
    assert (home / "both/va/b.parquet").is_file()
    assert run("store", "info", "~/store") == 2
    assert f"no store at {home / 'store'}" in capsys.readouterr().err
    assert run("train", "~/none.yaml") == 2
    assert f"no config at {home / 'none.yaml'}" in capsys.readouterr().err
    assert run("--plugin", "~/parts.py", "list") == 2
    assert f"no plug-in at {home / 'parts.py'}" in capsys.readouterr().err


def test_the_home_folder_is_meant_in_a_config_a_data_set_file_and_a_setting(home):
    config = read_config("synthetic", ["data=~/d", "store=~/s"])
    checked = Config.model_validate(config.values)
    assert (checked.data, checked.store) == (str(home / "d"), str(home / "s"))
    (home / "videos").mkdir()
    (home / "sub").mkdir()
    (home / "sub/set.yaml").write_text("root: ~/.\nvideos: ~/videos\n")
    root, folders, *_ = read_dataset_file(home / "sub/set.yaml")
    assert root == home
    assert folders == {"videos": [home / "videos"]}
    with pytest.raises(NotFoundError, match=f"{home}/net.onnx"):
        ENCODERS.build("onnx", file="~/net.onnx")


def test_the_home_folder_of_nobody_is_a_sentence():
    with pytest.raises(InputError, match="out is '~no.such.user/x': .* \\(write ./~ for a file of that name\\)"):
        as_path("~no.such.user/x", "out")


def test_characters_that_no_name_can_have_and_long_names_are_a_sentence():
    with pytest.raises(InputError, match="no name of a file can have such characters"):
        as_path("\ud800", "data")
    with pytest.raises(InputError, match="data has the name 'ééé.*: file name too long"):
        as_path("a/" + "é" * 128, "data")
    assert as_path("a/" + "é" * 127 + "x", "data").name == "é" * 127 + "x"


@pytest.mark.parametrize("out", ["a:b", "s3://bucket/x", "file:x"])
def test_a_colon_is_a_character_of_a_name(home, out):
    assert run("combine", "p", "q", "--out", out) == 0
    assert (home / out / "va/b.parquet").is_file()
    assert run("submit", out, "--template", "va_sample.txt", "--out", f"{out}.txt") == 0
    assert (home / f"{out}.txt").is_file()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["combine", "p", "q", "--out", ""], "an empty text is given after --out"),
        (["combine", "p", "q", "--out="], "an empty text is given after --out"),
        (["combine", "", "q", "--out", "x"], "an empty text is given after combine"),
        (["combine", "p", "q", "--out", "a\0b"], "holds a NUL byte"),
        (["combine", "p", "q", "--out", "x" * 300], "file name too long: choose a shorter name"),
        (
            ["submit", "p", "--template", "va_sample.txt", "--out", "x" * 300],
            "file name too long: choose a shorter name",
        ),
        (["train", "x" * 300], "file name too long: choose a shorter name"),
        (["train", "x/" * 3000], "file name too long: choose a shorter name"),
        (["check", "x" * 300], "file name too long: choose a shorter name"),
        (["store", "info", "x" * 300], "file name too long: choose a shorter name"),
        (["score", "x" * 300], "file name too long: choose a shorter name"),
        (["predict", "x" * 300, "--split", "test", "--out", "o"], "file name too long: choose a shorter name"),
        (["--plugin", "x" * 300, "list"], "file name too long: choose a shorter name"),
    ],
)
def test_what_is_no_path_is_a_sentence(home, capsys, words, message):
    assert run(*words) == 2
    assert message in capsys.readouterr().err
    assert {path.name for path in home.iterdir()} == {"p", "q", "va_sample.txt"}


def test_a_path_that_is_no_text_can_be_printed(tmp_path, monkeypatch):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    (folder / "a.mp4").touch()
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="strict")
    monkeypatch.setattr("sys.stdout", printed)
    assert run("check", str(folder)) == 0
    assert b"caf\\udce9: 1 clip," in printed.buffer.getvalue()

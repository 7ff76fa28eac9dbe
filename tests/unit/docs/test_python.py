"""The Python examples of every page run as printed, one after the other, in a folder with one small video."""

import importlib.util
import inspect
import re
import shutil

import pytest

import abaw
from tests.support.markdown import PAGES, ROOT, blocks


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the synthetic data set as docs/python.md makes it, and one of its videos as interview.mp4."""
    made = tmp_path_factory.mktemp("docs")
    abaw.synthesize(made / "work/synthetic", clips=14, seconds=3.0)
    shutil.copy(next((made / "work/synthetic/videos").rglob("102.mp4")), made / "interview.mp4")
    return made


def runnable(page):
    return [block for block in blocks("python", page) if block.defines_part() is None]


@pytest.mark.parametrize("page", [page for page in PAGES if runnable(page)], ids=lambda page: page.name)
def test_the_examples_of_a_page_run_as_printed(page, folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    names = {"__name__": "example"}
    for block in runnable(page):
        if "import matplotlib" in block.text and importlib.util.find_spec("matplotlib") is None:
            compile(block.text, str(block), "exec")  # optional, and not in this environment: it must at least parse
            continue
        # as many blank lines before as the page has, so that a traceback names the page's own line
        exec(compile("\n" * (block.line - 1) + block.text, str(block.page), "exec"), names)
    if page.name == "python.md":
        printed = capsys.readouterr().out
        assert "did you mean 'face_hog'" in printed
        assert "14 clips" in printed
        assert (folder / "work/va.txt").read_text().startswith("image_location,valence,arousal")


def test_the_python_page_names_every_public_function():
    text = (ROOT / "docs/python.md").read_text()
    functions = {name for name in abaw.__all__ if inspect.isfunction(getattr(abaw, name))}
    assert set(re.findall(r"`(\w+)`", text.split("## All functions")[1])) >= functions

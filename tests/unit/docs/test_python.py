"""The Python examples of every page run as printed, one after the other, in a folder with one small video."""

import importlib.util
import shutil

import pytest

import abaw
from tests.support.markdown import PAGES, blocks


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


def test_the_python_page_covers_the_public_functions():
    text = "\n".join(block.text for block in blocks("python")) + (PAGES[0].parent / "docs/python.md").read_text()
    wanted = {"extract", "load_track", "align", "load_batch", "open_dataset", "check", "train", "predict", "score"}
    wanted |= {"analyze", "submit", "verify", "fit", "combine", "search", "synthesize", "list_encoders"}
    assert {name for name in wanted if f"abaw.{name}" not in text} == set()
    assert wanted <= set(abaw.__all__)

"""abaw.report: one page about runs and prediction folders, and what it refuses."""

import shutil

import pytest

import abaw
from abaw.views.report.page import MARK
from tests.support.abaw.pages import Page
from tests.support.abaw.reported_runs import CLIPS, EVIL, write_reported_runs
from tests.support.abaw.reports import BOX, KNOWN, make_run, write_tables


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    return write_reported_runs(tmp_path_factory.mktemp("reported"))


@pytest.fixture(scope="module")
def page(runs, tmp_path_factory):
    """The page of both runs, in place of an earlier report."""
    out = tmp_path_factory.mktemp("page") / "report.html"
    out.write_text(f"<html>{MARK}</html>")
    found = abaw.report(runs, out, worst=1, draws=100)
    assert (found.path, found.num_bytes) == (out, out.stat().st_size)
    assert [each.folder for each in found.scores.results] == list(map(str, runs))
    assert "note: no weights at" in str(found)  # what the page doubts, the summary says too
    assert str(found).count("what was lost of the clips is not known: the store s, from which") == 2
    return Page(out.read_text(encoding="utf-8"))


def test_names_of_clips_and_runs_are_text_wherever_they_stand(page):
    assert "script" not in page.tags
    assert page.text.count(EVIL) >= 10


def test_every_figure_has_a_text_alternative_and_every_anchor_a_place(page):
    assert len(page.figures) == 10  # comparison, curves, ablation, robustness; of each run 2 densities and a clip
    assert page.nameless_figures() == []
    assert len(page.links) > 10
    assert set(page.links) <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))


def test_every_section_is_there_in_its_order(page):
    sections = [
        "summary",
        "comparison",
        "data",
        "training",
        "scores",
        "agreement",
        "clips",
        "robustness",
        "cost",
        "origin",
    ]
    assert [name for name in page.ids if name in (*sections, "calibration")] == sections


@pytest.mark.parametrize(
    "words",
    [
        "no weights at",  # of the second run
        "what was lost of the clips is not known: the store s, from which",
        "paired differences of CCC: the second minus the first",
        "training.seed",  # in which the runs differ
        "5 videos",
        "6 clips, sorted by root mean square error (RMSE), highest first",
        "the mean over the folders; the 1 worst are drawn, and the table has every clip",
        "there are no learning curves of",
        "not measured for",
        "sound shifted: the score is highest without a shift",
        "only g",
        "1,234",
        "20",  # the video that was trained on
        "commit",
    ],
)
def test_the_page_says_in_words(page, words):
    assert words.lower() in " ".join(page.text.split()).lower()


def test_stages_of_post_processing_each_have_their_scores(tmp_path, runs):
    data = runs[0].parents[1] / "data"
    kept = BOX | {"fill_gaps": True, "scale": [1.1, 1.0], "bias": [0.0, 0.1]}
    tables = write_tables(tmp_path / "tables", data, clips=CLIPS, post_processing=kept, **KNOWN)
    abaw.report(tables, tmp_path / "report.html", data=data, worst=0, draws=100)
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    places = [
        text.index(f"\n{words}") if f"\n{words}" in text else text.index(words)
        for words in ("gaps filled", "smoothed (box over 7 frames)", "scale and bias")
    ]
    assert places == sorted(places)


def test_another_file_is_not_replaced(tmp_path, runs):
    for out, words in (
        (tmp_path, "is a folder: give the name of a file"),
        (tmp_path / "notes.txt", r"the suffix is '.txt', expected .html"),
        (tmp_path / "missing/report.html", "no folder .*missing for the report report.html: make it first"),
        (tmp_path / "mine.html", "is no report of abaw, so it is not replaced"),
    ):
        (tmp_path / "mine.html").write_text("<html>mine</html>")
        with pytest.raises(abaw.AbawError, match=words):
            abaw.report(runs[0], out)
    assert (tmp_path / "mine.html").read_text() == "<html>mine</html>"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.html"]


@pytest.mark.parametrize("worst", [-1, 101, True, "3", 1.5])
def test_a_number_of_clips_to_draw_is_checked_first(tmp_path, worst):
    with pytest.raises(abaw.InputError, match="expected a number of clips from 0 to 100"):
        abaw.report("missing", tmp_path / "report.html", worst=worst)


def test_runs_that_cannot_be_reported_are_refused_and_nothing_is_written(tmp_path, runs):
    data = runs[0].parents[1] / "data"
    stopped = make_run(tmp_path, data, "stopped", clips=CLIPS).folder
    damaged = shutil.copytree(runs[1], tmp_path / "damaged")
    (damaged / "run.json").write_text("{}")
    without = shutil.copytree(runs[1], tmp_path / "without")
    shutil.rmtree(without / "predictions")
    edited = shutil.copytree(runs[1], tmp_path / "edited")
    (edited / "predictions/validation/va/12.parquet").write_bytes(b"no table")
    other = write_tables(tmp_path / "expr", data, "expr", clips=CLIPS, **KNOWN)
    fewer = write_tables(tmp_path / "fewer", data, clips=CLIPS[:2], **KNOWN)
    for folders, words in (
        ([], "no folder"),
        ([stopped], "the run .*stopped is not complete: continue it"),
        ([damaged], "the run .*damaged is not complete|is damaged or was edited"),
        ([without], "no predictions at .*without"),
        ([edited], "12.parquet: not readable as Parquet"),
        ([tmp_path / "nothing"], "no predictions at .*nothing, which is no folder"),
        (
            [edited / "run.json"],
            "no predictions at .*run.json, which is no folder",
        ),
        ([runs[1].parent], "no predictions in .*runs: it holds runs, so name one: .*second"),
        ([runs[1], other], "has tables of va, .*expr of expr"),
        ([runs[1], runs[1]], "a folder is given twice"),
        ([runs[1], fewer], "no va predictions for clip"),
    ):
        with pytest.raises(abaw.AbawError, match=words):
            abaw.report(folders, tmp_path / "report.html", data=data)
    with pytest.raises(abaw.NotFoundError, match="no predictions at .*test"):
        abaw.report(runs[1], tmp_path / "report.html", split="test")
    moved = data.rename(tmp_path / "moved")
    with pytest.raises(abaw.NotFoundError, match="no .*, which is the data of .*second: go to the folder .* --data"):
        abaw.report(runs[1], tmp_path / "report.html")
    moved.rename(data)
    with pytest.raises(abaw.AbawError, match="no weights at"):
        abaw.report(runs[1], tmp_path / "report.html", robustness=True)
    assert not (tmp_path / "report.html").exists()

"""The options of abaw analyze that write pictures and files for other tools."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
import typer
from pyarrow import parquet

from abaw.commands.analyze import analyze
from abaw.dataset.clip import Clip
from abaw.dataset.layout import Dataset
from abaw.errors import InputError
from abaw.files import write_json
from abaw.pipelines.analysis.results import Analysis
from abaw.pipelines.viewing.writing import Viewing, remove_outdated
from abaw.progress import silent
from tests.support.abaw.commands import abaw

BLOCKS = [
    {"task": "expr", "kind": "classes", "columns": ["p_a", "p_b"], "ranges": [[0, 1]] * 2, "chosen": "expression"}
]
NUM = 50


@pytest.fixture
def dataset(tmp_path):
    """The data set of an analysis of a clip: class a for a second, then b for three frames, then a."""
    classes = ["a"] * 25 + ["b"] * 3 + ["a"] * 22
    columns = {
        "frame": np.arange(1, NUM + 1),
        "time_s": np.arange(NUM) / 25,
        "observed": np.ones(NUM, bool),
        "face_seen": np.ones(NUM, bool),
        "voice_heard": np.zeros(NUM, bool),
        "person": pa.nulls(NUM, pa.int32()),
        **{f"face_{side}_px": np.ones(NUM) for side in ("x", "y", "width", "height")},
        "p_a": np.array([name == "a" for name in classes], float),
        "p_b": np.array([name == "b" for name in classes], float),
        "expression": classes,
    }
    parquet.write_table(pa.table(columns), tmp_path / "clip.parquet")
    about = {"media": "clip.mp4", "table": "clip.parquet", "losses": "", "no_prediction": None}
    about["persons"] = [{"person": None}]
    write_json(tmp_path / "analysis.json", {"clips": {"clip": about}, "blocks": BLOCKS, "sources": [], "warnings": []})
    return Dataset(tmp_path, {"clip": Clip("clip", tmp_path / "clip.mp4")})


def test_every_view_without_media_is_written_and_says_what_it_left_out(dataset):
    viewing = Viewing.of(("svg", "eaf", "srt", "vtt"), embed=False, shortest_subtitle_s=0.2)
    said, failed = viewing.write(dataset, None, ["clip"], silent)
    assert failed == []
    words = "left out because shorter than 0.2 s: 1 of 3 segments"
    assert said == [f"clip: srt: {words}", f"clip: vtt: {words}"]
    written = {path.suffix for path in dataset.root.iterdir()}
    assert written >= {".svg", ".eaf", ".srt", ".vtt"}
    assert "00:00:01,120 --> 00:00:02,000" in (dataset.root / "clip.srt").read_text()


def test_a_view_that_cannot_be_made_of_a_clip_stops_no_other(dataset):
    both = Dataset(dataset.root, {"gone": Clip("gone", dataset.root / "gone.mp4"), **dataset.clips})
    viewing = Viewing.of(("srt", "eaf"), embed=False, shortest_subtitle_s=0)
    remarks, failed = viewing.write(both, None, ["gone", "clip"], silent)
    assert [line.split(": ")[:3] for line in failed] == [["gone", view, "not written"] for view in ("srt", "eaf")]
    assert "has no clip 'gone'" in failed[0]
    assert remarks == []
    assert (dataset.root / "clip.srt").exists()


def test_a_view_whose_file_cannot_be_written_stops_no_other(dataset):
    (dataset.root / "clip.srt").mkdir()
    viewing = Viewing.of(("srt", "eaf"), embed=False, shortest_subtitle_s=0)
    _, failed = viewing.write(dataset, None, ["clip"], silent)
    assert failed == [
        f"clip: srt: not written: {dataset.root / 'clip.srt'} is a folder: give the name of a file to write"
    ]
    assert (dataset.root / "clip.eaf").exists()


@pytest.mark.parametrize("length_s", [-1, float("nan"), float("inf")])
def test_a_shortest_time_that_is_none_is_an_error(length_s):
    with pytest.raises(InputError, match="shortest_subtitle_s is .*, expected a number of seconds, 0 or more"):
        Viewing.of((), embed=False, shortest_subtitle_s=length_s)


@pytest.mark.parametrize(
    ("option", "value", "known"), [("--plot", "gif", "png, svg"), ("--export", "png", "eaf, srt, vtt, rrd")]
)
def test_an_unknown_picture_or_file_is_an_error_with_those_there_are(tmp_path, option, value, known):
    done = abaw("analyze", "x.mp4", option, value, cwd=tmp_path, code=2)
    assert f"{option} {value!r} is unknown, expected one of {known}" in done.stderr
    assert not list(tmp_path.iterdir())


def test_views_of_tables_that_change_are_removed_and_files_of_others_stay(tmp_path):
    for name in ("clip.srt", "clip.proxy.mp4", "clip.html", "clip.parquet", "other.srt"):
        (tmp_path / name).write_text("before")
    written = {"clip.srt", "clip.proxy.mp4", "clip.parquet", "clip.png", "other.srt"}
    assert remove_outdated(tmp_path, "clip", written) == ["clip.proxy.mp4", "clip.srt"]
    assert {path.name for path in tmp_path.iterdir()} == {"clip.html", "clip.parquet", "other.srt"}


def test_a_page_that_was_not_written_is_not_to_be_opened(monkeypatch, capsys):
    report = SimpleNamespace(failed=(), losses={}, loss_lines=lambda command: [])
    found = Analysis(Path("out"), ("a", "b"), report, views_failed=("a: page: not written: it is a folder",))
    monkeypatch.setattr("abaw.pipelines.analysis.analyzing.analyze", lambda *args, **settings: found)
    with pytest.raises(typer.Exit):
        analyze([Path("a.mp4")])
    assert capsys.readouterr().out.splitlines()[-1] == f"open {Path('out/b.html')} in a browser"

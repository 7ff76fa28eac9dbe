"""A submission has the header, the rows and the order of its template."""

import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from abaw.challenge import submission
from abaw.challenge.verification import verify
from abaw.results import predictions
from abaw.tasks import TASKS
from tests.support.abaw.submissions import predicted, template

EXPR = TASKS.build("expr")


def good(folder):
    """A correct submission and its template."""
    sample = template(folder)
    predicted(folder / "p", b=[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], a_left=[[1, -1], [2, -2]])
    submission.submit(folder / "p", sample, folder / "out.txt")
    return folder / "out.txt", sample


def test_every_row_takes_its_frames_value_and_the_last_is_held_beyond_the_clock(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg", "b/00002.jpg", "b/00003.jpg", "b/00007.jpg", "a/00001.jpg"])
    predicted(tmp_path / "p", b=[[0.1, 0.2], [0.3, -0.4]], a=[[3, -3]])
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "deep" / "out.txt")
    assert (tmp_path / "deep" / "out.txt").read_text() == (
        "image_location,valence,arousal\n"
        "b/00001.jpg,0.100000,0.200000\n"
        "b/00002.jpg,0.300000,-0.400000\n"
        "b/00003.jpg,0.300000,-0.400000\n"
        "b/00007.jpg,0.300000,-0.400000\n"
        "a/00001.jpg,1.000000,-1.000000\n"
    )
    assert (summary.num_clips, summary.num_rows) == (2, 5)
    assert (summary.num_observed, summary.num_between, summary.num_beyond) == (2, 1, 2)
    assert str(summary).startswith("va: 5 rows of 2 clips: 2 observed, 1 between observed frames, 2 beyond")


def test_expression_is_one_class_a_row(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg", "b/00002.jpg"], task=EXPR, value="0")
    rows = np.eye(8)[[7, 3]]
    predicted(tmp_path / "p", EXPR, b=rows)
    submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text().splitlines() == [EXPR.header, "b/00001.jpg,7", "b/00002.jpg,3"]
    assert verify(tmp_path / "out.txt", sample, task="expr") == []


def test_rows_of_clips_may_alternate_and_each_table_is_read_once(tmp_path, monkeypatch):
    rows = ["a/00001.jpg", "b/00001.jpg", "a/00002.jpg", "b/00002.jpg"]
    sample = template(tmp_path, rows)
    predicted(tmp_path / "p", a=[[0.1, 0], [0.2, 0]], b=[[0.3, 0], [0.4, 0]])
    read, real = [], predictions.read_table
    monkeypatch.setattr(
        predictions, "read_table", lambda folder, clip, task: read.append(clip) or real(folder, clip, task)
    )
    submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    values = [line.split(",")[1] for line in (tmp_path / "out.txt").read_text().splitlines()[1:]]
    assert values == ["0.100000", "0.300000", "0.200000", "0.400000"]
    assert read == ["a", "b"]


def test_clips_without_predictions_are_all_counted_and_nothing_is_written(tmp_path):
    sample = template(tmp_path, [f"c{i}/00001.jpg" for i in range(9)])
    predicted(tmp_path / "p", c0=[[0, 0]], other=[[0, 0]])
    words = r"8 of 9 clips of .*sample.txt have no predictions in .*: 'c1', 'c2', 'c3', 'c4', 'c5' and 3 more; run abaw"
    with pytest.raises(FileNotFoundError, match=words):
        submission.submit(tmp_path / "p", sample, tmp_path / "out" / "out.txt")
    assert not (tmp_path / "out").exists()


def test_a_table_that_is_broken_leaves_the_older_submission_as_it_was(tmp_path):
    out, sample = good(tmp_path)
    before = out.read_bytes()
    (tmp_path / "p" / "va" / "b.parquet").write_bytes(b"")
    with pytest.raises(ValueError, match="b.parquet: not readable"):
        submission.submit(tmp_path / "p", sample, out)
    assert out.read_bytes() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.txt", "p", "va_sample.txt"]


def test_a_template_of_another_task_than_the_predictions_is_refused(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg"], task=EXPR)
    predicted(tmp_path / "p", b=[[0, 0]])
    with pytest.raises(FileNotFoundError, match="no expr predictions in .*: it has va"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    with pytest.raises(ValueError, match="holds va predictions, not expr"):
        submission.submit(tmp_path / "p" / "va", sample, tmp_path / "out.txt")
    (tmp_path / "p" / "va" / "predictions.json").unlink()
    with pytest.raises(ValueError, match="b.parquet: no column 'p_Neutral'"):
        submission.submit(tmp_path / "p" / "va", sample, tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def test_the_template_itself_is_never_overwritten(tmp_path):
    sample = template(tmp_path)
    predicted(tmp_path / "p", b=[[0, 0]], a_left=[[0, 0]])
    with pytest.raises(ValueError, match="is the template itself"):
        submission.submit(tmp_path / "p", sample, sample)


def test_a_clip_without_any_frame_has_no_value_to_hold(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg"])
    predicted(tmp_path / "p", b=np.zeros((0, 2)))
    with pytest.raises(ValueError, match="clip 'b' has no predicted frame"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")


def test_reading_and_writing_hold_few_bytes_a_row(tmp_path):
    num, clips = 4000, [f"c{i}" for i in range(10)]
    sample = template(tmp_path, [f"{clip}/{frame:05d}.jpg" for clip in clips for frame in range(1, num + 1)])
    predicted(tmp_path / "p", **{clip: np.zeros((num, 2)) for clip in clips})
    submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")  # imports are not counted
    for work in (
        lambda: submission.submit(tmp_path / "p", sample, tmp_path / "out.txt"),
        lambda: verify(tmp_path / "out.txt", sample),
    ):
        tracemalloc.start()
        work()
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 70 * num * len(clips)  # one location as a string has as much


def test_neither_command_loads_what_it_does_not_need(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg"])
    predicted(tmp_path / "p", b=[[0, 0]])
    code = (
        "import sys\n"
        "from abaw.cli import app\n"
        "app(sys.argv[1:], standalone_mode=False)\n"
        "print([name for name in ('torch', 'scipy') if name in sys.modules])\n"
    )
    for words in (
        ["submit", "p", "--template", sample, "--out", "out.txt"],
        ["verify", "out.txt", "--template", sample],
    ):
        run = [sys.executable, "-c", code, *map(str, words)]
        done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=True)
        assert done.stdout.splitlines()[-1] == "[]"

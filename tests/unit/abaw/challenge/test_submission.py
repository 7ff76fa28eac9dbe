"""A template is read as it is; a submission has its header, rows and order, and says what it is made of."""

import re
import subprocess
import sys
import tracemalloc

import numpy as np
import pytest

from abaw.challenge import submission
from abaw.challenge.template import read_template
from abaw.challenge.verification import verify
from abaw.results import predictions
from abaw.results.predictions import Table
from abaw.tasks import TASKS

VA, EXPR, CE, MTL = (TASKS.build(name) for name in ("va", "expr", "ce", "mtl"))
EMI, AH = TASKS.build("emi"), TASKS.build("ah")
ABOUT = {"run": ["runs/a"], "commit": "abc", "label_tasks_seen": ["va"], "subject_adapted": False}
ROWS = ["b/00001.jpg", "b/00002.jpg", "b/00003.jpg", "a_left/00002.jpg", "a_left/00001.jpg"]


def template(folder, rows=ROWS, *, task=VA, value="", end="\n", mark="", tail=""):
    path = folder / f"{task.name}_sample.txt"
    text = mark + task.header + end + "".join(f"{row},{value}{end}" for row in rows) + tail
    path.write_bytes(text.encode())
    return path


def predicted(folder, task=VA, about=None, **values):
    """A prediction folder below ``folder``; every other frame is observed."""
    for clip, rows in values.items():
        num = len(rows)
        table = Table(
            np.arange(1, num + 1),
            np.arange(num) / 25,
            np.arange(num) % 2 == 0,
            np.array(rows, np.float32),
            task.columns,
        )
        predictions.write_table(folder / task.name, clip, table, task)
    predictions.write_metadata(folder / task.name, {"task": task.name, **(about or {})})
    return folder


def good(folder):
    """A correct submission and its template."""
    sample = template(folder)
    predicted(folder / "p", b=[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], a_left=[[1, -1], [2, -2]])
    submission.submit(folder / "p", sample, folder / "out.txt")
    return folder / "out.txt", sample


# ---- the template


def test_a_template_keeps_clips_and_frames_in_order(tmp_path):
    read = read_template(template(tmp_path))
    assert read.clips == ("b", "a_left")
    assert list(read.locations()) == ROWS
    assert len(read) == 5
    assert read.task.name == "va"


@pytest.mark.parametrize("value", ["", "0", "0.0,0.0"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("tail", ["", "\n", "\r\n\r\n"])
def test_editions_and_editors_of_templates_read_the_same(tmp_path, value, end, mark, tail):
    read = read_template(template(tmp_path, value=value, end=end, mark=mark, tail=tail))
    assert list(read.locations()) == ROWS
    assert read.header == VA.header


def test_a_header_is_matched_whatever_its_spaces_and_kept_as_it_is(tmp_path):
    sample = template(tmp_path)
    sample.write_text(sample.read_text().replace(VA.header, "image_location, valence, arousal"))
    predicted(tmp_path / "p", b=[[0, 0]] * 3, a_left=[[0, 0]] * 2)
    submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert (tmp_path / "out.txt").read_text().startswith("image_location, valence, arousal\nb/00001.jpg,0.000000,")


BROKEN = {
    "no header": (
        ROWS[0] + ",\n",
        r":1: 'b/00001.jpg,' is not a known header; known are ah: no header; .*; expr: .*; va: image_location,val",
    ),
    "no header above values": (ROWS[0] + ",0\n", r":1: 'b/00001.jpg,0' is not a known header"),
    "a header of no task": ("image,x\n" + ROWS[0], r":1: 'image,x' is not a known header"),
    "empty": ("", r":1: '' is not a known header"),
    "no rows": (VA.header + "\n", r":2: no rows after the header"),
    "a repeated row": (VA.header + "\na/00001.jpg,\nb/00001.jpg,\na/00001.jpg,\n", ":4: 'a/00001.jpg' repeats line 2"),
    "frame 0": (VA.header + "\na/00000.jpg,\n", ":2: frame 0 in 'a/00000.jpg': frames count from 1"),
    "no clip": (VA.header + "\n00001.jpg,\n", ":2: '00001.jpg' is not an image location, expected <clip>/<frame"),
    "a letter in the frame": (VA.header + "\na/0000x.jpg,\n", ":2: 'a/0000x.jpg' is not an image location"),
    "other digits": (VA.header + "\na/1.jpg,\n", ":2: 'a/1.jpg' is not an image location"),
    "another suffix": (VA.header + "\na/00001.png,\n", ":2: 'a/00001.png' is not an image location"),
    "a folder too many": (VA.header + "\nx/a/00001.jpg,\n", ":2: 'x/a/00001.jpg' is not an image location"),
    "a blank line inside": (VA.header + "\na/00001.jpg,\n\na/00002.jpg,\n", ":3: '' is not an image location"),
    "blank lines inside": (VA.header + "\na/00001.jpg,\n\n \na/00002.jpg,\n", ":3: '' is not an image location"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_template_is_named_by_file_and_line(tmp_path, fault):
    text, words = BROKEN[fault]
    (tmp_path / "sample.txt").write_text(text)
    with pytest.raises(ValueError, match="sample.txt" + words):
        read_template(tmp_path / "sample.txt")


def test_of_several_repeats_the_first_in_the_file_is_named(tmp_path):
    sample = template(tmp_path, ["a/00001.jpg", "b/00001.jpg", "b/00001.jpg", "a/00001.jpg"])
    with pytest.raises(ValueError, match=":4: 'b/00001.jpg' repeats line 3"):
        read_template(sample)


def test_a_template_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no template at .*x.txt: give the organisers' sample"):
        read_template(tmp_path / "x.txt")


# ---- writing


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
    words = r"8 of 9 clips of .*sample.txt have no predictions in .*: 'c1', 'c2', 'c3', 'c4', 'c5', \.\.\.; run abaw"
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


def test_a_template_that_is_a_folder_or_no_text_is_named(tmp_path):
    with pytest.raises(ValueError, match="the template .* is a folder: give the organisers' sample"):
        read_template(tmp_path)
    sample = template(tmp_path)
    sample.write_bytes(b"PAR1\x00\x15\x04\n\xff")
    with pytest.raises(ValueError, match="va_sample.txt:1: not a text file: give the organisers' sample"):
        read_template(sample)
    sample.write_bytes(f"{VA.header}\nb/00001.jpg,\nb\xe9/00002.jpg,\n".encode("latin-1"))
    with pytest.raises(ValueError, match="va_sample.txt:3: not a text file"):
        read_template(sample)


# ---- every edition's formats


def lines_of(folder, sample, name="p", task=None):
    """The submission's lines, once they are verified."""
    out = folder / "out.txt"
    submission.submit(folder / name, sample, out, task=task)
    assert verify(out, sample, task=task) == []
    return out.read_text().splitlines()


def test_compound_expressions_are_made_of_expressions_where_there_are_none(tmp_path):
    sample = template(tmp_path, ["01/00001.jpg", "01/00002.jpg", "01/00003.jpg"], task=CE, value="0")
    expressions = np.full((3, 8), 0.01)
    expressions[0, [3, 6]], expressions[1, [2, 6]], expressions[2, [5, 1]] = 0.47, 0.47, 0.47
    predicted(tmp_path / "p", EXPR, **{"01": expressions})
    assert lines_of(tmp_path, sample)[1:] == ["01/00001.jpg,0", "01/00002.jpg,3", "01/00003.jpg,6"]
    summary = submission.submit(tmp_path / "p" / "expr", sample, tmp_path / "out.txt")
    assert "made from expr predictions, as there are none of ce" in str(summary).splitlines()
    predicted(tmp_path / "p", CE, **{"01": np.eye(7)[[2, 2, 2]]})
    assert lines_of(tmp_path, sample)[1] == "01/00001.jpg,2"  # its own are better
    assert "made of" not in str(submission.submit(tmp_path / "p", sample, tmp_path / "out.txt"))


def test_an_expression_post_processing_comes_before_compounds_are_made(tmp_path):
    sample = template(tmp_path, ["01/00001.jpg"], task=CE)
    expressions = np.full((1, 8), 0.01)
    expressions[0, [3, 6, 5]] = 0.31, 0.31, 0.30  # Fear, Surprise; Sadness near
    bias = [0.0] * 5 + [1.0, 0.0, 0.0]
    predicted(tmp_path / "p", EXPR, {"post_processing": {"bias": bias}}, **{"01": expressions})
    assert lines_of(tmp_path, sample)[1:] == ["01/00001.jpg,2"]  # Sadly Surprised


def test_a_list_of_images_in_mtl_may_repeat_one_and_skip_others(tmp_path):
    rows = ["video45_1/00001.jpg", "video45_1/00007.jpg", "video45_1/00001.jpg"]
    sample = template(tmp_path, rows, task=MTL)
    values = np.concatenate([np.linspace(0, 0.7, 8)[:, None].repeat(2, 1), np.eye(8), np.zeros((8, 12))], axis=1)
    values[6, -1] = 0.9
    predicted(tmp_path / "p", MTL, video45_1=values)
    bits = ",".join(["0"] * 12)
    assert lines_of(tmp_path, sample) == [
        "image,valence,arousal,expression,aus",
        f"video45_1/00001.jpg,0.000000,0.000000,0,{bits}",
        f"video45_1/00007.jpg,0.600000,0.600000,6,{bits[:-1]}1",
        f"video45_1/00001.jpg,0.000000,0.000000,0,{bits}",
    ]


def test_mimicry_has_one_row_a_video_whatever_its_suffix(tmp_path):
    sample = tmp_path / "sample.txt"
    sample.write_text(f"{EMI.header}\n00012.mp4,,,,,,\n7,,,,,,\n")
    predicted(tmp_path / "p", EMI, **{"00012": [[0.25] * 6, [0.25] * 6, [0.25] * 6], "00007": [[0.5] * 6]})
    assert lines_of(tmp_path, sample) == [EMI.header, "00012.mp4" + ",0.250000" * 6, "7" + ",0.500000" * 6]
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert (summary.num_rows, summary.num_observed, summary.num_beyond) == (2, 2, 0)
    for frames, num in (([False, True, False], 2), ([False] * 3, 1)):  # a clip is observed where a frame of it is
        table = Table(np.arange(1, 4), np.arange(3.0), np.array(frames), np.full((3, 6), 0.25, np.float32), EMI.columns)
        predictions.write_table(tmp_path / "p" / "emi", "00012", table, EMI)
        assert submission.submit(tmp_path / "p", sample, tmp_path / "out.txt").num_observed == num


def test_ambivalence_by_frames_counts_them_from_0(tmp_path):
    sample = tmp_path / "trial-1.txt"
    rows = [f"82694/Visite_1/82694_Q 1.mp4/frame-{frame}.jpg" for frame in range(3)]
    sample.write_text("".join(f"{row},0\n" for row in rows))
    predicted(tmp_path / "p", AH, **{"82694_Q 1": [[0.9], [0.2]]})
    assert lines_of(tmp_path, sample) == [f"{rows[0]},1", f"{rows[1]},0", f"{rows[2]},0"]
    assert submission.submit(tmp_path / "p", sample, tmp_path / "out.txt").num_beyond == 1


@pytest.mark.parametrize("value", [",0.5,0.5,0", ",1e-05,0.99999,1"])
def test_ambivalence_by_videos_gives_two_probabilities_that_add_up_to_1_and_a_label(tmp_path, value):
    sample = tmp_path / "trial-0.txt"
    sample.write_text(f"v1{value}\n82694/v2.mp4{value}\n")
    predicted(tmp_path / "p", AH, v1=[[0.123457]], v2=[[0.7]])
    found = lines_of(tmp_path, sample)
    assert found == ["v1,0.876543,0.123457,0", "82694/v2.mp4,0.300000,0.700000,1"]
    assert all(float(row.split(",")[1]) + float(row.split(",")[2]) == 1.0 for row in found)


def test_ambivalence_by_videos_gives_the_label_alone_where_the_template_does(tmp_path):
    sample = tmp_path / "trial-0.txt"
    sample.write_text("v1,1\nv2,0\n")
    predicted(tmp_path / "p", AH, v1=[[0.1]], v2=[[0.7]])
    assert lines_of(tmp_path, sample) == ["v1,0", "v2,1"]


def test_a_bare_list_of_videos_needs_its_task_named(tmp_path):
    sample = tmp_path / "list.txt"
    sample.write_text("v1\nv2\n")
    predicted(tmp_path / "p", AH, v1=[[0.1]], v2=[[0.7]])
    with pytest.raises(ValueError, match="list.txt:1: 'v1' is not a known header; known are ah: no header"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert lines_of(tmp_path, sample, task="ah") == ["v1,0.900000,0.100000,0", "v2,0.300000,0.700000,1"]
    with pytest.raises(ValueError, match="list.txt is a template for ah, not va: name its task, or give another"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt", task="va")


def test_a_list_of_media_files_is_known_by_their_suffix(tmp_path):
    sample = tmp_path / "list.txt"
    sample.write_text("82694/v1.mp4,0,a transcript, with commas\n82694/v2.mp4,1,\n")
    predicted(tmp_path / "p", AH, v1=[[0.1]], v2=[[0.7]])
    assert lines_of(tmp_path, sample)[0] == "82694/v1.mp4,0.900000,0.100000,0"


def test_two_videos_of_one_name_cannot_be_distinguished(tmp_path):
    sample = tmp_path / "trial-0.txt"
    sample.write_text("a/v1.mp4,0\nb/v1.mp4,0\n")
    with pytest.raises(ValueError, match="trial-0.txt: two videos are named 'v1': a/v1.mp4 and b/v1.mp4"):
        read_template(sample)


# ---- post-processing and provenance


def test_a_folders_post_processing_is_applied_and_reported(tmp_path):
    sample = template(tmp_path, ["b/00001.jpg", "b/00002.jpg", "b/00003.jpg"])
    document = {"fill_gaps": True, "scale": [1.0, 2.0], "bias": [0.0, 0.1], "fitted_on": ["x", "y"]}
    predicted(tmp_path / "p", about={**ABOUT, "post_processing": document}, b=[[0.1, 0.1], [0.9, 0.9], [0.3, 0.3]])
    assert lines_of(tmp_path, sample)[1:] == [
        "b/00001.jpg,0.100000,0.300000",
        "b/00002.jpg,0.200000,0.500000",  # not observed: between its neighbours
        "b/00003.jpg,0.300000,0.700000",
    ]
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert summary.notes[-1] == "post-processing applied, fitted on 2 videos"
    predicted(tmp_path / "p", about=ABOUT, b=[[0.1, 0.1], [0.9, 0.9], [0.3, 0.3]])
    summary = submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")
    assert summary.notes[-1] == "no post-processing: raw tables"


def test_a_post_processing_that_is_broken_is_named_and_nothing_is_written(tmp_path):
    predicted(tmp_path / "p", about={"post_processing": {"bias": [1.0]}}, b=[[0, 0]])
    with pytest.raises(ValueError, match="bias has 1 numbers"):
        submission.submit(tmp_path / "p", template(tmp_path, ["b/00001.jpg"]), tmp_path / "out.txt")
    assert not (tmp_path / "out.txt").exists()


def notes(folder, about, task=VA):
    """The summary's lines after the first."""
    predicted(folder / "p", task, about, b=np.full((1, len(task.columns)), 0.5))
    sample = template(folder, ["b/00001.jpg"], task=task)
    return str(submission.submit(folder / "p", sample, folder / "out.txt")).splitlines()[1:-1]


def test_the_summary_says_what_the_predictions_are_made_of(tmp_path):
    assert notes(tmp_path, ABOUT) == ["made by run runs/a; commit abc; labels seen: va; not subject-adapted"]
    ensemble = {"how": "weighted", "weights": [0.5, 0.5], "members": ["p1", "p2"]}
    several = {**ABOUT, "run": ["runs/a", "runs/b"], "ensemble": ensemble, "subject_adapted": True}
    assert notes(tmp_path, several) == [
        "made by 2 runs runs/a, runs/b; commit abc; labels seen: va; ensemble of 2 members (weighted); subject-adapted"
    ]


def test_what_is_not_known_of_the_predictions_is_said(tmp_path):
    assert notes(tmp_path, {}) == [
        "provenance unknown: predictions.json does not say run, commit, label_tasks_seen, subject_adapted"
    ]
    assert notes(tmp_path, {**ABOUT, "subject_adapted": None, "label_tasks_seen": None}) == [
        "provenance unknown: predictions.json does not say label_tasks_seen, subject_adapted",
        "made by run runs/a; commit abc",
    ]
    (tmp_path / "p" / "va" / "predictions.json").unlink()
    summary = submission.submit(tmp_path / "p", template(tmp_path, ["b/00001.jpg"]), tmp_path / "out.txt")
    assert summary.notes[0] == "provenance unknown: no predictions.json beside the tables"


@pytest.mark.parametrize(
    ("task", "seen", "words"),
    [
        (
            VA,
            ["expr", "va"],
            "warning: uni-task rule: these va predictions are by a run that was trained on expr labels; va",
        ),
        (
            EXPR,
            ["au", "expr", "mtl"],
            "warning: uni-task rule: these expr predictions .* trained on au, mtl labels; expr",
        ),
        (
            MTL,
            ["mtl", "va"],
            "warning: these mtl predictions are by a run that was trained on va labels; mtl .* s-Aff-Wild2",
        ),
        (VA, ["va"], None),
        (VA, ["emi", "va"], None),  # labels of other data may be used
        (MTL, ["mtl"], None),
        (CE, ["expr"], None),
    ],
)
def test_labels_that_the_challenge_does_not_allow_are_warned_of(tmp_path, task, seen, words):
    warnings = [line for line in notes(tmp_path, {**ABOUT, "label_tasks_seen": seen}, task) if "warning" in line]
    assert len(warnings) == (words is not None)
    if words:
        assert re.match(words, warnings[0])


# ---- a million rows


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

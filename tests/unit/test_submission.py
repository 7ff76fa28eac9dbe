"""A submission has the template's header, rows and order; what differs from it is told line by line."""

import re

import numpy as np
import pytest

from abaw import predictions, submission
from abaw.predictions import Table
from abaw.tasks import TASKS

VA, EXPR = TASKS.build("va"), TASKS.build("expr")
ROWS = ["b/00001.jpg", "b/00002.jpg", "b/00003.jpg", "a_left/00002.jpg", "a_left/00001.jpg"]


def template(folder, rows=ROWS, *, task=VA, value="", end="\n", mark="", tail=""):
    path = folder / f"{task.name}_sample.txt"
    text = mark + task.header + end + "".join(f"{row},{value}{end}" for row in rows) + tail
    path.write_bytes(text.encode())
    return path


def predicted(folder, task=VA, **values):
    """A prediction folder below ``folder``; every other frame is observed."""
    for clip, rows in values.items():
        num = len(rows)
        table = Table(np.arange(1, num + 1), np.arange(num) / 25, np.arange(num) % 2 == 0, np.array(rows, np.float32))
        predictions.write_table(folder / task.name, clip, table, task)
    predictions.write_metadata(folder / task.name, {"task": task.name})
    return folder


def good(folder):
    """A correct submission and its template."""
    sample = template(folder)
    predicted(folder / "p", b=[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]], a_left=[[1, -1], [2, -2]])
    submission.submit(folder / "p", sample, folder / "out.txt")
    return folder / "out.txt", sample


# ---- the template


def test_a_template_keeps_clips_and_frames_in_order(tmp_path):
    read = submission.read_template(template(tmp_path))
    assert read.clips == ("b", "a_left")
    assert list(read.locations()) == ROWS
    assert len(read) == 5
    assert submission.task_of(read.header).name == "va"


@pytest.mark.parametrize("value", ["", "0", "0.0,0.0"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("tail", ["", "\n", "\r\n\r\n"])
def test_editions_and_editors_of_templates_read_the_same(tmp_path, value, end, mark, tail):
    read = submission.read_template(template(tmp_path, value=value, end=end, mark=mark, tail=tail))
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
        r":1: 'b/00001.jpg,' is no known header; known are expr: .*; va: image_location,val",
    ),
    "a header of no task": ("image,x\n" + ROWS[0], r":1: 'image,x' is no known header"),
    "empty": ("", r":1: '' is no known header"),
    "no rows": (VA.header + "\n", r":2: no rows after the header"),
    "a repeated row": (VA.header + "\na/00001.jpg,\nb/00001.jpg,\na/00001.jpg,\n", ":4: 'a/00001.jpg' repeats line 2"),
    "frame 0": (VA.header + "\na/00000.jpg,\n", ":2: frame 0 in 'a/00000.jpg': frames count from 1"),
    "no clip": (VA.header + "\n00001.jpg,\n", ":2: '00001.jpg' is no image location, expected <clip>/<frame"),
    "a letter in the frame": (VA.header + "\na/0000x.jpg,\n", ":2: 'a/0000x.jpg' is no image location"),
    "other digits": (VA.header + "\na/1.jpg,\n", ":2: 'a/1.jpg' is no image location"),
    "another suffix": (VA.header + "\na/00001.png,\n", ":2: 'a/00001.png' is no image location"),
    "a folder too many": (VA.header + "\nx/a/00001.jpg,\n", ":2: 'x/a/00001.jpg' is no image location"),
    "a blank line inside": (VA.header + "\na/00001.jpg,\n\na/00002.jpg,\n", ":3: '' is no image location"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_template_is_named_by_file_and_line(tmp_path, fault):
    text, words = BROKEN[fault]
    (tmp_path / "sample.txt").write_text(text)
    with pytest.raises(ValueError, match="sample.txt" + words):
        submission.read_template(tmp_path / "sample.txt")


def test_of_several_repeats_the_first_in_the_file_is_named(tmp_path):
    sample = template(tmp_path, ["a/00001.jpg", "b/00001.jpg", "b/00001.jpg", "a/00001.jpg"])
    with pytest.raises(ValueError, match=":4: 'b/00001.jpg' repeats line 3"):
        submission.read_template(sample)


def test_a_template_that_is_not_there_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no template at .*x.txt: give the organisers' sample"):
        submission.read_template(tmp_path / "x.txt")


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
    assert submission.verify(tmp_path / "out.txt", sample, "expr") == []


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
    with pytest.raises(ValueError, match="clip 'b' has predictions for no frame at all"):
        submission.submit(tmp_path / "p", sample, tmp_path / "out.txt")


# ---- verifying


def test_what_was_written_is_verified_with_either_line_end(tmp_path):
    out, sample = good(tmp_path)
    assert submission.verify(out, sample) == []
    out.write_bytes(out.read_bytes().replace(b"\n", b"\r\n"))
    assert submission.verify(out, sample, "va") == []
    out.write_bytes(out.read_bytes().removesuffix(b"\r\n"))
    assert submission.verify(out, sample, "va") == []


def replaced(number, text):
    def change(rows):
        rows[number - 1 : number] = [] if text is None else [text]

    return change


def swapped(rows):
    rows[2], rows[3] = rows[3], rows[2]


FAULTS = {
    "header": (
        replaced(1, "image_location,arousal,valence"),
        ["1: the header is 'image_location,arousal,valence', expected"],
    ),
    "no header": (
        lambda rows: rows.pop(0),
        ["1: the header is 'b/00001.jpg,0.100000,0.200000', expected", "2: 'b/00001.jpg' is missing before this line"],
    ),
    "letter": (replaced(3, "b/00002.jpg,0.3x,0"), ["3: '0.3x,0' is not two numbers"]),
    "underscore": (replaced(3, "b/00002.jpg,0_1,0"), ["3: '0_1,0' is not two numbers"]),
    "too few": (replaced(3, "b/00002.jpg,0.3"), ["3: '0.3' has 1 value"]),
    "nothing": (replaced(3, "b/00002.jpg,"), ["3: '' has 1 value"]),
    "no comma": (replaced(3, "b/00002.jpg"), ["3: no comma and no value after"]),
    "out of range": (replaced(3, "b/00002.jpg,1.5,0"), [r"3: '1.5,0' is outside \[-1, 1\]"]),
    "nan": (replaced(3, "b/00002.jpg,nan,0"), ["3: 'nan,0' is outside"]),
    "spaces": (replaced(3, "b/00002.jpg,0.1, 0"), ["3: '0.1, 0' holds white space"]),
    "missing": (replaced(3, None), ["3: 'b/00002.jpg' is missing before this line"]),
    "missing at the end": (replaced(6, None), ["6: 'a_left/00001.jpg' is missing at the end"]),
    "unknown clip": (
        replaced(3, "x/00002.jpg,0,0"),
        ["3: 'x/00002.jpg' is not in the template", "4: 'b/00002.jpg' is missing"],
    ),
    "extra": (lambda rows: rows.append("b/00004.jpg,0,0"), ["7: 'b/00004.jpg' is not in the template"]),
    "repeated": (lambda rows: rows.insert(3, rows[1]), ["4: 'b/00001.jpg' repeats line 2"]),
    "order": (
        swapped,
        [
            "3: out of order: expected 'b/00002.jpg', found 'b/00003.jpg'",
            "4: out of order: expected 'b/00003.jpg', found",
        ],
    ),
    "blank": (lambda rows: rows.insert(3, ""), ["4: a blank line"]),
    "blank at the end": (lambda rows: rows.append(""), ["7: a blank line"]),
    "two in one": (
        lambda rows: (rows.pop(2), rows.__setitem__(3, "a_left/00002.jpg,2,2")),
        ["3: 'b/00002.jpg' is missing before", "4: '2,2' is outside"],
    ),
    "all but the header": (
        lambda rows: rows.__delitem__(slice(1, None)),
        ["2: 'b/00001.jpg' is missing at the end"] + 4 * ["2: "],
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_every_fault_is_told_with_its_line_and_nothing_else(tmp_path, fault):
    out, sample = good(tmp_path)
    change, words = FAULTS[fault]
    rows = out.read_text().splitlines()
    change(rows)
    out.write_text("".join(row + "\n" for row in rows))
    found = submission.verify(out, sample, "va")
    assert len(found) == len(words), found
    for said, expected in zip(found, words, strict=True):
        assert re.search(rf"out\.txt:{expected}", said), said


def test_a_file_of_nothing_lacks_its_header_and_every_row(tmp_path):
    out, sample = good(tmp_path)
    out.write_text("")
    found = submission.verify(out, sample)
    assert len(found) == 6
    assert "out.txt:1: the header is ''" in found[0]


def test_the_listing_is_capped_and_the_rest_counted(tmp_path):
    sample = template(tmp_path, [f"a/{frame:05d}.jpg" for frame in range(1, 301)])
    (tmp_path / "out.txt").write_text(sample.read_text().replace(",\n", ",9,9\n"))
    found = submission.verify(tmp_path / "out.txt", sample)
    assert len(found) == 101
    assert found[-1].endswith("and 200 more faults")


def test_a_template_of_another_task_than_named_is_wrong_use(tmp_path):
    out, sample = good(tmp_path)
    with pytest.raises(ValueError, match="sample.txt is a template for va, not expr"):
        submission.verify(out, sample, "expr")
    with pytest.raises(ValueError, match="no task named 'vaa'; did you mean 'va'"):
        submission.verify(out, sample, "vaa")


def test_files_that_are_missing_or_no_text_are_named(tmp_path):
    out, sample = good(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no submission at .*none.txt: write one with abaw submit"):
        submission.verify(tmp_path / "none.txt", sample)
    out.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="out.txt: not a text file"):
        submission.verify(out, sample)

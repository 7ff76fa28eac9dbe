"""A challenge file is what its template asks for, or every reason why not is reported with its line number."""

import re
from itertools import permutations

import numpy as np
import pytest

from abaw.challenge.order import order_faults
from abaw.challenge.template import read_template
from abaw.challenge.verification import Fault, verify
from abaw.tasks import TASKS
from tests.support.abaw.challenge_files import GOOD, ROWS, files, reasons

VA = TASKS.build("va")
CRLF = b"\r\n"


def test_a_good_file_is_verified_with_either_line_end_and_without_the_last(tmp_path):
    out, sample = files(tmp_path)
    good = out.read_bytes()
    for whole in (good, good.removesuffix(b"\n"), good.replace(b"\n", CRLF), good.replace(b"\n", CRLF)[:-2]):
        out.write_bytes(whole)
        assert reasons(out, sample) == []
    assert reasons(out, sample, task="va") == []


def test_a_fault_has_its_file_its_line_and_its_reason(tmp_path):
    out, sample = files(tmp_path)
    out.write_text(out.read_text().replace(GOOD, "9,9", 1))
    assert verify(out, sample) == [Fault(out, 2, "'9,9' is outside [-1, 1]")]
    assert str(Fault(out, None, "and 2 more faults")) == f"{out}: and 2 more faults"


def test_a_file_of_nothing_lacks_its_header_and_every_row(tmp_path):
    out, sample = files(tmp_path)
    out.write_text("")
    found = reasons(out, sample)
    assert ["1: the header is ''" in found[0], "2: 9 rows are missing" in found[1]] == [True, True]
    assert len(found) == 2


def test_the_listing_is_capped_and_the_rest_counted(tmp_path):
    rows = [f"a/{frame:05d}.jpg" for frame in range(1, 301)]
    out, sample = files(tmp_path, VA, rows)
    out.write_text(out.read_text().replace(GOOD, "9,9"))
    found = reasons(out, sample)
    assert len(found) == 101
    assert "out.txt:101: '9,9' is outside" in found[99]
    assert found[-1].endswith("and 200 more faults")


def test_a_row_that_is_out_of_place_is_reported_though_a_hundred_values_are_wrong_behind_it(tmp_path):
    rows = [f"a/{frame:05d}.jpg" for frame in range(1, 301)]
    out, sample = files(tmp_path, VA, rows)
    lines = out.read_text().replace(GOOD, "9,9").splitlines()
    del lines[50]
    out.write_text("\n".join(lines) + "\n")
    found = reasons(out, sample)
    assert "out.txt:51: 'a/00050.jpg' is missing before this line" in found[50]
    assert found[-1].endswith("and 200 more faults")


def test_a_blank_line_does_not_make_empty_values_good(tmp_path):
    out, sample = files(tmp_path)
    lines = out.read_text().splitlines()
    lines[5] = "2_left/00001.jpg,"
    lines.insert(3, "")
    out.write_text("\n".join(lines) + "\n")
    assert [said.split(": ", 1)[1] for said in reasons(out, sample)] == ["a blank line", "no value after the comma"]


def test_a_repeated_image_of_the_template_is_expected_as_often_as_it_is_there(tmp_path):
    mtl = TASKS.build("mtl")
    sample, out = tmp_path / "sample.txt", tmp_path / "out.txt"
    rows = ["a/00001.jpg", "a/00002.jpg", "a/00001.jpg", "a/00003.jpg"]
    value = "0,0,0," + ",".join("0" * 12)
    sample.write_text("\n".join([mtl.header, *(f"{row}," for row in rows)]))
    out.write_text("\n".join([mtl.header, *(f"{row},{value}" for row in rows)]))
    assert reasons(out, sample) == []
    del rows[2]
    out.write_text("\n".join([mtl.header, *(f"{row},{value}" for row in rows)]))
    (found,) = reasons(out, sample)
    assert found.endswith("out.txt:4: 'a/00001.jpg' is missing before this line")
    rows = ["a/00001.jpg", "a/00003.jpg", "a/00001.jpg", "a/00002.jpg"]
    out.write_text("\n".join([mtl.header, *(f"{row},{value}" for row in rows)]))
    assert [said.split("out.txt:")[1][:15] for said in reasons(out, sample)] == ["3: out of order", "5: out of order"]
    rows = ["a/00001.jpg", "a/00002.jpg", "a/00003.jpg", "a/00001.jpg", "a/00001.jpg"]
    out.write_text("\n".join([mtl.header, *(f"{row},{value}" for row in rows)]))
    assert reasons(out, sample)[-1].endswith("out.txt:6: 'a/00001.jpg' repeats line 2")


VIDEOS = {
    "probabilities that do not add up": ("v2,0.25,0.74,1", "2: .*: the probabilities add up to 0.99, not to 1"),
    "a label that is none": ("v2,0.25,0.75,2", "2: .* does not end with the class, 0 or 1"),
    "a suffix": ("v2.mp4,0.25,0.75,1", "2: 'v2.mp4' is not written as in the template, expected 'v2'"),
    "another case": ("V2,0.25,0.75,1", "2: 'V2' is not written as in the template, expected 'v2'"),
    "semicolons": ("v2;0.25;0.75;1", "2: 'v2;0.25;0.75;1' is separated by ';', expected ','"),
}


@pytest.mark.parametrize("fault", VIDEOS)
def test_faults_of_a_file_without_header_are_reported_with_its_lines(tmp_path, fault):
    row, words = VIDEOS[fault]
    out, sample = files(tmp_path, TASKS.build("ah"), ["v1", "v2", "v3"])
    assert reasons(out, sample) == []
    out.write_text(out.read_text().replace("v2,0.25,0.75,1", row))
    (found,) = reasons(out, sample)
    assert re.search(rf"out\.txt:{words}", found), found


def test_videos_that_are_missing_or_unknown_are_reported(tmp_path):
    out, sample = files(tmp_path, TASKS.build("ah"), ["v1", "v2", "v3"])
    out.write_text(out.read_text().replace("v2,", "v9,"))
    unknown, missing = reasons(out, sample)
    assert unknown.endswith("out.txt:2: 'v9' is not in the template, which has no clip 'v9'")
    assert missing.endswith("out.txt:3: 'v2' is missing before this line")


def test_frames_of_videos_take_a_label_alone(tmp_path):
    rows = [f"1/x.mp4/frame-{frame}.jpg" for frame in range(3)]
    sample, out = tmp_path / "trial-1.txt", tmp_path / "out.txt"
    sample.write_text("".join(f"{row},0\n" for row in rows))
    out.write_text(f"{rows[0]},1\n{rows[1]},0.5,0.5,1\n1/x.mp4/frame-00002.jpg,0\n")
    value, place = reasons(out, sample)
    assert re.search(r"out\.txt:2: '0.5,0.5,1' has 3 values, expected the class alone", value)
    assert place.endswith(
        f"out.txt:3: '1/x.mp4/frame-00002.jpg' is not written as in the template, expected {rows[2]!r}"
    )


def test_a_template_of_another_task_than_named_is_wrong_use(tmp_path):
    out, sample = files(tmp_path)
    with pytest.raises(ValueError, match="sample.txt is a template for va, not expr"):
        reasons(out, sample, task="expr")
    with pytest.raises(ValueError, match="no task named 'vaa'; did you mean 'va'"):
        reasons(out, sample, task="vaa")


def test_files_that_are_missing_or_folders_or_no_text_are_named(tmp_path):
    out, sample = files(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no submission at .*none.txt: write one with abaw submit"):
        reasons(tmp_path / "none.txt", sample)
    with pytest.raises(ValueError, match="the submission .* is a folder: give the challenge file"):
        reasons(tmp_path, sample)
    for whole in (b"\xff\xfe\x00", b"PAR1\x00\x15\x04\n\xff", out.read_text().encode("utf-16")):
        out.write_bytes(whole)
        with pytest.raises(ValueError, match="out.txt: not a text file"):
            reasons(out, sample)


def test_the_template_itself_lacks_its_values(tmp_path):
    _, sample = files(tmp_path)
    found = reasons(sample, sample)
    assert len(found) == len(ROWS)
    assert found[0].endswith("sample.txt:2: no value after the comma")


def test_rows_in_order_are_compared_without_a_search(tmp_path, monkeypatch):
    _, sample = files(tmp_path)
    asked = read_template(sample)
    monkeypatch.setattr("abaw.challenge.order._match", None)
    assert list(order_faults(asked, asked.stems, 2, asked.clip_of, asked.frames)) == []


def test_clips_that_differ_by_case_alone_are_not_taken_for_each_other(tmp_path):
    out, sample = files(tmp_path, VA, ["v/00001.jpg", "V/00001.jpg", "ä/00001.jpg"])
    out.write_text(out.read_text().replace("v/", " v/").replace("V/00001", "V/1").replace("ä", "Ä"))
    for said, right in zip(reasons(out, sample), ("v", "V", "ä"), strict=True):
        assert said.endswith(f"is not written as in the template, expected '{right}/00001.jpg'"), said


def test_white_space_is_found_though_a_task_would_take_it(tmp_path, monkeypatch):
    out, sample = files(tmp_path)
    out.write_text(out.read_text().replace(GOOD, f"{GOOD} ", 1))
    monkeypatch.setattr(type(VA), "parse_row", lambda self, text: [float(cell) for cell in text.split(",")])
    (found,) = reasons(out, sample)
    assert found.endswith("out.txt:2: '0.25,-0.5 ' contains white space")


@pytest.mark.parametrize(("name", "other"), list(permutations(["va", "expr", "au", "mtl", "emi"], 2)))
def test_a_file_for_another_task_is_a_few_findings_not_one_a_row(tmp_path, name, other):
    files = {}
    for task in (TASKS.build(name), TASKS.build(other)):
        label = task.to_labels(task.probabilities(np.zeros((1, task.out_dim))))[0]
        places = [f"{i:05d}.mp4" if task.name == "emi" else f"a/{i:05d}.jpg" for i in range(1, 301)]
        files[task.name] = tmp_path / f"{task.name}.txt"
        files[task.name].write_text(f"{task.header}\n" + "".join(f"{place},{task.row(label)}\n" for place in places))
    faults = verify(files[name], files[other])
    assert faults[0].line == 1
    assert f"it is the header of {name}; if this file is for {name}, give the template of {name}" in str(faults[0])
    assert len(faults) <= 5
    if (name, other) == ("va", "expr"):
        words = "'0.000000,0.000000' is not one class 0 .. 7; 299 of the other 299 rows are wrong there too: is this"
        assert [fault.message for fault in faults[1:]] == [f"{words} file for another task?"]

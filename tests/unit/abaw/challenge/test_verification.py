"""A challenge file is what its template asks for, or every reason why not is reported with its line number."""

import re

import pytest

from abaw.challenge.order import order_faults
from abaw.challenge.template import read_template
from abaw.challenge.verification import Fault, verify
from abaw.tasks import TASKS

VA, EXPR, AU = (TASKS.build(name) for name in ("va", "expr", "au"))
ROWS = [
    f"{clip}/{frame:05d}.jpg" for clip, num in (("10-30", 4), ("2_left", 2), ("9", 3)) for frame in range(1, num + 1)
]
VALUES = {"va": "0.25,-0.5", "expr": "3", "au": ",".join("010000000001"), "ah": "0.25,0.75,1"}
# line 1: the header; 2 .. 5: clip 10-30; 6, 7: 2_left; 8 .. 10: 9


def files(folder, task=VA, rows=ROWS):
    """A correct submission and its template."""
    sample, out = folder / "sample.txt", folder / "out.txt"
    header = [task.header] if task.header else []
    sample.write_text("\n".join([*header, *(f"{row},0" if not header else f"{row}," for row in rows)]) + "\n")
    out.write_text("\n".join([*header, *(f"{row},{VALUES[task.name]}" for row in rows)]) + "\n")
    return out, sample


def reasons(out, sample, task=None):
    """The faults as a user reads them: FILE:LINE: reason."""
    return [str(fault) for fault in verify(out, sample, task=task)]


def line(number, text):
    """Puts ``text`` in the place of a line; in it ROW stands for the line's location."""

    def change(lines):
        place = lines[number - 1].split(",")[0]
        lines[number - 1] = text.replace("ROW", place)

    return change


def without(number, until=None):
    return lambda lines: lines.__delitem__(slice(number - 1, until or number))


def before(number, text):
    return lambda lines: lines.insert(number - 1, text)


def again(number, source):
    return lambda lines: lines.insert(number - 1, lines[source - 1])


def swapped(lines):
    lines[2], lines[3] = lines[3], lines[2]


def clips_swapped(lines):
    lines[5:] = lines[7:] + lines[5:7]


def moved_to_the_end(lines):
    lines.append(lines.pop(2))


GOOD = "0.25,-0.5"
# what was done to a good file of which task -> the faults, each with its line first
PLANTED = {
    "a row missing at the start": (VA, without(2), ["2: '10-30/00001.jpg' is missing before this line"]),
    "a row missing in the middle": (VA, without(4), ["4: '10-30/00003.jpg' is missing before this line"]),
    "a row missing at the end": (VA, without(10), ["10: '9/00003.jpg' is missing at the end"]),
    "a clip missing": (
        VA,
        without(6, 7),
        ["6: 2 rows are missing before this line, '2_left/00001.jpg' to '2_left/00002.jpg'"],
    ),
    "a row repeated": (VA, again(5, 3), ["5: '10-30/00002.jpg' repeats line 3"]),
    "a row repeated before its place": (VA, again(2, 4), ["2: '10-30/00003.jpg' is on line 5 too"]),
    "a clip repeated": (
        VA,
        lambda lines: lines.extend(lines[1:5]),
        ["11: '10-30/00001.jpg' repeats line 2; the same holds for 4 lines"],
    ),
    "two rows repeated apart": (
        VA,
        lambda lines: (lines.insert(3, lines[1]), lines.insert(5, lines[2])),
        ["4: '10-30/00001.jpg' repeats line 2$", "6: '10-30/00002.jpg' repeats line 3$"],
    ),
    "neighbours swapped": (
        VA,
        swapped,
        [
            "3: out of order: expected '10-30/00002.jpg', found '10-30/00003.jpg'$",
            "4: out of order: expected '10-30/00003.jpg', found '10-30/00002.jpg'$",
        ],
    ),
    "clips swapped": (
        VA,
        clips_swapped,
        [
            "6: out of order: expected '2_left/00001.jpg', found '9/00001.jpg'; the same holds for 3 lines",
            "9: out of order: expected '9/00002.jpg', found '2_left/00001.jpg'; the same holds for 2 lines",
        ],
    ),
    "a row moved to the end": (
        VA,
        moved_to_the_end,
        [
            "3: out of order: expected '10-30/00002.jpg', found '10-30/00003.jpg'; the same holds for 7 lines",
            "10: out of order: expected '9/00003.jpg', found '10-30/00002.jpg'$",
        ],
    ),
    "a frame too many": (
        VA,
        before(6, f"10-30/00005.jpg,{GOOD}"),
        ["6: '10-30/00005.jpg' is not in the template, which has 4 frames of its clip, 1 to 4"],
    ),
    "another clip's row": (
        VA,
        line(7, f"77/00002.jpg,{GOOD}"),
        [
            "7: '77/00002.jpg' is not in the template, which has no clip '77'",
            "8: '2_left/00002.jpg' is missing before this line",
        ],
    ),
    "another clip's rows": (
        VA,
        lambda lines: lines.extend(f"77/{frame:05d}.jpg,{GOOD}" for frame in range(1, 6)),
        ["11: '77/00001.jpg' is not in the template, which has no clip '77'; the same holds for 5 lines"],
    ),
    "an extra column": (VA, line(4, f"ROW,{GOOD},0"), ["4: '0.25,-0.5,0' has 3 value"]),
    "a column missing": (VA, line(4, "ROW,0.25"), ["4: '0.25' has 1 value"]),
    "classes that count from 1": (EXPR, line(5, "ROW,8"), [r"5: '8' is not one class 0 \.\. 7"]),
    "an unscored class": (EXPR, line(5, "ROW,-1"), ["5: '-1' is not one class"]),
    "a class with a point": (EXPR, line(5, "ROW,3.0"), ["5: '3.0' is not one class"]),
    "a class with a sign": (EXPR, line(5, "ROW,+3"), [r"5: '\+3' is not one class"]),
    "a class by its name": (EXPR, line(5, "ROW,Fear"), ["5: 'Fear' is not one class"]),
    "eight columns for one class": (EXPR, line(5, "ROW,0,0,0,1,0,0,0,0"), ["5: '0,0,0,1,0,0,0,0' is not one class"]),
    "a unit of 2": (AU, line(9, "ROW,0,1,2,0,0,0,0,0,0,0,0,1"), ["9: '0,1,2,0,0,0,0,0,0,0,0,1' is not 12"]),
    "a unit short": (AU, line(9, "ROW,0,1,0,0,0,0,0,0,0,0,0"), ["9: '0,1,0,0,0,0,0,0,0,0,0' .*11 value"]),
    "NaN": (VA, line(10, "ROW,nan,0"), ["10: 'nan,0' is not two numbers"]),
    "infinity": (VA, line(10, "ROW,0,-inf"), ["10: '0,-inf' is not two numbers"]),
    "the unscored value": (VA, line(8, "ROW,-5,-5"), [r"8: '-5,-5' is outside \[-1, 1\]"]),
    "a little over 1": (VA, line(8, "ROW,0,1.0000001"), [r"8: '0,1.0000001' is outside \[-1, 1\]"]),
    "a word": (VA, line(8, "ROW,high,low"), ["8: 'high,low' is not two numbers"]),
    "an underscore": (VA, line(8, "ROW,0_1,0"), ["8: '0_1,0' is not two numbers"]),
    "digits of another script": (VA, line(8, "ROW,٠,٠"), ["8: '٠,٠' is not two numbers"]),
    "no value": (VA, line(8, "ROW,"), ["8: no value after the comma"]),
    "no comma": (VA, line(8, "ROW"), ["8: no comma and no value after the location"]),
    "semicolons": (VA, line(3, "ROW;0.25;-0.5"), ["3: '10-30/00002.jpg;0.25;-0.5' is separated by ';', expected ','"]),
    "a semicolon between the values": (
        VA,
        line(3, "ROW,0.25;-0.5"),
        ["3: '0.25;-0.5' is separated by ';', expected ','"],
    ),
    "tabs": (
        VA,
        line(3, "ROW\t0.25\t-0.5"),
        [r"3: '10-30/00002.jpg\\t0.25\\t-0.5' is separated by '\\t', expected ','"],
    ),
    "a tab at the end": (VA, line(3, f"ROW,{GOOD}\t"), [r"3: '0.25,-0.5\\t' contains white space"]),
    "a space at the end": (VA, line(3, f"ROW,{GOOD} "), ["3: '0.25,-0.5 ' contains white space"]),
    "a space after a comma": (VA, line(3, "ROW,0.25, -0.5"), ["3: '0.25, -0.5' contains white space"]),
    "a space after the location's comma": (EXPR, line(3, "ROW, 3"), ["3: ' 3' contains white space"]),
    "a space at the start": (
        VA,
        line(3, f" ROW,{GOOD}"),
        ["3: ' 10-30/00002.jpg' is not written as in the template, expected '10-30/00002.jpg'"],
    ),
    "a frame without its zeros": (
        VA,
        line(7, f"2_left/2.jpg,{GOOD}"),
        ["7: '2_left/2.jpg' is not written as in the template, expected '2_left/00002.jpg'"],
    ),
    "another suffix": (
        VA,
        line(7, f"2_left/00002.png,{GOOD}"),
        ["7: '2_left/00002.png' is not written as in the template, expected '2_left/00002.jpg'"],
    ),
    "another case": (
        VA,
        line(7, f"2_LEFT/00002.JPG,{GOOD}"),
        ["7: '2_LEFT/00002.JPG' is not written as in the template, expected '2_left/00002.jpg'"],
    ),
    "a folder too many, as Windows has it": (
        VA,
        line(7, f"cropped\\2_left\\00002.jpg,{GOOD}"),
        [r"7: 'cropped\\\\2_left\\\\00002.jpg' is not written as in the template, expected '2_left/00002.jpg'"],
    ),
    "no location": (
        VA,
        line(7, f"00002,{GOOD}"),
        ["7: '00002' is not an image location, expected <clip>", "8: '2_left"],
    ),
    "frame 0": (VA, before(2, f"10-30/00000.jpg,{GOOD}"), ["2: frame 0 in '10-30/00000.jpg': frames count from 1"]),
    "a blank line": (VA, before(7, ""), ["7: a blank line"]),
    "a line of spaces": (VA, before(7, "   "), ["7: a blank line"]),
    "a blank line at the end": (VA, lambda lines: lines.append(""), ["11: a blank line"]),
    "prose": (VA, before(7, "see below"), ["7: 'see below' is not a row"]),
    "the header in another case": (
        VA,
        line(1, "Image_location,Valence,Arousal"),
        ["1: the header is 'Image_location,Valence,Arousal', expected '.*': upper and lower case count"],
    ),
    "the header with spaces": (
        VA,
        line(1, "image_location, valence, arousal"),
        ["1: the header is .*, expected 'image_location,valence,arousal': spaces count"],
    ),
    "the header's columns changed": (
        VA,
        line(1, "image_location,arousal,valence"),
        ["1: the header is 'image_location,arousal,valence', expected 'image_location,valence,arousal'$"],
    ),
    "no header": (VA, without(1), ["1: the header is missing: line 1 is a row, expected 'image_location,valence"]),
    "no header and a row missing": (
        VA,
        without(1, 3),
        ["1: the header is missing", "1: 2 rows are missing before this line, '10-30/00001.jpg' to '10-30/00002.jpg'"],
    ),
    "the header of another task": (
        VA,
        line(1, EXPR.header),
        ["1: the header is .*, expected .*: it is the header of expr"],
    ),
    "the header twice": (
        VA,
        again(2, 1),
        ["2: 'image_location' is not an image location", "2: 'valence,arousal' is not"],
    ),
    "all but the header": (
        VA,
        without(2, 10),
        ["2: 9 rows are missing at the end, '10-30/00001.jpg' to '9/00003.jpg'"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", PLANTED)
def test_every_planted_fault_is_reported_with_its_line_and_nothing_else(tmp_path, fault):
    task, change, words = PLANTED[fault]
    out, sample = files(tmp_path, task)
    lines = out.read_text().splitlines()
    change(lines)
    out.write_text("".join(text + "\n" for text in lines))
    found = reasons(out, sample, task=task.name)
    assert len(found) == len(words), found
    for said, expected in zip(found, words, strict=True):
        assert re.search(rf"out\.txt:({expected})", said), said


MARK, CRLF = b"\xef\xbb\xbf", b"\r\n"
BYTES = {
    "a byte-order mark": (lambda whole: MARK + whole, ["1: begins with a byte-order mark"]),
    "a byte-order mark and no header": (
        lambda whole: MARK + whole.partition(b"\n")[2],
        ["1: begins with a byte-order mark", "1: the header is missing"],
    ),
    "one line of Windows": (
        lambda whole: whole.replace(b"-0.5\n", b"-0.5\r\n", 1),
        ["2: ends in CRLF, but line 1 in LF: use one line end"],
    ),
    "a half from Windows": (
        lambda whole: b"".join(text + CRLF if i > 4 else text + b"\n" for i, text in enumerate(whole.splitlines())),
        ["6: ends in CRLF, as do 4 more lines, but line 1 in LF"],
    ),
    "a half from elsewhere": (
        lambda whole: b"".join(text + b"\n" if i > 4 else text + CRLF for i, text in enumerate(whole.splitlines())),
        ["6: ends in LF, as do 4 more lines, but line 1 in CRLF"],
    ),
    "a NUL in a value": (
        lambda whole: whole.replace(b"0.25", b"0.\x0025", 1),
        [r"2: '0.\\x0025,-0.5' contains a byte that is not text"],
    ),
    "a NUL in a location": (
        lambda whole: whole.replace(b"2_left/00001", b"2_left/\x0000001", 1),
        [r"6: '2_left/\\x0000001.jpg' contains a byte that is not text, expected '2_left/00001.jpg'"],
    ),
    "a byte that is no UTF-8 in a value": (
        lambda whole: whole.replace(b"-0.5", b"-0.5\xe9", 1),
        [r"2: '0.25,-0.5\\udce9' contains a byte that is not text"],
    ),
    "a byte that is no UTF-8 in a location": (
        lambda whole: whole.replace(b"2_left/00002", b"2_left\xff/00002", 1),
        [r"7: '2_left\\udcff/00002.jpg' contains a byte that is not text, expected '2_left/00002.jpg'"],
    ),
    "a carriage return within a line": (
        lambda whole: whole.replace(b"0.25", b"0.25\r", 1),
        [r"2: '0.25\\r,-0.5' contains white space"],
    ),
}


@pytest.mark.parametrize("fault", BYTES)
def test_every_planted_byte_is_reported_with_its_line_and_nothing_else(tmp_path, fault):
    change, words = BYTES[fault]
    out, sample = files(tmp_path)
    out.write_bytes(change(out.read_bytes()))
    found = reasons(out, sample)
    assert len(found) == len(words), found
    for said, expected in zip(found, words, strict=True):
        assert re.search(rf"out\.txt:({expected})", said), said


def test_several_faults_of_one_file_are_reported_in_the_order_of_the_lines(tmp_path):
    out, sample = files(tmp_path)
    lines = out.read_text().splitlines()
    lines[8] = "9/00002.jpg,2,2"
    lines[5] += " "
    del lines[2]
    lines.insert(1, lines[6])
    out.write_text("\n".join(lines) + "\n\n")
    assert [said.split("out.txt:")[1] for said in reasons(out, sample)] == [
        "2: '9/00001.jpg' is on line 8 too",
        "4: '10-30/00002.jpg' is missing before this line",
        "6: '0.25,-0.5 ' contains white space",
        "9: '2,2' is outside [-1, 1]",
        "11: a blank line",
    ]


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

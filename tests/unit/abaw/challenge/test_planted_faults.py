"""Every fault that is planted in a good challenge file is reported with its line number, and nothing else is."""

import re

import pytest

from abaw.tasks import TASKS
from tests.support.abaw.challenge_files import GOOD, files, reasons

VA, EXPR, AU = (TASKS.build(name) for name in ("va", "expr", "au"))


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


# the good file: line 1: the header; 2 .. 5: clip 10-30; 6, 7: 2_left; 8 .. 10: 9
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

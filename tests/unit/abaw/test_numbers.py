"""What Python reads as a number and a label file must not hold is refused, in every file that has numbers."""

import numpy as np
import pytest

from abaw.challenge.template import read_template
from abaw.challenge.verification import verify
from abaw.dataset import annotations, split_files
from abaw.dataset.names import ACTION_UNITS, EMI_HEADER, EXPRESSIONS, MTL_HEADER_START, VA_HEADER
from abaw.errors import InputError
from abaw.numbers import MAX_FRAME, format_percent, parse_frame, parse_integer, parse_number
from abaw.tasks import TASKS

ODD = [
    "１",
    "١",
    "1_0",
    "+1",
    " 1",
    "1\u00a0",
    "\u30001",
    "1\x0c",
    "²",
    "①",
    "nan",
    "inf",
    "-inf",
    "0x1",
    "1,0",
    "",
    "-",
    "--1",
]
MTL_HEADER = MTL_HEADER_START + ",".join(ACTION_UNITS)


@pytest.mark.parametrize("text", ODD)
def test_what_only_python_reads_as_a_number_is_refused(text):
    for parse in (parse_integer, parse_number):
        with pytest.raises(InputError, match="is not a"):
            parse(text)


@pytest.mark.parametrize(
    ("text", "value"), [("0", 0), ("-1", -1), ("007", 7), ("123456789012345678", 123456789012345678)]
)
def test_integers_are_read_as_they_are(text, value):
    assert parse_integer(text) == value


@pytest.mark.parametrize("value", [0.0, -0.25, 1e-7, 5e-324, 0.1, 123.0])
def test_numbers_are_read_as_python_writes_them(value):
    assert parse_number(repr(value)) == value


@pytest.mark.parametrize("parse", [parse_integer, parse_number, parse_frame])
def test_a_number_of_any_length_is_read_or_refused_in_a_sentence(parse):
    with pytest.raises(InputError):
        parse("9" * 5000)
    with pytest.raises(InputError, match="too large"):
        parse_number("1e999")


def test_no_frame_is_beyond_the_longest_clip():
    assert parse_frame(str(MAX_FRAME)) == MAX_FRAME
    with pytest.raises(InputError, match="frame 10000000 is beyond 9999999"):
        parse_frame("10000000")


def unit_row(first):
    return ",".join([first] + ["0"] * 11)


READERS = {
    "expression": (annotations.read_expression, ",".join(EXPRESSIONS), "{}"),
    "units": (annotations.read_action_units, ",".join(ACTION_UNITS), unit_row("{}")),
    "valence": (annotations.read_valence_arousal, "valence,arousal", "{},0"),
    "mtl": (split_files.read_multitask, MTL_HEADER, "a/00001.jpg,0,0,{}," + unit_row("0")),
    "mtl value": (split_files.read_multitask, MTL_HEADER, "a/00001.jpg,{},0,1," + unit_row("0")),
    "emi": (split_files.read_mimicry, EMI_HEADER, "a.mp4,{},0,0,0,0,0"),
}


@pytest.mark.parametrize("text", ["１", "١", "1_0", "+1", "1\u00a0", "\u30001", "nan", "inf"])
@pytest.mark.parametrize("name", READERS)
def test_labels_in_odd_digits_are_refused_with_file_and_line(tmp_path, name, text):
    read, header, row = READERS[name]
    path = tmp_path / "labels.txt"
    path.write_text(f"{header}\n{row.format('1')}\n", encoding="utf-8")
    read(path)
    row = row.replace("00001", "00002")
    path.write_text(f"{header}\n{row.format('1')}\n{row.format(text)}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"labels\.txt:3: "):
        read(path)


@pytest.mark.parametrize("location", ["a/０0001.jpg", "a/٠٠٠٠١.jpg", "a/000_1.jpg", "a/+0001.jpg", "a/99999999.jpg"])
def test_frames_in_odd_digits_are_refused_in_lists_templates_and_challenge_files(tmp_path, location):
    path, good = tmp_path / "t.txt", tmp_path / "good.txt"
    path.write_text(f"{MTL_HEADER}\n{location},0,0,1,{unit_row('0')}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"t\.txt:2: "):
        split_files.read_multitask(path)
    path.write_text(f"image\na/00001.jpg\n{location}\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"release\.txt:3: "):
        split_files.find_listings([path.rename(tmp_path / "MTL_Challenge_test_set_release.txt")], ["test"])
    path.write_text(f"{VA_HEADER}\n{location},\n", encoding="utf-8")
    with pytest.raises(InputError, match=r"t\.txt:2: "):
        read_template(path)
    good.write_text(f"{VA_HEADER}\na/00001.jpg,\n", encoding="utf-8")
    path.write_text(f"{VA_HEADER}\n{location},0,0\n", encoding="utf-8")
    assert any(fault.line == 2 for fault in verify(path, good))


@pytest.mark.parametrize("task", ["va", "expr", "au", "mtl", "ce", "emi", "ah"])
@pytest.mark.parametrize("text", ODD)
def test_a_row_of_a_challenge_file_with_odd_digits_is_refused(task, text):
    built = TASKS.build(task)
    num = len(built.to_labels(np.full((1, len(built.columns)), 0.5, np.float32))[0])
    row = built.row(np.zeros(num))
    built.parse_row(row)
    _, comma, others = row.partition(",")
    with pytest.raises(InputError):
        built.parse_row(f"{text}{comma}{others}")


@pytest.mark.parametrize(
    ("part", "whole", "text"),
    [
        (0, 0, "100 %"), (0, 5, "0 %"), (5, 5, "100 %"), (9999, 10000, "99.9 %"), (99999, 100000, "99.9 %"),
        (1, 100000, "0.1 %"), (9464, 9866, "95.9 %"), (1, 2, "50.0 %"),
    ],
)  # fmt: skip
def test_percent_is_100_only_for_all_and_0_only_for_nothing(part, whole, text):
    assert format_percent(part, whole) == text

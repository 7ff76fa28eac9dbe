"""Label files: what is read, how sentinels become scored flags, how errors name a broken line."""

import numpy as np
import pytest

from abaw.dataset.annotations import (
    count_rows,
    lines,
    read_action_units,
    read_compound_expression,
    read_expression,
    read_valence_arousal,
)

EXPR_HEADER = "Neutral,Anger,Disgust,Fear,Happiness,Sadness,Surprise,Other"
AU_HEADER = "AU1,AU2,AU4,AU6,AU7,AU10,AU12,AU15,AU23,AU24,AU25,AU26"
CE_HEADER = (
    "Fearfully_Surprised,Happily_Surprised,Sadly_Surprised,Disgustedly_Surprised,Angrily_Surprised,"
    "Sadly_Fearful,Sadly_Angry"
)


def written(folder, *texts, end="\n", name="12-24.txt"):
    path = folder / name
    path.write_bytes("".join(text + end for text in texts).encode())
    return path


def test_the_ith_line_after_the_header_is_frame_i(tmp_path):
    labels = read_valence_arousal(written(tmp_path, "valence,arousal", "0.5,-0.25", "-1,1"))
    assert labels.values.tolist() == [[0.5, -0.25], [-1, 1]]
    assert labels.scored.tolist() == [True, True]


def test_either_value_of_minus_five_makes_a_row_unscored_and_its_values_0(tmp_path):
    labels = read_valence_arousal(written(tmp_path, "valence,arousal", "-5,-5", "-5,0.5", "0.5,-5.0", "0,0"))
    assert labels.scored.tolist() == [False, False, False, True]
    assert not labels.values.any()


def test_expression_has_eight_names_in_its_header_and_one_class_in_each_row(tmp_path):
    labels = read_expression(written(tmp_path, EXPR_HEADER, "0", "7", "-1", "3"))
    assert labels.values[:, 0].tolist() == [0, 7, 0, 3]
    assert labels.scored.tolist() == [True, True, False, True]


def test_one_unit_of_minus_one_makes_the_whole_row_unscored(tmp_path):
    good, part, whole = "1,0,0,0,0,0,0,0,0,0,1,1", "1,0,0,0,0,-1,0,0,0,0,1,1", ",".join(["-1"] * 12)
    labels = read_action_units(written(tmp_path, AU_HEADER, good, part, whole, good.replace(",", ", ")))
    assert labels.scored.tolist() == [True, False, False, True]
    assert labels.values[[0, 3]].tolist() == [[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1]] * 2
    assert not labels.values[[1, 2]].any()


def test_compound_expression_has_seven_names_in_its_header_and_one_class_in_each_row(tmp_path):
    labels = read_compound_expression(written(tmp_path, CE_HEADER, "0", "6", "-1"))
    assert labels.values[:, 0].tolist() == [0, 6, 0]
    assert labels.scored.tolist() == [True, True, False]
    with pytest.raises(ValueError, match=r":2: class 7 does not exist, expected 0 \.\. 6 or -1"):
        read_compound_expression(written(tmp_path, CE_HEADER, "7"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_line_ends_a_byte_order_mark_and_blank_lines_at_the_end_do_not_matter(tmp_path, end, mark):
    path = written(tmp_path, mark + "valence,arousal", "0.5, 0.1", "", "", end=end)
    assert read_valence_arousal(path).values.tolist() == [[0.5, np.float32(0.1)]]
    assert count_rows(path) == 1


def test_a_header_alone_gives_no_rows(tmp_path):
    assert len(read_valence_arousal(written(tmp_path, "valence,arousal"))) == 0
    assert len(read_expression(written(tmp_path, EXPR_HEADER))) == 0


VA_FAULTS = {
    "0.5,0.1a": r":3: '0.1a' is not a number.*correct the line",
    "0.5": r":3: '0.5' has 1 column, expected 2",
    "0.5,0.1,0.2": r":3: '0.5,0.1,0.2' has 3 columns, expected 2",
    "nan,0.1": r":3: 'nan' is not a number",
    "0.1,inf": r":3: 'inf' is not a number",
    "1.5,0.1": r":3: 1.5 is outside \[-1, 1\] and is not -5",
    "0.1,-2": r":3: -2 is outside",
    "0_1,0": r":3: '0_1' is not a number",
    ",": r":3: '' is not a number",
    "": r":3: '' has 1 column",
}


@pytest.mark.parametrize("text", VA_FAULTS)
def test_a_broken_valence_arousal_row_is_named_by_file_and_line(tmp_path, text):
    path = written(tmp_path, "valence,arousal", "0,0", text, "0,0")
    with pytest.raises(ValueError, match="12-24.txt" + VA_FAULTS[text]):
        read_valence_arousal(path)


EXPR_FAULTS = {
    "8": r":3: class 8 does not exist, expected 0 \.\. 7 or -1",
    "-5": r":3: class -5 does not exist",
    "1.5": r":3: '1.5' is not one integer",
    "3a": r":3: '3a' is not one integer",
    "nan": r":3: 'nan' is not one integer",
    "0,1": r":3: '0,1' is not one integer",
    "0_3": r":3: '0_3' is not one integer",
    "": r":3: '' is not one integer",
}


@pytest.mark.parametrize("text", EXPR_FAULTS)
def test_a_broken_expression_row_is_named_by_file_and_line(tmp_path, text):
    path = written(tmp_path, EXPR_HEADER, "0", text, "0")
    with pytest.raises(ValueError, match="12-24.txt" + EXPR_FAULTS[text]):
        read_expression(path)


AU_FAULTS = {
    "0,1": r":3: '0,1' has 2 columns, expected 12 \(AU1 \.\. AU26\)",
    ",".join(["0"] * 13): r":3: .* has 13 columns, expected 12",
    ",".join(["0"] * 11 + ["2"]): r":3: AU26 is '2', expected 0, 1 or -1 \(unscored\); correct the line",
    ",".join(["-1"] * 11 + ["-5"]): r":3: AU26 is '-5', expected",
    ",".join(["0", "0.5"] + ["0"] * 10): r":3: AU2 is '0.5'",
    ",".join(["0"] * 4 + [""] + ["0"] * 7): r":3: AU7 is ''",
    "": r":3: '' has 1 column, expected 12",
}


@pytest.mark.parametrize("text", AU_FAULTS)
def test_a_broken_row_of_action_units_is_named_by_file_line_and_unit(tmp_path, text):
    good = ",".join(["0"] * 12)
    path = written(tmp_path, AU_HEADER, good, text, good)
    with pytest.raises(ValueError, match="12-24.txt" + AU_FAULTS[text]):
        read_action_units(path)


@pytest.mark.parametrize("first", ["0.5,0.5", EXPR_HEADER, "arousal,valence", ""])
def test_a_file_without_the_header_of_its_task_is_refused(tmp_path, first):
    with pytest.raises(ValueError, match=r"12-24.txt:1: the header is .*expected 'valence,arousal'"):
        read_valence_arousal(written(tmp_path, first, "0.5,0.5"))


def test_an_empty_file_has_no_header(tmp_path):
    (tmp_path / "empty.txt").touch()
    with pytest.raises(ValueError, match=r"empty.txt:1: the header is ''"):
        read_expression(tmp_path / "empty.txt")
    assert count_rows(tmp_path / "empty.txt") == 0


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "12-24.txt").write_bytes("valence,arousal\n0,0".encode("utf-16"))
    with pytest.raises(ValueError, match="12-24.txt:1: not a text file"):
        lines(tmp_path / "12-24.txt")

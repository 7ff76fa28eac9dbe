"""No cell of a CSV file that has the text of a stranger is a formula, and our own reader gets the text back."""

import ast
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from abaw.files.csv_cells import csv_text, guarded, unguarded
from tests.support.house import SOURCES

# writes no text of a stranger at the start of a cell: numbers under names of its own
ALLOWED = {"abaw/files/csv_cells.py", "fusion/callbacks.py", "abaw/pipelines/analysis/tables.py"}


@given(st.text())
def test_every_text_comes_back(text):
    assert unguarded(guarded(text)) == text


@given(st.text(alphabet="=+-@'\t\r\n＝1.e a"))
def test_no_written_cell_begins_as_a_formula_unless_it_is_a_number(text):
    cell = guarded(text)
    if cell[:1] in tuple("=@\t\r\n＝"):
        pytest.fail(f"{text!r} is written as {cell!r}")
    if cell[:1] in ("+", "-"):
        float(cell)


@pytest.mark.parametrize("number", ["-0.5", "+3", "1e-07", "-1.5E+3", "-inf", "nan", "0", "-.5"])
def test_numbers_stay(number):
    assert guarded(number) == number
    assert csv_text([[number, -0.25, None, True]]) == f"{number},-0.25,,True\n"


@pytest.mark.parametrize("text", ["=cmd|' /C calc'!A0", "+1+1", "-2+3", "@SUM(A1)", "\t=1", "-a.mp4", "--", "-"])
def test_formulas_are_text(text):
    (row,) = csv.reader(io.StringIO(csv_text([[text, "a,b"]]), newline=""))
    assert row == ["'" + text, "a,b"]


def test_all_csv_files_are_written_through_the_guard():
    writers = {
        place
        for place, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and node.attr in ("writer", "DictWriter", "write_csv")
        if isinstance(node.value, ast.Name) and node.value.id == "csv"
    }
    assert writers == ALLOWED

"""Texts of reports that are tables of their own."""

import numpy as np
import pytest

from abaw.dataset.annotations import EXPRESSIONS
from abaw.evaluation.wording import confusion_lines


@pytest.mark.parametrize("most", [1, 99_999, 9_999_999])
def test_a_confusion_matrix_of_eight_classes_has_named_columns_and_fits_into_80_characters(most):
    counts = np.random.default_rng(0).integers(0, most, (8, 8), endpoint=True)
    title, head, *rows = confusion_lines(EXPRESSIONS, counts.tolist())
    assert max(map(len, (title, head, *rows))) <= 80
    assert head.split() == list(EXPRESSIONS)
    assert [row.split() for row in rows] == [[n, *map(str, row)] for n, row in zip(EXPRESSIONS, counts, strict=True)]
    ends = [head.index(name) + len(name) for name in EXPRESSIONS]
    assert all(row[end - 1].isdigit() and row[end : end + 1] in ("", " ") for row in rows for end in ends)


def test_long_names_are_cut_and_classes_that_never_occur_are_left_out():
    classes = [f"{letter}{letter * 30}" for letter in "abcdefghij"]
    counts = np.diag([1] * 9 + [0]).tolist()
    _, head, *rows = confusion_lines(classes, counts)
    assert max(map(len, (head, *rows))) <= 80
    assert head.split() == ["aaaaa", "bbbbb", "ccccc", "ddddd", "eeeee", "fffff", "ggggg", "hhhhh", "iiiii"]
    assert [*confusion_lines(["a"], [[7]])][1:] == ["    a", "  a 7"]

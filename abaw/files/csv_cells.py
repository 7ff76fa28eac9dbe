"""Cells of CSV files: text that a spreadsheet would compute as a formula is written so that it stays text.

Names of files, clips and classes come from strangers. A spreadsheet takes a cell that begins with =, +, -, @ or a
control character for a formula, which can run programs or send data away (CWE-1236). Such a cell gets an apostrophe in
front, as OWASP advises; numbers stay as they are, -0.5 too. What reads tables of this project takes it away again.
"""

import csv
import io
import re
from collections.abc import Iterable, Sequence
from typing import Any

GUARD = "'"
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.I)


def guarded(cell: str) -> str:
    """The cell as it is written.

    >>> guarded("=1+1"), guarded("-0.5"), guarded("-a.mp4"), guarded("'=1"), guarded("it's")
    ("'=1+1", '-0.5', "'-a.mp4", "''=1", "it's")
    """
    return GUARD + cell if _FORMULA.match(cell) and not _NUMBER.fullmatch(cell) else cell


def unguarded(cell: str) -> str:
    """The cell that ``guarded`` was given.

    >>> unguarded("'=1+1"), unguarded("''=1"), unguarded("'quoted'")
    ('=1+1', "'=1", "'quoted'")
    """
    return cell[1:] if cell.startswith(GUARD) and guarded(cell[1:]) == cell else cell


def csv_text(rows: Iterable[Sequence[Any]]) -> str:
    """Rows as the text of a CSV file, texts guarded; None is an empty cell."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([guarded(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue()

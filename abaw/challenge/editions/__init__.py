"""What each edition of the challenge asks of a submission, task by task: facts, and no code depends on them.

An edition is one file ``edition_<number>.py`` in this folder with a tuple ``EDITIONS``. `abaw submit` follows the
template alone; this table says which templates to expect. A remark marks what is not verified.
"""

from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import Any

from abaw.challenge.edition import Edition
from abaw.files import visible

EDITIONS: tuple[Edition, ...] = tuple(
    each
    for path in visible(Path(__file__).parent, "edition_*.py")
    for each in import_module(f"{__name__}.{path.stem}").EDITIONS
)


def rows() -> list[dict[str, Any]]:
    """Every task of every edition as JSON has it, ``name`` first."""
    return [{"name": each.name, **asdict(each), "summary": each.summary} for each in EDITIONS]
